"""What SDKs of earlier years send, as raw requests: nothing they log may be lost."""

from __future__ import annotations

import json

import pytest

from tests.caller import new_project
from tests.server.artifact_logger import MANIFEST, ArtifactLogger

# Source: the probes in `sdk/internal/internal_api.py` of SDK 0.16.6 to 0.25.1 (2026-11).
PROBE = 'query ProbeServerSettings { ServerSettingsType: __type(name: "ServerSettings") { fields { name } } }'
UPSERT = """
mutation UpsertBucket($project: String, $name: String) {
  upsertBucket(input: {modelName: $project, name: $name}) {
    bucket { id name }
    inserted
    serverSettings { serverMessages { utfText plainText htmlText messageType messageLevel } }
  }
}
"""
PARQUET = """
query RunParquetHistory($project: String, $run: String!, $keys: [String!]!) {
  project(name: $project) { run(name: $run) { parquetHistory(liveKeys: $keys) { parquetUrls liveData } } }
}
"""
MODEL = (
    "mutation M($input: UpsertModelInput!) { upsertModel(input: $input) { inserted project { id name } } }"
)
LINK = """
mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex } }
"""
# Source: `Artifact._from_attrs` of SDK 0.16.6 to 0.18.7, which needs one alias of the form vN in the collection.
ALIASES = """
query Aliases($id: ID!) {
  artifact(id: $id) {
    aliases { id alias artifactCollection { name project { name entityName } } artifact { id } }
    artifactMemberships { edges { node { aliases { alias } artifactCollection { name } } } }
  }
}
"""
PROJECT = "query P($name: String!) { project(name: $name) { id runCount } }"


def test_the_probe_of_server_settings_finds_its_fields(caller):
    assert caller.ask(PROBE)["ServerSettingsType"] == {"fields": [{"name": "serverMessages"}]}


def test_an_upsert_answers_the_messages_that_the_probe_promised(caller):
    answer = caller.ask(UPSERT, project=new_project(), name="r1")["upsertBucket"]

    assert answer["serverSettings"] == {"serverMessages": []}
    assert answer["inserted"] is True


def test_a_manifest_without_a_type_is_a_full_one(caller):
    project = new_project()
    caller.upsert(project, name="r1")
    logger = ArtifactLogger(caller, project, entity="admin")
    artifact = logger.create("net", {"w": b"1"}, runName="r1")
    given = {
        "name": "wandb_manifest.json",
        "artifactID": artifact["id"],
        "digest": "x",
        "entityName": "admin",
        "projectName": project,
        "runName": "r1",
    }

    made = caller.ask(MANIFEST, input=given)["createArtifactManifest"]["artifactManifest"]

    assert made["file"]["uploadUrl"]


@pytest.mark.parametrize(
    ("keys", "live"),
    [
        (["_step"], [{"_step": 0}, {"_step": 1}]),
        (["x"], [{"_step": 0, "x": 1}, {"_step": 1}]),
        (["x", "_step"], [{"_step": 0, "x": 1}, {"_step": 1}]),
    ],
)
def test_rows_that_are_in_no_export_are_live(caller, keys, live):
    project = new_project()
    caller.upsert(project, name="r1")
    caller.log(project, "r1", {"_step": 0, "x": 1, "y": 2}, {"_step": 1, "y": 3})

    found = caller.ask(PARQUET, project=project, run="r1", keys=keys)["project"]["run"]["parquetHistory"]

    assert found == {"parquetUrls": [], "liveData": live}


def test_a_model_with_an_id_is_renamed(caller):
    before, after = new_project(), new_project()
    caller.upsert(before, name="r1")
    project = caller.ask(PROJECT, name=before)["project"]

    answer = caller.ask(MODEL, input={"id": project["id"], "name": after})["upsertModel"]

    assert (answer["inserted"], answer["project"]["name"]) == (False, after)
    assert caller.ask(PROJECT, name=after)["project"]["runCount"] == 1
    assert caller.ask(PROJECT, name=before)["project"] is None


def test_a_model_cannot_take_the_name_of_another(caller):
    before, taken = new_project(), new_project()
    for name in (before, taken):
        caller.upsert(name, name="r1")
    project = caller.ask(PROJECT, name=before)["project"]

    answer = caller.post(MODEL, input={"id": project["id"], "name": taken})

    assert answer.status_code == 400
    assert json.loads(answer.text)["errors"][0]["message"] == f"project name is taken: {taken!r}"


def test_the_number_of_a_version_stands_among_its_aliases_once_for_each_collection(caller):
    project = new_project()
    logger = ArtifactLogger(caller, project, entity="admin")
    caller.upsert(project, name="r1")
    logger.log("net", {"w": b"1"}, runName="r1")
    second = logger.log("net", {"w": b"2"}, runName="r1", aliases=["best"])
    shelf = {"artifactPortfolioName": "shelf", "entityName": "admin", "projectName": project}
    assert caller.ask(LINK, input={"artifactID": second, **shelf})["linkArtifact"] == {"versionIndex": 0}

    found = caller.ask(ALIASES, id=second)["artifact"]

    place = {"name": project, "entityName": "admin"}
    assert all(one["artifactCollection"]["project"] == place for one in found["aliases"])
    named = sorted((one["artifactCollection"]["name"], one["alias"]) for one in found["aliases"])
    assert named == [("net", "best"), ("net", "latest"), ("net", "v1"), ("shelf", "latest"), ("shelf", "v0")]
    assert {one["artifact"]["id"] for one in found["aliases"]} == {second}
    assert len({one["id"] for one in found["aliases"]}) == len(named)
    by_collection = {
        edge["node"]["artifactCollection"]["name"]: {one["alias"] for one in edge["node"]["aliases"]}
        for edge in found["artifactMemberships"]["edges"]
    }
    assert by_collection == {"net": {"best", "latest", "v1"}, "shelf": {"latest", "v0"}}


def test_the_number_of_a_version_does_not_keep_it_from_being_deleted(caller):
    project = new_project()
    logger = ArtifactLogger(caller, project, entity="admin")
    first = logger.log("net", {"w": b"1"})
    logger.log("net", {"w": b"2"})

    assert logger.delete(first).status_code == 200
