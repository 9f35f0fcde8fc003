"""Members of registries, the types that one takes, and registries that a link makes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.caller import Caller
from tests.server.artifact_logger import ArtifactLogger
from tests.server.test_artifact_protection import LINK
from wbgql.server import RunningServer, add_org, add_team, add_user, restrict_project, share_project
from wbgql.server.projects.rows import make_id

UPSERT = "mutation U($input: UpsertModelInput!) { upsertModel(input: $input) { inserted project { id } } }"
READ = """
query R($entity: String, $name: String) { project(entityName: $entity, name: $name) {
  allowAllArtifactTypesInRegistry artifactTypes { edges { node { name } } }
  members { id username email role { name } } teamMembers { team { id name } role { name } }
} }
"""
PEOPLE = """
query P($entity: String, $name: String) { project(entityName: $entity, name: $name) {
  teamMembers { team { name memberCount members { email } } }
} }
"""
ADD = "mutation A($input: CreateProjectMembersInput!) { createProjectMembers(input: $input) { success } }"
REMOVE = "mutation R($input: DeleteProjectMembersInput!) { deleteProjectMembers(input: $input) { success } }"
USER_ROLE = "mutation S($input: UpdateProjectMemberInput!) { updateProjectMember(input: $input) { success } }"
TEAM_ROLE = (
    "mutation S($input: UpdateProjectTeamMemberInput!) { updateProjectTeamMember(input: $input) { success } }"
)
VIEWER = "{ viewer { id username } }"
DELETE_MODEL = "mutation D($input: DeleteModelInput!) { deleteModel(input: $input) { success } }"
ALIAS = "mutation A($input: AddAliasesInput!) { addAliases(input: $input) { success } }"


@dataclass
class Scene:
    """An organization with a team and the registry `made`, all of them by `cleo`, who administers both."""

    server: RunningServer
    cleo: Caller
    org: str
    team: str
    name: str = "wandb-registry-made"
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = self.make(self.name)

    @property
    def entity(self) -> str:
        return f"{self.org}_registries"

    def make(self, name: str, **fields: Any) -> str:
        given = {"name": name, "entityName": self.entity, "access": "PRIVATE"} | fields
        return str(self.cleo.ask(UPSERT, input=given)["upsertModel"]["project"]["id"])

    def read(self, who: Caller, name: str | None = None) -> Any:
        return who.ask(READ, entity=self.entity, name=name or self.name)["project"]

    def members(self) -> dict[str, str]:
        return {one["username"]: one["role"]["name"] for one in self.read(self.cleo)["members"]}

    def newcomer(self, role: str | None = None) -> Caller:
        """A user of the organization, or without a role one whom cleo knows from elsewhere."""
        name = f"new-{secrets.token_hex(4)}"
        key = add_user(self.server.data, name)
        if role is not None:
            add_org(self.server.data, self.org, name, role)
        else:
            for member in (name, name_of(self.cleo)):
                add_team(self.server.data, f"else-{name}", member=member)
        return Caller(self.server.base_url, key)

    def add(self, *people: Caller, by: Caller | None = None) -> requests.Response:
        return (by or self.cleo).post(
            ADD, input={"projectId": self.id, "userIds": [id_of(one) for one in people]}
        )

    def set_role(self, who: Caller, role: str) -> requests.Response:
        given = {"projectId": self.id, "userId": id_of(who), "userProjectRole": role}
        return self.cleo.post(USER_ROLE, input=given)

    def log(self, kind: str = "model") -> str:
        """A version of the team's, in a collection of its own."""
        logger = ArtifactLogger(self.cleo, "p", entity=self.team)
        return logger.log(f"net-{secrets.token_hex(4)}", {"a": b"1"}, artifactTypeName=kind)

    def link(self, who: Caller, artifact_id: str, registry: str | None = None) -> requests.Response:
        target = {"entityName": self.entity, "projectName": registry or self.name}
        given = {"artifactID": artifact_id, "artifactPortfolioName": "prod", "aliases": []} | target
        return who.post(LINK, input=given)

    def alias(self, who: Caller, artifact_id: str) -> requests.Response:
        target = {"entityName": self.entity, "projectName": self.name, "artifactCollectionName": "prod"}
        return who.post(ALIAS, input={"artifactID": artifact_id, "aliases": [target | {"alias": "mine"}]})


