"""Files of runs: list them, of one run or of many, and download them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from wbgql.cautions import warn
from wbgql.documents import NOT_FETCHED, NamedObject, NamedProject, Operation, Result
from wbgql.downloads import Download, Downloader, Wanted
from wbgql.errors import CoverageWarning, NotFound, UsageError
from wbgql.paths import HasPath, ProjectPath, RunPath
from wbgql.scalars import dump_json
from wbgql.wire.connection import Begun, Connection, iter_nodes, iter_pages
from wbgql.wire.session import Session

# Runs a page and files of each that come with it.
RUNS_PER_PAGE = 50
FILES_PER_RUN = 50


class File(Result, frozen=True):
    """One file of a run. `md5` is base64, `direct_url` may expire."""

    id: str
    name: str
    size_bytes: int
    mimetype: str | None
    md5: str | None
    updated_at: str | None
    direct_url: str


class _RunFiles(NamedObject, frozen=True, kw_only=True):
    files: Connection[File] | None
    file_count: int | None = NOT_FETCHED


class _FilesProject(NamedProject, frozen=True, kw_only=True):
    internal_id: str
    run: _RunFiles | None


class _ListFiles(Result, frozen=True):
    project: _FilesProject | None


class _User(Result, frozen=True):
    username: str | None


class _FilesOfRun(Result, frozen=True):
    id: str
    name: str
    user: _User | None
    files: Connection[File] | None
    file_count: int | None = NOT_FETCHED


class _RunsOf(NamedProject, frozen=True, kw_only=True):
    runs: Connection[_FilesOfRun] | None


class _ListFilesOfRuns(Result, frozen=True):
    project: _RunsOf | None


LIST_FILES = Operation("ListFiles", _ListFiles, paged=True)
LIST_FILES_OF_RUNS = Operation("ListFilesOfRuns", _ListFilesOfRuns, paged=True)
OPERATIONS: tuple[Operation[Any], ...] = (LIST_FILES, LIST_FILES_OF_RUNS)


def iter_files(
    session: Session, path: RunPath, *, pattern: str | None = None, page_size: int = 500, exact: bool = False
) -> Iterator[File]:
    """Yield the files of a run, lazily, one request a page.

    `pattern` is SQL LIKE: `%` any text, `_` one character (`media/%`).

    Raises:
        NotFound: the run or its project is missing or not visible.
        UsageError: `exact`, and the server resolved the path to another one.
    """
    return _iter_files(session, path, pattern, page_size, exact=exact)


def iter_files_of_runs(
    session: Session, runs: Iterable[RunPath | HasPath], *, pattern: str | None = None
) -> Iterator[tuple[RunPath, File]]:
    """Yield the files of many runs, each with its run, lazily and in the order of the runs.

    Sends one request for 50 runs of one project, and one for each 500 files beyond the first 50 of a
    run. `pattern` is SQL LIKE, as for one run. Runs that vanished meanwhile are an error, since a
    selection that names them was just read.

    Raises:
        NotFound: a run or its project is missing or not visible.
    """
    for batch in _by_project(runs):
        asked = session.changes.count
        found = _fetch_batch(session, batch, pattern)
        for path in batch:
            files = found.get(path.run_id)
            if files is None:
                raise NotFound.run(path, operation=LIST_FILES_OF_RUNS.name)
            for file in _iter_files(session, path, pattern, 500, Begun(files, asked)):
                yield path, file


def iter_files_of_project(
    session: Session, path: ProjectPath, *, pattern: str | None = None
) -> Iterator[tuple[RunPath, str | None, list[File]]]:
    """Yield every run of a project with its user and all its files. One request for 50 runs, or more.

    Raises:
        NotFound: the project is missing or not visible.
    """
    fetch, changes = _runs_fetcher(session, path, {}, pattern), session.changes
    pages = iter_pages(
        fetch,
        changes=changes,
        page_size=RUNS_PER_PAGE,
        key=lambda node: node.id,
        what=f"runs of {str(path)!r}",
    )
    for _, nodes in pages:
        asked = changes.count
        for node in nodes:
            run = RunPath(path.entity, path.project, node.name)
            if node.files is None:
                warn(f"the server gives null for the files of run {str(run)!r}: not counted", CoverageWarning)
            begun = Begun(node.files, asked) if node.files else None
            files = list(_iter_files(session, run, pattern, 500, begun)) if begun else []
            yield run, node.user.username if node.user else None, files


def download_files(
    session: Session,
    downloader: Downloader,
    runs: Iterable[RunPath | HasPath],
    root: Path,
    *,
    pattern: str | None = None,
    flat: bool = False,
) -> Download:
    """Download files of runs into `root/<entity>/<project>/<run id>/`, each checked by its MD5.

    `pattern` is SQL LIKE (`media/%`). `flat` leaves the folders of the run out; it is for one run.
    Files that are there and right are not fetched again. Where the server records no MD5 the size is
    checked; a name that was registered and never uploaded is reported as missing. Costs what
    `iter_files_of_runs` costs, besides the files themselves.

    Raises:
        NotFound: a run is missing or not visible.
        UsageError: `flat` for several runs.
        PartialError: some files failed or do not match; nothing of those is left.
        StoreError: the folder cannot be written.
    """
    return downloader.download(_iter_wanted(session, runs, pattern, flat=flat), root)


def _iter_wanted(
    session: Session, runs: Iterable[RunPath | HasPath], pattern: str | None, *, flat: bool
) -> Iterator[Wanted]:
    only: RunPath | None = None
    for path, file in iter_files_of_runs(session, runs, pattern=pattern):
        if flat and only not in (None, path):
            raise UsageError("flat is for the files of one run: their names would collide")
        only = path
        yield Wanted(
            name=file.name if flat else f"{path}/{file.name}",
            url=file.direct_url,
            size_bytes=file.size_bytes,
            md5=file.md5,
            renew=partial(_find_url, session, path, file.name),
        )


def _find_url(session: Session, path: RunPath, name: str) -> str | None:
    # LIKE's own signs in a name would match more than the name; the comparison sorts that out.
    files = iter_files(session, path, pattern=name)
    return next((file.direct_url for file in files if file.name == name), None)


def _by_project(runs: Iterable[RunPath | HasPath]) -> Iterator[list[RunPath]]:
    """Runs in batches that one request can ask for, in their order."""
    batch: list[RunPath] = []
    for run in runs:
        path = run if isinstance(run, RunPath) else run.path
        if batch and (len(batch) == RUNS_PER_PAGE or batch[0].project_path != path.project_path):
            yield batch
            batch = []
        if path not in batch:
            batch.append(path)
    if batch:
        yield batch


def _fetch_batch(session: Session, batch: list[RunPath], pattern: str | None) -> dict[str, Connection[File]]:
    fetch = _runs_fetcher(session, batch[0].project_path, _named(batch), pattern)
    nodes = islice(
        iter_nodes(fetch, changes=session.changes, page_size=len(batch), key=lambda node: node.id), len(batch)
    )
    found = {}
    for node in nodes:
        if node.files is None:
            continue
        found[node.name] = node.files
        # A count may include files that were deleted, so that only an empty list contradicts it.
        if pattern is None and not node.files.edges and isinstance(node.file_count, int) and node.file_count:
            warn(
                f"the server counts {node.file_count} files of run '{batch[0].project_path}/{node.name}' and "
                "lists none: they may be deleted, or this key may not see them",
                CoverageWarning,
            )
    return found


def _named(batch: list[RunPath]) -> dict[str, Any]:
    return {"name": {"$in": [path.run_id for path in batch]}}


def _runs_fetcher(
    session: Session, path: ProjectPath, filters: dict[str, Any], pattern: str | None
) -> Callable[[int, str | None], Connection[_FilesOfRun]]:
    def fetch(first: int, after: str | None) -> Connection[_FilesOfRun]:
        project = session.execute(
            LIST_FILES_OF_RUNS,
            entity=path.entity,
            project=path.project,
            filters=dump_json(filters),
            pattern=pattern,
            files=FILES_PER_RUN,
            first=first,
            after=after,
        ).project
        if project is None or project.runs is None:
            raise NotFound.project(path, operation=LIST_FILES_OF_RUNS.name)
        return project.runs

    return fetch


def _iter_files(
    session: Session,
    path: RunPath,
    pattern: str | None,
    page_size: int,
    begun: Begun[File] | None = None,
    *,
    exact: bool = False,
) -> Iterator[File]:
    operation = replace(LIST_FILES, names="refuse") if exact else LIST_FILES

    def fetch(first: int, after: str | None) -> Connection[File]:
        project = session.execute(
            operation,
            entity=path.entity,
            project=path.project,
            run=path.run_id,
            pattern=pattern,
            first=first,
            after=after,
        ).project
        if project is None:
            raise NotFound.project(path.project_path, operation=LIST_FILES.name)
        if project.run is None or project.run.files is None:
            raise NotFound.run(path, operation=LIST_FILES.name)
        # What the count is does not matter here, only whether it moves: the list itself carries none.
        return msgspec.structs.replace(project.run.files, total_count=project.run.file_count)

    return iter_nodes(
        fetch,
        changes=session.changes,
        page_size=page_size,
        key=lambda file: file.id,
        begun=begun,
        what=f"files of run {str(path)!r}",
    )
