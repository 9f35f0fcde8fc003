"""Artifact versions a run logged or used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wbgql.connection import Connection, iter_nodes
from wbgql.documents import Operation, Result
from wbgql.errors import NotFound
from wbgql.paths import RunPath
from wbgql.session import Session


class _TypeName(Result, frozen=True):
    name: str


class _Sequence(Result, frozen=True):
    id: str
    name: str


class _Alias(Result, frozen=True):
    alias: str


class Artifact(Result, frozen=True):
    """One artifact version. `size` in bytes; `state` PENDING, COMMITTED or DELETED."""

    id: str
    digest: str
    state: str
    version_index: int | None
    size: int
    file_count: int
    created_at: str
    artifact_type: _TypeName
    artifact_sequence: _Sequence
    aliases: list[_Alias]

    @property
    def name(self) -> str:
        """`collection:vN`, as the SDK writes it."""
        version = "" if self.version_index is None else f":v{self.version_index}"
        return f"{self.artifact_sequence.name}{version}"

    @property
    def type(self) -> str:
        """Name of the artifact type; `wandb-history` and its like belong to the server."""
        return self.artifact_type.name


class _User(Result, frozen=True):
    username: str | None


class _ProjectName(Result, frozen=True):
    name: str
    entity_name: str


class CreatedByRun(Result, frozen=True, tag_field="__typename", tag="Run"):
    """The run that logged an artifact. `project` is null where it is gone."""

    name: str
    tags: list[str] | None
    user: _User | None
    project: _ProjectName | None


class CreatedByUser(Result, frozen=True, tag_field="__typename", tag="User"):
    """A person made the artifact, or the run that did is gone."""


class ArtifactDetails(Artifact, frozen=True):
    """One artifact version, with who made it."""

    created_by: CreatedByRun | CreatedByUser | None


class _RunArtifacts(Result, frozen=True):
    artifacts: Connection[Artifact] | None


class _ArtifactsProject(Result, frozen=True):
    run: _RunArtifacts | None


class _ListArtifacts(Result, frozen=True):
    project: _ArtifactsProject | None


class _GetArtifact(Result, frozen=True):
    artifact: ArtifactDetails | None


LIST_LOGGED_ARTIFACTS = Operation("ListLoggedArtifacts", _ListArtifacts, paged=True)
LIST_USED_ARTIFACTS = Operation("ListUsedArtifacts", _ListArtifacts, paged=True)
GET_ARTIFACT = Operation("GetArtifact", _GetArtifact)
OPERATIONS: tuple[Operation[Any], ...] = (LIST_LOGGED_ARTIFACTS, LIST_USED_ARTIFACTS, GET_ARTIFACT)


def iter_logged_artifacts(session: Session, path: RunPath, *, page_size: int = 100) -> Iterator[Artifact]:
    """Yield the artifact versions a run logged, lazily, one request a page.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    return _iter_artifacts(session, LIST_LOGGED_ARTIFACTS, path, page_size)


def iter_used_artifacts(session: Session, path: RunPath, *, page_size: int = 100) -> Iterator[Artifact]:
    """Yield the artifact versions a run used, lazily, one request a page.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    return _iter_artifacts(session, LIST_USED_ARTIFACTS, path, page_size)


def get_artifact(session: Session, artifact_id: str) -> ArtifactDetails:
    """Return one artifact version by its id. One request.

    Raises:
        NotFound: null where the version was asked for.
    """
    artifact = session.execute(GET_ARTIFACT, id=artifact_id).artifact
    if artifact is None:
        raise NotFound(
            f"no artifact {artifact_id!r}, or not visible to this key", operation=GET_ARTIFACT.name
        )
    return artifact


def _iter_artifacts(
    session: Session, operation: Operation[_ListArtifacts], path: RunPath, page_size: int
) -> Iterator[Artifact]:
    def fetch(first: int, after: str | None) -> Connection[Artifact]:
        project = session.execute(
            operation, entity=path.entity, project=path.project, run=path.run_id, first=first, after=after
        ).project
        if project is None:
            raise NotFound.project(path.project_path, operation=operation.name)
        if project.run is None or project.run.artifacts is None:
            raise NotFound.run(path, operation=operation.name)
        return project.run.artifacts

    return iter_nodes(fetch, page_size=page_size, key=lambda artifact: artifact.id)
