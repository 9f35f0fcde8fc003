"""Files of a run: list them, delete them by id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wbgql.connection import Connection, iter_nodes
from wbgql.documents import Operation, Result
from wbgql.errors import NotFound
from wbgql.paths import RunPath
from wbgql.session import Session


class File(Result, frozen=True):
    """One file of a run. `md5` is base64, `direct_url` may expire."""

    id: str
    name: str
    size_bytes: int
    mimetype: str | None
    md5: str | None
    updated_at: str | None
    direct_url: str


class _RunFiles(Result, frozen=True):
    files: Connection[File] | None


class _FilesProject(Result, frozen=True):
    internal_id: str
    run: _RunFiles | None


class _ListFiles(Result, frozen=True):
    project: _FilesProject | None


LIST_FILES = Operation("ListFiles", _ListFiles, paged=True)
OPERATIONS: tuple[Operation[Any], ...] = (LIST_FILES,)


def iter_files(
    session: Session, path: RunPath, *, pattern: str | None = None, page_size: int = 500
) -> Iterator[File]:
    """Yield the files of a run, lazily, one request a page.

    `pattern` is SQL LIKE: `%` any text, `_` one character (`media/%`).

    Raises:
        NotFound: the run or its project is missing or not visible.
    """

    def fetch(first: int, after: str | None) -> Connection[File]:
        project = session.execute(
            LIST_FILES,
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
        return project.run.files

    return iter_nodes(fetch, page_size=page_size, key=lambda file: file.id)
