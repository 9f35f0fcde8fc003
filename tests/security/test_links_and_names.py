"""Links, registries, invitations and names used before give nobody what the owner did not give."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.caller import UPSERT, Caller
from tests.security.conftest import Team
from tests.server.artifact_logger import COMMIT, DELETE, GET, ArtifactLogger, entries, md5
from wbgql.server import add_user, purge, restrict_project, rotate_key, scan_store, start

LINK = "mutation L($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex } }"
PROTECT = "mutation P($input: AddProtectedAliasesInput!) { addProtectedAliases(input: $input) { aliases } }"
MODEL = "mutation M($input: UpsertModelInput!) { upsertModel(input: $input) { project { id } } }"
RENAME = "mutation R($input: RenameProjectInput!) { renameProject(input: $input) { inserted } }"
DELETE_MODEL = "mutation D($id: String!) { deleteModel(input: {id: $id}) { success } }"
UPDATE = "mutation U($input: UpdateArtifactInput!) { updateArtifact(input: $input) { artifact { id } } }"
INVITE = "mutation I($input: CreateInviteInput!) { createInvite(input: $input) { success } }"
REMOVE = "mutation R($input: DeleteInviteInput!) { deleteInvite(input: $input) { success } }"
MEMBERS = "mutation C($input: CreateProjectMembersInput!) { createProjectMembers(input: $input) { success } }"
RETYPE = "mutation M($input: MoveArtifactSequenceInput!) { moveArtifactSequence(input: $input) { artifactCollection { id } } }"
MAKE_TYPE = "mutation T($input: CreateArtifactTypeInput!) { createArtifactType(input: $input) { artifactType { id } } }"
PROJECT = """
query P($e: String!, $n: String!) {
  project(entityName: $e, name: $n) { id access description views runs { edges { node { name } } } }
}
"""
COLLECTION = """
query C($e: String!, $n: String!) { project(entityName: $e, name: "p") { artifactCollection(name: $n) {
  id artifacts { edges { node { id } } } } } }
