"""Logs artifacts with raw requests, step by step as wandb-core does, so that a test can stop at any step."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.caller import Caller

CREATE = """
mutation CreateArtifact($input: CreateArtifactInput!) {
  createArtifact(input: $input) { artifact { id state artifactSequence { latestArtifact { id } } } }
}
"""
MANIFEST = """
mutation CreateArtifactManifest($input: CreateArtifactManifestInput!) {
  createArtifactManifest(input: $input) { artifactManifest { id file { id uploadUrl uploadHeaders } } }
}
"""
FILES = """
mutation CreateArtifactFiles($input: CreateArtifactFilesInput!) {
  createArtifactFiles(input: $input) { files { edges { node {
    name storagePath uploadUrl uploadHeaders uploadMultipartUrls { uploadID } artifact { id }
  } } } }
}
"""
COMMIT = (
    "mutation Commit($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id digest state } } }"
)
VERSION = """
fragment Version on Artifact {
  id state digest size fileCount description metadata ttlDurationSeconds ttlIsInherited versionIndex commitHash
  tags { name } aliases { alias artifactCollection { name } } artifactType { name } artifactSequence { name }
}
"""
GET = VERSION + "query Get($id: ID!) { artifact(id: $id) { ...Version } }"
BY_NAME = (
    VERSION
    + """
query ByName($project: String, $name: String!) {
  project(entityName: "admin", name: $project) { artifact(name: $name) { ...Version } }
}
"""
)
DELETE = """
mutation Delete($id: ID!, $aliases: Boolean) {
  deleteArtifact(input: {artifactID: $id, deleteAliases: $aliases}) { artifact { id state } }
}
"""


def md5(content: bytes) -> str:
    """MD5 as W&B writes it."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


@dataclass
class ArtifactLogger:
    """Logs to one project of the server's admin."""

    caller: Caller
    project: str
    entity: str = "admin"
    uploads: list[str] = field(default_factory=list)
    """Names of the files that were really uploaded, in order."""

    def input(self, name: str, files: dict[str, bytes], **fields: Any) -> dict[str, Any]:
        aliases = [{"artifactCollectionName": name, "alias": one} for one in fields.pop("aliases", [])]
        digest = hashlib.md5(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()
        return {
            "entityName": self.entity,
            "projectName": self.project,
            "artifactCollectionName": name,
            "artifactTypeName": "dataset",
            "digest": digest,
            "digestAlgorithm": "MANIFEST_MD5",
            "enableDigestDeduplication": True,
            "aliases": aliases,
            **fields,
        }

    def create(self, name: str, files: dict[str, bytes], **fields: Any) -> dict[str, Any]:
        answer = self.caller.ask(CREATE, input=self.input(name, files, **fields))
        artifact: dict[str, Any] = answer["createArtifact"]["artifact"]
        return artifact

    def declare(self, artifact_id: str, files: dict[str, bytes]) -> list[dict[str, Any]]:
        specs = [{"artifactID": artifact_id, "name": name, "md5": md5(files[name])} for name in files]
        answer = self.caller.ask(FILES, input={"artifactFiles": specs, "storageLayout": "V2"})
        return [edge["node"] for edge in answer["createArtifactFiles"]["files"]["edges"]]

    def put_files(self, artifact_id: str, files: dict[str, bytes]) -> None:
        for node in self.declare(artifact_id, files):
            if node["uploadUrl"] is not None:
                self.uploads.append(node["name"])
                answer = requests.put(node["uploadUrl"], data=files[node["name"]], timeout=10)
                assert answer.status_code == 200, answer.text

    def put_manifest(
        self,
        artifact_id: str,
        contents: dict[str, dict[str, Any]],
        *,
        type: str = "FULL",
        base: str | None = None,
        region: str | None = None,
    ) -> requests.Response:
        text = json.dumps(
            {
                "version": 1,
                "storagePolicy": "wandb-storage-policy-v1",
                "storagePolicyConfig": {} if region is None else {"storageRegion": region},
                "contents": contents,
            }
        ).encode()
        given = {
            "artifactID": artifact_id,
            "baseArtifactID": base,
            "name": "wandb_manifest.json",
            "digest": md5(text),
            "entityName": self.entity,
            "projectName": self.project,
            "runName": "",
            "type": type,
        }
        answer = self.caller.ask(MANIFEST, input=given)
        url = answer["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"]
        return requests.put(url, data=text, timeout=10)

    def commit(self, artifact_id: str) -> dict[str, Any]:
        artifact: dict[str, Any] = self.caller.ask(COMMIT, id=artifact_id)["commitArtifact"]["artifact"]
        return artifact

    def log(self, name: str, files: dict[str, bytes], **fields: Any) -> str:
        """Log a version with all its steps; return its id."""
        artifact = self.create(name, files, **fields)
        if artifact["state"] == "PENDING":
            self.put_files(artifact["id"], files)
            answer = self.put_manifest(artifact["id"], entries(files, artifact["id"]))
            assert answer.status_code == 200, answer.text
            self.commit(artifact["id"])
        artifact_id: str = artifact["id"]
        return artifact_id

    def get(self, artifact_id: str) -> Any:
        return self.caller.ask(GET, id=artifact_id)["artifact"]

    def by_name(self, name: str) -> Any:
        found = self.caller.ask(BY_NAME, project=self.project, name=name)["project"]
        return found and found["artifact"]

    def delete(self, artifact_id: str, *, aliases: bool = False) -> requests.Response:
        return self.caller.post(DELETE, id=artifact_id, aliases=aliases)


def entries(files: dict[str, bytes], birth: str | None = None) -> dict[str, dict[str, Any]]:
    """Manifest entries of files."""
    return {
        name: {"digest": md5(content), "size": len(content), "birthArtifactID": birth}
        for name, content in files.items()
    }
