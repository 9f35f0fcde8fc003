"""Artifacts and lineage through the client."""

from __future__ import annotations

from collections.abc import Mapping
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
from wbgql.artifacts.lineage import Direction, Lineage, walk_lineage
from wbgql.client.connecting import Connected
from wbgql.downloads import DEFAULT_THREADS
from wbgql.files import File
from wbgql.lazy import LazyList, described
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
    ) -> LazyList[Version]:
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
        asked = {"type": type, "collection": collection, "alias": alias, "tag": tag, "metadata": metadata}
        what = described("artifacts", home, **asked)
        return LazyList(what, iter_versions(self.session, home, query))

    def artifact(self, artifact: ArtifactLike) -> Version:
        """Return the version at `entity/project/collection:alias`, whole. One request."""
        found = self.artifact_path(artifact)
        return get_artifact_by_name(self.session, found)

    def artifact_types(self, path: ProjectLike) -> LazyList[ArtifactType]:
        """Yield the artifact types of a project. One request a page, lazily."""
        home = self.project_path(path)
        return LazyList(described("artifact_types", home), iter_artifact_types(self.session, home))

    def artifact_collections(self, path: ProjectLike, *, type: str | None = None) -> LazyList[Collection]:
        """Yield the artifact collections of a project. One request a page, lazily."""
        home = self.project_path(path)
        what = described("artifact_collections", home, type=type)
        return LazyList(what, iter_collections(self.session, home, type=type))

    def artifact_files(self, artifact: ArtifactLike) -> LazyList[File]:
        """Yield the files of a version, lazily. One request a page, and one more if a path is given."""
        label = artifact.path or artifact.name if isinstance(artifact, Artifact) else artifact
        return LazyList(
            described("artifact_files", label),
            iter_artifact_files(self.session, self._version(artifact).id),
        )

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

    def logged_artifacts(self, run: RunLike) -> LazyList[Artifact]:
        """Yield the artifact versions a run logged. One request a page, lazily."""
        path = self.run_path(run)
        return LazyList(described("logged_artifacts", path), iter_logged_artifacts(self.session, path))

    def used_artifacts(self, run: RunLike) -> LazyList[Artifact]:
        """Yield the artifact versions a run used. One request a page, lazily."""
        path = self.run_path(run)
        return LazyList(described("used_artifacts", path), iter_used_artifacts(self.session, path))

    def orphans(self, path: ProjectLike, *, type: str | None = None) -> LazyList[Orphan]:
        """Yield the versions whose run is gone; see `wbgql.artifacts.iter_orphans`."""
        home = self.project_path(path)
        what = described("orphans", home, type=type)
        return LazyList(what, iter_orphans(self.session, home, type=type))

    def lineage(
        self,
        start: ArtifactLike | RunPath | HasPath,
        *,
        depth: int | None = None,
        direction: Direction = "both",
    ) -> Lineage:
        """Walk what a version came from and what became of it; see `wbgql.artifacts.lineage.walk_lineage`.

        A text names a version; for a run, give the run or its path (`client.run_path(...)`).
        """
        if isinstance(start, (str, ArtifactPath, Artifact)):
            return walk_lineage(self.session, self._version(start), depth=depth, direction=direction)
        return walk_lineage(self.session, self.run_path(start), depth=depth, direction=direction)

    def _version(self, artifact: ArtifactLike) -> Version:
        """Return the version that is named; one that a list gave is taken as it is."""
        return artifact if isinstance(artifact, Version) else self.artifact(artifact)