"""
SECRET = "SECRET-of-a-deleted-project"


def viewer(caller: Caller) -> Any:
    return caller.ask("{ viewer { id username } }")["viewer"]


def log(team: Team, who: Caller, name: str = "net", content: bytes = b"1", **fields: Any) -> str:
    return ArtifactLogger(who, "p", entity=team.name).log(name, {"w": content}, runName="r1", **fields)


def link(who: Caller, version: str, entity: str, *aliases: str, project: str = "mine") -> requests.Response:
    given = {"artifactID": version, "entityName": entity, "projectName": project}
    named = [{"artifactCollectionName": "hostage", "alias": alias} for alias in aliases]
    return who.post(LINK, input=given | {"artifactPortfolioName": "hostage", "aliases": named})


def remove(team: Team, who: Caller) -> None:
    assert team.boss.post(REMOVE, input={"entityName": team.name, "id": viewer(who)["id"]}).ok


def later(days: int = 60) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


# ---- links ----


def test_a_viewer_links_nothing(team: Team) -> None:
    own = viewer(team.vera)["username"]
    assert team.vera.post(MODEL, input={"entityName": own, "name": "mine"}).ok

    assert link(team.vera, log(team, team.ann), own).status_code == 403


def test_a_link_into_another_entity_protects_shows_and_keeps_nothing(team: Team) -> None:
    version, expiring = log(team, team.ann), log(team, team.ann, "old")
    own = viewer(team.bob)["username"]
    assert link(team.bob, expiring, own, project="other").ok
    assert link(team.bob, version, own, "pin").ok
    protect = {"entityName": own, "aliases": ["pin"], "adminType": "MODEL"}
    assert team.bob.post(PROTECT, input=protect).ok
    assert team.bob.post(MODEL, input={"entityName": own, "name": "mine", "access": "USER_READ"}).ok
    assert team.boss.post(UPDATE, input={"artifactID": expiring, "ttlDurationSeconds": 1}).ok
    remove(team, team.bob)
    document = 'query F($e: String!) { project(entityName: $e, name: "mine") { artifactCollection(name: "hostage") { artifactMembership(aliasName: "pin") { artifact { id } } } } }'

    for caller in (team.bob, team.stranger):
        assert caller.ask(GET, id=version)["artifact"] is None
        found = caller.post(document, e=own)
        assert version not in found.text
    places = {f"{own}/mine/hostage": team.bob, f"{team.name}/p/net": team.ann}
    digest = base64.b64decode(md5(b"1")).hex()
    assert [
        requests.get(
            f"{team.server.base_url}/artifactsV2/default/{place}/x/{digest}/w",
            auth=("api", who.api_key),
            timeout=30,
        ).status_code
        for place, who in places.items()
    ] == [404, 200]
    assert team.ann.post(DELETE, id=version, aliases=True).status_code == 200
    purge(team.server.data, now=later(1))
    assert team.boss.ask(GET, id=expiring)["artifact"]["state"] == "DELETED"


# ---- what the server keeps by itself ----


def test_users_neither_leave_nor_enter_the_types_of_the_server(team: Team) -> None:
    assert team.ann.stream("p", "r1", team.name, complete=True, exitcode=0).ok
    history = team.bob.ask(COLLECTION, e=team.name, n="run-r1-history")["project"]["artifactCollection"]
    log(team, team.ann)
    own = team.bob.ask(COLLECTION, e=team.name, n="net")["project"]["artifactCollection"]
    rename = 'mutation U($id: ID!) { updateArtifactSequence(input: {artifactSequenceID: $id, name: "x"}) { artifactCollection { id } } }'
    place = {"entityName": team.name, "projectName": "p"}

    for given in ((history["id"], "dataset"), (own["id"], "wandb-history")):
        retype = dict(zip(("artifactSequenceID", "destinationArtifactTypeName"), given, strict=True))
        assert team.boss.post(RETYPE, input=retype).status_code == 400
    assert team.boss.post(rename, id=history["id"]).status_code == 400
    assert team.boss.post(MAKE_TYPE, input={**place, "name": "wandb-events"}).status_code == 400
    model = {"entityName": team.name, "name": "p", "artifactTypes": [{"name": "wandb-history"}]}
    assert team.boss.post(MODEL, input=model).status_code == 400


# ---- registries and teams ----


def test_a_registry_is_one_in_an_organization_alone(team: Team) -> None:
    own = viewer(team.stranger)["username"]
    made = team.stranger.ask(MODEL, input={"entityName": own, "name": "wandb-registry-x"})
    given = {"projectId": made["upsertModel"]["project"]["id"], "userIds": [viewer(team.ann)["id"]]}

    answer = team.stranger.post(MEMBERS, input=given | {"teamIds": []})

    assert answer.status_code == 400
    assert "kept for registries only" in answer.text


def test_an_invitation_into_a_project_becomes_no_role_when_its_name_changes(team: Team) -> None:
    names = [viewer(who)["username"] for who in (team.vera, team.bob)]
    restrict_project(team.server.data, team.name, "p", names)
    version = log(team, team.ann)
    remove(team, team.bob)
    rename = {"entityName": team.name, "oldProjectName": "p", "newProjectName": "wandb-registry-s"}
    assert team.ann.post(RENAME, input=rename).ok

    assert team.bob.ask(GET, id=version)["artifact"] is None
    assert team.vera.post(DELETE, id=version, aliases=True).status_code == 403


def test_only_who_is_known_is_invited_by_name_or_made_a_member(team: Team) -> None:
    trap = f"trap-{secrets.token_hex(3)}"
    stranger, ann = team.stranger, viewer(team.ann)
    stranger.ask("mutation T($n: String!) { createTeam(input: {teamName: $n}) { entity { id } } }", n=trap)

    given = {"entityName": trap, "username": ann["username"], "role": "member"}
    assert stranger.post(INVITE, input=given).status_code == 404
    assert (
        stranger.ask("query U($n: String!) { user(userName: $n) { email } }", n=ann["username"])["user"]
        is None
    )

    org = f"org-{team.name.removeprefix('team-')}_registries"
    made = team.ann.ask(MODEL, input={"entityName": org, "name": "wandb-registry-y"})
    pid = made["upsertModel"]["project"]["id"]
    outsider = {"projectId": pid, "userIds": [viewer(stranger)["id"]], "teamIds": []}
    assert team.ann.post(MEMBERS, input=outsider).status_code == 404
    colleague = {"projectId": pid, "userIds": [viewer(team.bob)["id"]], "teamIds": []}
    assert team.ann.post(MEMBERS, input=colleague).ok
    for number in range(1, 30):
        entity = base64.b64encode(f"Entity:{number}".encode()).decode()
        team.ann.post(MEMBERS, input={"projectId": pid, "userIds": [], "teamIds": [entity]})
    document = 'query M($e: String!) { project(entityName: $e, name: "wandb-registry-y") { teamMembers { team { name } } } }'
    named = {one["team"]["name"] for one in team.ann.ask(document, e=org)["project"]["teamMembers"]}
    assert named <= {team.name}


# ---- names and contents used before ----


def test_the_name_of_a_deleted_project_begins_anew(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        admin = Caller(server.base_url, server.api_key)
        stranger = Caller(server.base_url, add_user(server.data, "eve"))
        old = {"entityName": "admin", "name": "pub", "access": "USER_READ"}
        made = admin.ask(MODEL, input={**old, "description": SECRET, "views": f'{{"{SECRET}": 1}}'})
        pid = made["upsertModel"]["project"]["id"]
        assert admin.post(DELETE_MODEL, id=pid).ok
        purge(server.data, now=later())
        found = scan_store(server.data, [SECRET.encode()])
        admin.ask(MODEL, input={**old, "description": "open again"})
        assert admin.post(DELETE_MODEL, id=pid).ok

        admin.upsert("pub", name="fresh")

        assert found == []
        assert stranger.ask(PROJECT, e="admin", n="pub")["project"] is None
        fresh = admin.ask(PROJECT, e="admin", n="pub")["project"]
        assert (fresh["access"], fresh["description"], fresh["views"]) == ("PRIVATE", None, None)


def test_a_deleted_content_comes_back_by_an_upload_alone(team: Team) -> None:
    files = {"w": secrets.token_bytes(20)}
    gone = log(team, team.ann, "gone", files["w"])
    assert team.ann.post(DELETE, id=gone, aliases=True).ok
    for who, entity in ((team.bob, team.name), (team.vera, viewer(team.vera)["username"])):
        logger = ArtifactLogger(who, "thief", entity=entity)
        for birth in (gone, None):
            made = logger.create("undead", {"w": repr((entity, birth)).encode()})
            logger.put_manifest(made["id"], entries(files, birth) if birth else entries(files))
            assert who.post(COMMIT, id=made["id"]).status_code == 400
    own = ArtifactLogger(team.bob, "p", entity=team.name)
    made = own.create("mine", {"w": b"?"})
    own.put_manifest(made["id"], entries(files))
    assert own.declare(made["id"], files)[0]["uploadUrl"] is not None
    assert team.bob.post(COMMIT, id=made["id"]).status_code == 400

    again = own.log("again", files)

    assert own.uploads == ["w"]
    assert own.get(again)["state"] == "COMMITTED"
    purge(team.server.data, now=later())
    assert own.get(again)["fileCount"] == 1


# ---- keys ----


@pytest.mark.parametrize("path", ["/graphql", "/files/admin/p/r1/file_stream"])
def test_a_key_that_ends_while_the_body_comes_writes_nothing(tmp_path: Path, path: str) -> None:
    with start(tmp_path) as server:
        admin = Caller(server.base_url, server.api_key)
        admin.upsert("p", name="r1")
        upsert = {"query": UPSERT, "variables": {"input": {"modelName": "p", "name": "late"}}}
        body = requests.models.complexjson.dumps(
            upsert if path == "/graphql" else {"complete": True}
        ).encode()

        def parts() -> Any:
            yield body[:5]
            rotate_key(server.data, "admin")
            yield body[5:]

        answer = requests.post(server.base_url + path, data=parts(), auth=("api", server.api_key), timeout=30)

        assert answer.status_code == 401
