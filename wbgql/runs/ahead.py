"""Pages asked for before they are needed, where waiting for the server is what takes the time."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from wbgql.connection import Connection
from wbgql.runs.nodes import RunNode

Ask = Callable[[int, str | None], Connection[RunNode]]

THREADS = 4
# Below this a request's wait is less than what threads cost.
SLOW_S = 0.02
# The first page and two more: fewer gain nothing.
_FEWEST_PAGES = 3
_PREFIX = b"arrayconnection:"


class ReadAhead:
    """Hands out pages in order, up to four of them under way at once.

    The cursor of a list of runs is its offset, so that the later ones are known once the first has
    come; where a server's cursors look otherwise, where nobody waits, or where the first page came
    short, every page is asked for when it is its turn. Guesses are only about what to ask for early:
    what is handed out is the page that was called for.

    Source: `YXJyYXljb25uZWN0aW9uOjE5OQ==` is `arrayconnection:199` (wandb/wandb#6614, 2023).
    """

    def __init__(
        self,
        ask: Ask,
        *,
        count: Callable[[], int] = lambda: 0,
        limit: int | None = None,
        latency_s: Callable[[], float | None] = lambda: None,
        wall: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._ask = ask
        self._count = count
        self._limit = limit
        self._latency_s = latency_s
        self._wall = wall
        self._cpu = cpu
        self._pool: ThreadPoolExecutor | None = None
        self._guesses: Iterator[str] = iter(())
        self._waiting: dict[tuple[int, str], Future[Connection[RunNode]]] = {}

    def __call__(self, first: int, after: str | None) -> Connection[RunNode]:
        """Return the page of `first` runs after a cursor."""
        if after is None:
            return self._first(first)
        future = self._waiting.pop((first, after), None)
        if future is None:
            self.close()
            return self._ask(first, after)
        self._fill(first)
        return future.result()

    def close(self) -> None:
        """Forget what was asked for early; waits for requests that are under way."""
        self._guesses = iter(())
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _first(self, first: int) -> Connection[RunNode]:
        wall, cpu = self._wall(), self._cpu()
        page = self._ask(first, None)
        # Waiting alone: a large page takes long to come and to decode, and threads do not help with that.
        waited_s = (self._wall() - wall) - (self._cpu() - cpu)
        offset = offset_of(page.page_info.end_cursor)
        latency_s = self._latency_s()
        if (
            min(waited_s, waited_s if latency_s is None else latency_s) > SLOW_S
            and len(page.edges) == first
            and offset == first - 1
        ):
            self._start(first, self._total(page))
        return page

    def _total(self, page: Connection[RunNode]) -> int:
        """How many runs are to come in all; counted where the page does not say."""
        if self._limit is not None and self._limit <= _FEWEST_PAGES * len(page.edges):
            return 0
        total = self._count() if page.total_count is None else page.total_count
        return total if self._limit is None else min(total, self._limit)

    def _start(self, first: int, total: int) -> None:
        if total > _FEWEST_PAGES * first:
            self._guesses = (to_cursor(last) for last in range(first - 1, total - 1, first))
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="wbgql-pages")
            self._fill(first)

    def _fill(self, first: int) -> None:
        while self._pool is not None and len(self._waiting) < THREADS:
            cursor = next(self._guesses, None)
            if cursor is None:
                return
            self._waiting[first, cursor] = self._pool.submit(self._ask, first, cursor)


def to_cursor(offset: int) -> str:
    """The cursor of the row at `offset`."""
    return base64.b64encode(_PREFIX + str(offset).encode()).decode()


def offset_of(cursor: str | None) -> int | None:
    """The offset that a cursor stands for, or None where it is of another kind."""
    try:
        text = base64.b64decode(cursor or "", validate=True)
        return int(text.removeprefix(_PREFIX)) if text.startswith(_PREFIX) else None
    except (binascii.Error, ValueError):
        return None
