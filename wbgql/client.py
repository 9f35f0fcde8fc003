"""The facade users hold: one object, the nouns behind it. Sends nothing until something is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from wbgql.artifacts import OPERATIONS as ARTIFACTS_OPERATIONS
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
    parse_artifact_path,
)
from wbgql.deletes import OPERATIONS as DELETES_OPERATIONS
from wbgql.deletes import (
    ArtifactDeletion,
    Deletion,
    FileDeletion,
    Preview,
    Undeletion,
    delete_artifact,
    delete_files,
    delete_run,
    delete_runs,
    preview_delete,
    undelete_runs,
)
from wbgql.documents import Documents, Operation, load_documents
from wbgql.downloads import DEFAULT_THREADS, Download, Downloader
from wbgql.errors import ConfigError, NotApproved, UsageError
from wbgql.exports import Export, export_runs
from wbgql.fetching import HttpFetcher
from wbgql.files import OPERATIONS as FILES_OPERATIONS
from wbgql.files import File, HasPath, download_files, iter_files
from wbgql.frames import FileFormat
from wbgql.history import OPERATIONS as HISTORY_OPERATIONS
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
from wbgql.holds import HoldRegister
from wbgql.lineage import OPERATIONS as LINEAGE_OPERATIONS
from wbgql.lineage import Direction, Lineage, walk_lineage
from wbgql.own_operations import destroying_fields, read_own_operation, send_own_operation
from wbgql.paths import ProjectPath, RunPath, check_url_host, parse_project_path, parse_run_path
from wbgql.progress import NoProgress, Progress
from wbgql.projects import OPERATIONS as PROJECTS_OPERATIONS
from wbgql.projects import Project, ProjectField, iter_fields, iter_projects
from wbgql.run_frames import Types
from wbgql.runs import (
    MAX_PAGE_SIZE,
    OnUnstable,
    OrderLike,
    ProjectPattern,
    ProjectScope,
    Run,
    RunSelection,
    Select,
    Where,
    get_run,
)
from wbgql.runs import OPERATIONS as RUNS_OPERATIONS
from wbgql.session import OnRetry, Session, Stats
from wbgql.settings import Settings, default_settings
from wbgql.storage import OPERATIONS as STORAGE_OPERATIONS
from wbgql.storage import By, Storage, measure_storage
from wbgql.upserts import OPERATIONS as UPSERTS_OPERATIONS
from wbgql.upserts import Upsert, add_tags, remove_tags, set_config, set_summary, set_tags, upsert_run
from wbgql.viewer import OPERATIONS as VIEWER_OPERATIONS
from wbgql.viewer import ServerInfo, Viewer, get_server_info, get_viewer

T = TypeVar("T")

OPERATIONS: tuple[Operation[Any], ...] = (
    *VIEWER_OPERATIONS,
    *PROJECTS_OPERATIONS,
    *FILES_OPERATIONS,
    *RUNS_OPERATIONS,
    *HISTORY_OPERATIONS,
    *ARTIFACTS_OPERATIONS,
    *LINEAGE_OPERATIONS,
    *STORAGE_OPERATIONS,
    *UPSERTS_OPERATIONS,
    *DELETES_OPERATIONS,
)

_PACKAGED = frozenset(operation.name for operation in OPERATIONS)
_DESTRUCTIVE = frozenset(operation.name for operation in OPERATIONS if operation.destructive)


class Client:
    """A W&B server, seen through its GraphQL API.

    Settings are read as the wandb SDK reads them: arguments, then `WANDB_*` variables, then its
    settings files, then netrc (`client.settings.origin` says where each came from). `operations` are
    folders of your own `.graphql` files, loaded beside the packaged ones. `session` replaces the
    connection, in tests for example. `on_retry` is told before each wait for a busy server.

    Raises:
        ConfigError: a setting is malformed, or no API key can be found.
        DocumentError: an operation of yours is broken or does not fit the SDL.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        entity: str | None = None,
        project: str | None = None,
        timeout_s: float | None = None,
        operations: Sequence[Path | str] = (),
        holds: HoldRegister | None = None,
        settings: Settings | None = None,
        session: Session | None = None,
        on_retry: OnRetry | None = None,
    ) -> None:
        self.settings = settings or default_settings(
            base_url=base_url, api_key=api_key, entity=entity, project=project, timeout_s=timeout_s
        )
        self.holds = holds or HoldRegister.from_environ()
        self._folders = tuple(Path(folder) for folder in operations)
        self._given_session = session
        self._on_retry = on_retry
        if self._folders:
            self.documents  # noqa: B018  # a broken folder is told here, not at the first request

    @cached_property
    def documents(self) -> Documents:
        """The operations this client knows: the packaged ones and yours."""
        return load_documents(*self._folders)

    @cached_property
    def session(self) -> Session:
        """The connection, opened at its first use."""
        if self._given_session is not None:
            return self._given_session
        return Session.open(self.settings, documents=self.documents, on_retry=self._on_retry)

    @property
    def stats(self) -> Stats:
        """Requests and bytes so far."""
        return self.session.stats

    def execute(self, operation: Operation[T], **variables: Any) -> T:
        """Send one operation, packaged or your own, and return its typed result.

        Raises:
            NotApproved: one that destroys, packaged or your own; the `delete_*` methods send such, behind
                their gate.
        """
        if operation.destructive or operation.name in _DESTRUCTIVE or self._destroys(operation.name):
            raise NotApproved(
                f"{operation.name} destroys: call delete_run or another delete_*, which look at rights, "
                "target and holds first; nothing was sent"
            )
        return self.session.execute(operation, **variables)

    def _destroys(self, name: str) -> bool:
        """Whether an operation of the caller's own asks for something that destroys."""
        if name in _PACKAGED or self.documents.get(name).kind != "mutation":
            return False
        return bool(destroying_fields(self.documents.root_fields(name)))

    def query(
        self,
        file: Path | str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation: str | None = None,
        allow_mutation: bool = False,
    ) -> Any:
        """Send one operation of a `.graphql` file of your own and return its data as JSON has it.

        The file is held to the SDL first. One request. See `wbgql.own_operations`.

        Raises:
            DocumentError: the file or the operation is broken or does not fit the SDL.
            NotApproved: a mutation without `allow_mutation`, or one that destroys.
        """
        own = read_own_operation(Path(file), operation)
        return send_own_operation(self.session, own, variables or {}, allow_mutation=allow_mutation)

    def close(self) -> None:
        """Close the connections."""
        if "fetcher" in self.__dict__:
            self.fetcher.close()
        if "session" in self.__dict__:
            self.session.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.settings!r})"

    # Who and where

    def viewer(self) -> Viewer:
        """Return the owner of the key. One request."""
        return get_viewer(self.session)

    def server_info(self) -> ServerInfo | None:
        """Return what the server says of itself. One request."""
        return get_server_info(self.session)

    def project_path(self, path: str | ProjectPath) -> ProjectPath:
        """Read `project`, `entity/project` or a URL; the entity is the configured or the default one."""
        if isinstance(path, ProjectPath):
            return path
        check_url_host(path, self.settings.base_url)
        return self._with_entity(lambda entity: parse_project_path(path, entity=entity))

    def run_path(self, path: str | RunPath) -> RunPath:
        """Read `run_id`, `project/run_id`, `entity/project/run_id` or a URL, the rest from settings."""
        if isinstance(path, RunPath):
            return path
        check_url_host(path, self.settings.base_url)
        return self._with_entity(
            lambda entity: parse_run_path(path, entity=entity, project=self.settings.project)
        )

    # Reading

    def projects(self, entity: str | None = None) -> Iterator[Project]:
        """Yield the projects of an entity, by default one's own. One request a page, lazily."""
        return iter_projects(self.session, entity or self.settings.entity or self._default_entity)

    def fields(self, path: str | ProjectPath, *, pattern: str | None = None) -> Iterator[ProjectField]:
        """Yield the typed keys that runs of a project hold. One request a page, lazily."""
        return iter_fields(self.session, self.project_path(path), pattern=pattern)

    def runs(
        self,
        paths: str | ProjectScope | Sequence[str | ProjectScope] | None = None,
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
        `wandb.Api().runs` takes it (linted). `select` names the config and summary keys to bring, "*"
        all of both; by default none. `client_side`, `stable`, `on_unstable`: see `RunSelection`.

        Raises:
            FilterError: an expression that the server would refuse or misread.
        """
        named = [paths] if paths is None or isinstance(paths, (str, ProjectPath, ProjectPattern)) else paths
        return RunSelection(
            self.session,
            [self._project_scope(path or self._configured_project()) for path in named],
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
        paths: str | ProjectScope | Sequence[str | ProjectScope] | None = None,
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

    def run(self, path: str | RunPath) -> Run:
        """Return one run, whole. One request."""
        return get_run(self.session, self.run_path(path))

    def scan_history(
        self,
        path: str | RunPath,
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
            self.run_path(path),
            keys=keys,
            min_step=min_step,
            max_step=max_step,
            page_size=page_size,
            source=source,
            downloader=self._downloader(DEFAULT_THREADS, None),
        )

    def sample_history(
        self,
        path: str | RunPath,
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
            self.run_path(path),
            keys,
            samples=samples,
            min_step=min_step,
            max_step=max_step,
            together=together,
        )

    def history(
        self,
        runs: str | RunPath | Run | Iterable[str | RunPath | Run],
        *,
        keys: Iterable[str] | None = None,
        min_step: int = 0,
        max_step: int | None = None,
        samples: int | None = None,
        workers: int = 4,
        page_size: int = 1000,
        source: HistorySource = "server",
    ) -> HistorySelection:
        """Select histories of runs, a selection of runs among them; see `HistorySelection`.

        Sends nothing yet. All rows are read, or so many `samples` for each key.
        """
        return HistorySelection(
            self.session,
            [runs] if isinstance(runs, (str, RunPath, Run)) else runs,
            keys=keys,
            min_step=min_step,
            max_step=max_step,
            samples=samples,
            workers=workers,
            page_size=page_size,
            source=source,
            downloader=self._downloader(DEFAULT_THREADS, None),
            read_path=self.run_path,
        )

    def history_exports(self, path: str | RunPath) -> HistoryExports:
        """Return where the Parquet files of a run's history are, if the server has any. One request."""
        return get_history_exports(self.session, self.run_path(path))

    def system_metrics(
        self, path: str | RunPath, *, keys: Iterable[str] | None = None, samples: int | None = None
    ) -> Iterator[Row]:
        """Yield what the machine of a run measured, in order of time. One request, or two."""
        return iter_system_metrics(self.session, self.run_path(path), keys=keys, samples=samples)

    def console_lines(self, path: str | RunPath) -> Iterator[ConsoleLine]:
        """Yield every line that a run printed, in order. One request a page, lazily."""
        return iter_console_lines(self.session, self.run_path(path))

    def last_console_lines(self, path: str | RunPath, count: int) -> list[ConsoleLine]:
        """Return the last `count` lines that a run printed. One request."""
        return get_last_console_lines(self.session, self.run_path(path), count)

    def files(self, path: str | RunPath, *, pattern: str | None = None) -> Iterator[File]:
        """Yield the files of a run. One request a page, lazily."""
        return iter_files(self.session, self.run_path(path), pattern=pattern)

    def logged_artifacts(self, path: str | RunPath) -> Iterator[Artifact]:
        """Yield the artifact versions a run logged. One request a page, lazily."""
        return iter_logged_artifacts(self.session, self.run_path(path))

    def used_artifacts(self, path: str | RunPath) -> Iterator[Artifact]:
        """Yield the artifact versions a run used. One request a page, lazily."""
        return iter_used_artifacts(self.session, self.run_path(path))

    # Artifacts, files and what they take

    @cached_property
    def fetcher(self) -> HttpFetcher:
        """What reads stored content; opened at its first use."""
        return HttpFetcher(self.settings)

    def artifact_path(self, path: str | ArtifactPath) -> ArtifactPath:
        """Read `entity/project/collection:alias` or a URL, what it leaves out from settings."""
        if isinstance(path, ArtifactPath):
            return path
        return self._with_entity(
            lambda entity: parse_artifact_path(path, entity=entity, project=self.settings.project)
        )

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

    def storage(
        self,
        paths: str | ProjectPath | Iterable[str | ProjectPath],
        *,
        by: By = "user",
        manifests: bool = True,
        list_files: bool = False,
        threads: int = DEFAULT_THREADS,
        progress: Progress | None = None,
    ) -> Storage:
        """Count bytes by user, project, type or run; see `wbgql.storage.measure_storage`."""
        named = [paths] if isinstance(paths, (str, ProjectPath)) else paths
        return measure_storage(
            self.session,
            self._downloader(threads, None),
            [self.project_path(path) for path in named],
            by=by,
            manifests=manifests,
            list_files=list_files,
            progress=progress,
        )

    def download_files(
        self,
        runs: str | RunPath | Iterable[str | RunPath | HasPath],
        to: Path | str,
        *,
        pattern: str | None = None,
        threads: int = DEFAULT_THREADS,
        progress: Progress | None = None,
    ) -> Download:
        """Download files of one run, or of all runs of a selection; see `wbgql.files.download_files`.

        One run's files go into `to` itself, those of several into a folder for each run.
        """
        one = isinstance(runs, (str, RunPath))
        named: Iterable[str | RunPath | HasPath] = [runs] if isinstance(runs, (str, RunPath)) else runs
        paths = (self.run_path(run) if isinstance(run, str) else run for run in named)
        return download_files(
            self.session, self._downloader(threads, progress), paths, Path(to), pattern=pattern, flat=one
        )

    def _downloader(self, threads: int, progress: Progress | None) -> Downloader:
        return Downloader(fetcher=self.fetcher, threads=threads, progress=progress or NoProgress())

    # Changing

    def upsert_run(
        self,
        path: str | RunPath,
        *,
        display_name: str | None = None,
        notes: str | None = None,
        tags: Iterable[str] | None = None,
        group: str | None = None,
        job_type: str | None = None,
        config: Mapping[str, Any] | None = None,
        summary: Mapping[str, Any] | None = None,
        state: str | None = None,
        force: bool = False,
    ) -> Upsert:
        """Create a run or change it; see `wbgql.upserts.upsert_run`. Three requests."""
        return upsert_run(
            self.session,
            self.run_path(path),
            display_name=display_name,
            notes=notes,
            tags=tags,
            group=group,
            job_type=job_type,
            config=config,
            summary=summary,
            state=state,
            force=force,
        )

    def set_tags(self, path: str | RunPath, tags: Iterable[str], *, force: bool = False) -> Run:
        """Replace all tags of a run."""
        return set_tags(self.session, self.run_path(path), tags, force=force)

    def add_tags(self, path: str | RunPath, *tags: str, force: bool = False) -> Run:
        """Add tags to those a run has."""
        return add_tags(self.session, self.run_path(path), *tags, force=force)

    def remove_tags(self, path: str | RunPath, *tags: str, force: bool = False) -> Run:
        """Remove tags from those a run has."""
        return remove_tags(self.session, self.run_path(path), *tags, force=force)

    def set_config(self, path: str | RunPath, values: Mapping[str, Any], *, force: bool = False) -> Run:
        """Set config keys of a run, keeping the others."""
        return set_config(self.session, self.run_path(path), values, force=force)

    def set_summary(self, path: str | RunPath, values: Mapping[str, Any], *, force: bool = False) -> Run:
        """Set summary keys of a run, keeping the others."""
        return set_summary(self.session, self.run_path(path), values, force=force)

    # Destroying and bringing back

    def preview_delete(self, path: str | RunPath, *, force: bool = False) -> Preview:
        """Say what `delete_run` would do to a run now; sends no mutation."""
        return preview_delete(self.session, self.run_path(path), holds=self.holds, force=force)

    def delete_run(self, path: str | RunPath, *, force: bool = False) -> Deletion:
        """Hide one run and prove it by an independent read; see `wbgql.deletes.delete_run`."""
        return delete_run(self.session, self.run_path(path), holds=self.holds, force=force)

    def delete_runs(
        self,
        paths: Iterable[str | RunPath],
        *,
        force: bool = False,
        on_result: Callable[[Deletion], None] = lambda _: None,
    ) -> list[Deletion]:
        """Hide runs one by one, each through the gate; see `wbgql.deletes.delete_runs`."""
        if isinstance(paths, str):  # each of its letters could be a run's id
            raise UsageError(f"give a list of runs, not the text {paths!r}; nothing was done")
        resolved = [self.run_path(path) for path in paths]
        return delete_runs(self.session, resolved, holds=self.holds, force=force, on_result=on_result)

    def delete_files(self, path: str | RunPath, names: Iterable[str], *, force: bool = False) -> FileDeletion:
        """Delete files of a run by their names; see `wbgql.deletes.delete_files`."""
        return delete_files(self.session, self.run_path(path), names, holds=self.holds, force=force)

    def delete_artifact(self, artifact_id: str, *, delete_aliases: bool = False) -> ArtifactDeletion:
        """Delete one artifact version by its id; see `wbgql.deletes.delete_artifact`."""
        return delete_artifact(self.session, artifact_id, holds=self.holds, delete_aliases=delete_aliases)

    def undelete_runs(self, path: str | ProjectPath, run_ids: Iterable[str]) -> Undeletion:
        """Bring hidden runs of a project back by their ids; see `wbgql.deletes.undelete_runs`."""
        return undelete_runs(self.session, self.project_path(path), run_ids)

    @cached_property
    def _default_entity(self) -> str:
        entity = self.viewer().entity
        if entity is None:
            raise ConfigError(
                "the server names no default entity for this key; set WANDB_ENTITY or pass entity="
            )
        return entity

    def _with_entity(self, parse: Callable[[str | None], T]) -> T:
        """Parse a path; ask the server for the default entity only where nothing else names one."""
        if self.settings.entity is not None:
            return parse(self.settings.entity)
        try:
            return parse(None)
        except UsageError:
            parse("entity")  # raises for what is wrong besides the entity, before a request is sent
            return parse(self._default_entity)

    def _project_scope(self, path: str | ProjectScope) -> ProjectScope:
        if isinstance(path, ProjectPattern):
            return path
        found = self.project_path(path)
        is_pattern = isinstance(path, str) and "*" in found.project
        return ProjectPattern(found.entity, found.project) if is_pattern else found

    def _configured_project(self) -> str:
        if self.settings.project is None:
            raise UsageError("name a project, as entity/project, or set WANDB_PROJECT")
        return self.settings.project
