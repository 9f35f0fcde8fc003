"""Who may see and do what."""

from __future__ import annotations

import secrets

import pytest
import requests

from tests.caller import UPSERT, Caller, new_project
from tests.server.artifact_logger import ArtifactLogger
from wbgql.errors import ConfigError
from wbgql.server import (
    add_org,
    add_team,
    add_user,
    list_users,
    restrict_project,
    rotate_key,
    scan_store,
    share_project,
)

CREATE_FILES = """
mutation C($input: CreateRunFilesInput!) { createRunFiles(input: $input) { files { name uploadUrl } } }
"""
MAKE_PROJECT = "mutation P($input: UpsertModelInput!) { upsertModel(input: $input) { project { id } } }"
DELETE_PROJECT = "mutation D($input: DeleteModelInput!) { deleteModel(input: $input) { success } }"
FILES = """
query F($entity: String, $names: [String]) { project(entityName: $entity, name: "p") { run(name: "r") {
  files(names: $names) { edges { node { name uploadUrl url(upload: true) } } }
} } }
"""
DELETE = "mutation D($input: DeleteRunInput!) { deleteRun(input: $input) { clientMutationId } }"


def user(server, name: str) -> Caller:
    """A new user on a running server."""
    return Caller(server.base_url, add_user(server.data, name))


@pytest.mark.parametrize(
    "credentials", [None, ("api", ""), ("api", "x" * 40), ("api", "key-with-ünicode" * 4), ("", "")]
)
def test_a_missing_or_unknown_key_is_refused(caller, credentials):
    answer = requests.post(
        f"{caller.base_url}/graphql", json={"query": "{ viewer { id } }"}, auth=credentials, timeout=30
    )

    assert answer.status_code == 401
    assert answer.json()["errors"] == [{"message": "user is not logged in"}]


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic /w==", "Bearer abc", "nonsense"])
def test_a_broken_authorization_header_is_refused(caller, header):
    answer = requests.post(f"{caller.base_url}/graphql", headers={"Authorization": header}, timeout=30)

    assert answer.status_code == 401


def test_a_user_added_while_the_server_runs_can_use_it_at_once(local_server):
    name = f"user-{secrets.token_hex(3)}"

    seen = user(local_server, name).ask("{ viewer { username entity admin } }")["viewer"]

    assert seen == {"username": name, "entity": name, "admin": False}
    assert name in [one["username"] for one in list_users(local_server.data)]


def test_keys_are_not_in_the_store(local_server):
    assert scan_store(local_server.data, [local_server.api_key.encode()]) == []


def test_keys_of_others_names_of_teams_and_short_keys_are_refused(tmp_path):
    key = add_user(tmp_path, "ann", "k" * 40)
    add_team(tmp_path, "team", member="ann")

    with pytest.raises(ConfigError, match="another user"):
        add_user(tmp_path, "bob", key)
    with pytest.raises(ConfigError, match="at least 40"):
        add_user(tmp_path, "bob", "short")
    with pytest.raises(ConfigError, match="not ASCII"):
        add_user(tmp_path, "bob", "with space" * 5)
    with pytest.raises(ConfigError, match="belongs to a team"):
        add_user(tmp_path, "team")
    with pytest.raises(ConfigError, match="not a name"):
        add_user(tmp_path, "a/b")
    with pytest.raises(ConfigError, match="no such user"):
        add_team(tmp_path, "team", member="bob")
    with pytest.raises(ConfigError, match="no such role"):
        add_org(tmp_path, "org", "ann", "king")
    assert [(one["username"], one["keys"]) for one in list_users(tmp_path)] == [("ann", 1)]


@pytest.mark.parametrize(
    "key", ["k" * 40, "local-" + "0" * 40, "aaa.bbb.ccc" * 4, "odd:/+=~!" * 5, "k" * 5000]
)
def test_any_key_of_40_or_more_characters_is_accepted(local_server, key):
    name = f"keys-{secrets.token_hex(4)}"

    add_user(local_server.data, name, key)

    assert Caller(local_server.base_url, key).ask("{ viewer { username } }")["viewer"] == {"username": name}


def test_a_user_may_have_several_keys(tmp_path):
    add_user(tmp_path, "ann", "a" * 40)
    add_user(tmp_path, "ann", "b" * 40)
    add_user(tmp_path, "ann", "b" * 40, admin=True)

    (ann,) = list_users(tmp_path)
    assert (ann["keys"], ann["admin"]) == (2, True)


