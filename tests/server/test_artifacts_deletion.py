"""Deleting artifacts: hidden at once, shared content kept, purged to the last byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.caller import Caller, new_project
from tests.server.artifact_logger import CREATE, ArtifactLogger, entries, md5
from wbgql.server import ServerSettings, audit_log, purge, scan_store, start
from wbgql.server.accounts import Viewer
from wbgql.server.artifacts.nodes import in_collection, list_versions
from wbgql.server.backend import Backend, Context

LATER = datetime.now(UTC) + timedelta(days=30)

CREATOR = """
query Creator($id: ID!) { artifact(id: $id) {
  state createdBy { __typename ... on Run { name } ... on User { username } } usedBy { edges { node { name } } }
} }
"""
DELETE_RUN = """
mutation DeleteRun($id: ID!, $too: Boolean) {
  deleteRun(input: {id: $id, deleteArtifacts: $too}) { clientMutationId }
}
"""
OUTPUTS = """
query Outputs($project: String, $run: String!) {
  project(entityName: "admin", name: $project) { run(name: $run) {
    outputArtifacts { totalCount edges { node { id } } }
  } }
}
"""
COLLECTION = """
query Collection($project: String, $name: String!) {
  project(entityName: "admin", name: $project) {
    artifactCollection(name: $name) { id state }
    artifactCollections { totalCount }
    artifactTypes { edges { node { name } } }
  }
}
"""
URL = """
query Url($id: ID!) { artifact(id: $id) { files { edges { node { directUrl } } }
  currentManifest { file { directUrl } } } }
