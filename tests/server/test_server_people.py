"""Keys, users, teams and members, changed through the API."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.caller import Caller
from tests.server.test_server_accounts import user
from wbgql.server import RunningServer, add_org, add_team

TEAM = """
mutation T($input: CreateTeamInput!) { createTeam(input: $input) { entity { name isTeam members { id username role } } } }
"""
INVITE = "mutation I($input: CreateInviteInput!) { createInvite(input: $input) { success invite { toUser { username } } } }"
REMOVE = "mutation R($input: DeleteInviteInput!) { deleteInvite(input: $input) { success } }"
MEMBERS = "query M($name: String!) { entity(name: $name) { members { id username role accountType } } }"
NEW_KEY = "mutation { generateApiKey(input: {}) { apiKey { id name } } }"
DESCRIBED_KEY = 'mutation { generateApiKey(input: {description: "laptop"}) { apiKey { description } } }'
DESCRIPTIONS = "{ viewer { apiKeys { edges { node { description } } } } }"
DELETE_KEY = "mutation D($id: String) { deleteApiKey(input: {id: $id}) { success } }"
KEYS = "{ viewer { username apiKeys { edges { node { id name } } } } }"
NEW_USER = (
    "mutation U($input: CreateUserInput!) { createUser(input: $input) { user { username email admin } } }"
)


def unique(word: str) -> str:
    return f"{word}-{secrets.token_hex(4)}"


def keys(caller: Caller) -> dict[str, str]:
    """Ids by name."""
    edges = caller.ask(KEYS)["viewer"]["apiKeys"]["edges"]
    return {edge["node"]["name"]: edge["node"]["id"] for edge in edges}


def descriptions(caller: Caller) -> list[str | None]:
    edges = caller.ask(DESCRIPTIONS)["viewer"]["apiKeys"]["edges"]
    return [edge["node"]["description"] for edge in edges]


@pytest.fixture
def ada(local_server: RunningServer) -> Caller:
    return user(local_server, unique("ada"))


def name_of(caller: Caller) -> str:
    return str(caller.ask(KEYS)["viewer"]["username"])


def members(caller: Caller, team: str) -> dict[str, dict[str, Any]]:
    return {one["username"]: one for one in caller.ask(MEMBERS, name=team)["entity"]["members"]}


def test_a_key_is_shown_whole_once_and_named_by_its_beginning_from_then_on(ada):
    made = ada.ask(NEW_KEY)["generateApiKey"]["apiKey"]
    second = Caller(ada.base_url, made["name"])

    assert keys(ada) == keys(second)
    assert list(keys(ada)) == [ada.api_key[:8], made["name"][:8]]

    second.ask(DELETE_KEY, id=made["id"])
    assert second.post(KEYS).status_code == 401
    assert ada.post(DELETE_KEY, id=made["id"]).status_code == 404


def test_what_a_key_is_for_is_kept_with_it(ada):
    made = ada.ask(DESCRIBED_KEY)["generateApiKey"]["apiKey"]

    assert made == {"description": "laptop"}
    assert descriptions(ada) == [None, "laptop"]


def test_only_an_admin_deletes_keys_of_others(ada, caller, local_server):
    (key_id,) = keys(ada).values()

    assert user(local_server, unique("eve")).post(DELETE_KEY, id=key_id).status_code == 404
    assert caller.ask(DELETE_KEY, id=key_id) == {"deleteApiKey": {"success": True}}


def test_a_team_has_its_maker_for_admin_who_invites_and_removes(ada, local_server):
    team, bob = unique("team"), user(local_server, unique("bob"))

    made = ada.ask(TEAM, input={"teamName": team})["createTeam"]["entity"]
    assert made["isTeam"] is True
    assert [one["role"] for one in made["members"]] == ["admin"]
    given = {"entityName": team, "email": f"{name_of(bob)}@localhost"}
    assert bob.post(INVITE, input=given).status_code == 404
    assert ada.ask(INVITE, input=given)["createInvite"]["invite"]["toUser"] == {"username": name_of(bob)}
    assert ada.post(INVITE, input=given).status_code == 409
    assert members(bob, team)[name_of(bob)]["role"] == "member"
    assert bob.post(INVITE, input=given | {"email": None, "username": "admin"}).status_code == 403

    gone = {"entityName": team, "id": members(ada, team)[name_of(bob)]["id"]}
    assert [ada.ask(REMOVE, input=gone)["deleteInvite"]["success"] for _ in range(2)] == [True, False]
    assert list(members(ada, team)) == [name_of(ada)]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"email": "nobody@example.org"}, 404),
        ({}, 400),
        ({"username": "admin", "role": "king"}, 400),
        ({"username": "admin", "entityName": "no such team"}, 404),
    ],
)
def test_an_invitation_that_cannot_be_is_refused(ada, given, status):
    team = unique("team")
    ada.ask(TEAM, input={"teamName": team})

    assert ada.post(INVITE, input={"entityName": team} | given).status_code == status


def test_names_are_given_once_and_teams_of_others_by_admins_only(ada, caller):
    team = unique("team")
    ada.ask(TEAM, input={"teamName": team})

    assert ada.post(TEAM, input={"teamName": team}).status_code == 409
    assert ada.post(TEAM, input={"teamName": "a/b"}).status_code == 400
    assert ada.post(TEAM, input={"teamName": unique("t"), "teamAdminUserName": "admin"}).status_code == 403
    other = {"teamName": unique("t"), "teamAdminUserName": name_of(ada)}
    assert caller.ask(TEAM, input=other)["createTeam"]["entity"]["members"][0]["username"] == name_of(ada)


def test_a_name_that_nobody_has_is_an_available_entity_without_members(ada, caller):
    document = """query E($name: String) { entity(name: $name) {
        name available isTeam readOnly memberCount members { id } organization { id } project(name: "p") { id }
        projects { edges { node { id } } } storageBytes protectedAliases(adminType: MODEL) } }"""
    free = {
        "name": unique("free"),
        "available": True,
        "isTeam": False,
        "readOnly": True,
        "memberCount": 0,
        "members": [],
        "organization": None,
        "project": None,
        "projects": {"edges": []},
        "storageBytes": 0,
        "protectedAliases": [],
    }

    for one in (ada, caller):
        assert one.ask(document, name=free["name"])["entity"] == free

    taken = ada.ask(document, name=name_of(ada))["entity"]
    assert (taken["available"], taken["memberCount"]) == (False, 1)
    assert ada.ask(document, name="admin") == {"entity": None}


def test_a_personal_entity_has_its_user_for_member(ada):
    name = name_of(ada)

    (member,) = members(ada, name).values()

    assert (member["username"], member["accountType"]) == (name, "USER")


def test_an_admin_adds_users_by_email(ada, caller):
    name = unique("new")
    given = {"email": f"{name}@example.org", "admin": False}

    assert ada.post(NEW_USER, input=given).status_code == 403
    made = caller.ask(NEW_USER, input=given)["createUser"]["user"]
    assert made == {"username": name, "email": f"{name}@example.org", "admin": False}
    assert caller.post(NEW_USER, input=given).status_code == 409


DEFAULT_ENTITY = """
mutation D($entity: String!) { updateUser(input: {defaultEntity: $entity}) { user { defaultEntity { name } } } }
"""


def test_a_default_entity_is_meant_where_none_is_named(ada):
    team = unique("team")
    ada.ask(TEAM, input={"teamName": team, "teamAdminUserName": name_of(ada)})

    changed = ada.ask(DEFAULT_ENTITY, entity=team)["updateUser"]["user"]
    run = ada.upsert("p", entityName=None, name="r1")["bucket"]

    assert changed == {"defaultEntity": {"name": team}}
    assert run["project"]["entity"]["name"] == team
    viewer = ada.ask("{ viewer { entity userEntity { name } } }")["viewer"]
    assert viewer == {"entity": team, "userEntity": {"name": name_of(ada)}}


def test_nobody_chooses_an_entity_of_others_for_a_default(ada, local_server):
    other = user(local_server, unique("bob"))

    assert ada.post(DEFAULT_ENTITY, entity=name_of(other)).status_code == 404
    assert ada.post(DEFAULT_ENTITY, entity="nowhere").status_code == 404


def test_an_admin_of_the_organization_administers_a_team_they_are_in(ada, local_server):
    name, org, team = name_of(ada), unique("org"), unique("team")
    add_org(local_server.data, org, name, "admin")
    add_team(local_server.data, team, org, name)
    guest = user(local_server, unique("guest"))

    ada.ask(INVITE, input={"entityName": team, "email": f"{name_of(guest)}@localhost"})

    assert members(ada, team)[name_of(guest)]["role"] == "member"


def test_who_is_taken_out_of_the_default_entity_goes_back_to_their_own(ada, local_server):
    team, bob = unique("team"), user(local_server, unique("bob"))
    ada.ask(TEAM, input={"teamName": team})
    ada.ask(INVITE, input={"entityName": team, "email": f"{name_of(bob)}@localhost"})
    bob.ask(DEFAULT_ENTITY, entity=team)

    ada.ask(REMOVE, input={"entityName": team, "id": members(ada, team)[name_of(bob)]["id"]})

    assert bob.ask("{ viewer { defaultEntity { name } } }")["viewer"]["defaultEntity"]["name"] == name_of(bob)
    run = bob.upsert("p", entityName=None, name="r1")["bucket"]
    assert run["project"]["entity"]["name"] == name_of(bob)
