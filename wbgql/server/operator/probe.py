"""Looks into a store folder for what is left of runs and versions: rows, contents, and bytes. Writes nothing.

For whoever has the folder: the server itself, a copy of it, or a backup. No server need run on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw
import re2

from wbgql.errors import StoreError
from wbgql.server.backend import make_subject
from wbgql.server.projects.rows import parse_id
from wbgql.server.store import keyring, tables
from wbgql.server.store.database import Connection, store_errors

MIN_NEEDLE = 6
"""Shorter needles are not searched for: they are found everywhere."""

_CHUNK = 1 << 22
_MAX_AUTOMATON_BYTES = 512 << 20
_VERSION_TABLES = (
    "artifact_members",
    "artifact_aliases",
    "artifact_runs",
    "artifact_manifests",
    "artifact_files",
    "artifact_client_ids",
)


@dataclass(frozen=True)
class Remains:
    """What is left of one run or version.

    `places`: the tables that still have rows of it, and "contents" where bytes on disk are its own.
    `was_here`: the store knows that it had it once (a run leaves a keyed hash behind, a version's number was
    given out), or has it still; without that, nothing left means nothing.
    """

    places: tuple[str, ...]
    was_here: bool


class StoreProbe:
    """One store folder, opened for reading.

    Raises:
        StoreError: there is no store, it is damaged, or of a version that is not known here.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._file = data / "wbgql.sqlite"
        if not self._file.exists():
            raise StoreError(f"no store: {data}, name the folder that the server runs on")
        with store_errors(self._file):
            self._db = _open(self._file)
            version = self._db.execute("PRAGMA user_version").get
            if version != tables.VERSION:
                self._db.close()
                raise StoreError(
                    f"store has version {version}, known is {tables.VERSION}: {self._file}, use the wbgql "
                    "that wrote it, or start a server on it once"
                )
            self._secret = keyring.read(data).subjects

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def run(self, entity: str, project: str, run: str) -> Remains:
        """What is left of a run: its rows, its contents, and system artifacts that bear its id."""
        with store_errors(self._file):
            project_pk = self._one(
                "SELECT projects.id FROM projects JOIN entities ON entities.id = entity_id"
                " WHERE entities.name = ? AND projects.name = ?",
                (entity, project),
            )
            if project_pk is None:
                return Remains((), was_here=False)
            pk = self._one("SELECT id FROM runs WHERE project_id = ? AND name = ?", (project_pk, run))
            places = [] if pk is None else ["runs", *self._tables_with(tables.RUN_TABLES, "run_id", pk)]
            if pk is not None and self._has_contents(
                "SELECT blob FROM files WHERE run_id = ? AND blob IS NOT NULL", pk
            ):
                places.append("contents")
            if self._has_system_artifact(project_pk, run):
                places.append("system artifacts")
            subject = make_subject(self._secret, project_pk, run)
            purged = self._one("SELECT 1 FROM tombstones WHERE subject = ?", (subject,))
            return Remains(tuple(places), was_here=pk is not None or purged is not None)

    def is_id_elsewhere(self, entity: str, project: str, run: str) -> bool:
        """Whether another project has a run of this id: ids are unique in a project only."""
        with store_errors(self._file):
            found = self._one(
                "SELECT 1 FROM runs JOIN projects ON projects.id = project_id"
                " JOIN entities ON entities.id = entity_id"
                " WHERE runs.name = ? AND NOT (entities.name = ? AND projects.name = ?) LIMIT 1",
                (run, entity, project),
            )
            return found is not None

    def version(self, artifact_id: str) -> Remains:
        """What is left of a version, by its id. Contents that another version uses are its own too."""
        pk = parse_id("Artifact", artifact_id)
        with store_errors(self._file):
            there = self._one("SELECT 1 FROM artifacts WHERE id = ?", (pk,)) is not None
            places = ["artifacts"] if there else []
            places += self._tables_with(_VERSION_TABLES, "artifact_id", pk)
            owned = (
                "SELECT blob FROM artifact_files JOIN artifact_contents c ON c.id = content_id"
                " WHERE artifact_id = ? AND blob IS NOT NULL"
            )
            if self._has_contents(owned, pk):
                places.append("contents")
            given_out = self._one("SELECT seq FROM sqlite_sequence WHERE name = 'artifacts'", ()) or 0
            return Remains(tuple(places), was_here=there or 0 < pk <= given_out)

    def count_strays(self) -> int:
        """How many contents are on disk that no row knows: whose they are cannot be told."""
        with store_errors(self._file):
            known = {blob_id for (blob_id,) in self._db.execute("SELECT id FROM blobs")}
            on_disk = [path for path in (self._data / "blobs").rglob("*") if path.is_file()]
            return sum(path.name not in known for path in on_disk)

    def find_bytes(self, needles: Sequence[bytes]) -> set[bytes]:
        """Which of `needles` stand in any file of the folder: the database, its log, contents, file names.

        Reads the whole folder once, in pieces. Needles under `MIN_NEEDLE` bytes are left out. SQLite may
        break a long value over two pages.
        """
        wanted = sorted({needle for needle in needles if len(needle) >= MIN_NEEDLE})
        found: set[bytes] = set()
        if not wanted:
            return found
        search = _compile(wanted)
        overlap = max(map(len, wanted)) - 1
        with store_errors(self._data):
            for path in sorted(path for path in self._data.rglob("*") if path.is_file()):
                found |= _matching(search, wanted, os.fsencode(path.name))
                for chunk in _chunks(path, overlap):
                    found |= _matching(search, wanted, chunk)
        return found

    def _one(self, sql: str, params: tuple[Any, ...]) -> Any:
        return self._db.execute(sql, params).get

    def _tables_with(self, names: Iterable[str], column: str, pk: int) -> list[str]:
        sql = "SELECT 1 FROM {} WHERE {} = ? LIMIT 1"
        return [name for name in names if self._one(sql.format(name, column), (pk,)) is not None]

    def _has_contents(self, sql: str, pk: int) -> bool:
        found = [str(blob_id) for (blob_id,) in self._db.execute(sql, (pk,))]
        return any((self._data / "blobs" / blob_id[:2] / blob_id).exists() for blob_id in found)

    def _has_system_artifact(self, project_pk: int, run: str) -> bool:
        sql = (
            "SELECT 1 FROM artifact_collections c JOIN artifact_types t ON t.id = c.type_id"
            " WHERE c.project_id = ? AND c.name IN (?, ?) AND t.name LIKE 'wandb-%'"
            " AND c.id IN (SELECT sequence_id FROM artifacts)"
        )
        return self._one(sql, (project_pk, f"run-{run}-history", f"run-{run}-events")) is not None


@contextmanager
def open_probe(data: Path) -> Iterator[StoreProbe]:
    """Open a store folder for reading; see `StoreProbe`."""
    probe = StoreProbe(data)
    try:
        yield probe
    finally:
        probe.close()


def _open(file: Path) -> Connection:
    # A copy without a log is read as it lies: SQLite would make files beside it, or fail on a read-only disk.
    has_log = file.with_name(f"{file.name}-wal").exists()
    uri = f"file:{quote(os.fspath(file.absolute()))}?mode=ro{'' if has_log else '&immutable=1'}"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(uri, flags=flags)


def _compile(needles: Sequence[bytes]) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MAX_AUTOMATON_BYTES
    return re2.compile(b"|".join(re2.escape(needle) for needle in needles), options)


def _matching(search: Any, needles: Sequence[bytes], content: bytes) -> set[bytes]:
    # One may stand inside another, so that the search alone would not show both.
    if search.search(content) is None:
        return set()
    return {needle for needle in needles if needle in content}


def _chunks(path: Path, overlap: int) -> Iterator[bytes]:
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield tail + chunk
            tail = chunk[-overlap:] if overlap else b""
