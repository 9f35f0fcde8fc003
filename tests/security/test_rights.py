"""What each member may change on the local server, by the effect of a change, and that it is noted."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.caller import Caller
from tests.security.conftest import Team
from tests.server.artifact_logger import DELETE, GET, ArtifactLogger
from wbgql.server import audit_requests, purge, restrict_project
from wbgql.server.audit.actions import NOTED

SERVER_PAGE = Path(__file__).resolve().parents[2] / "docs" / "server.md"

MODEL = "mutation M($input: UpsertModelInput!) { upsertModel(input: $input) { project { access } } }"
RENAME = "mutation R($input: RenameProjectInput!) { renameProject(input: $input) { inserted } }"
DELETE_MODEL = "mutation D($id: String!) { deleteModel(input: {id: $id}) { success } }"
REWIND = "mutation R($input: RewindRunInput!) { rewindRun(input: $input) { rewoundRun { id } } }"
PROTECT = "mutation P($input: AddProtectedAliasesInput!) { addProtectedAliases(input: $input) { aliases } }"
PROJECT = "query P($e: String!, $n: String!) { project(entityName: $e, name: $n) { id access } }"

UPDATE = "mutation U($input: UpdateArtifactInput!) { updateArtifact(input: $input) { artifact { id } } }"
LINK = "mutation L($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex } }"
LATEST_OF = """
query L($e: String!, $name: String!) { project(entityName: $e, name: "p") { artifact(name: $name) { id } } }
"""
RENAME_COLLECTION = """
mutation R($id: ID!, $name: String, $description: String) {
  updateArtifactKIND(input: {artifactKINDID: $id, name: $name, description: $description}) { artifactCollection { id } }
}
"""
RETYPE = """
mutation R($id: ID!, $type: String!) {
  moveArtifactSequence(input: {artifactSequenceID: $id, destinationArtifactTypeName: $type}) { artifactCollection { id } }
}
"""
UNALIAS = """
mutation A($id: ID!, $aliases: [ArtifactCollectionAliasInput!]!) {
  deleteAliases(input: {artifactID: $id, aliases: $aliases}) { success }
}
"""
COLLECTION = """
query C($e: String!, $name: String!) { project(entityName: $e, name: "p") { artifactCollection(name: $name) { id } } }
"""


def test_a_member_cannot_empty_the_run_of_another(team: Team) -> None:
    assert team.upsert(team.bob).json()["data"]["upsertBucket"]["bucket"]["historyLineCount"] == 2
    assert team.log(team.bob, '{"_step": 0, "x": 9}').status_code == 403
    rewind = {
        "entityName": team.name,
        "projectName": "p",
        "runName": "r1",
        "metricName": "_step",
        "metricValue": 0,
    }
    assert team.bob.post(REWIND, input=rewind).status_code == 403

    run = team.ann.run("p", "r1", team.name)
    assert run["history"] == ['{"_step": 0, "x": 1}', '{"_step": 1, "x": 2}']


def test_a_member_may_go_on_with_the_run_of_another(team: Team) -> None:
    assert team.log(team.bob, '{"_step": 1, "x": 2}', '{"_step": 2, "x": 3}', offset=1).status_code == 200
    assert len(team.ann.run("p", "r1", team.name)["history"]) == 3


def test_a_member_takes_nothing_from_the_run_of_another(team: Team) -> None:
    given = {"config": '{"lr":{"value":1}}', "summaryMetrics": '{"acc":0.9}'}
    assert team.upsert(team.ann, jobProgram=None, **given).status_code == 200
    assert stream(team, team.ann, "output.log", "one", "two").status_code == 200

    for name, empty in (("config", "{}"), ("config", '{"lr":{"value":null}}'), ("summaryMetrics", "{}")):
        assert team.upsert(team.bob, jobProgram=None, **{name: empty}).status_code == 403
    assert stream(team, team.bob, "output.log", "", "", "three").status_code == 200
    assert stream(team, team.bob, "wandb-summary.json", '{"acc":null,"more":1}').status_code == 200
    more = '{"lr":{"value":1},"new":{"value":2}}'
    assert team.upsert(team.bob, jobProgram=None, config=more).status_code == 200

    run = team.ann.run("p", "r1", team.name)
    assert json.loads(run["config"]) == json.loads(more)
    assert json.loads(run["summaryMetrics"]) == {"acc": 0.9, "more": 1}
    assert console(team) == ["one", "two", "three"]
    assert team.upsert(team.boss, jobProgram=None, config="{}").status_code == 200


@pytest.mark.parametrize("shared", [False, True])
def test_a_member_gives_no_other_value_for_a_step_of_another(team: Team, shared: bool) -> None:
    headers = {"x-wandb-use-async-filestream": "true", "x-wandb-async-client-id": "bob"} if shared else {}
    offset = 0 if shared else 2
    tries = [(offset, '{"_step":0,"x":666}'), (offset, '{"_step":1,"x":null}')]
    tries += [] if shared else [(offset, '{"_step":1,"y":5}'), (2**31 - 2, '{"_step":2,"x":3}')]
    for place, row in tries:
        answer = stream(team, team.bob, "wandb-history.jsonl", row, offset=place, headers=headers)
        assert answer.status_code == 403
    more = '{"_step":1,"y":5}' if shared else '{"_step":1,"x":2,"y":5}'
    rows = (more, '{"_step":2,"x":3}')
    assert stream(team, team.bob, "wandb-history.jsonl", *rows, offset=offset, headers=headers).ok

    history = [json.loads(row) for row in team.ann.run("p", "r1", team.name)["history"]]
    assert history == [{"_step": 0, "x": 1}, {"_step": 1, "x": 2, "y": 5}, {"_step": 2, "x": 3}]
    assert team.log(team.ann, '{"_step":3,"x":4}', offset=2 if shared else 4).ok


def test_a_restart_that_the_owner_announced_is_not_begun_by_another(team: Team) -> None:
    assert team.upsert(team.ann).status_code == 200

    assert team.log(team.bob, '{"_step": 0, "x": 1}').status_code == 200

    assert len(team.ann.run("p", "r1", team.name)["history"]) == 2


def stream(
    team: Team, who: Caller, name: str, *content: str, offset: int = 0, headers: dict[str, str] | None = None
) -> requests.Response:
    files = {name: {"offset": offset, "content": list(content)}}
    return who.stream("p", "r1", team.name, files=files, headers=headers or {})


def console(team: Team) -> list[str]:
    document = """
    query L($e: String!) { project(entityName: $e, name: "p") { run(name: "r1") {
      logLines(first: 100) { edges { node { line } } } } } }
    """
    edges = team.ann.ask(document, e=team.name)["project"]["run"]["logLines"]["edges"]
    return [edge["node"]["line"].split(" ")[-1].strip() for edge in edges]


@pytest.mark.parametrize("access", ["USER_READ", "ENTITY_READ", "USER_WRITE"])
def test_a_member_cannot_open_a_project_of_another(team: Team, access: str) -> None:
    given = {"entityName": team.name, "name": "p", "access": access}

    assert team.bob.post(MODEL, input=given).status_code == 403
    assert team.vera.post(MODEL, input=given).status_code == 403
    assert team.project["access"] == "PRIVATE"
    assert team.boss.post(MODEL, input=given).status_code == 200
    assert team.project["access"] == access


def test_a_member_cannot_lift_a_restriction(team: Team) -> None:
    restrict_project(
        team.server.data, team.name, "p", [team.bob.ask("{ viewer { username } }")["viewer"]["username"]]
    )

    answer = team.bob.post(MODEL, input={"entityName": team.name, "name": "p", "access": "PRIVATE"})

    assert answer.status_code == 403
    assert team.project["access"] == "RESTRICTED"


def test_access_is_one_of_those_there_are(team: Team) -> None:
    answer = team.boss.post(MODEL, input={"entityName": team.name, "name": "p", "access": "EVERYBODY"})

    assert answer.status_code == 400
    assert "no such access of a project: 'EVERYBODY'" in answer.json()["errors"][0]["message"]


def test_a_member_cannot_rename_or_delete_the_project_of_another(team: Team) -> None:
    rename = {"entityName": team.name, "oldProjectName": "p", "newProjectName": "q"}

    assert team.bob.post(RENAME, input=rename).status_code == 403
    assert team.bob.post(MODEL, input={"id": team.project["id"], "name": "q"}).status_code == 403
    assert team.bob.post(DELETE_MODEL, id=team.project["id"]).status_code == 403
    assert team.ann.post(RENAME, input=rename).status_code == 200


def test_the_creator_of_a_project_cannot_delete_it_with_runs_of_others(team: Team) -> None:
    assert team.upsert(team.bob, run="of-bob").status_code == 200

    assert team.ann.post(DELETE_MODEL, id=team.project["id"]).status_code == 403
    assert team.boss.post(DELETE_MODEL, id=team.project["id"]).status_code == 200


def test_a_protected_alias_cannot_be_taken_by_logging(team: Team) -> None:
    ann, bob = (ArtifactLogger(who, "p", entity=team.name) for who in (team.ann, team.bob))
    first = ann.log("net", {"w": b"1"}, runName="r1", aliases=["production"])
    protect = {"entityName": team.name, "aliases": ["production"], "adminType": "MODEL"}
    assert team.boss.post(PROTECT, input=protect).status_code == 200

    with pytest.raises(AssertionError, match="protected aliases are for admins"):
        bob.log("net", {"w": b"2"}, runName="r1", aliases=["production"])
    with pytest.raises(AssertionError, match="protected aliases are for admins"):
        bob.create("net", {"w": b"1"}, runName="r1", aliases=["production"])

    assert team.bob.post(DELETE, id=first, aliases=True).status_code == 403
    assert team.ann.post(DELETE_MODEL, id=team.project["id"]).status_code == 403
    assert team.boss.post(DELETE_MODEL, id=team.project["id"]).status_code == 403


def test_a_time_to_live_does_not_delete_what_is_protected(team: Team) -> None:
    ann = ArtifactLogger(team.ann, "p", entity=team.name)
    kept = ann.log("net", {"w": b"1"}, runName="r1", aliases=["production"])
    gone = ann.log("net", {"w": b"2"}, runName="r1")
    protect(team, "production")

    for version in (kept, gone):
        given = {"artifactID": version, "ttlDurationSeconds": 1}
        assert team.bob.post(UPDATE, input=given).status_code == 200
    purge(team.server.data, now=datetime.now(UTC) + timedelta(hours=1))

    states = [team.boss.ask(GET, id=version)["artifact"]["state"] for version in (kept, gone)]
    assert states == ["COMMITTED", "DELETED"]


def test_a_protected_latest_moves_by_an_admin_alone(team: Team) -> None:
    ann, bob, boss = (ArtifactLogger(who, "p", entity=team.name) for who in (team.ann, team.bob, team.boss))
    first = ann.log("net", {"w": b"1"}, runName="r1")
    target = {"entityName": team.name, "projectName": "p", "artifactPortfolioName": "prod"}
    assert team.boss.post(LINK, input={"artifactID": first, **target}).status_code == 200
    protect(team, "latest")

    second = bob.log("net", {"w": b"2"}, runName="r1", aliases=["latest", "mine"])
    bob.create("net", {"w": b"2"}, runName="r1", aliases=["latest"])
    assert team.bob.post(LINK, input={"artifactID": second, **target}).status_code == 200

    assert latest(team, "net") == latest(team, "prod") == first
    third = boss.log("net", {"w": b"3"}, runName="r1")
    assert latest(team, "net") == third


@pytest.mark.parametrize("kind", ["Sequence", "Portfolio"])
def test_the_name_of_a_protected_alias_is_freed_by_an_admin_alone(team: Team, kind: str) -> None:
    collection = protected_collection(team, kind)
    rename = RENAME_COLLECTION.replace("KIND", kind)

    assert team.bob.post(rename, id=collection, name="free").status_code == 403
    assert team.bob.post(rename, id=collection, description="what it is").status_code == 200
    found = team.boss.ask(LATEST_OF, e=team.name, name=f"{kind}:production")["project"]["artifact"]
    assert found is not None
    assert team.boss.post(rename, id=collection, name="free").status_code == 200


def test_the_type_of_a_protected_sequence_is_changed_by_an_admin_alone(team: Team) -> None:
    sequence = protected_collection(team, "Sequence")

    assert team.bob.post(RETYPE, id=sequence, type="other").status_code == 403
    assert team.bob.post(RETYPE, id=sequence, type="dataset").status_code == 200
    assert team.boss.post(RETYPE, id=sequence, type="other").status_code == 200


@pytest.mark.parametrize("kind", ["Sequence", "Portfolio"])
def test_a_project_with_a_protected_alias_is_renamed_by_an_admin_alone(team: Team, kind: str) -> None:
    protected_collection(team, kind)
    rename = {"entityName": team.name, "oldProjectName": "p", "newProjectName": "q"}

    assert team.ann.post(RENAME, input=rename).status_code == 403
    assert team.ann.post(MODEL, input={"id": team.project["id"], "name": "q"}).status_code == 403
    assert team.ann.post(DELETE_MODEL, id=team.project["id"]).status_code == 403
    assert team.boss.post(RENAME, input=rename).status_code == 200


def protected_collection(team: Team, kind: str) -> str:
    """The id of a collection named after its kind, where `production` is protected; ann logged its version."""
    logger = ArtifactLogger(team.ann, "p", entity=team.name)
    version = logger.log("Sequence", {"w": b"1"}, runName="r1", aliases=["production"])
    if kind == "Portfolio":
        target = {"entityName": team.name, "projectName": "p", "artifactPortfolioName": kind}
        aliases = [{"artifactCollectionName": kind, "alias": "production"}]
        assert team.ann.post(LINK, input={"artifactID": version, "aliases": aliases, **target}).ok
        given = {"artifactCollectionName": "Sequence", "alias": "production"}
        given |= {"entityName": team.name, "projectName": "p"}
        assert team.ann.post(UNALIAS, id=version, aliases=[given]).ok
    protect(team, "production")
    found: str = team.boss.ask(COLLECTION, e=team.name, name=kind)["project"]["artifactCollection"]["id"]
    return found


def protect(team: Team, alias: str) -> None:
    given = {"entityName": team.name, "aliases": [alias], "adminType": "MODEL"}
    assert team.boss.post(PROTECT, input=given).status_code == 200


def latest(team: Team, collection: str) -> Any:
    found = team.boss.ask(LATEST_OF, e=team.name, name=f"{collection}:latest")
    return found["project"]["artifact"]["id"]


def test_users_are_found_by_their_colleagues_alone(team: Team) -> None:
    document = "{ users(first: 100) { edges { node { username email } } } }"

    def seen(caller: Caller) -> set[str]:
        return {edge["node"]["username"] for edge in caller.ask(document)["users"]["edges"]}

    mark = team.name.removeprefix("team-")
    assert seen(team.stranger) == {f"stranger-{mark}"}
    assert seen(team.bob) == {f"{name}-{mark}" for name in ("boss", "ann", "bob", "vera")}
    one = "query U($name: String!) { user(userName: $name) { email } }"
    assert team.stranger.ask(one, name=f"ann-{mark}")["user"] is None


def test_the_address_of_a_stranger_is_not_told_by_a_public_run(team: Team) -> None:
    assert (
        team.boss.post(MODEL, input={"entityName": team.name, "name": "p", "access": "USER_READ"}).status_code
        == 200
    )
    document = """
    query R($e: String!) { project(entityName: $e, name: "p") {
      runs { edges { node { user { username email } } } } run(name: "r1") { user { email } }
    } }
    """
    found = team.stranger.ask(document, e=team.name)["project"]

    assert found["run"]["user"]["email"] == ""
    assert {edge["node"]["user"]["email"] for edge in found["runs"]["edges"]} == {""}


def test_what_was_refused_is_noted(team: Team) -> None:
    team.bob.post(MODEL, input={"entityName": team.name, "name": "p", "access": "USER_READ"})
    team.bob.post(RENAME, input={"entityName": team.name, "oldProjectName": "p", "newProjectName": "q"})

    noted = [
        (one["mutation"], one["project"], one["code"])
        for one in audit_requests(team.server.data)
        if one["entity"] == team.name and one["code"] != 200
    ]

    assert noted == [("upsertModel", "p", 403), ("renameProject", "p", 403)]


def test_the_table_of_rights_names_every_mutation_of_the_server() -> None:
    modules = Path(__file__).resolve().parents[2].joinpath("wbgql", "server", "api").glob("*.py")
    offered = {
        name
        for module in modules
        for name in re.findall(r'mutation\("(\w+)"\)', module.read_text(encoding="utf-8"))
    }
    page = SERVER_PAGE.read_text(encoding="utf-8")
    table = page[page.index("## Who may change what") :].split("\n## ")[0]

    assert set(re.findall(r"`(\w+)`", table)) >= offered
    assert set(re.findall(r"`(\w+)`\*", table)) == NOTED.keys()
