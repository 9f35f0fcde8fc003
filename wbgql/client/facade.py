"""The facade users hold: one object, the nouns behind it. Sends nothing until something is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

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
from wbgql.bars import terminal_bar
from wbgql.cautions import warn
from wbgql.client.connecting import Connected
from wbgql.client.operations import DESTRUCTIVE
from wbgql.deletes import (
    DEFAULT_RATE,
    ArtifactDeletion,
    DeletedRuns,
    Deletion,
    FileDeletion,
    FoundVersion,
    Preview,
    Undeletion,
    WithArtifacts,
    delete_artifact,
    delete_artifacts,
    delete_files,
    delete_run,
    delete_runs,
    list_deleted,
    list_recorded,
    lists_deleted,
    make_record,
    preview_delete,
    preview_deletes,
    undelete_runs,
)
from wbgql.documents import Operation
from wbgql.downloads import DEFAULT_THREADS, Download
from wbgql.edits import KeyPath, Values
from wbgql.errors import NotApproved, PartialError, StoreError, UsageError
from wbgql.exports import Export, export_runs
from wbgql.files import File, download_files, iter_files
from wbgql.frames import FileFormat
from wbgql.history import (
    ConsoleLine,
    HistoryExports,
    HistoryScan,
    HistorySelection,
    Row,
    get_history_exports,
    get_last_console_lines,
    iter_console_lines,
    iter_system_metrics,
    sample_history,
    scan_history,
)
from wbgql.history import Source as HistorySource
from wbgql.lazy import LazyList, described
from wbgql.limiting import Limits
from wbgql.own_operations import check_keeps, read_own_operation, send_own_operation
from wbgql.paths import HasPath, ProjectLike, ProjectPath, RunLike, RunPath, is_one_project, is_one_run
from wbgql.progress import NoProgress, Progress
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
from wbgql.safety.gate import Gate
from wbgql.storage import By, Storage, measure_storage
from wbgql.upserts import (
    Upsert,
    add_tags,
    remove_tags,
    set_config,
    set_summary,
    set_tags,
    unset_config,
    unset_summary,
    upsert_run,
)

T = TypeVar("T")


class Client(Connected):
    """A W&B server, seen through its GraphQL API.

    Settings are read as the wandb SDK reads them: arguments, then `WANDB_*` variables, then its
    settings files, then netrc (`client.settings.origin` says where each came from). `operations` are
    folders of your own `.graphql` files, loaded beside the packaged ones. `session` replaces the
    connection, in tests for example. `on_retry` is told before each wait for a busy server.

    Raises:
        ConfigError: a setting is malformed, or no API key can be found.
        DocumentError: an operation of yours is broken or does not fit the SDL.
    """

    def execute(self, operation: Operation[T], **variables: Any) -> T:
        """Send one operation, packaged or your own, and return its typed result.

        Raises:
            NotApproved: it can destroy (`wbgql.documents.effects`), packaged or your own. The methods of the
                client send such operations, behind their checks.
        """
        if operation.destructive or operation.name in DESTRUCTIVE:
            raise NotApproved(
                f"{operation.name} destroys: call delete_run or another delete_*, which look at rights, "
                "target and holds first; nothing was sent"
            )
        if self.documents.get(operation.name).kind == "mutation":
            check_keeps(operation.name, self.documents.calls(operation.name), variables)
        return self.session.execute(operation, **variables)

    def query(
        self,
        file: Path | str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation: str | None = None,
        allow_mutation: bool = False,
    ) -> Any:
        """Send one operation of a `.graphql` file of your own and return its data as JSON has it.

        The file is checked against the SDL first. One request. See `wbgql.own_operations`.

        Raises:
            DocumentError: the file or the operation is broken or does not fit the SDL.
            NotApproved: a mutation without `allow_mutation`, or one that can destroy.
        """
        own = read_own_operation(Path(file), operation)
        return send_own_operation(self.session, own, variables or {}, allow_mutation=allow_mutation)

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

    def scan_history(
        self,
        run: RunLike,
        *,
        keys: Iterable[str] | None = None,
        min_step: int = 0,
        max_step: int | None = None,
        page_size: int = 1000,
        source: HistorySource = "server",
    ) -> HistoryScan:
        """Return every logged row of a run, to be iterated, in order of steps; see `HistoryScan`."""
        return scan_history(
            self.session,
            self.run_path(run),
            keys=keys,
            min_step=min_step,
            max_step=max_step,
            page_size=page_size,
            source=source,
            downloader=self._downloader(DEFAULT_THREADS, None),
        )

    def sample_history(
        self,
        run: RunLike,
        keys: Iterable[str],
        *,
        samples: int = 500,
        min_step: int = 0,
        max_step: int | None = None,
        together: bool = False,
    ) -> list[Row]:
        """Return up to `samples` rows for each key, chosen by the server, joined by step. One request."""
        return sample_history(
            self.session,
            self.run_path(run),
            keys,
            samples=samples,
            min_step=min_step,
            max_step=max_step,
            together=together,
        )

    def history(
        self,
        runs: RunLike | Iterable[RunLike],
        *,
        project: ProjectLike | None = None,
        keys: Iterable[str] | None = None,
        min_step: int = 0,
        max_step: int | None = None,
        samples: int | None = None,
        workers: int = 4,
        page_size: int = 1000,
        source: HistorySource = "server",
    ) -> HistorySelection:
        """Select histories of one run, a list of runs or a selection; see `HistorySelection`.

        Sends nothing yet. All rows are read, or up to `samples` for each key. Bare ids in a list need
        `project`: the default project is not used for lists.
        """
        home = None if project is None else self.project_path(project)
        return HistorySelection(
            self.session,
            [self.run_path(runs)] if is_one_run(runs) else runs,
            keys=keys,
            min_step=min_step,
            max_step=max_step,
            samples=samples,
            workers=workers,
            page_size=page_size,
            source=source,
            downloader=self._downloader(DEFAULT_THREADS, None),
            read_path=lambda run: self._listed_run(run, home),
        )

    def history_exports(self, run: RunLike) -> HistoryExports:
        """Return where the Parquet files of a run's history are, if the server has any. One request."""
        return get_history_exports(self.session, self.run_path(run))

    def system_metrics(
        self, run: RunLike, *, keys: Iterable[str] | None = None, samples: int | None = None
    ) -> LazyList[Row]:
        """Yield what the machine of a run measured, in order of time. One request, or two."""
        path = self.run_path(run)
        rows = iter_system_metrics(self.session, path, keys=keys, samples=samples)
        return LazyList(described("system_metrics", path, samples=samples), rows)

    def console_lines(self, run: RunLike) -> LazyList[ConsoleLine]:
        """Yield every line that a run printed, in order. One request a page, lazily."""
        path = self.run_path(run)
        return LazyList(described("console_lines", path), iter_console_lines(self.session, path))

    def last_console_lines(self, run: RunLike, count: int) -> list[ConsoleLine]:
        """Return the last `count` lines that a run printed. One request."""
        return get_last_console_lines(self.session, self.run_path(run), count)

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

    def upsert_run(
        self,
        run: RunLike,
        *,
        display_name: str | None = None,
        notes: str | None = None,
        tags: Iterable[str] | None = None,
        group: str | None = None,
        job_type: str | None = None,
        config: Values | None = None,
        summary: Values | None = None,
        unset_config: Iterable[KeyPath] = (),
        unset_summary: Iterable[KeyPath] = (),
        state: str | None = None,
        replace: bool = False,
        force: bool = False,
    ) -> Upsert:
        """Create a run or change it; see `wbgql.upserts.upsert_run`. Three requests."""
        return upsert_run(
            self.session,
            self.run_path(run),
            display_name=display_name,
            notes=notes,
            tags=tags,
            group=group,
            job_type=job_type,
            config=config,
            summary=summary,
            unset_config=unset_config,
            unset_summary=unset_summary,
            state=state,
            replace=replace,
            force=force,
        )

    def set_tags(self, run: RunLike, tags: Iterable[str], *, force: bool = False) -> Run:
        """Replace all tags of a run."""
        return set_tags(self.session, self.run_path(run), tags, force=force)

    def add_tags(self, run: RunLike, *tags: str, force: bool = False) -> Run:
        """Add tags to those a run has."""
        return add_tags(self.session, self.run_path(run), *tags, force=force)

    def remove_tags(self, run: RunLike, *tags: str, force: bool = False) -> Run:
        """Remove tags from those a run has."""
        return remove_tags(self.session, self.run_path(run), *tags, force=force)

    def set_config(self, run: RunLike, values: Values, *, replace: bool = False, force: bool = False) -> Run:
        """Set config keys of a run, keeping the others; see `wbgql.upserts.set_config`."""
        return set_config(self.session, self.run_path(run), values, replace=replace, force=force)

    def set_summary(self, run: RunLike, values: Values, *, replace: bool = False, force: bool = False) -> Run:
        """Set summary keys of a run, keeping the others; see `wbgql.upserts.set_summary`."""
        return set_summary(self.session, self.run_path(run), values, replace=replace, force=force)

    def unset_config(self, run: RunLike, *keys: KeyPath, force: bool = False) -> Run:
        """Remove config keys of a run; see `wbgql.upserts.unset_config`."""
        return unset_config(self.session, self.run_path(run), *keys, force=force)

    def unset_summary(self, run: RunLike, *keys: KeyPath, force: bool = False) -> Run:
        """Remove summary keys of a run; see `wbgql.upserts.unset_summary`."""
        return unset_summary(self.session, self.run_path(run), *keys, force=force)

    def preview_delete(self, run: RunLike, *, force: bool = False) -> Preview:
        """Say what `delete_run` would do to a run now; sends no mutation."""
        path, made_at = self._named_run(run)
        gate = Gate(self.session, self.holds, made_at=made_at)
        return preview_delete(self.session, path, holds=self.holds, force=force, gate=gate)

    def preview_deletes(
        self,
        runs: Iterable[RunLike],
        *,
        project: ProjectLike | None = None,
        force: bool = False,
        progress: Progress | bool = False,
    ) -> list[Preview]:
        """Say what `delete_runs` would do now; see `wbgql.deletes.preview_deletes`. A request for 25 runs."""
        paths, made_at = self._explicit_runs(runs, project=project)
        gate = Gate(self.session, self.holds, made_at=made_at)
        with _reporter(progress, "looking runs up") as reporter:
            return preview_deletes(
                self.session, paths, holds=self.holds, force=force, gate=gate, progress=reporter
            )

    def delete_run(self, run: RunLike, *, force: bool = False) -> Deletion:
        """Hide one run and prove it by an independent read; see `wbgql.deletes.delete_run`.

        Takes a run, its path, or a text that names its project too. A run that was made at another time than
        the one at its path is not deleted: it is of another server, or was replaced.
        """
        path, made_at = self._named_run(run)
        gate = Gate(self.session, self.holds, made_at=made_at)
        deletion = delete_run(self.session, path, holds=self.holds, force=force, gate=gate)
        self._record(deletion)
        return deletion

    def delete_runs(
        self,
        runs: Iterable[RunLike],
        *,
        project: ProjectLike | None = None,
        force: bool = False,
        with_artifacts: bool | WithArtifacts = False,
        rate: float = DEFAULT_RATE,
        progress: Progress | bool = False,
        on_result: Callable[[Deletion], None] = lambda _: None,
        check: bool = True,
    ) -> list[Deletion]:
        """Hide runs of one project or several; return one outcome per run, in order.

        `with_artifacts=True` deletes the versions they logged too, except those with aliases or links; give
        `WithArtifacts(delete_aliases=True)` for those as well. This cannot be undone. At most `rate` requests
        per second are sent. `progress=True` draws a bar if stderr is a terminal. If
        some runs were not hidden, raise `PartialError`, or return their outcomes too with `check=False`. See
        `wbgql.deletes.delete_runs` for what each outcome means, what ends a batch, and what it costs.

        `runs` are runs, paths or texts. Bare ids need `project`, the project that all of them are in: the
        default project is not used for lists. A selection is refused, because a deletion takes explicit
        runs: list them first, with `selection.verified()`.

        Raises:
            UsageError: a selection, one text in place of a list, or an id without a project.
        """
        paths, made_at = self._explicit_runs(runs, project=project)

        def told(deletion: Deletion) -> None:
            self._record(deletion)
            on_result(deletion)

        with _reporter(progress, "hiding runs") as reporter:
            return delete_runs(
                self.session,
                paths,
                holds=self.holds,
                force=force,
                with_artifacts=WithArtifacts() if with_artifacts is True else with_artifacts or None,
                made_at=made_at,
                limits=Limits(rate=rate),
                progress=reporter,
                on_result=told,
                check=check,
            )

    def delete_files(self, run: RunLike, files: Iterable[str | File], *, force: bool = False) -> FileDeletion:
        """Delete files of a run, by name or as `files()` gives them; see `wbgql.deletes.delete_files`.

        Takes a run, its path, or a text that names its project too.
        """
        path, made_at = self._named_run(run)
        return delete_files(self.session, path, files, holds=self.holds, force=force, made_at=made_at)

    def delete_artifact(
        self,
        artifact: ArtifactLike,
        *,
        delete_aliases: bool = False,
        delete_links: bool = False,
    ) -> ArtifactDeletion:
        """Delete one artifact version and prove it; see `wbgql.deletes.delete_artifact`.

        Takes a version, its path, its storage id, or the whole `entity/project/collection:alias`. Neither the
        default project nor `latest` completes it. A version whose id names another path or content by now is
        not deleted: it is of another server, or was moved. Three requests.

        Raises:
            UsageError: the path is not whole, or names a link to a version of another collection; nothing
                was done.
        """
        return delete_artifact(
            self.session,
            self._named_version(artifact),
            holds=self.holds,
            delete_aliases=delete_aliases,
            delete_links=delete_links,
        )

    def delete_artifacts(
        self,
        artifacts: Iterable[ArtifactLike | FoundVersion],
        *,
        delete_aliases: bool = False,
        delete_links: bool = False,
        rate: float = DEFAULT_RATE,
        progress: Progress | bool = False,
        on_result: Callable[[ArtifactDeletion], object] = lambda _: None,
        check: bool = True,
    ) -> list[ArtifactDeletion]:
        """Delete artifact versions; return one outcome per version, in order.

        A version that is held, the server's own, aliased or linked does not keep the others. See
        `delete_runs` for `rate`, `progress` and `check`, and `wbgql.deletes.delete_artifacts`.
        """
        if isinstance(artifacts, str):
            raise UsageError(f"give a list of versions, not the text {artifacts!r}; nothing was done")
        named = [one if isinstance(one, FoundVersion) else self._named_version(one) for one in artifacts]
        with _reporter(progress, "deleting versions") as reporter:
            return delete_artifacts(
                self.session,
                named,
                holds=self.holds,
                delete_aliases=delete_aliases,
                delete_links=delete_links,
                limits=Limits(rate=rate),
                progress=reporter,
                on_result=on_result,
                check=check,
            )

    def undelete_runs(self, project: ProjectLike, runs: Iterable[RunLike]) -> Undeletion:
        """Bring hidden runs of a project back, by ids or paths; see `wbgql.deletes.undelete_runs`.

        Raises:
            UsageError: a selection or one text in place of a list, or a run of another project.
        """
        home = self.project_path(project)
        run_ids = [path.run_id for path in self.run_paths(runs, project=home)]
        try:
            answer = undelete_runs(self.session, home, run_ids)
        except PartialError as error:
            self._forget(home, error.done)
            raise
        self._forget(home, answer.restored)
        return answer

    def deleted_runs(self, *projects: ProjectLike) -> DeletedRuns:
        """Return the runs that are deleted and may be restored, latest first.

        wbgql's local server lists them. No other server does: then the runs are those that wbgql's own record
        has of this deployment, each looked up (one request for 25 runs of a project). `projects`: only those;
        without any, all of the record.

        Raises:
            NotFound: a project is missing or not visible, or this key may restore nothing there.
            StoreError: the record cannot be read.
            UsageError: no project is named, and the server would have to list all.
        """
        named = [self.project_path(project) for project in projects]
        if lists_deleted(self.session):
            if not named:
                raise UsageError("name at least one project: this server lists deleted runs by project")
            return DeletedRuns(
                runs=[run for project in named for run in list_deleted(self._read_url, project)], listed=True
            )
        recorded = list_recorded(self.session, self.deletions, self.settings.deployment, named)
        return DeletedRuns(runs=recorded, listed=False)

    def _read_url(self, url: str) -> bytes:
        return self._downloader(1, None).read(url)

    def _record(self, deletion: Deletion) -> None:
        """Record a hidden run; that it cannot be recorded must not undo what is done."""
        if deletion.outcome != "hidden":
            return
        now = datetime.now(UTC)
        entry = make_record(self.settings.deployment, deletion.path, now=now, undo_until=deletion.undo_until)
        try:
            self.deletions.add(entry, now=now)
        except StoreError as error:
            warn(f"run {deletion.path!r} is hidden, and could not be recorded: {error}", RuntimeWarning)

    def _forget(self, project: ProjectPath, run_ids: Iterable[str]) -> None:
        try:
            self.deletions.forget(self.settings.deployment, {f"{project}/{run_id}" for run_id in run_ids})
        except StoreError as error:
            warn(f"the restored runs stay in the record of deletions: {error}", RuntimeWarning)

    def _named_version(self, artifact: ArtifactLike) -> str | ArtifactPath | Artifact:
        """Read a text as a storage id or a whole path; an id has neither a slash nor a colon."""
        if not isinstance(artifact, str) or not {"/", ":"} & set(artifact):
            return artifact
        return self.whole_artifact_path(artifact)


def _reporter(progress: Progress | bool, what: str) -> AbstractContextManager[Progress]:
    """What a `progress` argument stands for: True is a bar, False nothing."""
    if progress is True:
        return terminal_bar(what)
    return nullcontext(NoProgress() if progress is False else progress)
