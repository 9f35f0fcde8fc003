"""The SQLite file: opening, pooled readers, one writer at a time, and its failures as `StoreError`."""

from __future__ import annotations

import os
import queue
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import apsw

from wbgql.errors import StoreError
from wbgql.server import migrations
from wbgql.server.api import work
from wbgql.server.store import keyring, tables
from wbgql.server.store.keyring import Keyring

Row = dict[str, Any]
Connection = apsw.Connection

_BUSY_MS = 10_000
_CACHE_KIB = 64_000
# Pages are read where the system has them, not copied: a tenth off a page of runs. Writes do not go this way.
# It is an upper bound, not memory taken. A disk that fails to read ends the process, as for any mapped file.
_MAPPED_BYTES = 2**36

# secure_delete overwrites what a DELETE frees; it must be on from the first write.
_PRAGMAS = f"""
PRAGMA busy_timeout={_BUSY_MS};
PRAGMA secure_delete=ON;
PRAGMA journal_mode=WAL;
PRAGMA synchronous={{synchronous}};
PRAGMA temp_store=MEMORY;
PRAGMA cache_size=-{_CACHE_KIB};
PRAGMA mmap_size={_MAPPED_BYTES};
"""

_ADMITTED = ("api_keys", "sessions")


class Store:
    """One store folder: `wbgql.sqlite`, its WAL, `secrets.json`, and `blobs/`.

    Reading and writing are safe from any thread, and from other processes at the same time.
    `prepare` is run on every new connection: it adds the SQL functions that queries need.
    With `durable` a commit is on the disk before it returns, so that a power cut loses none.

    Raises:
        StoreError: the file is damaged, not a store, of a newer version, or cannot be opened.
    """

    def __init__(
        self, data: Path, *, prepare: Sequence[Callable[[Connection], None]] = (), durable: bool = False
    ) -> None:
        self.data = data
        self.file = data / "wbgql.sqlite"
        self._prepare = tuple(prepare)
        self._pragmas = _PRAGMAS.format(synchronous="FULL" if durable else "NORMAL")
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._open: list[Connection] = []
        self._lock = threading.RLock()
        self._keyring: Keyring | None = None
        self.ended = (0, 0)
        """How many keys and sessions were deleted when the store opened, because a reset was under way."""
        with store_errors(self.file):
            make_private(data)
            self._writer = self.connect()
            self._create()
            self.file.chmod(0o600)

    def connect(self) -> Connection:
        """Open one more connection; it stays open until the store is closed."""
        connection = apsw.Connection(os.fspath(self.file))
        # Without fetching, apsw would stop at the first pragma that returns a row.
        connection.execute(self._pragmas).fetchall()
        self.add_functions(connection)
        self._open.append(connection)
        return connection

    def add_functions(self, connection: Connection) -> None:
        """Add the SQL functions that queries over the store need."""
        connection.create_scalar_function("keyed_hash", self._keyed_hash, 1, deterministic=True)
        for prepare in self._prepare:
            prepare(connection)

    def _create(self) -> None:
        if self._version() == 0:
            with self.write() as db:
                if self._version() == 0:
                    for script in tables.SCHEMA:
                        db.execute(script).fetchall()
                    self._keyring = keyring.make(self.data)
                    db.execute(f"PRAGMA user_version={tables.VERSION}")
        if self._version() < tables.VERSION:
            with self.write() as db:
                # Another process may have been quicker while this one waited to write.
                if self._version() < tables.VERSION:
                    known = db.execute("SELECT value FROM settings WHERE key = 'secret'").get
                    if known is not None:
                        self._keyring = keyring.make(self.data, known)
                    migrations.upgrade(db)
            # What was replaced is still in the WAL.
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        version = self._version()
        if version > tables.VERSION:
            raise StoreError(
                f"store has version {version}, known is up to {tables.VERSION}: {self.file}, upgrade wbgql"
            )
        if self.keyring.ends_keys:
            self._end_keys()
        (self.data / keyring.FILE).chmod(0o600)

    def _end_keys(self) -> None:
        """Do what is left of a reset of keys, whichever process began it and died."""
        with self.write() as db:
            # Another process may have been quicker, and a new key been given out since.
            if keyring.read(self.data).ends_keys:
                counts = [len(db.execute(f"DELETE FROM {name} RETURNING 1").fetchall()) for name in _ADMITTED]  # noqa: S608
                self.ended = (counts[0], counts[1])
        with self.write():
            self._keyring = keyring.settle(self.data)

    def _version(self) -> int:
        return int(self._writer.execute("PRAGMA user_version").get)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection; every statement sees what was committed before it."""
        with store_errors(self.file):
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                connection = self.connect()
            try:
                with interruptible(connection):
                    yield connection
            finally:
                self._take_back(connection)

    def _take_back(self, connection: Connection) -> None:
        # An error in the middle of a query may leave it open: the next borrower would read an old state.
        if connection.txn_state() == apsw.SQLITE_TXN_NONE:
            self._idle.put(connection)
            return
        connection.close(True)
        self._open.remove(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run a block as one transaction: committed when it ends, undone when it raises."""
        doing = work.current()
        if doing is not None:
            doing.writes = True
        with self._lock, store_errors(self.file), interruptible(self._writer):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._rollback()
                raise
            try:
                self._writer.execute("COMMIT")
            except BaseException:
                self._rollback()
                raise

    def _rollback(self) -> None:
        # SQLite has already rolled back after some failures, e.g. a full disk.
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def setting(self, key: str) -> Any:
        """A value kept with the store, or None."""
        with self.read() as db:
            return db.execute("SELECT value FROM settings WHERE key = ?", (key,)).get

    def set_setting(self, key: str, value: float | str | bytes) -> None:
        """Keep a value with the store."""
        with self.write() as db:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))

    @property
    def keyring(self) -> Keyring:
        """The secrets of the store, which are not in the database."""
        if self._keyring is None:
            self._keyring = keyring.read(self.data)
        return self._keyring

    def _keyed_hash(self, *given: Any) -> bytes:
        """The SQL function `keyed_hash`; see `Keyring.hash_key`."""
        return self.keyring.hash_key(*given)

    def compact(self) -> bool:
        """Rewrite the file without its free space and empty the WAL.

        Takes time in proportion to the store and keeps writers waiting. False if another
        process was reading all the while, so that the WAL could not be emptied.
        """
        with self._lock, store_errors(self.file):
            self._writer.execute("VACUUM")
            busy = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
            return not busy

    def close(self) -> None:
        """Close every connection; the last one to close folds the WAL into the file."""
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()


