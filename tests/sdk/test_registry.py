"""The real wandb SDK links a version into a registry, and meets a protected alias."""

from __future__ import annotations

import pytest

from tests.sdk.sdk_process import run_sdk
from wbgql.server import add_org, add_team

pytestmark = pytest.mark.sdk

PROTECT = """
mutation { addProtectedAliases(input: {entityName: "reg-org_registries", aliases: ["production"], adminType: MODEL}) {
  aliases } }
"""
LINK = """
import wandb
with wandb.init(entity="reg-team", project="p", id="r1") as run:
    artifact = wandb.Artifact("net", type="model")
    with artifact.new_file("w.bin") as file:
        file.write("x")
    artifact = run.log_artifact(artifact).wait()
    linked = run.link_artifact(artifact, "wandb-registry-model/prod", aliases=["production"])
source = wandb.Api().artifact("reg-team/p/net:v0")
result = {"name": linked.qualified_name, "links": [one.qualified_name for one in source.linked_artifacts]}
try:
    source.delete(delete_aliases=True)
except Exception as error:
    result["refused"] = str(error)
wandb.Api().artifact("reg-org_registries/wandb-registry-model/prod:v0").unlink()
source = wandb.Api().artifact("reg-team/p/net:v0")
source.delete(delete_aliases=True)
result["id"] = source.id
"""


def test_a_protected_alias_in_a_registry_keeps_its_source_from_being_deleted(local_server, caller, tmp_path):
    add_org(local_server.data, "reg-org", "admin", "admin")
    add_team(local_server.data, "reg-team", "reg-org", "admin", role="admin")
    caller.ask(PROTECT)

    result = run_sdk(local_server, tmp_path, LINK)

    assert result["name"] == "reg-org_registries/wandb-registry-model/prod:v0"
    assert result["links"] == ["reg-org_registries/wandb-registry-model/prod:v0"]
    assert "protected aliases: prod:production" in result["refused"]
    assert caller.ask("query($id: ID!) { artifact(id: $id) { state } }", id=result["id"]) == {
        "artifact": {"state": "DELETED"}
    }


SEARCH = """
import wandb
api = lambda: wandb.Api()
with wandb.init(entity="find-team", project="p") as run:
    for name in ("net", "other"):
        artifact = wandb.Artifact(name, type="model")
        with artifact.new_file("w.bin") as file:
            file.write(name)
        run.link_artifact(artifact, f"wandb-registry-model/{name}", aliases=[f"{name}-prod"])
made = api().create_registry(name="mine", visibility="organization", organization="find-org")
changed = api().registry("mine", "find-org")
changed.description = "described"
changed.save()
model = api().registry("model", "find-org")
result = {
    "organization": [api().organization("find-org").name, api().organization("find-org").org_entity.entity_type],
    "registries": sorted(one.name for one in api().registries("find-org")),
    "by name": [one.name for one in api().registries("find-org", filter={"name": {"$regex": "mod"}})],
    "made": [made.full_name, api().registry("mine", "find-org").description],
    "collections": sorted(one.name for one in model.collections()),
    "versions": sorted(one.name for one in model.versions()),
    "search": [one.name for one in api().registries("find-org").collections(filter={"name": "net"}).versions()],
    "by alias": [one.source_name for one in api().registries("find-org").versions(filter={"alias": "other-prod"})],
    "members": [[one.kind, one.role] for one in model.members()],
    "types": [made.allow_all_artifact_types, list(made.artifact_types)],
}
other, team = api().create_user("guest@find.org"), api().team("find-team")
changed.add_members(other, team).update_member(team, "viewer")
result["added"] = {getattr(one, "user", None) and one.user.username or one.team.name: one.role for one in changed.members()}
changed.remove_members(other.id, team)
result["removed"] = len(changed.members())
changed.allow_all_artifact_types = False
changed.artifact_types.append("model")
changed.save()
again = api().registry("mine", "find-org")
result["some types"] = [again.allow_all_artifact_types, list(again.artifact_types)]
changed.delete()
result["left"] = sorted(one.name for one in api().registries("find-org"))
"""


def test_registries_are_made_changed_searched_and_deleted(local_server, tmp_path):
    add_org(local_server.data, "find-org", "admin", "admin")
    add_team(local_server.data, "find-team", "find-org", "admin", role="admin")

    assert run_sdk(local_server, tmp_path, SEARCH) == {
        "organization": ["find-org", "organization"],
        "registries": ["mine", "model"],
        "by name": ["model"],
        "made": ["wandb-registry-mine", "described"],
        "collections": ["net", "other"],
        "versions": ["net:v0", "other:v0"],
        "search": ["net:v0"],
        "by alias": ["other:v0"],
        "members": [["User", "admin"]],
        "types": [True, []],
        "added": {"admin": "admin", "guest": "member", "find-team": "viewer"},
        "removed": 1,
        "some types": [False, ["model"]],
        "left": ["model"],
    }
