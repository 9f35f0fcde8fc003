"""Versions whose contents are named by XXH128: kept apart from MD5, checked like it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import requests
import xxhash

from tests.caller import Caller, new_project
from tests.server.artifact_logger import COMMIT, FILES, ArtifactLogger, md5

READ = """
query Read($project: String) { project(entityName: "admin", name: $project) {
  artifact(name: "ds:latest") { digest digestAlgorithm files { edges { node { name digest md5 directUrl } } } }
  artifactType(name: "dataset") { artifactCollection(name: "ds") { ... on ArtifactSequence { digestAlgorithm } } }
} }
"""


def xxh128(content: bytes) -> str:
    return base64.b64encode(xxhash.xxh128(content).digest()).decode()


@pytest.fixture
def logger(local_server):
    return ArtifactLogger(Caller(local_server.base_url, local_server.api_key), new_project())


def declare(logger: ArtifactLogger, artifact_id: str, content: bytes, digest: str | None = None) -> Any:
    """Declare one file as the SDK does: its own digest, and an MD5 beside it."""
    spec = {"artifactID": artifact_id, "name": "a", "md5": md5(content), "digest": digest or xxh128(content)}
    given = {"artifactFiles": [spec], "storageLayout": "V2", "digestAlgorithm": "MANIFEST_XXH128"}
    (edge,) = logger.caller.ask(FILES, input=given)["createArtifactFiles"]["files"]["edges"]
    return edge["node"]


def put_manifest(logger: ArtifactLogger, artifact_id: str, content: bytes) -> None:
    entry = {"digest": xxh128(content), "size": len(content), "extra": {"alg": "XXH128"}}
    assert logger.put_manifest(artifact_id, {"a": entry}).status_code == 200


def begin(logger: ArtifactLogger, content: bytes) -> str:
    created = logger.create("ds", {"a": content}, digestAlgorithm="MANIFEST_XXH128")
    return str(created["id"])


def log(logger: ArtifactLogger, content: bytes) -> None:
    pending = begin(logger, content)
    node = declare(logger, pending, content)
    if node["uploadUrl"] is not None:
        assert requests.put(node["uploadUrl"], data=content, timeout=10).status_code == 200
    put_manifest(logger, pending, content)
    logger.commit(pending)


def test_a_version_says_how_its_contents_are_named_and_gives_them_back(logger):
    log(logger, b"one")

    project = logger.caller.ask(READ, project=logger.project)["project"]

    found = project["artifact"]
    assert found["digestAlgorithm"] == "MANIFEST_XXH128"
    assert project["artifactType"]["artifactCollection"] == {"digestAlgorithm": "MANIFEST_XXH128"}
    (file,) = [edge["node"] for edge in found["files"]["edges"]]
    assert (file["digest"], file["md5"]) == (xxh128(b"one"), md5(b"one"))
    assert requests.get(file["directUrl"], timeout=10).content == b"one"


def test_a_collection_is_of_md5_as_long_as_nothing_else_was_logged(logger):
    logger.log("ds", {"a": b"one"})

    project = logger.caller.ask(READ, project=logger.project)["project"]

    assert project["artifact"]["digestAlgorithm"] == "MANIFEST_MD5"
    assert project["artifactType"]["artifactCollection"] == {"digestAlgorithm": "MANIFEST_MD5"}


def test_content_that_is_held_by_its_xxh128_needs_no_second_upload(logger):
    log(logger, b"one")

    assert declare(logger, begin(logger, b"two"), b"one")["uploadUrl"] is None


def test_other_bytes_than_declared_are_refused(logger):
    pending = begin(logger, b"right")
    node = declare(logger, pending, b"right")

    answer = requests.put(node["uploadUrl"], data=b"wrong", timeout=10)
    put_manifest(logger, pending, b"right")
    commit = logger.caller.post(COMMIT, id=pending)

    assert answer.status_code == 400
    assert xxh128(b"right") in answer.text
    assert commit.status_code == 400
    assert "content of 'a' was never uploaded" in commit.text


def test_content_is_never_taken_for_that_of_the_other_algorithm(logger):
    """XXH128 can be forged, so bytes that have a known MD5 as their XXH128 must not come in its place."""
    logger.log("ds", {"a": b"one"})

    node = declare(logger, begin(logger, b"two"), b"forged", digest=md5(b"one"))

    assert node["uploadUrl"] is not None
    assert requests.put(node["uploadUrl"], data=b"one", timeout=10).status_code == 400


@pytest.mark.parametrize("digest", ["", "no base64!", base64.b64encode(b"short").decode()])
def test_what_is_no_digest_is_refused(logger, digest):
    spec = {"artifactID": begin(logger, b"x"), "name": "a", "md5": digest}
    answer = logger.caller.post(FILES, input={"artifactFiles": [spec], "storageLayout": "V2"})

    assert answer.status_code == 400
    assert "not a base64 digest of 16 bytes" in answer.text