def make_private(data: Path) -> None:
    """Make the folder of a store if it is new; let nobody but its owner write into it.

    Raises:
        StoreError: others may write into it, and it is not ours to change, or holds other things.
    """
    if not data.exists():
        data.mkdir(parents=True, mode=0o700)
    mode = data.stat().st_mode
    if not mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    if data.stat().st_uid != os.geteuid() or mode & stat.S_ISVTX or not _holds_a_store_alone(data):
        raise StoreError(f"others may write into the folder of the store: {data}, chmod go-w or use another")
    data.chmod(stat.S_IMODE(mode) & ~(stat.S_IWGRP | stat.S_IWOTH))


def _holds_a_store_alone(data: Path) -> bool:
    """Whether a folder is empty or a store's, so that its rights are ours to change."""
    return (data / "wbgql.sqlite").exists() or not any(data.iterdir())


def interruptible(connection: Connection) -> AbstractContextManager[None]:
    """Let the work of this thread be stopped while it waits for `connection`."""
    doing = work.current()
    return nullcontext() if doing is None else doing.using(connection)


@contextmanager
def frozen(db: Connection) -> Iterator[None]:
    """Let all statements in a block see one state of the store."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def rows(db: Connection, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
    """All rows of a query as dicts by column name."""
    cursor = db.cursor().execute(sql, params)
    first = next(cursor, None)
    if first is None:
        return []
    names = [column[0] for column in cursor.get_description()]
    return [dict(zip(names, values, strict=True)) for values in (first, *cursor)]


def row(db: Connection, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> Row | None:
    """The first row of a query as a dict, or None."""
    cursor = db.cursor().execute(sql, params)
    first = next(cursor, None)
    if first is None:
        return None
    return dict(zip((column[0] for column in cursor.get_description()), first, strict=True))


STORE_FAILURES = (
    *(apsw.CorruptError, apsw.NotADBError, apsw.BusyError, apsw.LockedError, apsw.FullError),
    *(apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError),
)
"""What SQLite raises that is no fault of ours; see `store_errors`."""


@contextmanager
def store_errors(file: Path) -> Iterator[None]:
    """Turn SQLite's and the file system's failures into `StoreError`."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreError(
            f"store is damaged or not a store: {file}, restore a copy or use another folder"
        ) from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreError(f"store is locked by another program: {file}, stop it or try again") from error
    except apsw.InterruptError:
        doing = work.current()
        if doing is not None:
            doing.check()
        raise
    except apsw.FullError as error:
        raise StoreError(f"disk is full: {file}, make room and try again") from error
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError, OSError) as error:
        raise StoreError(f"store cannot be opened or written: {file}, {error}") from error
