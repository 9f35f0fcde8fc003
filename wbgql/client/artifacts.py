"""Artifacts and lineage through the client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wbgql.artifacts import (
    Artifact,
    ArtifactDownload,
    ArtifactLike,
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
from wbgql.paths import HasPath, ProjectLike, RunLike, RunPath
from wbgql.progress import Progress


class Artifacts(Connected):
    """Artifact versions, their files, and what they came from."""

    def artifacts(
        self,
        path: ProjectLike | None = None,
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
        home = self.project_path(self._configured_project() if path is None else path)
        return iter_versions(self.session, home, query)

    def artifact(self, artifact: ArtifactLike) -> Version:
        """Return the version at `entity/project/collection:alias`, whole. One request."""
        found = self.artifact_path(artifact)
        return get_artifact_by_name(self.session, found.project_path, found.name)

    def artifact_types(self, path: ProjectLike) -> Iterator[ArtifactType]:
        """Yield the artifact types of a project. One request a page, lazily."""
        return iter_artifact_types(self.session, self.project_path(path))

    def artifact_collections(self, path: ProjectLike, *, type: str | None = None) -> Iterator[Collection]:
        """Yield the artifact collections of a project. One request a page, lazily."""
        return iter_collections(self.session, self.project_path(path), type=type)

    def artifact_files(self, artifact: ArtifactLike) -> Iterator[File]:
        """Yield the files of a version, lazily. One request a page, and one more if a path is given."""
        return iter_artifact_files(self.session, self._version(artifact).id)

    def download_artifact(
        self,
        artifact: ArtifactLike,
        to: Path | str,
        *,
        pattern: str | None = None,
        threads: int = DEFAULT_THREADS,
        progress: Progress | None = None,
    ) -> ArtifactDownload:
        """Download a version, checked; see `wbgql.artifacts.download_artifact`."""
        downloader = self._downloader(threads, progress)
        return download_artifact(self.session, downloader, self._version(artifact), Path(to), pattern=pattern)

    def logged_artifacts(self, run: RunLike) -> Iterator[Artifact]:
        """Yield the artifact versions a run logged. One request a page, lazily."""
        return iter_logged_artifacts(self.session, self.run_path(run))

    def used_artifacts(self, run: RunLike) -> Iterator[Artifact]:
        """Yield the artifact versions a run used. One request a page, lazily."""
        return iter_used_artifacts(self.session, self.run_path(run))

    def orphans(self, path: ProjectLike, *, type: str | None = None) -> Iterator[Orphan]:
        """Yield the versions whose run is gone; see `wbgql.artifacts.iter_orphans`."""
        return iter_orphans(self.session, self.project_path(path), type=type)

    def lineage(
        self,
        start: ArtifactLike | RunPath | HasPath,
        *,
        depth: int | None = None,
        direction: Direction = "both",
    ) -> Lineage:
        """Walk what a version came from and what became of it; see `wbgql.lineage.walk_lineage`.

        A text names a version; for a run, give the run or its path (`client.run_path(...)`).
        """
        if isinstance(start, (str, ArtifactPath, Artifact)):
            return walk_lineage(self.session, self._version(start), depth=depth, direction=direction)
        return walk_lineage(self.session, self.run_path(start), depth=depth, direction=direction)

    def _version(self, artifact: ArtifactLike) -> Version:
        """Return the version that is named; one that a list gave is taken as it is."""
        return artifact if isinstance(artifact, Version) else self.artifact(artifact)