def test_others_projects_look_missing(local_server, caller):
    project = new_project()
    caller.upsert(project, name="r1")
    stranger = user(local_server, f"s-{secrets.token_hex(3)}")

    assert stranger.run(project, "r1") is None
    assert stranger.stream(project, "r1").status_code == 404
    answer = stranger.post(UPSERT, input={"entityName": "admin", "modelName": project, "name": "r2"})
    assert answer.status_code == 403
    assert answer.json()["errors"][0] == {
        "message": "permission denied",
        "path": ["upsertBucket"],
        "extensions": {"code": "PERMISSION_ERROR"},
    }


@pytest.fixture
def team(local_server) -> tuple[str, Caller, Caller, Caller]:
    """A team with a member ann, a viewer bob and an admin cleo."""
    mark = secrets.token_hex(3)
    people = [user(local_server, f"{name}-{mark}") for name in ("ann", "bob", "cleo")]
    for name, role in (("ann", "member"), ("bob", "viewer"), ("cleo", "admin")):
        add_org(local_server.data, f"org-{mark}", f"{name}-{mark}", "member")
        add_team(local_server.data, f"team-{mark}", f"org-{mark}", f"{name}-{mark}", role=role)
    return f"team-{mark}", *people


def test_members_see_the_team_and_its_organization(team):
    name, ann, *_ = team
    document = """{ viewer { teams { edges { node { name } } } organizations { teams { name } members { role } } } }"""

    viewer = ann.ask(document)["viewer"]

    assert {"node": {"name": name}} in viewer["teams"]["edges"]
    assert viewer["organizations"] == [{"teams": [{"name": name}], "members": [{"role": "member"}] * 3}]


def test_a_member_deletes_own_runs_only_and_an_admin_all(team, caller):
    name, ann, bob, cleo = team
    mine = ann.upsert("p", name="mine", entityName=name)["bucket"]["id"]
    theirs = cleo.upsert("p", name="theirs", entityName=name)["bucket"]["id"]

    assert ann.post(DELETE, input={"id": theirs}).status_code == 403
    assert bob.post(DELETE, input={"id": mine}).status_code == 403
    assert ann.run("p", "theirs", entity=name) is not None
    assert ann.post(DELETE, input={"id": mine}).status_code == 200
    assert cleo.post(DELETE, input={"id": theirs}).status_code == 200
    assert bob.run("p", "mine", entity=name) is None


def test_only_who_may_write_gets_an_address_to_upload_to(team):
    """A signed address is all it takes to replace a file, or to make one."""
    name, ann, bob, _ = team
    ann.upsert("p", name="r", entityName=name)
    given = {"entityName": name, "projectName": "p", "runName": "r", "files": ["a.txt"]}
    (file,) = ann.ask(CREATE_FILES, input=given)["createRunFiles"]["files"]
    requests.put(file["uploadUrl"], data=b"x", timeout=30).raise_for_status()

    def listed(caller: Caller, **variables: object) -> list[dict[str, str | None]]:
        found = caller.ask(FILES, entity=name, **variables)["project"]["run"]["files"]["edges"]
        return [edge["node"] for edge in found]

    assert bob.post(CREATE_FILES, input=given).status_code == 403
    assert listed(bob) == [{"name": "a.txt", "uploadUrl": None, "url": None}]
    named = listed(bob, names=["a.txt", "new.txt", None])
    assert named == [{"name": name, "uploadUrl": None, "url": None} for name in ("a.txt", "new.txt")]
    assert [file["name"] for file in listed(ann, names=["a.txt", "new.txt"])] == ["a.txt", "new.txt"]
    assert all(file["uploadUrl"] and file["url"] for file in listed(ann))


@pytest.mark.parametrize("access", ["PRIVATE", "USER_READ"])
def test_only_who_may_write_deletes_a_project_though_it_has_no_runs(team, local_server, access):
    name, ann, bob, _ = team
    stranger, project = user(local_server, f"eve-{secrets.token_hex(3)}"), new_project()
    given = {"entityName": name, "name": project, "access": access}
    found = ann.ask(MAKE_PROJECT, input=given)["upsertModel"]["project"]

    refused = [one.post(DELETE_PROJECT, input={"id": found["id"]}).status_code for one in (bob, stranger)]

    assert refused == [403, 404 if access == "PRIVATE" else 403]
    assert ann.ask(DELETE_PROJECT, input={"id": found["id"]}) == {"deleteModel": {"success": True}}


