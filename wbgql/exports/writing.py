"""Exports of runs that go on after an interruption: numbered parts and a manifest of what they hold.

A folder holds `part-00001.parquet` and so on, and `manifest.json`. A part is whole or not there; the
manifest names it once it is. Runs are read by creation time, so that a later start can go on after
the last run written. Killed anywhere and started again, it ends with the same files.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from wbgql.cautions import warn
from wbgql.errors import FilterWarning, NotFound, StoreError, UnstableWarning, UsageError
from wbgql.exports.manifests import MANIFEST, Manifest, Part, Unread, asked_of, digest_of, open_manifest
from wbgql.frames import (
    FORMATS,
    Batches,
    FileFormat,
    Layout,
    Opener,
    make_writer,
    open_new,
    replacing,
    store_errors,
)
from wbgql.paths import ProjectPath, parse_project_path
from wbgql.runs import RunNode, RunPage, RunSelection
from wbgql.runs.frames import Types
from wbgql.scalars import format_datetime, parse_datetime
from wbgql.wire.session import Session

# How far an export has come: after which runs of a project it goes on.


@dataclass
class Cursor:
    """How far a project is written: the latest creation time, and the runs of that instant."""

    since: str = ""
    ids: set[str] = field(default_factory=set)
    waiting: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def after(cls, parts: Sequence[Part], project: str) -> Cursor:
        """Where the last part of a project ended."""
        ends = [part for part in parts if part.project == project]
        return cls(ends[-1].since, set(ends[-1].ids)) if ends else cls()

    def pages(self, pages: Iterator[RunPage]) -> Iterator[RunPage]:
        """Hand on the runs that are not written yet, and remember them."""
        written = set(self.ids)
        for page in pages:
            nodes: list[RunNode] = [node for node in page if node.name not in written]
            if nodes:
                self.waiting = [(node.created_at, node.name) for node in nodes]
                yield RunPage(page.project, nodes)

    def advance(self, rows: int) -> None:
        """Note that the next `rows` of what was handed on are written."""
        for created_at, name in self.waiting[:rows]:
            if created_at > self.since:
                self.since, self.ids = created_at, set()
            if created_at == self.since:
                self.ids.add(name)
        del self.waiting[:rows]


class Rows:
    """Batches one after the other, of which a part may take only the beginning."""

    def __init__(self, batches: Batches, cursor: Cursor) -> None:
        self._batches = iter(batches)
        self._cursor = cursor
        self._rest: Any = None

    def __next__(self) -> Any:
        rest, self._rest = self._rest, None
        return next(self._batches) if rest is None else rest

    def take(self, batch: Any, room: int) -> Any:
        """The first `room` rows; what is left of the batch comes next."""
        if batch.num_rows > room:
            self._rest = batch.slice(room)
            batch = batch.slice(0, room)
        self._cursor.advance(batch.num_rows)
        return batch


ROWS_PER_PART = 50_000


@dataclass(frozen=True, slots=True)
class Export:
    """What came of an export. `unread`: projects not seen; `moved`: where runs came and went."""

    folder: Path
    rows: int
    files: tuple[Path, ...]
    unread: tuple[Unread, ...]
    moved: tuple[str, ...]


def export_runs(
    session: Session,
    selection: RunSelection,
    to: Path,
    *,
    format: FileFormat = "parquet",
    types: Types | None = None,
    resume: bool = True,
    rows_per_part: int = ROWS_PER_PART,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    opener: Opener = open_new,
) -> Export:
    """Write the runs of `selection` to parts in the folder `to`, oldest first, or go on where it stopped.

    Sends ceil(n / page_size) requests and two or three more for each project. Holds a few pages in
    memory, and the ids of the runs read in this start. Columns are those of `selection.to_arrow`, fixed
    at the first start, as are the projects and times such as `ago("7d")`. A complete export is left as it is.
    Where no run matches there is one part, which has the columns and no rows.

    Raises:
        UsageError: the folder holds something else, or an order, a limit or `client_side` was given.
        NotFound: the only project is missing or not visible.
        StoreError: the disk is full (whole parts stay), a part is damaged, or the folder is in use.
    """
    _check(selection, format)
    with store_errors(to):
        to.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(to / ".lock", timeout=0):
            asked = asked_of(selection, format, types, rows_per_part)
            manifest = open_manifest(to, asked, selection, resume=resume, clock=clock)
            return _Job(session, selection, to, manifest, types, opener, clock).run()
    except Timeout as error:
        raise StoreError(
            f"another process exports to the folder: {to}, wait for it or use another"
        ) from error


@dataclass
class _Job:
    """One start of an export."""

    session: Session
    selection: RunSelection
    folder: Path
    manifest: Manifest
    types: Types | None
    opener: Opener
    clock: Callable[[], datetime]
    layout: Layout = field(init=False)

    def run(self) -> Export:
        if not self.manifest.complete:
            self._check_parts()
            self.layout = self._fixed_layout()
            self.selection.warn_of_absent_columns(self.layout, self.selection.project_paths())
            for project in self.manifest.projects:
                if project not in self.manifest.done:
                    self._export_project(parse_project_path(project))
            if not self.manifest.parts:
                self._write_columns()
            self.manifest.complete = True
            self.manifest.finished_at = self.clock()
            self._save()
        manifest = self.manifest
        files = tuple(self.folder / part.file for part in manifest.parts)
        return Export(self.folder, manifest.rows, files, tuple(manifest.unread), tuple(manifest.moved))

    def _check_parts(self) -> None:
        for left in self.folder.glob(".*.part"):  # by a start that was killed
            left.unlink()
        for part in self.manifest.parts:
            file = self.folder / part.file
            with store_errors(file):
                found = digest_of(file) if file.exists() else None
            if found != part.sha256:
                raise StoreError(f"part is missing or was changed: {file}, export to another folder")

    def _fixed_layout(self) -> Layout:
        layout = self.selection.layout(self.types)
        if self.manifest.kinds is None:
            return layout
        kinds = {base: tuple(found) for base, found in self.manifest.kinds.items()}
        return replace(layout, kinds=kinds, closed=True)

    def _export_project(self, path: ProjectPath) -> None:
        cursor = Cursor.after(self.manifest.parts, str(path))
        resumed = bool(cursor.since)
        try:
            self._write_parts(path, cursor)
            if resumed:
                self._check_total(path, cursor)
        except NotFound as error:
            if len(self.manifest.projects) == 1:
                raise
            self.manifest.unread.append(Unread(str(path), str(error)))
        self.manifest.done.append(str(path))
        self._save()

    def _write_parts(self, path: ProjectPath, cursor: Cursor) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            batches = Batches(cursor.pages(self._scan(path, cursor)), self.layout)
            if batches.has_rows:
                self._fix(batches)
            rows = Rows(batches, cursor)
            while (first := next(rows, None)) is not None:
                self._write_part(str(path), first, rows, batches, cursor)
        for warning in caught:
            if issubclass(warning.category, UnstableWarning):
                self.manifest.moved.append(str(warning.message))
            warn(warning.message)

    def _fix(self, batches: Batches) -> None:
        """Keep the columns of the first batch for all that follow, in later starts too."""
        if self.manifest.kinds is None:
            self.layout = batches.layout
            self.manifest.kinds = {base: list(kinds) for base, kinds in batches.layout.kinds.items()}
            self.manifest.columns = {field.name: str(field.type) for field in batches.schema}
            self._save()

    def _write_columns(self) -> None:
        """Write a part of no rows: who reads the folder finds the columns all the same."""
        batches, cursor = Batches((), self.layout), Cursor()
        self._fix(batches)
        self._write_part("", None, Rows(batches, cursor), batches, cursor)

    def _write_part(self, project: str, first: Any, rows: Rows, batches: Batches, cursor: Cursor) -> None:
        format: FileFormat = self.manifest.asked["format"]
        name = f"part-{len(self.manifest.parts) + 1:05d}.{format}"
        room: int = self.manifest.asked["rows_per_part"]
        written = 0
        with replacing(self.folder / name, self.opener) as file:
            writer = make_writer(file, batches.schema, format)
            batch = first
            while batch is not None:
                taken = rows.take(batch, room - written)
                writer.write(taken)
                written += taken.num_rows
                batch = next(rows, None) if written < room else None
            writer.finish()
        digest, ids = digest_of(self.folder / name), sorted(cursor.ids)
        part = Part(file=name, project=project, rows=written, sha256=digest, since=cursor.since, ids=ids)
        self.manifest.parts.append(part)
        self.manifest.rows += written
        self._save()

    def _scan(self, path: ProjectPath, cursor: Cursor) -> Iterator[RunPage]:
        return self._select(path, cursor, "$gte").iter_frame_pages()

    def _select(self, path: ProjectPath, cursor: Cursor, operator: str) -> RunSelection:
        """The runs of one project, from the cursor on or up to it."""
        filters = self.manifest.filters
        if cursor.since:
            bound = {"createdAt": {operator: format_datetime(parse_datetime(cursor.since))}}
            filters = {"$and": [filters, bound]} if filters else bound
        question = self.selection.question
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FilterWarning)  # told when the selection was made
            return RunSelection(
                self.session,
                path,
                filters=filters,
                select=question.select,
                page_size=question.page_size,
                stable=True,
                on_unstable="warn",
            )

    def _check_total(self, path: ProjectPath, cursor: Cursor) -> None:
        """Compare what several starts have written with the server's count: each saw its own part alone."""
        written = sum(part.rows for part in self.manifest.parts if part.project == str(path))
        selection = self._select(path, cursor, "$lte")
        counted = selection.count_matching(selection.filters) if cursor.since else 0
        if counted != written:
            message = f"{str(path)!r}: {written} runs were written and {counted} counted: runs came or went"
            self.manifest.moved.append(message)
            warn(UnstableWarning(message))

    def _save(self) -> None:
        with replacing(self.folder / MANIFEST, self.opener) as file:
            file.write(msgspec.json.format(msgspec.json.encode(self.manifest), indent=2) + b"\n")


def _check(selection: RunSelection, format: str) -> None:
    if format not in FORMATS:
        raise UsageError(f"no such format {format!r}, use {', '.join(FORMATS)}")
    question = selection.question
    if question.order is not None or question.limit is not None:
        raise UsageError("an export is of all runs that match, by creation time: leave out order and limit")
    if question.rest is not None:
        raise UsageError("an export takes conditions that the server decides: leave out client_side")
