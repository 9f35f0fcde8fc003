"""What every part of the client stands on: settings, one session, and paths read with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from wbgql.artifacts import ArtifactPath, parse_artifact_path
from wbgql.documents import Documents, load_documents
from wbgql.downloads import Downloader
from wbgql.errors import ConfigError, UsageError
from wbgql.fetching import HttpFetcher
from wbgql.forks import lazy
from wbgql.holds import HoldRegister
from wbgql.paths import ProjectPath, RunPath, check_url_host, parse_project_path, parse_run_path
from wbgql.progress import NoProgress, Progress
from wbgql.runs import ProjectPattern, ProjectScope
from wbgql.session import OnRetry, Session, Stats
from wbgql.settings import Settings, default_settings
from wbgql.viewer import ServerInfo, Viewer, get_server_info, get_viewer

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

    def artifact_path(self, path: str | ArtifactPath) -> ArtifactPath:
        """Read `entity/project/collection:alias` or a URL, what it leaves out from settings."""
        if isinstance(path, ArtifactPath):
            return path
        return self._with_entity(
            lambda entity: parse_artifact_path(path, entity=entity, project=self.settings.project)
        )

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

    def _downloader(self, threads: int, progress: Progress | None) -> Downloader:
        return Downloader(fetcher=self.fetcher, threads=threads, progress=progress or NoProgress())
