"""Links and protected aliases: what stands in the way of a deletion, and who may move it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.caller import Caller
from tests.server.artifact_logger import ArtifactLogger
from wbgql.server import add_org, add_team, add_user

REGISTRY = "wandb-registry-model"
PROTECT = """
mutation P($input: AddProtectedAliasesInput!) { addProtectedAliases(input: $input) { aliases } }
"""
LINK = """
mutation L($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex artifactCollectionID } }
"""
UNLINK = """
mutation U($id: ID!, $from: ID!) { unlinkArtifact(input: {artifactID: $id, artifactPortfolioID: $from}) { success } }
"""
DELETE_RUN = """
mutation D($id: ID!) { deleteRun(input: {id: $id, deleteArtifacts: true}) { clientMutationId } }
"""
DELETE_PORTFOLIO = """
mutation D($id: ID!) { deleteArtifactPortfolio(input: {artifactPortfolioID: $id}) { artifactCollection { state } } }
"""
LINKS = """
query L($id: ID!) { artifact(id: $id) {
  isLinkedToGlobalRegistry aliases { alias }
  artifactMemberships { edges { node { versionIndex aliases { alias }
    artifactCollection { __typename name project { name entityName } } } } }
} }
"""
USED_BY = """
query U($id: ID!, $first: Int, $after: String) { artifact(id: $id) {
  usedBy(first: $first, after: $after) { totalCount edges { node { name } } pageInfo { endCursor hasNextPage } }
} }
"""
USE = "mutation Use($input: UseArtifactInput!) { useArtifact(input: $input) { run { name } } }"


@dataclass
class Scene:
    """An organization `org` with the team `team`; `ann` is a plain member of both, `cleo` administers both."""

    team: str
    registries: str
    ann: Caller
    cleo: Caller

    def log(self, run: str) -> str:
        """Ann logs a version from a run of hers; return its id."""
        self.ann.upsert("p", name=run, entityName=self.team)
        logger = ArtifactLogger(self.ann, "p", entity=self.team)
        return logger.log(f"net-{run}", {"a": run.encode()}, runName=run, artifactTypeName="model")

    def link(self, who: Caller, artifact_id: str, *aliases: str, name: str = "prod") -> requests.Response:
        given = {
            "artifactID": artifact_id,
            "entityName": self.registries,
            "projectName": REGISTRY,
            "artifactPortfolioName": name,
            "aliases": [{"artifactCollectionName": name, "alias": alias} for alias in aliases],
        }
        return who.post(LINK, input=given)

    def protect(self, who: Caller, *aliases: str) -> requests.Response:
        given = {"entityName": self.registries, "aliases": list(aliases), "adminType": "MODEL"}
        return who.post(PROTECT, input=given)


@pytest.fixture
def scene(local_server) -> Scene:
    mark, data = secrets.token_hex(3), local_server.data
    people = {}
    for name, role in (("ann", "member"), ("cleo", "admin")):
        people[name] = Caller(local_server.base_url, add_user(data, f"{name}-{mark}"))
        add_org(data, f"org-{mark}", f"{name}-{mark}", role)
        add_team(data, f"team-{mark}", f"org-{mark}", f"{name}-{mark}", role=role)
    return Scene(f"team-{mark}", f"org-{mark}_registries", **people)


def portfolio_of(answer: requests.Response) -> str:
    found: str = answer.json()["data"]["linkArtifact"]["artifactCollectionID"]
    return found


def message(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["message"]


def links(who: Caller, artifact_id: str) -> Any:
    found = who.ask(LINKS, id=artifact_id)["artifact"]
    nodes = [edge["node"] for edge in found["artifactMemberships"]["edges"]]
    return found["isLinkedToGlobalRegistry"], [
        (one["artifactCollection"]["__typename"], one["artifactCollection"]["name"], one["versionIndex"])
        for one in nodes
    ]


def test_a_link_into_a_registry_is_seen_at_the_version(scene):
    artifact_id = scene.log("r1")
    assert links(scene.ann, artifact_id) == (False, [("ArtifactSequence", "net-r1", 0)])

    scene.link(scene.ann, artifact_id, "good")

    assert links(scene.ann, artifact_id) == (
        True,
        [("ArtifactSequence", "net-r1", 0), ("ArtifactPortfolio", "prod", 0)],
    )


def test_a_version_with_a_protected_alias_cannot_be_deleted_by_anyone(scene, caller):
    artifact_id = scene.log("r1")
    assert scene.protect(scene.cleo, "production").json()["data"]["addProtectedAliases"] == {
        "aliases": ["production"]
    }
    portfolio = portfolio_of(scene.link(scene.cleo, artifact_id, "production"))

    answers = [
        ArtifactLogger(who, "p").delete(artifact_id, aliases=True) for who in (scene.ann, scene.cleo, caller)
    ]

    assert {message(answer) for answer in answers} == {
        (
            403,
            "artifact has protected aliases: prod:production, an admin there must remove them or unlink it first",
        )
    }
    assert message(scene.ann.post(UNLINK, id=artifact_id, **{"from": portfolio}))[0] == 403
    assert message(scene.ann.post(DELETE_PORTFOLIO, id=portfolio))[0] == 403
    assert scene.cleo.post(UNLINK, id=artifact_id, **{"from": portfolio}).status_code == 200
    assert ArtifactLogger(scene.ann, "p").delete(artifact_id, aliases=True).status_code == 200


def test_deleting_the_run_with_its_artifacts_leaves_the_protected_one(scene):
    kept = scene.log("r1")
    logger = ArtifactLogger(scene.ann, "p", entity=scene.team)
    gone = logger.log("other", {"b": b"2"}, runName="r1", artifactTypeName="model")
    scene.protect(scene.cleo, "production")
    scene.link(scene.cleo, kept, "production")
    storage_id = scene.ann.upsert("p", name="r1", entityName=scene.team, jobProgram=None)["bucket"]["id"]

    scene.ann.ask(DELETE_RUN, id=storage_id)

    assert logger.get(gone)["state"] == "DELETED"
    assert logger.get(kept)["state"] == "COMMITTED"


def test_only_admins_protect_aliases_and_set_or_remove_protected_ones(scene):
    artifact_id = scene.log("r1")
    alias = {
        "alias": "production",
        "artifactCollectionName": "prod",
        "entityName": scene.registries,
        "projectName": REGISTRY,
    }
    change = "mutation A($id: ID!, $a: [ArtifactCollectionAliasInput!]!) { %s(input: {artifactID: $id, aliases: $a}) { success } }"

    assert message(scene.protect(scene.ann, "production"))[0] == 403
    scene.protect(scene.cleo, "production")
    assert message(scene.link(scene.ann, artifact_id, "production"))[0] == 403
    assert scene.link(scene.ann, artifact_id, "staging").status_code == 200
    assert message(scene.ann.post(change % "addAliases", id=artifact_id, a=[alias]))[0] == 403
    assert scene.cleo.post(change % "addAliases", id=artifact_id, a=[alias]).status_code == 200
    assert message(scene.ann.post(change % "deleteAliases", id=artifact_id, a=[alias]))[0] == 403
    assert scene.cleo.post(change % "deleteAliases", id=artifact_id, a=[alias]).status_code == 200
    found = scene.ann.ask(
        "query($e: String) { entity(name: $e) { entityType protectedAliases(adminType: MODEL) } }",
        e=scene.registries,
    )
    assert found["entity"] == {"entityType": "organization", "protectedAliases": ["production"]}


def test_a_link_into_a_registry_one_may_not_see_is_not_told(scene, local_server):
    artifact_id = scene.log("r1")
    scene.link(scene.cleo, artifact_id, "secret-alias")
    mark = secrets.token_hex(3)
    bob = Caller(local_server.base_url, add_user(local_server.data, f"bob-{mark}"))
    add_team(local_server.data, scene.team, member=f"bob-{mark}", role="viewer")

    seen = bob.ask(LINKS, id=artifact_id)["artifact"]

    assert links(bob, artifact_id)[1] == [("ArtifactSequence", "net-r1", 0)]
    assert {one["alias"] for one in seen["aliases"]} == {"latest", "v0"}


def test_runs_that_use_a_version_come_page_by_page(scene):
    artifact_id = scene.log("r1")
    for number in range(7):
        scene.ann.upsert("p", name=f"u{number}", entityName=scene.team)
        given = {
            "artifactID": artifact_id,
            "entityName": scene.team,
            "projectName": "p",
            "runName": f"u{number}",
        }
        scene.ann.ask(USE, input=given)
    names, cursor, more = [], None, True
    while more:
        used = scene.ann.ask(USED_BY, id=artifact_id, first=3, after=cursor)["artifact"]["usedBy"]
        names += [edge["node"]["name"] for edge in used["edges"]]
        cursor, more = used["pageInfo"]["endCursor"], used["pageInfo"]["hasNextPage"]

    assert names == [f"u{number}" for number in range(7)]
    assert used["totalCount"] == 7
