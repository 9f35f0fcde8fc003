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