def test_a_refused_bulk_delete_hides_nothing(team):
    name, ann, _, cleo = team
    ann.upsert("p", name="mine", entityName=name)
    cleo.upsert("p", name="theirs", entityName=name)
    document = "mutation D($input: DeleteRunsInput!) { deleteRuns(input: $input) { errors } }"

    answer = ann.post(document, input={"entityName": name, "projectName": "p", "filters": "{}"})

    assert answer.status_code == 403
    assert ann.run("p", "mine", entity=name) is not None


def test_one_who_may_only_look_cannot_write(team):
    name, ann, bob, _ = team
    ann.upsert("p", name="r1", entityName=name)

    assert bob.run("p", "r1", entity=name) is not None
    assert bob.stream("p", "r1", entity=name).status_code == 403


def test_a_restricted_project_is_seen_by_its_creator_and_admins(team):
    name, ann, bob, cleo = team
    document = "mutation U($input: UpsertModelInput!) { upsertModel(input: $input) { inserted } }"

    ann.ask(document, input={"entityName": name, "name": "secret", "access": "RESTRICTED"})
    ann.upsert("secret", name="r1", entityName=name)

    assert ann.run("secret", "r1", entity=name) is not None
    assert cleo.run("secret", "r1", entity=name) is not None
    assert bob.run("secret", "r1", entity=name) is None


def test_a_restricted_project_is_missing_to_team_members_who_are_not_invited(team, local_server):
    name, ann, bob, cleo = team
    cleo.upsert("hidden", name="r1", entityName=name)
    mark = secrets.token_hex(3)
    robot = user(local_server, f"robot-{mark}")
    add_team(local_server.data, name, member=f"robot-{mark}", role="service")
    logger = ArtifactLogger(cleo, "hidden", entity=name)
    artifact_id = logger.log("net", {"a": b"1"}, runName="r1")
    robot_name = robot.ask("{ viewer { username accountType } }")["viewer"]
    assert robot.run("hidden", "r1", entity=name) is not None

    restrict_project(local_server.data, name, "hidden")

    for person in (ann, bob, robot):
        assert person.run("hidden", "r1", entity=name) is None
        assert ArtifactLogger(person, "hidden").get(artifact_id) is None
        listed = person.ask(
            "query($e: String) { projects(entityName: $e) { edges { node { name } } } }", e=name
        )
        assert {"node": {"name": "hidden"}} not in listed["projects"]["edges"]
    assert cleo.run("hidden", "r1", entity=name) is not None
    assert robot_name == {"username": f"robot-{mark}", "accountType": "SERVICE"}
    assert restrict_project(local_server.data, name, "hidden", [f"robot-{mark}"]) == [f"robot-{mark}"]
    assert robot.run("hidden", "r1", entity=name) is not None
    share_project(local_server.data, name, "hidden")
    assert ann.run("hidden", "r1", entity=name) is not None


def test_a_member_or_service_account_deletes_any_artifact_of_the_team_but_a_viewer_none(team, local_server):
    name, ann, bob, cleo = team
    cleo.upsert("p", name="r1", entityName=name)
    robot = user(local_server, "robot-" + name)
    add_team(local_server.data, name, member="robot-" + name, role="service")
    ids = [
        ArtifactLogger(cleo, "p", entity=name).log("net", {"a": bytes([n])}, runName="r1") for n in range(2)
    ]
    run_id = cleo.upsert("p", name="r1", entityName=name, jobProgram=None)["bucket"]["id"]

    assert ArtifactLogger(bob, "p").delete(ids[0], aliases=True).status_code == 403
    assert ArtifactLogger(ann, "p").delete(ids[0], aliases=True).status_code == 200
    assert ArtifactLogger(robot, "p").delete(ids[1], aliases=True).status_code == 200
    assert [who.post(DELETE, input={"id": run_id}).status_code for who in (ann, robot)] == [403, 403]


def test_a_rotated_key_works_at_once_and_the_old_ones_no_more(local_server):
    name = f"rot-{secrets.token_hex(3)}"
    old = user(local_server, name)
    key = rotate_key(local_server.data, name)

    assert old.post("{ viewer { id } }").status_code == 401
    assert Caller(local_server.base_url, key).ask("{ viewer { username } }") == {"viewer": {"username": name}}
    with pytest.raises(ConfigError, match="another user"):
        rotate_key(local_server.data, name, local_server.api_key)
    assert Caller(local_server.base_url, key).post("{ viewer { id } }").status_code == 200