def id_of(who: Caller) -> str:
    return str(who.ask(VIEWER)["viewer"]["id"])


def name_of(who: Caller) -> str:
    return str(who.ask(VIEWER)["viewer"]["username"])


@pytest.fixture
def scene(local_server) -> Scene:
    mark, data = secrets.token_hex(3), local_server.data
    key = add_user(data, f"cleo-{mark}")
    add_org(data, f"org-{mark}", f"cleo-{mark}", "admin")
    add_team(data, f"team-{mark}", f"org-{mark}", f"cleo-{mark}", role="admin")
    return Scene(local_server, Caller(local_server.base_url, key), f"org-{mark}", f"team-{mark}")


def test_who_makes_a_registry_is_its_admin_and_adds_and_removes_users(scene):
    ann, bob = scene.newcomer("member"), scene.newcomer()
    assert scene.members() == {name_of(scene.cleo): "admin"}

    scene.add(ann, bob)
    scene.add(ann)
    assert scene.members() == {name_of(scene.cleo): "admin", name_of(ann): "member", name_of(bob): "member"}

    for _ in range(2):
        given = {"projectId": scene.id, "userIds": [id_of(ann)], "teamIds": []}
        assert scene.cleo.ask(REMOVE, input=given) == {"deleteProjectMembers": {"success": True}}
    assert set(scene.members()) == {name_of(scene.cleo), name_of(bob)}


def test_a_team_is_a_member_with_a_role_and_so_are_its_people(scene):
    outsider = scene.newcomer()
    for member in (outsider, scene.cleo):
        add_team(scene.server.data, f"far-{scene.team}", member=name_of(member))
    (far,) = [
        one["id"]
        for edge in outsider.ask("{ viewer { teams { edges { node { id name } } } } }")["viewer"]["teams"][
            "edges"
        ]
        if (one := edge["node"])["name"].startswith("far-")
    ]
    assert scene.read(outsider) is None

    scene.cleo.ask(ADD, input={"projectId": scene.id, "teamIds": [far]})
    scene.cleo.ask(TEAM_ROLE, input={"projectId": scene.id, "teamId": far, "teamProjectRole": "viewer"})

    (found,) = scene.read(outsider)["teamMembers"]
    assert found == {"team": {"id": far, "name": f"far-{scene.team}"}, "role": {"name": "viewer"}}
    assert scene.link(outsider, scene.log()).status_code == 404  # the version is none of theirs to see


@pytest.mark.parametrize(
    ("role", "status"), [("admin", 200), ("member", 200), ("viewer", 403), ("restricted_viewer", 403)]
)
def test_a_role_in_a_registry_adds_to_that_in_the_organization(scene, role, status):
    vera, artifact_id = scene.newcomer("viewer"), scene.log()
    scene.link(scene.cleo, artifact_id)
    assert scene.alias(vera, artifact_id).status_code == 403

    scene.add(vera)
    assert scene.set_role(vera, role).status_code == 200

    assert scene.alias(vera, artifact_id).status_code == status
    assert scene.members()[name_of(vera)] == role


def test_a_restricted_registry_is_seen_by_its_members_only(scene):
    ann, bob = scene.newcomer("member"), scene.newcomer("member")
    scene.make(scene.name, access="RESTRICTED")
    scene.add(ann)

    assert scene.read(ann) is not None
    assert scene.read(bob) is None


def test_only_an_admin_of_a_registry_changes_its_members(scene):
    ann = scene.newcomer("member")
    scene.add(ann)

    assert scene.add(scene.newcomer(), by=ann).status_code == 403
    scene.set_role(ann, "admin")
    assert scene.add(scene.newcomer(), by=ann).status_code == 404
    assert scene.add(scene.newcomer("viewer"), by=ann).status_code == 200


