"""Reads what takes room: runs with the bytes of their files, versions with the contents they list."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from wbgql.artifacts import Version, VersionQuery, iter_versions, read_manifest
from wbgql.documents import NOT_FETCHED, NamedProject, Operation, Result
from wbgql.downloads import Downloader
from wbgql.errors import NotFound, RequestError, ResponseError, ResultError
from wbgql.files import iter_files, iter_files_of_project
from wbgql.forks import Workers
from wbgql.paths import ProjectPath, RunPath
from wbgql.storage.counting import Content
from wbgql.wire.connection import Connection, iter_nodes
from wbgql.wire.session import Session

_RUNS_PER_PAGE = 1000


class _User(Result, frozen=True):
    username: str | None


class _RunBytes(Result, frozen=True, kw_only=True):
    id: str
    name: str
    storage_bytes: int | None = NOT_FETCHED
    file_count: int | None = NOT_FETCHED
    user: _User | None


class _RunsOf(NamedProject, frozen=True, kw_only=True):
    runs: Connection[_RunBytes] | None


class _ListRunBytes(Result, frozen=True):
    project: _RunsOf | None


class Meter(NamedProject, frozen=True, kw_only=True):
    """What the server itself says a project holds."""

    storage_bytes: int | None = NOT_FETCHED
    run_count: int


class _GetProjectBytes(Result, frozen=True):
    project: Meter | None


LIST_RUN_BYTES = Operation("ListRunBytes", _ListRunBytes, paged=True, informs=True)
GET_PROJECT_BYTES = Operation("GetProjectBytes", _GetProjectBytes, informs=True)
OPERATIONS: tuple[Operation[Any], ...] = (LIST_RUN_BYTES, GET_PROJECT_BYTES)


class _NoMeter(Exception):
    """The server's schema has no meter for the files of runs."""


@dataclass(frozen=True, slots=True)
class RunBytes:
    """A run with its creator and the room its files take."""

    path: RunPath
    user: str | None
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class VersionBytes:
    """A version with the contents its manifest lists; None, and `error`, where that was not read."""

    version: Version
    contents: list[Content] | None
    reference_bytes: int = 0
    error: str | None = None


def iter_run_bytes(session: Session, path: ProjectPath, *, list_files: bool = False) -> Iterator[RunBytes]:
    """Yield every run of a project with the bytes of its files.

    One request for 1000 runs, by the server's meter. With `list_files`, or where the server has no
    meter, the files are listed and added up: one request for 50 runs or more. The meter may lag, and may
    still count files that were deleted.

    Raises:
        NotFound: the project is missing or not visible.

    Source: the shown size of a run stays when files are deleted (wandb/wandb#7311).
    """
    if not list_files:
        try:
            yield from _iter_metered(session, path)
        except _NoMeter:
            pass
        else:
            return
    for run, user, files in iter_files_of_project(session, path):
        yield RunBytes(run, user, len(files), sum(file.size_bytes for file in files))


def iter_version_bytes(
    session: Session, path: ProjectPath, downloader: Downloader, *, manifests: bool = True
) -> Iterator[VersionBytes]:
    """Yield every committed version of a project with its contents, in no certain order.

    Costs what listing the versions costs and one download for each version's manifest, several at a
    time; without `manifests` nothing is downloaded, and what is shared cannot be told.

    Raises:
        NotFound: the project is missing or not visible.
    """
    versions = iter_versions(session, path, VersionQuery(with_manifest=manifests))
    if not manifests:
        yield from (VersionBytes(version, None) for version in versions)
        return
    yield from _in_parallel(
        lambda version: _read_contents(session, downloader, path, version), versions, downloader.threads
    )


def get_meter(session: Session, path: ProjectPath) -> Meter | None:
    """What the server's meter says of a whole project; None where it does not say. One request.

    `storage_bytes` is `NOT_FETCHED` where the server's schema has no such meter, None where it gives null.
    """
    try:
        return session.execute(GET_PROJECT_BYTES, entity=path.entity, project=path.project).project
    except (ResponseError, ResultError):
        return None


def _iter_metered(session: Session, path: ProjectPath) -> Iterator[RunBytes]:
    def fetch(first: int, after: str | None) -> Connection[_RunBytes]:
        project = session.execute(
            LIST_RUN_BYTES, entity=path.entity, project=path.project, first=first, after=after
        ).project
        if project is None or project.runs is None:
            raise NotFound.project(path, operation=LIST_RUN_BYTES.name)
        return project.runs

    for node in iter_nodes(
        fetch,
        changes=session.changes,
        page_size=_RUNS_PER_PAGE,
        key=lambda node: node.id,
        what=f"runs of {str(path)!r}",
    ):
        run = RunPath(path.entity, path.project, node.name)
        user = node.user.username if node.user else None
        if node.storage_bytes is NOT_FETCHED or node.file_count is NOT_FETCHED:
            raise _NoMeter  # the server lacks the field, so this is the first run
        if node.storage_bytes is None:  # its files say it
            sizes = [file.size_bytes for file in iter_files(session, run)]
            yield RunBytes(run, user, len(sizes), sum(sizes))
        else:
            yield RunBytes(run, user, node.file_count or 0, node.storage_bytes)


def _read_contents(
    session: Session, downloader: Downloader, path: ProjectPath, version: Version
) -> VersionBytes:
    try:
        manifest = read_manifest(session, downloader, version)
    except RequestError as error:
        return VersionBytes(version, None, error=str(error))
    contents = [
        Content(f"{path.entity}/{entry.digest}", entry.size or 0) for entry in manifest.stored.values()
    ]
    elsewhere = sum(entry.size or 0 for entry in manifest.contents.values() if entry.ref is not None)
    return VersionBytes(version, contents, elsewhere)


def _in_parallel(
    call: Callable[[Version], VersionBytes], versions: Iterable[Version], threads: int
) -> Iterator[VersionBytes]:
    with Workers(threads, "wbgql-manifests") as pool:
        waiting: deque[Future[VersionBytes]] = deque()
        for version in versions:
            waiting.append(pool.submit(call, version))
            if len(waiting) >= threads * 4:
                yield pool.wait(waiting.popleft())
        while waiting:
            yield pool.wait(waiting.popleft())
