"""A project with runs, files and artifacts on a local server, and a client that reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests

from tests.caller import Caller, new_project
from tests.fakes import page
from tests.server.artifact_logger import ArtifactLogger
from wbgql.client import Client
from wbgql.errors import RequestError
from wbgql.paths import RunPath
from wbgql.server import RunningServer
from wbgql.settings import Settings

_CREATE_FILES = """
mutation Create($input: CreateRunFilesInput!) { createRunFiles(input: $input) { files { name uploadUrl } } }
"""
_USE = "mutation Use($input: UseArtifactInput!) { useArtifact(input: $input) { artifact { id } } }"
_UPDATE = (
    "mutation Update($input: UpdateArtifactInput!) { updateArtifact(input: $input) { artifact { id } } }"
)
_DELETE_RUN = "mutation Delete($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"


class World:
    """One project of the server's admin."""

    def __init__(self, server: RunningServer) -> None:
        self.caller = Caller(server.base_url, server.api_key)
        self.project = new_project()
        self.path = f"admin/{self.project}"
        self.logger = ArtifactLogger(self.caller, self.project)
        self.client = Client(settings=Settings(base_url=server.base_url, api_key=server.api_key))
        self._runs: dict[str, str] = {}

    def run(self, name: str) -> RunPath:
        """Make a run."""
        self._runs[name] = self.caller.upsert(self.project, name=name)["bucket"]["id"]
        return RunPath("admin", self.project, name)

    def delete_run(self, name: str) -> None:
        self.caller.ask(_DELETE_RUN, id=self._runs[name])

    def store(self, run: str, files: Mapping[str, bytes | None]) -> None:
        """Upload files of a run; one without content is only registered."""
        given = {"entityName": "admin", "projectName": self.project, "runName": run, "files": list(files)}
        made = self.caller.ask(_CREATE_FILES, input=given)["createRunFiles"]["files"]
        for file in made:
            content = files[file["name"]]
            if content is not None:
                requests.put(file["uploadUrl"], data=content, timeout=30).raise_for_status()

    def log(self, name: str, files: dict[str, bytes], **fields: Any) -> str:
        """Log a version; return its id. `tags` and `metadata` may be given."""
        tags, metadata = fields.pop("tags", []), fields.pop("metadata", None)
        if metadata is not None:
            fields["metadata"] = json.dumps(metadata)
        artifact_id = self.logger.log(name, files, **fields)
        if tags:
            wanted = [{"tagName": tag} for tag in tags]
            self.caller.ask(_UPDATE, input={"artifactID": artifact_id, "tagsToAdd": wanted})
        return artifact_id

    def use(self, artifact_id: str, run: str) -> None:
        """Let a run use a version."""
        given = {"artifactID": artifact_id, "entityName": "admin", "projectName": self.project}
        self.caller.ask(_USE, input=given | {"runName": run})


class FakeFetcher:
    """Serves contents from memory. A list serves its items in turn; an exception is raised.

    `.opened` lists the URLs in the order they were opened.
    """

    def __init__(self, contents: Mapping[str, Any]) -> None:
        self._contents = dict(contents)
        self.opened: list[str] = []

    @contextmanager
    def open(self, url: str) -> Iterator[Iterator[bytes]]:
        self.opened.append(url)
        content = self._contents.get(url, RequestError(f"no {url}"))
        if isinstance(content, list):
            content = content.pop(0)
        if isinstance(content, BaseException):
            raise content
        yield iter([content[:3], content[3:]])


def version(number: int, **fields: Any) -> dict[str, Any]:
    """A version of `acme/vision/net` as the wire has it."""
    return {
        "id": f"id{number}",
        "digest": "d",
        "state": "COMMITTED",
        "versionIndex": number,
        "size": 1,
        "fileCount": 1,
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": None,
        "historyStep": None,
        "artifactType": {"name": "model"},
        "artifactSequence": {"id": "c", "name": "net", "project": {"name": "vision", "entityName": "acme"}},
        "aliases": [],
        "tags": [],
        "createdBy": None,
    } | fields


def collection(name: str, nodes: list[Any], cursor: str | None = None) -> dict[str, Any]:
    """A collection with the first page of its versions as the wire has it."""
    artifacts = page(nodes, cursor=cursor) | {"totalCount": None}
    return {"id": name, "name": name, "defaultArtifactType": {"name": "model"}, "artifacts": artifacts}
