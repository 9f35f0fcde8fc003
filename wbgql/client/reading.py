"""Reading through the client: projects, runs, files, and what they take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wbgql.client.connecting import Connected
from wbgql.downloads import DEFAULT_THREADS, Download
from wbgql.exports import Export, export_runs
from wbgql.files import File, download_files, iter_files
from wbgql.frames import FileFormat
from wbgql.lazy import LazyList, described
from wbgql.paths import ProjectLike, RunLike, is_one_project, is_one_run
from wbgql.progress import Progress
from wbgql.projects import Project, ProjectField, iter_fields, iter_projects
from wbgql.runs import (
    MAX_PAGE_SIZE,
    OnUnstable,
    OrderLike,
    ProjectPattern,
    Run,
    RunSelection,
    Select,
    Where,
    get_run,
)
from wbgql.runs.frames import Types
from wbgql.storage import By, Storage, measure_storage


class Reading(Connected):
    """Projects, runs and files; exports, downloads and bytes."""

    def projects(self, entity: str | None = None) -> LazyList[Project]:
        """Yield the projects of an entity, by default one's own. One request a page, lazily."""
        name = entity or self.settings.entity or self._default_entity
        return LazyList(described("projects", name), iter_projects(self.session, name))

    def fields(self, path: ProjectLike, *, pattern: str | None = None) -> LazyList[ProjectField]:
        """Yield the typed keys that runs of a project hold. One request a page, lazily."""
        home = self.project_path(path)
        what = described("fields", home, pattern=pattern)
        return LazyList(what, iter_fields(self.session, home, pattern=pattern))

    def runs(
        self,
        paths: ProjectLike | ProjectPattern | Sequence[ProjectLike | ProjectPattern] | None = None,
        *,
        where: Where = None,
        order: OrderLike = None,
        select: Select = (),
        limit: int | None = None,
        filters: Mapping[str, Any] | None = None,
        page_size: int = MAX_PAGE_SIZE,
        client_side: bool = False,
        stable: bool = False,
        on_unstable: OnUnstable = "raise",
    ) -> RunSelection:
        """Select runs; the server filters, orders and projects. Sends nothing yet.

        `paths` is a project, a list of them, or a pattern: "acme/*" for all projects of an entity that
        this key can see, "acme/vis*". `where` is an expression or its text, `filters` a dict as
        `wandb.Api().runs` takes it (linted). `select` names the config and summary keys to fetch, and
        `notes`, `host`, `duration_s` and `updated_at`; "*" fetches all; by default none. Reading what was not
        fetched raises `NotFetched`. `client_side`, `stable`, `on_unstable`: see `RunSelection`.

        Raises:
            FilterError: an expression that the server would refuse or misread.
        """
        if paths is None:
            paths = self._configured_project()
        named = [paths] if isinstance(paths, ProjectPattern) or is_one_project(paths) else paths
        return RunSelection(
            self.session,
            [self._project_scope(path) for path in named],
            where=where,
            order=order,
            select=select,
            limit=limit,
            filters=filters,
            page_size=page_size,
            client_side=client_side,
            stable=stable,
            on_unstable=on_unstable,
        )

    def export_runs(
        self,
        paths: ProjectLike | ProjectPattern | Sequence[ProjectLike | ProjectPattern] | None = None,
        *,
        to: Path | str,
        where: Where = None,
        select: Select = (),
        filters: Mapping[str, Any] | None = None,
        format: FileFormat = "parquet",
        types: Types | None = None,
        resume: bool = True,
    ) -> Export:
        """Write runs to a folder of parts; started again, it goes on. See `exports.export_runs`."""
        selection = self.runs(paths, where=where, select=select, filters=filters)
        return export_runs(self.session, selection, Path(to), format=format, types=types, resume=resume)

    def run(self, run: RunLike) -> Run:
        """Return one run, whole, as the server has it now. One request."""
        return get_run(self.session, self.run_path(run))

    def files(self, run: RunLike, *, pattern: str | None = None) -> LazyList[File]:
        """Yield the files of a run. One request a page, lazily."""
        path = self.run_path(run)
        what = described("files", path, pattern=pattern)
        return LazyList(what, iter_files(self.session, path, pattern=pattern))

    def download_files(
        self,
        runs: RunLike | Iterable[RunLike],
        to: Path | str,
        *,
        project: ProjectLike | None = None,
        pattern: str | None = None,
        threads: int = DEFAULT_THREADS,
        progress: Progress | None = None,
    ) -> Download:
        """Download files of one run, of a list of runs or of a selection; see `wbgql.files.download_files`.

        One run's files go into `to` itself, those of several into a folder for each run. Bare ids in a list
        need `project`: the default project is not used for lists.
        """
        one = is_one_run(runs)
        home = None if project is None else self.project_path(project)
        paths = [self.run_path(runs)] if is_one_run(runs) else (self._listed_run(run, home) for run in runs)
        return download_files(
            self.session, self._downloader(threads, progress), paths, Path(to), pattern=pattern, flat=one
        )

    def storage(
        self,
        paths: ProjectLike | Iterable[ProjectLike],
        *,
        by: By = "user",
        manifests: bool = True,
        list_files: bool = False,
        threads: int = DEFAULT_THREADS,
        progress: Progress | None = None,
    ) -> Storage:
        """Count bytes by user, project, type or run; see `wbgql.storage.measure_storage`."""
        named = [paths] if is_one_project(paths) else paths
        return measure_storage(
            self.session,
            self._downloader(threads, None),
            [self.project_path(path) for path in named],
            by=by,
            manifests=manifests,
            list_files=list_files,
            progress=progress,
        )
