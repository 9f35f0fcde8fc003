"""A replica that lags: reads see the store as it was some seconds ago.

Copies of the store are made in memory as it changes, and the newest one that is old enough answers. This
costs the memory of several copies of the database, so it is for the small stores of tests and trials.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import apsw

from wbgql.server.store.database import Connection, Store, interruptible, store_errors

_STEPS = 8
"""Copies made within the time of the lag, so that it is at most an eighth longer than was asked for."""
_MAX_STEP_S = 0.25


@dataclass
class _Copy:
    db: Connection
    made: float
    version: int
    reading: threading.Lock = field(default_factory=threading.Lock)


class Replica:
    """Lends a connection on the store as it was `lag_s` ago; on the store itself where that is 0.

    Right after the start, reads see the store as it was then. Reads of one copy wait for each other.
    """

    def __init__(self, store: Store, lag_s: float) -> None:
        self._store = store
        self._lag_s = lag_s
        self._copies: deque[_Copy] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="replica", daemon=True)
        if lag_s:
            self._source = store.connect()
            self._copy()
            self._thread.start()

    def reading(self, db: Connection) -> AbstractContextManager[Connection]:
        """Lend the connection to read with; `db`, which reads the store itself, if nothing lags."""
        return self._lend() if self._lag_s else contextlib.nullcontext(db)

    @contextlib.contextmanager
    def _lend(self) -> Iterator[Connection]:
        old_enough = time.monotonic() - self._lag_s
        copies = list(self._copies)
        copy = next((one for one in reversed(copies) if one.made <= old_enough), copies[0])
        with copy.reading, store_errors(self._store.file), interruptible(copy.db):
            yield copy.db

    def close(self) -> None:
        """End the copying."""
        self._ended.set()
        if self._lag_s:
            self._thread.join()

    def _follow(self) -> None:
        while not self._ended.wait(min(_MAX_STEP_S, self._lag_s / _STEPS)):
            self._copy()

    def _copy(self) -> None:
        """Copy the store if it has changed, and forget the copies that nobody will ask for any more."""
        now = time.monotonic()
        version = int(self._source.execute("PRAGMA data_version").get)
        if self._copies and self._copies[-1].version == version:
            return
        copy = apsw.Connection(":memory:")
        self._store.add_functions(copy)
        with copy.backup("main", self._source, "main") as backup:
            backup.step(-1)
        self._copies.append(_Copy(copy, now, version))
        while len(self._copies) > 1 and self._copies[1].made <= now - self._lag_s - _MAX_STEP_S:
            self._copies.popleft()
