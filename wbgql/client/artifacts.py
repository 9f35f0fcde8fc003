"""Artifacts and lineage through the client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wbgql.artifacts import (
    Artifact,
    ArtifactDownload,
    ArtifactPath,
    ArtifactType,
    Collection,
    Orphan,
    Version,
    VersionQuery,
    download_artifact,
    get_artifact_by_name,
    iter_artifact_files,
    iter_artifact_types,
    iter_collections,
    iter_logged_artifacts,
    iter_orphans,
    iter_used_artifacts,
    iter_versions,
)
from wbgql.client.connecting import Connected
from wbgql.downloads import DEFAULT_THREADS
from wbgql.files import File
from wbgql.lineage import Direction, Lineage, walk_lineage
from wbgql.paths import ProjectPath, RunPath
from wbgql.progress import Progress


class Artifacts(Connected):
    """Artifact versions, their files, and what they came from."""

    def artifacts(
        self,
        path: str | ProjectPath | None = None,
        *,
        type: str | None = None,
        collection: str | None = None,
        alias: str | None = None,
        tag: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        with_metadata: bool = False,
    ) -> Iterator[Version]:
        """Yield the versions of a project that fit; see `wbgql.artifacts.iter_versions`. Lazily."""
        query = VersionQuery(
            type=type,
            collection=collection,
            alias=alias,
            tag=tag,
            metadata=metadata or {},
            with_metadata=with_metadata,
        )
        return iter_versions(self.session, self.project_path(path or self._configured_project()), query)

    def artifact(self, path: str | ArtifactPath) -> Version:
        """Return the version at `entity/project/collection:alias`, whole. One request."""
        found = self.artifact_path(path)
        return get_artifact_by_name(self.session, found.project_path, found.name)

    def artifact_types(self, path: str | ProjectPath) -> Iterator[ArtifactType]:
        """Yield the artifact types of a project. One request a page, lazily."""
        return iter_artifact_types(self.session, self.project_path(path))

    def artifact_collections(
        self, path: str | ProjectPath, *, type: str | None = None
    ) -> Iterator[Collection]:
        """Yield the artifact collections of a project. One request a page, lazily."""
        return iter_collections(self.session, self.project_path(path), type=type)

    def artifact_files(self, path: str | ArtifactPath) -> Iterator[File]:
        """Yield the files of a version. One request, and one a page, lazily."""
        return iter_artifact_files(self.session, self.artifact(path).id)

    def download_artifact(
        self,
        path: str | ArtifactPath,
        to: Path | str,
        *,
        pattern: str | None = None,
        threads: int = DEFAULT_THREADS,
        progress: Progress | None = None,
    ) -> ArtifactDownload:
        """Download a version, checked; see `wbgql.artifacts.download_artifact`."""
        downloader = self._downloader(threads, progress)
        return download_artifact(self.session, downloader, self.artifact(path), Path(to), pattern=pattern)

    def logged_artifacts(self, path: str | RunPath) -> Iterator[Artifact]:
        """Yield the artifact versions a run logged. One request a page, lazily."""
        return iter_logged_artifacts(self.session, self.run_path(path))

    def used_artifacts(self, path: str | RunPath) -> Iterator[Artifact]:
        """Yield the artifact versions a run used. One request a page, lazily."""
        return iter_used_artifacts(self.session, self.run_path(path))

    def orphans(self, path: str | ProjectPath, *, type: str | None = None) -> Iterator[Orphan]:
        """Yield the versions whose run is gone; see `wbgql.artifacts.iter_orphans`."""
        return iter_orphans(self.session, self.project_path(path), type=type)

    def lineage(
        self,
        path: str | ArtifactPath | RunPath,
        *,
        depth: int | None = None,
        direction: Direction = "both",
    ) -> Lineage:
        """Walk what a version came from and what became of it; see `wbgql.lineage.walk_lineage`.

        A text names a version; for a run, give its path (`client.run_path(...)`).
        """
        start = path if isinstance(path, RunPath) else self.artifact(path)
        return walk_lineage(self.session, start, depth=depth, direction=direction)
