"""What every part of the client stands on: settings, one session, and paths read with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, TypeVar

from wbgql.artifacts import Artifact, ArtifactLike, ArtifactPath, parse_artifact_path
from wbgql.deletes.records import DeletionRecord
from wbgql.documents import Documents, load_documents
from wbgql.downloads import Downloader
from wbgql.downloads.fetching import HttpFetcher
from wbgql.errors import ConfigError, UsageError
from wbgql.forks import lazy
from wbgql.limits import Limits
from wbgql.paths import (
    ProjectLike,
    ProjectPath,
    RunLike,
    RunPath,
    check_url_host,
    is_one_run,
    parse_listed_run,
    parse_project_path,
    parse_run_path,
)
from wbgql.progress import NoProgress, Progress
from wbgql.runs import ProjectPattern, ProjectScope, Run, RunSelection
from wbgql.safety.holds import HoldRegister
from wbgql.secrecy import hide
from wbgql.settings import Settings, default_settings
from wbgql.viewer import ServerInfo, Viewer, get_server_info, get_viewer
from wbgql.wire.session import OnRetry, Session, Stats

T = TypeVar("T")


class Connected:
    """Settings, the connection, and paths: what they leave out comes from the settings."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        entity: str | None = None,
        project: str | None = None,
        timeout_s: float | None = None,
        ca_bundle: str | None = None,
        limits: Limits | None = None,
        operations: Sequence[Path | str] = (),
        holds: HoldRegister | None = None,
        deletions: DeletionRecord | None = None,
        settings: Settings | None = None,
        session: Session | None = None,
        on_retry: OnRetry | None = None,
    ) -> None:
        api_key = hide(api_key)
        self.settings = settings or default_settings(
            base_url=base_url,
            api_key=api_key,
            entity=entity,
            project=project,
            timeout_s=timeout_s,
            ca_bundle=ca_bundle,
            limits=limits,
        )
        self.holds = holds or HoldRegister.from_environ()
        self.deletions = deletions or DeletionRecord.from_environ()
        self._folders = tuple(Path(folder) for folder in operations)
        self._given_session = session
        self._on_retry = on_retry
        if self._folders:
            self.documents  # noqa: B018  # a broken folder is told here, not at the first request

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a client holds a connection and a key and is not pickled: make one in each process, and hand "
            "over ids or a list of runs"
        )

    @lazy
    def documents(self) -> Documents:
        """The operations this client knows: the packaged ones and yours."""
        return load_documents(*self._folders)

    @lazy
    def session(self) -> Session:
        """The connection, opened at its first use."""
        if self._given_session is not None:
            return self._given_session
        return Session.open(self.settings, documents=self.documents, on_retry=self._on_retry)

    @lazy
    def fetcher(self) -> HttpFetcher:
        """What reads stored content; opened at its first use."""
        return HttpFetcher(self.settings)

    @property
    def stats(self) -> Stats:
        """Requests and bytes so far."""
        return self.session.stats

    def close(self) -> None:
        """Close the connections."""
        if "fetcher" in self.__dict__:
            self.fetcher.close()
        if "session" in self.__dict__:
            self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.settings!r})"

    def viewer(self) -> Viewer:
        """Return the owner of the key. One request."""
        return get_viewer(self.session)

    def server_info(self) -> ServerInfo | None:
        """Return what the server says of itself. One request."""
        return get_server_info(self.session)

    def project_path(self, project: ProjectLike) -> ProjectPath:
        """Return the path of a project; a text may leave the entity to the settings.

        Takes a path, a project as `projects()` yields it, or a text: `project`, `entity/project` or a URL.

        Raises:
            UsageError: it names no project, or one on another server.
        """
        if isinstance(project, ProjectPath):
            return project
        if isinstance(project, str):
            check_url_host(project, self.settings.base_url)
            return self._with_entity(lambda entity: parse_project_path(project, entity=entity))
        path = getattr(project, "path", None)
        if isinstance(path, ProjectPath) and not isinstance(project, RunSelection):
            return path
        raise UsageError(f"name a project by its path or give the project, not {_kind(project)}")

    def run_path(self, run: RunLike) -> RunPath:
        """Return the path of one run; a text may leave entity and project to the settings.

        Takes a run, its path, or a text: `run_id`, `project/run_id`, `entity/project/run_id` or a URL.

        Raises:
            UsageError: it names no run, several, or one on another server.
        """
        if isinstance(run, RunPath):
            return run
        if isinstance(run, str):
            check_url_host(run, self.settings.base_url)
            return self._with_entity(
                lambda entity: parse_run_path(run, entity=entity, project=self.settings.project)
            )
        given: object = run
        path = getattr(given, "path", None)
        if isinstance(path, RunPath):
            return path
        if isinstance(given, RunSelection):
            raise UsageError(
                f"this takes one run, not the selection of {str(given.scope)!r}: write "
                "`for run in selection:` and give each run; nothing was done"
            )
        raise UsageError(f"name a run by its path or give the run, not {_kind(run)}; nothing was done")

    def run_paths(self, runs: Iterable[RunLike], *, project: ProjectLike | None = None) -> list[RunPath]:
        """Return the paths of explicit runs, in their order.

        The default project is not used here, because a list of ids may come from another project. A bare
        id is read only with `project`; all runs must then lie in it. A selection is a filter that is read
        again at each use, and no list of explicit runs.

        Raises:
            UsageError: an id without a project, a run of another project, a selection, or no list.
        """
        return self._explicit_runs(runs, project=project)[0]

    def _explicit_runs(
        self, runs: Iterable[RunLike], *, project: ProjectLike | None
    ) -> tuple[list[RunPath], dict[RunPath, datetime]]:
        """Return the paths of explicit runs, and when those were made that were given as objects."""
        if isinstance(runs, RunSelection):
            raise UsageError(
                f"this takes explicit runs, not the selection of {str(runs.scope)!r}: list them with "
                "`runs = list(selection.verified())`, look, then hand that list over; nothing was done"
            )
        if is_one_run(runs):
            given = f"the text {runs!r}" if isinstance(runs, str) else repr(runs)
            raise UsageError(f"give a list of runs, not {given}; nothing was done")
        home = None if project is None else self.project_path(project)
        paths, made_at = [], {}
        for run in runs:
            path = self._listed_run(run, home)
            paths.append(path)
            if isinstance(run, Run):
                made_at[path] = run.created_at
        return paths, made_at

    def _named_run(self, run: RunLike) -> tuple[RunPath, dict[RunPath, datetime]]:
        """As `_explicit_runs`, for one run of which something is destroyed.

        The default project completes no text: a bare id may come from a list of another project, such as
        `selection.ids()`.

        Raises:
            UsageError: as `run_path`, or an id without a project.
        """
        paths, made_at = self._explicit_runs([run], project=None)
        return paths[0], made_at

    def _listed_run(self, run: RunLike, project: ProjectPath | None = None) -> RunPath:
        """Return the path of one run out of a list; see `run_paths`."""
        if isinstance(run, str):
            check_url_host(run, self.settings.base_url)
            path = self._with_entity(lambda entity: parse_listed_run(run, entity=entity, project=project))
        else:
            path = self.run_path(run)
        if project is not None and path.project_path != project:
            raise UsageError(
                f"run {str(path)!r} is not in {str(project)!r}, the project that was named; nothing was done"
            )
        return path

    def artifact_path(self, artifact: ArtifactLike) -> ArtifactPath:
        """Return the path of one artifact version; a text may leave entity and project to the settings.

        Takes a version, its path, or a text: `entity/project/collection:alias` or a URL.

        Raises:
            UsageError: it names no version, or its project is not visible to this key.
        """
        if isinstance(artifact, ArtifactPath):
            return artifact
        if isinstance(artifact, str):
            check_url_host(artifact, self.settings.base_url)
            return self._with_entity(
                lambda entity: parse_artifact_path(artifact, entity=entity, project=self.settings.project)
            )
        if isinstance(artifact, Artifact):
            return artifact.artifact_path
        raise UsageError(f"name an artifact version by its path or give the version, not {_kind(artifact)}")

    def whole_artifact_path(self, text: str) -> ArtifactPath:
        """Return the path of a version to delete, or of one out of a list: the text must name every part.

        Raises:
            UsageError: a part is missing, or the text is a URL on another server.
        """
        check_url_host(text, self.settings.base_url)
        return parse_artifact_path(text, alias=None)

    @lazy
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

    def _project_scope(self, path: ProjectLike | ProjectPattern) -> ProjectScope:
        if isinstance(path, ProjectPattern):
            return path
        found = self.project_path(path)
        is_pattern = isinstance(path, str) and "*" in found.project
        return ProjectPattern(found.entity, found.project) if is_pattern else found

    def _configured_project(self) -> str:
        if self.settings.project is None:
            raise UsageError("name a project, as entity/project, or set WANDB_PROJECT")
        return self.settings.project

    def _downloader(self, threads: int, progress: Progress | None) -> Downloader:
        return Downloader(
            fetcher=self.fetcher,
            threads=threads,
            progress=progress or NoProgress(),
            limits=self.settings.limits,
        )


def _kind(thing: object) -> str:
    """What was given instead of a name, without its content."""
    return f"a {type(thing).__name__}"
