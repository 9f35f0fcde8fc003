"""The facade users hold: one object, the nouns behind it. Sends nothing until something is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from wbgql.artifacts import OPERATIONS as ARTIFACTS_OPERATIONS
from wbgql.artifacts import Artifact, iter_logged_artifacts, iter_used_artifacts
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
from wbgql.errors import ConfigError, UsageError
from wbgql.files import OPERATIONS as FILES_OPERATIONS
from wbgql.files import File, iter_files
from wbgql.history import OPERATIONS as HISTORY_OPERATIONS
from wbgql.history import Row, sample_history, scan_history
from wbgql.holds import HoldRegister
from wbgql.paths import ProjectPath, RunPath, parse_project_path, parse_run_path
from wbgql.projects import OPERATIONS as PROJECTS_OPERATIONS
from wbgql.projects import Project, ProjectField, iter_fields, iter_projects
from wbgql.runs import MAX_PAGE_SIZE, OrderLike, Run, RunSelection, Select, Where, get_run
from wbgql.runs import OPERATIONS as RUNS_OPERATIONS
from wbgql.session import Session, Stats
from wbgql.settings import Settings, default_settings
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
    *UPSERTS_OPERATIONS,
    *DELETES_OPERATIONS,
)


class Client:
    """A W&B server, seen through its GraphQL API.

    Settings are read as the wandb SDK reads them: arguments, then `WANDB_*` variables, then its
    settings files, then netrc (`client.settings.origin` says where each came from). `operations` are
    folders of your own `.graphql` files, loaded beside the packaged ones. `session` replaces the
    connection, in tests for example.

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
    ) -> None:
        self.settings = settings or default_settings(
            base_url=base_url, api_key=api_key, entity=entity, project=project, timeout_s=timeout_s
        )
        self.holds = holds or HoldRegister.from_environ()
        self._folders = tuple(Path(folder) for folder in operations)
        self._given_session = session
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
        return Session.open(self.settings, documents=self.documents)

    @property
    def stats(self) -> Stats:
        """Requests and bytes so far."""
        return self.session.stats

    def execute(self, operation: Operation[T], **variables: Any) -> T:
        """Send one operation, packaged or your own, and return its typed result."""
        return self.session.execute(operation, **variables)

    def close(self) -> None:
        """Close the connection."""
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
        return self._with_entity(lambda entity: parse_project_path(path, entity=entity))

    def run_path(self, path: str | RunPath) -> RunPath:
        """Read `run_id`, `project/run_id`, `entity/project/run_id` or a URL, the rest from settings."""
        if isinstance(path, RunPath):
            return path
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
        path: str | ProjectPath | None = None,
        *,
        where: Where = None,
        order: OrderLike = None,
        select: Select = (),
        limit: int | None = None,
        filters: Mapping[str, Any] | None = None,
        page_size: int = MAX_PAGE_SIZE,
    ) -> RunSelection:
        """Select runs of a project; the server filters, orders and projects. Sends nothing yet.

        `where` is an expression or its text, `filters` a dict as `wandb.Api().runs` takes it (linted).
        `select` names the config and summary keys to bring, "*" all of both; by default none.

        Raises:
            FilterError: an expression that the server would refuse or misread.
        """
        return RunSelection(
            self.session,
            self.project_path(path or self._configured_project()),
            where=where,
            order=order,
            select=select,
            limit=limit,
            filters=filters,
            page_size=page_size,
        )

    def run(self, path: str | RunPath) -> Run:
        """Return one run, whole. One request."""
        return get_run(self.session, self.run_path(path))

    def scan_history(
        self, path: str | RunPath, *, min_step: int = 0, max_step: int | None = None, page_size: int = 1000
    ) -> Iterator[Row]:
        """Yield every logged row of a run, in order of steps. One request for each `page_size` steps."""
        return scan_history(
            self.session, self.run_path(path), min_step=min_step, max_step=max_step, page_size=page_size
        )

    def sample_history(self, path: str | RunPath, keys: Sequence[str], *, samples: int = 500) -> list[Row]:
        """Return up to `samples` rows that hold all of `keys`, chosen by the server. One request."""
        return sample_history(self.session, self.run_path(path), keys, samples=samples)

    def files(self, path: str | RunPath, *, pattern: str | None = None) -> Iterator[File]:
        """Yield the files of a run. One request a page, lazily."""
        return iter_files(self.session, self.run_path(path), pattern=pattern)

    def logged_artifacts(self, path: str | RunPath) -> Iterator[Artifact]:
        """Yield the artifact versions a run logged. One request a page, lazily."""
        return iter_logged_artifacts(self.session, self.run_path(path))

    def used_artifacts(self, path: str | RunPath) -> Iterator[Artifact]:
        """Yield the artifact versions a run used. One request a page, lazily."""
        return iter_used_artifacts(self.session, self.run_path(path))

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

    def _configured_project(self) -> str:
        if self.settings.project is None:
            raise UsageError("name a project, as entity/project, or set WANDB_PROJECT")
        return self.settings.project
