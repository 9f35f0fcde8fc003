"""Artifacts that the server makes by itself: when, what is in them, and what outlives what."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import requests

from tests.caller import Caller, new_project
from tests.server.artifact_logger import ArtifactLogger
from wbgql.errors import ConfigError
from wbgql.server import ServerSettings, audit_log, purge, scan_store, start

LATER = datetime.now(UTC) + timedelta(days=30)

OUTPUTS = """
query Outputs($project: String, $run: String!) { project(entityName: "admin", name: $project) { run(name: $run) {
  outputArtifacts { totalCount edges { node { id state artifactType { name } } } }
} } }
"""
BY_NAME = """
query ByName($project: String, $name: String!) { project(entityName: "admin", name: $project) {
  artifactType(name: "wandb-history") { name }
  artifact(name: $name) {
    id state versionIndex size fileCount artifactType { name } createdBy { __typename ... on User { username } }
    currentManifest { file { directUrl } } files { edges { node { name directUrl } } }
  }
} }
"""
DELETE_RUN = """
mutation DeleteRun($id: ID!, $too: Boolean) { deleteRun(input: {id: $id, deleteArtifacts: $too}) { clientMutationId } }
"""
DELETE_SEQUENCE = """
mutation Delete($id: ID!) { deleteArtifactSequence(input: {artifactSequenceID: $id}) { artifactCollection { state } } }
"""
COLLECTION = """
query C($project: String, $name: String!) {
  project(entityName: "admin", name: $project) { artifactCollection(name: $name) { id } }
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with start(tmp_path_factory.mktemp("system")) as running:
        yield running


@pytest.fixture
def caller(server) -> Caller:
    return Caller(server.base_url, server.api_key)


def finish(caller: Caller, project: str, name: str, *losses: float, **fields) -> str:
    """A run that logged some losses and ended; return its storage id."""
    storage_id = caller.upsert(project, name=name, **fields)["bucket"]["id"]
    caller.log(project, name, *[{"_step": step, "loss": loss} for step, loss in enumerate(losses)])
    assert caller.stream(project, name, complete=True, exitcode=0).status_code == 200
    return storage_id


def history_of(caller: Caller, project: str, name: str, version: str = "latest"):
    found = caller.ask(BY_NAME, project=project, name=f"run-{name}-history:{version}")["project"]
    return found["artifact"]


def rows_in(artifact) -> list:
    (edge,) = artifact["files"]["edges"]
    return [
        json.loads(line) for line in requests.get(edge["node"]["directUrl"], timeout=10).text.splitlines()
    ]


def test_a_run_that_finishes_leaves_its_history_as_an_artifact(caller):
    project = new_project()
    finish(caller, project, "r1", 1.0, 0.5)

    artifact = history_of(caller, project, "r1")

    assert (artifact["state"], artifact["versionIndex"], artifact["fileCount"]) == ("COMMITTED", 0, 1)
    assert artifact["artifactType"] == {"name": "wandb-history"}
    assert artifact["createdBy"] == {"__typename": "Run"}
    assert rows_in(artifact) == [{"_step": 0, "loss": 1.0}, {"_step": 1, "loss": 0.5}]
    manifest = requests.get(artifact["currentManifest"]["file"]["directUrl"], timeout=10).json()
    assert list(manifest["contents"]) == ["0000.jsonl"]
    outputs = caller.ask(OUTPUTS, project=project, run="r1")["project"]["run"]["outputArtifacts"]
    assert [edge["node"]["id"] for edge in outputs["edges"]] == [artifact["id"]]


def test_a_running_run_and_one_without_history_have_none(caller):
    project = new_project()
    caller.upsert(project, name="running")
    caller.log(project, "running", {"_step": 0, "loss": 1.0})
    finish(caller, project, "empty")

    assert history_of(caller, project, "running") is None
    assert history_of(caller, project, "empty") is None


def test_a_last_request_sent_twice_makes_one_version_and_a_resumed_run_one_more(caller):
    project = new_project()
    finish(caller, project, "r1", 1.0)
    caller.stream(project, "r1", complete=True, exitcode=0)
    assert history_of(caller, project, "r1", "v1") is None

    caller.log(project, "r1", {"_step": 1, "loss": 0.5}, offset=1)
    caller.stream(project, "r1", complete=True, exitcode=0)

    assert len(rows_in(history_of(caller, project, "r1", "v0"))) == 1
    assert len(rows_in(history_of(caller, project, "r1", "v1"))) == 2


def test_runs_with_equal_histories_have_an_artifact_each(caller, server):
    project = new_project()
    first = finish(caller, project, "r1", 1.0)
    finish(caller, project, "r2", 1.0)
    caller.ask(DELETE_RUN, id=first)

    purge(server.data, now=LATER, system_artifacts=True)

    assert history_of(caller, project, "r1") is None
    assert rows_in(history_of(caller, project, "r2")) == [{"_step": 0, "loss": 1.0}]


@pytest.mark.parametrize("artifacts", [False, True])
def test_it_survives_the_deletion_and_the_purge_of_its_run(caller, server, artifacts):
    project = new_project()
    storage_id = finish(caller, project, "gone", 1.0, config={"secret": {"value": "canary-of-the-config"}})

    caller.ask(DELETE_RUN, id=storage_id, too=artifacts)
    hidden = history_of(caller, project, "gone")
    report = purge(server.data, now=LATER)

    kept = history_of(caller, project, "gone")
    assert report.runs >= 1
    assert hidden["createdBy"] == kept["createdBy"] == {"__typename": "User", "username": "admin"}
    assert rows_in(kept) == [{"_step": 0, "loss": 1.0}]
    assert scan_store(server.data, [b"canary-of-the-config"]) == []


def test_an_operator_removes_what_a_purged_run_left_to_the_last_byte(caller, server):
    purge(server.data, now=LATER, system_artifacts=True)
    project = new_project()
    storage_id = finish(caller, project, "run-with-a-residual", 1.0)
    caller.log(project, "run-with-a-residual", {"_step": 1, "canary-of-a-metric": 1}, offset=1)
    caller.stream(project, "run-with-a-residual", complete=True, exitcode=0)
    needles = [b"canary-of-a-metric", b"run-with-a-residual"]
    finish(caller, project, "alive", 1.0)
    caller.ask(DELETE_RUN, id=storage_id)
    purge(server.data, now=LATER)
    assert {found.needle for found in scan_store(server.data, needles)} == set(needles)

    report = purge(server.data, now=LATER, system_artifacts=True)

    assert report.artifacts == 2
    assert scan_store(server.data, needles) == []
    assert history_of(caller, project, "alive") is not None
    assert [row["action"] for row in audit_log(server.data)][-2:] == ["artifact:purge"] * 2


def test_what_belongs_to_a_run_that_can_still_be_restored_is_not_removed(caller, server):
    project = new_project()
    storage_id = finish(caller, project, "r1", 1.0)
    caller.ask(DELETE_RUN, id=storage_id)

    purge(server.data, system_artifacts=True)

    assert history_of(caller, project, "r1") is not None


def test_users_can_neither_delete_it_nor_let_it_expire(caller):
    project = new_project()
    finish(caller, project, "r1", 1.0)
    artifact = history_of(caller, project, "r1")
    collection = caller.ask(COLLECTION, project=project, name="run-r1-history")["project"][
        "artifactCollection"
    ]
    expire = "mutation U($id: ID!) { updateArtifact(input: {artifactID: $id, ttlDurationSeconds: 60}) { artifact { id } } }"

    answers = [
        ArtifactLogger(caller, project).delete(artifact["id"], aliases=True),
        caller.post(DELETE_SEQUENCE, id=collection["id"]),
        caller.post(expire, id=artifact["id"]),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    for answer in answers:
        assert "'run-r1-history' is not allowed" in answer.json()["errors"][0]["message"]
    assert history_of(caller, project, "r1")["state"] == "COMMITTED"


def test_users_cannot_log_under_its_type_and_a_name_that_is_taken_is_left_alone(caller):
    project = new_project()
    logger = ArtifactLogger(caller, project)
    mine = logger.log("run-r1-history", {"a": b"1"})

    answer = caller.post(
        "mutation C($input: CreateArtifactInput!) { createArtifact(input: $input) { artifact { id } } }",
        input=logger.input("x", {"a": b"1"}, artifactTypeName="wandb-history"),
    )
    finish(caller, project, "r1", 1.0)

    assert answer.status_code == 400
    assert "reserved" in answer.json()["errors"][0]["message"]
    assert history_of(caller, project, "r1")["id"] == mine


@pytest.mark.parametrize("name", ["r:1", "r" * 128])
def test_a_run_id_that_is_no_artifact_name_finishes_all_the_same(caller, name):
    project = new_project()

    finish(caller, project, name, 1.0)

    outputs = caller.ask(OUTPUTS, project=project, run=name)["project"]["run"]["outputArtifacts"]
    assert outputs["totalCount"] == 1


def test_a_server_may_purge_them_with_their_run_or_make_none(tmp_path):
    with start(tmp_path / "a", system_artifacts="purge", retention_s=0.0, purge_interval_s=3600.0) as server:
        caller = Caller(server.base_url, server.api_key)
        storage_id = finish(caller, "p", "run-of-the-first-store", 1.0)
        caller.ask(DELETE_RUN, id=storage_id)
        purge(server.data, now=LATER)
        assert scan_store(server.data, [b"run-of-the-first-store"]) == []
    with start(tmp_path / "b", system_artifacts="off") as server:
        caller = Caller(server.base_url, server.api_key)
        finish(caller, "p", "r1", 1.0)
        assert history_of(caller, "p", "r1") is None
    with pytest.raises(ConfigError, match="keep, purge, off"):
        ServerSettings(data=tmp_path, system_artifacts="burn")
