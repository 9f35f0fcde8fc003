"""All runs of one project, page by page: by the server's offsets, or by creation time to make sure."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from operator import attrgetter
from typing import Any

from wbgql.cautions import warn
from wbgql.errors import ResponseError, UnstablePopulation, UnstableWarning
from wbgql.forks import renew_after_fork, set_aside
from wbgql.runs.nodes import DEFAULT_ORDER, RunNode, read_instant
from wbgql.runs.reading import PageReader
from wbgql.scalars import format_datetime, parse_datetime
from wbgql.wire.connection import Connection, Window, fetch_page, iter_pages, next_cursor

# Pages asked for before they are needed, where waiting for the server is what takes the time.

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
            # If the count fails, iterating the pages raises its error.
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


_MAX_BARREN_PAGES = 10
_MAX_RESTARTS = 10
# So that a page may begin with the last run of the one before and still bring another.
_SMALLEST_PAGE = 2


def scan_by_offset(reader: PageReader, limit: int | None) -> Iterator[list[RunNode]]:
    """Yield new runs, page by page, in the question's order, at most `limit`.

    Runs that this client changes, deletes or makes meanwhile do no harm; see `iter_nodes`. Runs that
    others make or delete shift the pages: a run that comes twice is dropped, one may be missed. If all
    was read and this client changed nothing, the number read is compared with the server's count of
    the first page; if they differ, an UnstableWarning says so.
    """
    page_size = reader.question.page_size
    if limit is not None:
        page_size = max(1, min(page_size, limit))
    with_total = limit is None

    def ask(first: int, after: str | None) -> Connection[RunNode]:
        return reader.ask(first, after, total=with_total and after is None)

    ahead = ReadAhead(ask, count=reader.count, limit=limit, latency_s=lambda: reader.session.stats.wait_s)
    changes = reader.session.changes
    total: int | None = None
    given = 0
    began = changes.count
    try:
        fetch = iter_pages(
            lambda first, after: reader.accept(ahead(first, after)),
            changes=changes,
            page_size=page_size,
            limit=limit,
            key=attrgetter("id"),
            on_hidden=lambda _hidden: None,  # the reader has warned of the first
        )
        for page, nodes in fetch:
            if total is None and isinstance(page.total_count, int):
                total = page.total_count
            given += len(nodes)
            yield nodes
            del page, nodes
    finally:
        ahead.close()
    if changes.count != began:
        return  # what this client changed is in neither number; `iter_pages` has seen to the rest
    if with_total and total is not None and given + reader.hidden != total:
        warn(
            UnstableWarning(
                f"{str(reader.path)!r}: {given} runs were read, {total} matched at the beginning: runs came"
                " or went meanwhile, and some may be missing; stable=True reads by creation time and checks"
            )
        )


def scan_by_creation(reader: PageReader) -> Iterator[list[RunNode]]:
    """Yield new runs, page by page, oldest first, and make sure of the population.

    Each page asks for what was created since the last run seen, so that runs which vanish shift
    nothing. At the end the server's count must agree with what was read. If it counts more, the reading
    goes on behind the last run seen; if they still do not agree, everything is read once more (runs that
    are new to that are given then), and they must agree now. Runs that are created after that are not
    waited for. Keeps the ids of all runs in memory.

    Raises:
        ResponseError: the server ignores the bound on the creation time, or the order by it; or ten pages in
            a row brought nothing new, and each promised more.
        UnstablePopulation: it did not agree twice (a warning with `on_unstable="warn"`).
    """
    given: set[str] = set()
    began = reader.session.changes.count
    scan = _Pass(reader)
    yield from scan.whole(given)
    counted = scan.disagreement()
    if counted is not None:
        scan = _Pass(reader)
        yield from scan.whole(given)
        counted = scan.disagreement()
    vanished = len(given) - len(scan.found)
    if counted is not None:
        message = (
            f"{str(reader.path)!r}: {len(scan.found)} runs were read and {counted} counted, at the second"
            " reading too: they come and go; read at a quiet time, narrow the filter, or on_unstable='warn'"
        )
        if reader.question.on_unstable == "raise":
            raise UnstablePopulation(message)
        warn(UnstableWarning(message))
    elif vanished and reader.session.changes.count == began:
        message = f"{vanished} of the runs given vanished, or ceased to match, while the rest were read"
        warn(UnstableWarning(f"{str(reader.path)!r}: {message}"))


class _Pass:
    """One reading of a project from its oldest run to its newest. `found`: ids of what it saw."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader
        self._hidden_before = reader.hidden
        self._since: str | None = None
        self._restarts = 0
        self._counted = 0
        self.found: set[str] = set()

    def whole(self, given: set[str]) -> Iterator[list[RunNode]]:
        """Yield what is not among `given`, and add it there; read on if the server counts more than came."""
        yield from self._pages(given)
        self._counted = self._reader.count()
        if self._counted > self._number and self._restarts < _MAX_RESTARTS:
            yield from self._pages(given)

    @property
    def _number(self) -> int:
        """How many runs were found, those that came as null among them."""
        return len(self.found) + self._reader.hidden - self._hidden_before

    def _pages(self, given: set[str]) -> Iterator[list[RunNode]]:
        window = Window(max(_SMALLEST_PAGE, self._reader.question.page_size), None)
        place = _Place()
        barren = 0
        while place.is_known and self._restarts < _MAX_RESTARTS:
            page = fetch_page(self._fetch, window, place.after)
            nodes = page.nodes
            self._require_progress(nodes)
            known = len(self.found)
            self.found.update(node.id for node in nodes)
            new = [node for node in nodes if node.id not in given]
            given.update(node.id for node in new)
            if new:
                yield new
            barren = 0 if len(self.found) > known else barren + 1
            if barren == _MAX_BARREN_PAGES:
                raise ResponseError(
                    f"{str(self._reader.path)!r}: {barren} pages in a row brought nothing new, and each"
                    " promised more"
                )
            if place.has_shifted(nodes):
                self._restarts += 1
                place = _Place()
            elif not page.page_info.has_next_page:
                self._since = nodes[-1].created_at if nodes else self._since
                return
            elif nodes and nodes[0].created_at != nodes[-1].created_at:
                self._since = nodes[-1].created_at
                place = _Place()
            else:
                place.move_on(page)

    def disagreement(self) -> int | None:
        """The server's count if it is not what this reading found; None if it is. At most one request."""
        if self._restarts == _MAX_RESTARTS:
            return self._counted
        if self._counted == self._number:
            return None
        # Runs begin all the time: those after the last one seen are no contradiction. But what was counted
        # must have come, unless it is gone by now.
        came = self._number >= self._counted and self._since is not None
        counted = self._reader.count(self._between("$lte") if came else None)
        return None if counted == self._number else counted

    def _require_progress(self, nodes: list[RunNode]) -> None:
        """Refuse a page that does not lead on: it must hold to the bound, and go from old to new."""
        path = self._reader.path
        instants = [read_instant(f"{path}/{node.name}", "created_at", node.created_at) for node in nodes]
        since = [] if self._since is None else [parse_datetime(self._since)]
        if since and any(at < since[0] for at in instants):
            raise ResponseError(
                f"{str(self._reader.path)!r}: the server gives runs created before {self._since}, which the"
                " filter excludes: it ignores the filter, and a stable read cannot go on; what was read so"
                " far is not complete"
            )
        if any(later < earlier for earlier, later in pairwise((*since, *instants))):
            raise ResponseError(
                f"{str(self._reader.path)!r}: the server does not give runs in the order {DEFAULT_ORDER!r}: a"
                " stable read rests on it and cannot go on"
            )

    def _fetch(self, first: int, after: str | None) -> Connection[RunNode]:
        filters = None if self._since is None else self._between("$gte")
        return self._reader.fetch(first, after, filters=filters)

    def _between(self, operator: str) -> dict[str, Any]:
        assert self._since is not None  # asked for only where a run was seen
        bound = {"createdAt": {operator: format_datetime(parse_datetime(self._since))}}
        asked = self._reader.question.filters
        return {"$and": [asked, bound]} if asked else bound


class _Place:
    """Where the next page begins, within the runs since an instant.

    More runs of one instant than a page holds can only be told apart by the server's offsets. Such pages
    overlap by one run: where a page does not begin with it, runs before it vanished or came.
    """

    def __init__(self) -> None:
        self.after: str | None = None
        self.is_known = True
        self._overlap: str | None = None
        self._asked: set[str] = set()

    def has_shifted(self, nodes: list[RunNode]) -> bool:
        """Whether the page does not begin where the one before it ended."""
        return self._overlap is not None and [node.id for node in nodes[:1]] != [self._overlap]

    def move_on(self, page: Connection[RunNode]) -> None:
        """Go on behind the last run but one of a page; not known where the server gives no new cursor."""
        cursors = [edge.cursor for edge in page.edges if edge is not None and isinstance(edge.cursor, str)]
        overlaps = len(cursors) > 1 and len(cursors) == len(page.nodes) and cursors[-2] not in self._asked
        self.after = cursors[-2] if overlaps else next_cursor(page, self._asked)
        self._overlap = page.nodes[-1].id if overlaps else None
        self.is_known = self.after is not None
        self._asked.add(self.after or "")