"""
LINK = """
mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) { artifactCollectionID } }
"""


@pytest.fixture(scope="module")
def own_server(tmp_path_factory) -> Iterator[Any]:
    """A server whose store these tests may purge."""
    with start(tmp_path_factory.mktemp("purged")) as server:
        yield server


@pytest.fixture
def logger(own_server) -> ArtifactLogger:
    """Logs to a project of its own, in which a run `r1` exists."""
    caller = Caller(own_server.base_url, own_server.api_key)
    project = new_project()
    caller.upsert(project, name="r1")
    return ArtifactLogger(caller, project)


def delete_run(logger: ArtifactLogger, name: str, *, artifacts: bool) -> None:
    run_id = logger.caller.run(logger.project, name)["id"]
    logger.caller.ask(DELETE_RUN, id=run_id, too=artifacts)


def url_of(logger: ArtifactLogger, artifact_id: str) -> str:
    (edge,) = logger.caller.ask(URL, id=artifact_id)["artifact"]["files"]["edges"]
    url: str = edge["node"]["directUrl"]
    return url


def test_a_version_with_aliases_is_deleted_only_with_them(logger):
    artifact_id = logger.log("ds", {"a": b"1"}, aliases=["prod"])

    refused = logger.delete(artifact_id)
    deleted = logger.delete(artifact_id, aliases=True)
    again = logger.delete(artifact_id, aliases=True)

    assert refused.status_code == 400
    assert "['latest', 'prod']" in refused.text
    assert deleted.json()["data"]["deleteArtifact"]["artifact"] == {"id": artifact_id, "state": "DELETED"}
    assert again.status_code == 200


def test_a_deleted_version_is_hidden_and_latest_goes_back(logger):
    first, second = logger.log("ds", {"a": b"1"}), logger.log("ds", {"a": b"2"}, runName="r1")
    url = url_of(logger, second)

    logger.delete(second, aliases=True)

    assert logger.by_name("ds:latest")["id"] == first
    assert logger.by_name("ds:v1") is None
    assert logger.get(second)["state"] == "DELETED"
    assert requests.get(url, timeout=10).status_code == 404
    outputs = logger.caller.ask(OUTPUTS, project=logger.project, run="r1")["project"]["run"][
        "outputArtifacts"
    ]
    assert outputs == {"totalCount": 0, "edges": []}


def test_the_number_of_a_deleted_version_is_not_given_again(logger):
    logger.log("ds", {"a": b"1"})
    logger.delete(logger.log("ds", {"a": b"2"}), aliases=True)

    logger.log("ds", {"a": b"2"})

    assert logger.by_name("ds:v1") is None
    assert logger.by_name("ds:v2")["state"] == "COMMITTED"


def test_a_deleted_source_leaves_the_portfolios_it_was_linked_into(logger):
    artifact_id = logger.log("ds", {"a": b"1"})
    target = {"artifactPortfolioName": "shelf", "entityName": "admin", "projectName": logger.project}
    logger.caller.ask(LINK, input={"artifactID": artifact_id} | target)

    logger.delete(artifact_id, aliases=True)

    assert logger.by_name("shelf:v0") is None
    assert logger.by_name("shelf:latest") is None


def test_deleting_a_sequence_deletes_its_versions(logger):
    artifact_id = logger.log("ds", {"a": b"1"})
    found = logger.caller.ask(COLLECTION, project=logger.project, name="ds")["project"]["artifactCollection"]

    answer = logger.caller.ask(
        "mutation D($id: ID!) { deleteArtifactSequence(input: {artifactSequenceID: $id})"
        " { artifactCollection { __typename state } } }",
        id=found["id"],
    )["deleteArtifactSequence"]["artifactCollection"]

    assert answer == {"__typename": "ArtifactSequence", "state": "DELETED"}
    assert logger.get(artifact_id)["state"] == "DELETED"
    assert (
        logger.caller.ask(COLLECTION, project=logger.project, name="ds")["project"]["artifactCollection"]
        is None
    )
    assert logger.by_name("ds:v0") is None


def test_a_name_is_free_again_after_its_sequence_is_deleted(logger):
    logger.log("ds", {"a": b"1"})
    found = logger.caller.ask(COLLECTION, project=logger.project, name="ds")["project"]["artifactCollection"]
    logger.caller.ask(
        "mutation D($id: ID!) { deleteArtifactSequence(input: {artifactSequenceID: $id})"
        " { artifactCollection { state } } }",
        id=found["id"],
    )

    artifact_id = logger.log("ds", {"a": b"1"}, artifactTypeName="model")

    assert logger.by_name("ds:v0")["id"] == artifact_id


def test_delete_run_leaves_its_artifacts_unless_told(logger):
    kept = logger.log("kept", {"a": b"1"}, runName="r1")
    logger.caller.upsert(logger.project, name="r2")
    gone = logger.log("gone", {"a": b"2"}, runName="r2")
    logger.create("kept", {"a": b"1"}, runName="r2")

    delete_run(logger, "r2", artifacts=True)

    assert logger.get(gone)["state"] == "DELETED"
    assert logger.get(kept)["state"] == "COMMITTED"  # r1 logged the same content

    delete_run(logger, "r1", artifacts=False)

    assert logger.get(kept)["state"] == "COMMITTED"


def test_the_creator_of_a_version_is_its_user_once_the_run_is_gone(logger, own_server):
    artifact_id = logger.log("ds", {"a": b"1"}, runName="r1")
    use = {"artifactID": artifact_id, "entityName": "admin", "projectName": logger.project, "runName": "r1"}
    logger.caller.ask(
        "mutation Use($input: UseArtifactInput!) { useArtifact(input: $input) { run { name } } }", input=use
    )
    before = logger.caller.ask(CREATOR, id=artifact_id)["artifact"]

    delete_run(logger, "r1", artifacts=False)
    hidden = logger.caller.ask(CREATOR, id=artifact_id)["artifact"]
    purge(own_server.data, now=LATER)
    purged = logger.caller.ask(CREATOR, id=artifact_id)["artifact"]

    assert before["createdBy"] == {"__typename": "Run", "name": "r1"}
    assert before["usedBy"]["edges"] == [{"node": {"name": "r1"}}]
    assert hidden == purged
    assert purged["createdBy"] == {"__typename": "User", "username": "admin"}
    assert purged["usedBy"]["edges"] == []
    assert requests.get(url_of(logger, artifact_id), timeout=10).content == b"1"


def test_a_purge_leaves_no_byte_of_a_deleted_version(logger, own_server):
    def canary(what: str) -> str:
        return f"canary-{what}-{'0123456789abcdef' * 3}"

    artifact_id = logger.log(
        f"name-{canary('collection')}",
        {f"{canary('path')}.bin": canary("content").encode() * 50},
        description=canary("description"),
        metadata=json.dumps({canary("key"): canary("value")}),
        aliases=[canary("alias")],
        tags=[{"tagName": canary("tag")}],
        clientID=canary("client"),
        artifactTypeName=canary("type"),
    )
    needle = b"canary-"
    assert scan_store(own_server.data, [needle])

    logger.delete(artifact_id, aliases=True)
    report = purge(own_server.data, now=LATER)

    assert report.artifacts >= 1
    assert report.files >= 2
    assert scan_store(own_server.data, [needle]) == []
    assert logger.get(artifact_id) is None
    assert logger.caller.ask(COLLECTION, project=logger.project, name="x")["project"] == {
        "artifactCollection": None,
        "artifactCollections": {"totalCount": 0},
        "artifactTypes": {"edges": []},
    }
    actions = [row["action"] for row in audit_log(own_server.data)]
    assert "artifact:delete" in actions
    assert "artifact:purge" in actions


def test_a_purge_keeps_content_that_another_version_uses(logger, own_server):
    first = logger.log("ds", {"a": b"shared"})
    second = logger.log("ds", {"b": b"shared"})
    logger.delete(first)

    purge(own_server.data, now=LATER)

    assert logger.get(first) is None
    assert requests.get(url_of(logger, second), timeout=10).content == b"shared"
    assert logger.by_name("ds:v1")["id"] == second


def test_before_the_retention_time_a_purge_leaves_a_deleted_version(logger, own_server):
    artifact_id = logger.log("ds", {"a": b"1"})
    logger.delete(artifact_id, aliases=True)

    purge(own_server.data)

    assert logger.get(artifact_id)["state"] == "DELETED"


def test_a_purge_takes_uploads_that_broke_off_but_not_fresh_ones(logger, own_server):
    artifact_id = logger.create("ds", {"a": b"1"})["id"]
    logger.put_files(artifact_id, {"a": b"1"})

    purge(own_server.data, retention_s=0)
    fresh = logger.get(artifact_id)
    purge(own_server.data, now=LATER)

    assert fresh["state"] == "PENDING"
    assert logger.get(artifact_id) is None


def test_a_version_past_its_time_to_live_is_deleted(logger, own_server):
    short = logger.log("ds", {"a": b"1"}, ttlDurationSeconds=60)
    longer = logger.log("ds", {"a": b"2"}, ttlDurationSeconds=9 * 86400)

    purge(own_server.data, now=datetime.now(UTC) + timedelta(hours=1))

    assert logger.get(short)["state"] == "DELETED"
    assert logger.get(longer)["state"] == "COMMITTED"


def test_an_upload_to_a_purged_version_is_refused_for_good(logger, own_server):
    artifact = logger.create("ds", {"a": b"1"})
    (node,) = logger.declare(artifact["id"], {"a": b"1"})
    logger.delete(artifact["id"])
    purge(own_server.data, now=LATER)

    answer = requests.put(node["uploadUrl"], data=b"1", timeout=10)

    assert answer.status_code == 410


def test_a_deleted_project_takes_its_artifacts_along(logger):
    artifact_id = logger.log("ds", {"a": b"1"})
    url = url_of(logger, artifact_id)
    project_id = logger.caller.ask(
        'query P($name: String) { project(entityName: "admin", name: $name) { id } }', name=logger.project
    )["project"]["id"]

    logger.caller.ask("mutation D($id: String!) { deleteModel(input: {id: $id}) { success } }", id=project_id)

    assert logger.get(artifact_id) is None
    assert requests.get(url, timeout=10).status_code == 404


def test_a_page_of_versions_takes_the_same_number_of_queries_however_long(tmp_path):
    backend = Backend(ServerSettings(data=tmp_path))
    statements: list[str] = []
    with backend.store.write() as db:
        fill(db, 200)
    with backend.store.read() as db:
        viewer = Viewer(
            1, "u", "u", "u@localhost", admin=True, entity_id=1, default_entity_id=1, created_at=""
        )
        context = Context(backend=backend, viewer=viewer, base_url="", db=db)
        db.exec_trace = lambda _cursor, sql, _params: statements.append(sql) or True

        pages = [list_versions(context, in_collection(1), limit=limit) for limit in (2, 200)]

        db.exec_trace = None
    backend.close()
    assert [len(page) for page in pages] == [2, 200]
    assert len(statements) == 3  # one for each page, and one for the collection, which is remembered


def fill(db: Any, count: int) -> None:
    """One collection of `count` committed versions, straight into the tables."""
    now = "2026-01-01T00:00:00.000000Z"
    db.execute("INSERT INTO entities (id, name, kind, created_at) VALUES (1, 'e', 'user', ?)", (now,))
    db.execute(
        "INSERT INTO projects (id, entity_id, name, access, created_at, updated_at)"
        " VALUES (1, 1, 'p', 'PRIVATE', ?, ?)",
        (now, now),
    )
    db.execute("INSERT INTO artifact_types VALUES (1, 1, 'dataset', NULL, ?)", (now,))
    db.execute(
        "INSERT INTO artifact_collections (id, project_id, type_id, kind, name, created_at, updated_at)"
        " VALUES (1, 1, 1, 'ArtifactSequence', 'ds', ?, ?)",
        (now, now),
    )
    for n in range(count):
        db.execute(
            "INSERT INTO artifacts (id, sequence_id, state, digest, commit_hash, user_id, created_at, updated_at)"
            " VALUES (?, 1, 'COMMITTED', ?, ?, 1, ?, ?)",
            (n + 1, str(n), str(n), now, now),
        )
        db.execute("INSERT INTO artifact_members VALUES (?, 1, ?, ?, ?)", (n + 1, n + 1, n, now))
        db.execute("INSERT INTO artifact_aliases VALUES (?, 1, ?, ?)", (n + 1, n + 1, f"a{n}"))


def test_a_commit_after_a_purge_of_its_base_is_refused_not_broken(logger, own_server):
    base = logger.log("ds", {"a": b"1"})
    more = logger.create("ds", {"b": b"2"})
    logger.put_files(more["id"], {"b": b"2"})
    logger.put_manifest(more["id"], entries({"b": b"2"}), type="INCREMENTAL", base=base)
    logger.delete(base, aliases=True)
    purge(own_server.data, now=datetime.now(UTC) + timedelta(seconds=1), retention_s=0)

    answer = logger.caller.post(
        "mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }", id=more["id"]
    )

    assert answer.status_code == 404
    assert md5(b"1") not in answer.text


def test_a_version_can_be_logged_again_after_its_purge(logger, own_server):
    given = logger.input("ds", {"a": b"1"}, clientID=f"c-{logger.project}")
    logger.log("ds", {"a": b"1"}, clientID=f"c-{logger.project}")
    logger.delete(logger.by_name("ds")["id"], aliases=True)
    purge(own_server.data, now=LATER)

    artifact = logger.caller.ask(CREATE, input=given)["createArtifact"]["artifact"]

    assert artifact["state"] == "PENDING"
