"""Pages asked for before they are needed, where waiting for the server is what takes the time."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from wbgql.forks import renew_after_fork, set_aside
from wbgql.runs.nodes import RunNode
from wbgql.wire.connection import Connection

Ask = Callable[[int, str | None], Connection[RunNode]]

# So many pages are under way at once: the more where they are small, since those that came wait in memory.
MOST_PAGES, FEWEST_PAGES = 8, 4
MEMORY_BYTES = 16_000_000
# Below this a request's wait is less than what threads cost.
SLOW_S = 0.02
# The first page and two more: shorter lists gain nothing.
_SHORTEST_LIST = 3
_PREFIX = b"arrayconnection:"


class ReadAhead:
    """Hands out pages in order, four to eight of them under way at once.

    The cursor of a list of runs is its offset, so that the later ones are known once the first has
    come; where a server's cursors look otherwise, where nobody waits, or where the first page came
    short, every page is asked for when it is its turn. Guesses are only about what to ask for early:
    what is handed out is the page that was called for. Where the server gives no total, it is counted
    beside the first guesses; of a short list a few of those may lie past the end, and come back empty.

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
        self._most = FEWEST_PAGES
        self._guesses: Iterator[str] = iter(())
        self._waiting: dict[tuple[int, str], Future[Connection[RunNode]]] = {}
        renew_after_fork(self)

    def __call__(self, first: int, after: str | None) -> Connection[RunNode]:
        """Return the page of `first` runs after a cursor."""
        if after is None:
            self.close()
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

    def after_fork(self) -> None:
        """Go on page by page in a forked process: the threads that ask are in its parent."""
        self._guesses = iter(())
        self._waiting = {}
        if self._pool is not None:
            set_aside(self._pool)
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
            and page.page_info.has_next_page
        ):
            self._start(first, page)
        return page

    def _start(self, first: int, page: Connection[RunNode]) -> None:
        known = [number for number in (self._limit, page.total_count) if isinstance(number, int)]
        if known and min(known) <= _SHORTEST_LIST * first:
            return
        self._most = max(FEWEST_PAGES, min(MOST_PAGES, MEMORY_BYTES // (_weight(page) or 1)))
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix="wbgql-pages")
        counting = self._pool.submit(self._count) if not isinstance(page.total_count, int) else None
        self._guesses = _cursors(first, known, counting)
        self._fill(first)

    def _fill(self, first: int) -> None:
        while self._pool is not None and len(self._waiting) < self._most:
            cursor = next(self._guesses, None)
            if cursor is None:
                return
            self._waiting[first, cursor] = self._pool.submit(self._ask, first, cursor)


def _cursors(first: int, known: list[int], counting: Future[int] | None) -> Iterator[str]:
    """Yield the cursor of each page but the first, as far as is known when it is asked for."""
    last = first - 1
    while True:
        if counting is not None and counting.done():
            # Who calls for pages is told by them what keeps the count from coming.
            known, counting = [*known, 0 if counting.exception() else counting.result()], None
        if known and last >= min(known) - 1:
            return
        yield to_cursor(last)
        last += first


def _weight(page: Connection[RunNode]) -> int:
    """About how many bytes a page's texts take."""
    return sum(len(node.config or "") + len(node.summary_metrics or "") for node in page.nodes)


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