def test_what_is_no_member_no_role_or_no_registry_is_refused(scene):
    stranger = scene.newcomer()
    scene.log()
    project = make_id("Project", "v1", "p", scene.team)

    def message(answer: requests.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["errors"][0]["message"]

    assert message(scene.set_role(stranger, "member"))[0] == 404
    assert "no such role: 'owner'" in message(scene.set_role(stranger, "owner"))[1]
    nobody = make_id("User", 10**9)
    refused = scene.cleo.post(ADD, input={"projectId": scene.id, "userIds": [nobody]})
    assert message(refused) == (404, f"user {nobody!r} not found")
    refused = scene.cleo.post(ADD, input={"projectId": project, "userIds": [id_of(stranger)]})
    assert "members are kept for registries only" in message(refused)[1]


def test_a_registry_may_take_some_types_only(scene):
    scene.make(scene.name, allowAllArtifactTypesInRegistry=False, artifactTypes=[{"name": "model"}])

    found = scene.read(scene.cleo)
    refused = scene.link(scene.cleo, scene.log("dataset"))

    assert found["allowAllArtifactTypesInRegistry"] is False
    assert [edge["node"]["name"] for edge in found["artifactTypes"]["edges"]] == ["model"]
    assert refused.status_code == 400
    assert "takes artifacts of types model only, not 'dataset'" in refused.text
    assert scene.link(scene.cleo, scene.log("model")).status_code == 200


def test_the_first_link_makes_the_registries_that_every_organization_has(scene):
    assert scene.read(scene.cleo, "wandb-registry-model") is None

    assert scene.link(scene.cleo, scene.log(), "wandb-registry-model").status_code == 200
    assert scene.link(scene.cleo, scene.log(), "wandb-registry-none").status_code == 404

    assert scene.read(scene.cleo, "wandb-registry-model")["allowAllArtifactTypesInRegistry"] is True


def test_restricting_and_sharing_a_registry_changes_no_role_in_it(scene):
    ann = scene.newcomer("member")
    scene.add(ann)
    before = scene.members()

    restrict_project(scene.server.data, scene.entity, scene.name, [name_of(scene.cleo)])
    assert scene.members() == before
    share_project(scene.server.data, scene.entity, scene.name)
    assert scene.members() == before


def test_a_registry_made_again_after_its_deletion_begins_with_its_maker_alone(scene):
    ann, bob = scene.newcomer("member"), scene.newcomer()
    scene.add(bob)
    scene.make(scene.name, allowAllArtifactTypesInRegistry=False)
    scene.cleo.ask(DELETE_MODEL, input={"id": scene.id})

    given = {"name": scene.name, "entityName": scene.entity, "access": "PRIVATE"}
    ann.ask(UPSERT, input=given)

    found = scene.read(ann)
    assert {one["username"]: one["role"]["name"] for one in found["members"]} == {name_of(ann): "admin"}
    assert found["teamMembers"] == []
    assert found["allowAllArtifactTypesInRegistry"] is True
    assert scene.read(bob) is None


def test_who_is_in_a_team_of_a_registry_is_told_to_that_team_alone(scene):
    outsider = scene.newcomer()
    team = scene.cleo.ask("query E($name: String) { entity(name: $name) { id } }", name=scene.team)
    given = {"projectId": scene.id, "userIds": [id_of(outsider)], "teamIds": [team["entity"]["id"]]}
    scene.cleo.ask(ADD, input=given)

    def people(who: Caller) -> list[dict[str, str]]:
        (found,) = who.ask(PEOPLE, entity=scene.entity, name=scene.name)["project"]["teamMembers"]
        assert found["team"]["memberCount"] == len(found["team"]["members"])
        return found["team"]["members"]

    assert people(scene.cleo) == [{"email": f"{name_of(scene.cleo)}@localhost"}]
    assert people(outsider) == []
