"""What one request may take of the server, and how its work is stopped from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from wbgql.errors import RequestError

MAX_ANSWER_BYTES = 128 * 2**20


class WorkStopped(RequestError):
    """The server gave up on a request: it took too long or too much, or nobody waits for it."""


class Work:
    """The work of one request. Any thread may stop it; the rest belongs to the thread that works.

    What runs in SQLite is interrupted; what runs in Python asks `check` or `grow` as it goes.
    """

    def __init__(self, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        self.began: float | None = None
        """When a thread took it, on the monotonic clock; None while it waits for one."""
        self.stopped: float | None = None
        """When it was first stopped, on the monotonic clock."""
        self.is_running = False
        self.writes = False
        """Whether it has begun to change the store. Then it may take longer, and needs no caller."""
        self._bytes_left = max_bytes
        self._reason: WorkStopped | None = None
        self._lock = threading.Lock()
        self._connections: list[apsw.Connection] = []

    def stop(self, reason: str, status: int) -> None:
        """End the work as soon as it can be, with an error. Repeat it until the work has ended.

        An interrupt ends only the statements that run at that moment.
        """
        with self._lock:
            if self._reason is None:
                self._reason, self.stopped = WorkStopped(reason, status=status), time.monotonic()
            for connection in self._connections:
                connection.interrupt()

    def check(self) -> None:
        """Raise `WorkStopped` if the work was stopped."""
        if self._reason is not None:
            raise self._reason

    def grow(self, size: int) -> None:
        """Count `size` bytes of the answer. Raise `WorkStopped` if it grows too large."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            self.stop("the answer would be too large; ask for fewer rows or smaller pages", 400)
        self.check()

    @contextmanager
    def using(self, connection: apsw.Connection) -> Iterator[None]:
        """Let `stop` interrupt what `connection` does in this block."""
        with self._lock:
            self._connections.append(connection)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._connections.remove(connection)

    @contextmanager
    def by_this_thread(self) -> Iterator[None]:
        """Make this the `current` work of the thread for a block."""
        self.began, self.is_running = time.monotonic(), True
        _threads.work = self
        try:
            yield
        finally:
            _threads.work = None
            self.is_running = False


class _Threads(threading.local):
    work: Work | None = None


_threads = _Threads()


def current() -> Work | None:
    """The work that this thread does; None outside of a request."""
    return _threads.work


def grow(size: int) -> None:
    """Count `size` bytes of the answer that this thread makes; see `Work.grow`."""
    if _threads.work is not None:
        _threads.work.grow(size)


def check() -> None:
    """Raise `WorkStopped` if the work of this thread was stopped."""
    if _threads.work is not None:
        _threads.work.check()
