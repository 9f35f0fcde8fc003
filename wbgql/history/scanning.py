"""Every logged row of one run, in as few requests as sparse or dense steps allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from wbgql.cautions import warn
from wbgql.downloads import Downloader
from wbgql.downloads.fetching import HttpFetcher
from wbgql.errors import UnknownKeyWarning, UsageError
from wbgql.history.coverage import HistoryCoverage
from wbgql.history.exports import get_history_exports, read_exports
from wbgql.history.operations import GET_HISTORY_BOUNDS, SAMPLE_HISTORY, SCAN_HISTORY, ask_run
from wbgql.history.rows import (
    Row,
    check_keys,
    decode_row,
    decode_rows,
    is_cheaper_by_key,
    make_exact_specs,
    merge_samples,
    pick_rows,
    step_of,
    steps_of,
    within,
)
from wbgql.lazy import Lazy, described
from wbgql.paths import RunPath
from wbgql.scalars import dump_json
from wbgql.settings import Settings
from wbgql.wire.session import Session

# Which ranges of steps to ask for, so that sparse steps cost few requests.

# Rows aimed at, as a share of what one request may bring: above it, the answer may be thinned out.
_AIM = 0.8
_MAX_GROWTH = 8


class Windows:
    """A walk from step `start` to before step `stop`, in windows that hold less than `page_size` rows.

    A window no wider than `page_size` steps cannot hold more rows than that. A wider one is taken for
    whole only if it brought fewer: `accept` says so, and narrows it otherwise. Asked for twice as many
    samples, a server that thins out cannot well bring fewer. `rows` is how many rows there are at most,
    as far as is known; steps may be sparse (numbered by Unix time, say) and uneven.
    """

    def __init__(self, start: int, stop: int, *, page_size: int, rows: int | None = None) -> None:
        self.start = start
        self.stop = stop
        self._page_size = page_size
        self._rows = rows
        self._tries = 0
        self._width = self._first_width()

    @property
    def end(self) -> int:
        """Before which step the present window ends."""
        return min(self.start + self._width, self.stop)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to ask for."""
        return self.start >= self.stop

    def accept(self, steps: Sequence[int]) -> bool:
        """Take the steps that the present window brought; False: it must be asked for again, narrower."""
        width = self.end - self.start
        if width > self._page_size and len(steps) >= self._page_size:
            self._narrow(sorted(steps), width)
            return False
        self.start = self.end
        self._tries = 0
        if self._rows is not None:
            self._rows = max(0, self._rows - len(steps))
        self._width = self._next_width(width, len(steps))
        return True

    def extend(self, stop: int) -> None:
        """Go on to another end, in one window: if it holds many rows, `accept` narrows it."""
        self.stop = stop
        self._rows = 0
        self._width = self._first_width()

    def skip_to(self, start: int) -> None:
        """Go on from `start`: what lies before it is known."""
        self.start = max(self.start, start)

    def _first_width(self) -> int:
        span = self.stop - self.start
        if self._rows is None or span <= self._page_size:
            return self._page_size
        if self._rows < self._page_size:
            return span
        return max(self._page_size, int(_AIM * self._page_size * span / self._rows))

    def _next_width(self, width: int, found: int) -> int:
        if self._rows is not None and self._rows < self._page_size:
            return max(self._page_size, self.stop - self.start)
        growth = _AIM * self._page_size / found if found else _MAX_GROWTH
        return max(self._page_size, int(width * min(growth, _MAX_GROWTH)))

    def _narrow(self, steps: Sequence[int], width: int) -> None:
        # The rows that did come are spread like those that are there: end the window where
        # about enough of them lie before it. Each further try trusts that half as much.
        there = max(len(steps), self._rows or 0)
        share = _AIM * self._page_size / there / 2**self._tries
        end = steps[int(len(steps) * share)]
        self._tries += 1
        self._width = max(self._page_size, min(end - self.start, width - 1))


Source: TypeAlias = Literal["server", "exports"]

DEFAULT_PAGE_SIZE = 1000
MAX_PAGE_SIZE = 100_000
# No step lies behind it: the largest integer that every JSON reader keeps exact.
_LAST_STEP = 2**53
# How a server thins out is not documented. One that keeps every n-th row brings more than half of the
# samples it was asked for: an answer that large is taken for thinned.
_HEADROOM = 2


class HistoryScan(Lazy):
    """Every logged row of one run with min_step <= `_step` < max_step, in order of steps; lazily.

    Iterating sends one request for the bounds, then about one for each `page_size` rows, however far
    apart the steps are: windows of steps are widened where rows are sparse, and asked for again in parts
    where an answer may have been thinned out. A row holds only what was logged at its step. With `keys`,
    rows come cut to these, and those with none of them are left out: the union, not the rows that hold
    all keys. Whole rows are read at first; where the keys are a small part of them, the rest is read key
    by key. NaN and infinities come as floats. Rows without a usable `_step` are given too.

    The run's own count ends the reading only if that many rows came: a count of 0, or none, is no proof
    that there are none, and costs one more request.

    At the end of a whole range of steps, an `UnknownKeyWarning` names the keys that no row had.

    `source="exports"` reads the older part from the Parquet files that the server offers, if it does, and
    the rest from the server. `coverage` tells of the latest iteration.

    Raises, while iterating:
        NotFound: the run or its project is missing or not visible, or vanished meanwhile.
    """

    def __init__(
        self,
        session: Session,
        path: RunPath,
        *,
        keys: Iterable[str] | None = None,
        min_step: int = 0,
        max_step: int | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        source: Source = "server",
        downloader: Downloader | None = None,
        coverage: HistoryCoverage | None = None,
    ) -> None:
        check_range(min_step, max_step)
        check_page_size(page_size)
        if source not in ("server", "exports"):
            raise UsageError(f"source is 'server' or 'exports', not {source!r}")
        self.path = path
        self.coverage = coverage or HistoryCoverage(path)
        self._keys = check_keys(keys)
        self._min_step = min_step
        self._max_step = max_step
        self._page_size = page_size
        self._samples = _HEADROOM * page_size
        self._source = source
        self._downloader = downloader
        self._session = session
        self._stepless: set[str] = set()

    def __repr__(self) -> str:
        return described(
            type(self).__name__,
            self.path,
            keys=self._keys,
            min_step=self._min_step or None,
            max_step=self._max_step,
        )

    def __iter__(self) -> Iterator[Row]:
        absent = set(self._keys or ())
        for rows in self.pages():
            for row in rows:
                if absent:
                    absent.difference_update(row)
                yield row
        if absent and self._is_whole:
            names = ", ".join(repr(key) for key in self._keys or () if key in absent)
            warn(UnknownKeyWarning(f"no row of run {str(self.path)!r} has {names}"))

    def pages(self) -> Iterator[list[Row]]:
        """Yield the rows page by page: what one request brought. A page may be empty."""
        coverage = self.coverage
        coverage.reset()
        windows = self._first_window(coverage)
        if self._source == "exports":
            yield from self._exported(windows, coverage)
        yield from self._windows(windows, coverage)
        end = _LAST_STEP if self._max_step is None else self._max_step
        if windows.stop < end and not self._has_all(coverage):
            # The summary may be older than the rows, and a count of none, or none at all, proves nothing.
            windows.extend(end)
            yield from self._windows(windows, coverage)
        coverage.close(whole_range=self._is_whole)

    @property
    def _is_whole(self) -> bool:
        return self._min_step <= 0 and self._max_step is None

    def _first_window(self, coverage: HistoryCoverage) -> Windows:
        bounds = ask_run(self._session, GET_HISTORY_BOUNDS, self.path)
        coverage.expected = bounds.history_line_count
        last = step_of(decode_row(bounds.summary_metrics or "{}", operation=GET_HISTORY_BOUNDS.name))
        # Older runs have no `_step` in the summary: then rows are numbered from 0.
        stop = (coverage.expected or 0) if last is None else last + 1
        if self._max_step is not None:
            stop = self._max_step if last is None else min(stop, self._max_step)
        self._stepless.clear()
        return Windows(self._min_step, stop, page_size=self._page_size, rows=coverage.expected)

    def _windows(self, windows: Windows, coverage: HistoryCoverage) -> Iterator[list[Row]]:
        by_key = False
        while not windows.is_done and not self._has_all(coverage):
            start, end = windows.start, windows.end
            rows = within(self._by_key(start, end) if by_key else self._whole(start, end), start, end)
            if by_key and any(step_of(row) is None for row in rows):
                by_key = False  # what belongs to one row cannot be told
                continue
            if not windows.accept(steps_of(rows)):
                continue
            rows = self._without_repeated(rows)
            coverage.rows += len(rows)
            by_key = by_key or (not self._stepless and is_cheaper_by_key(rows, self._keys))
            yield pick_rows(rows, self._keys)

    def _without_repeated(self, rows: list[Row]) -> list[Row]:
        """Leave out rows without a step that an earlier window brought: a server gives them with each."""
        known = frozenset(self._stepless)
        kept = []
        for row in rows:
            text = dump_json(row) if step_of(row) is None else None
            if text is not None:
                self._stepless.add(text)
            if text not in known:
                kept.append(row)
        return kept

    def _has_all(self, coverage: HistoryCoverage) -> bool:
        return self._is_whole and 0 < coverage.rows == coverage.expected

    def _whole(self, start: int, end: int) -> list[Row]:
        answer = ask_run(
            self._session, SCAN_HISTORY, self.path, minStep=start, maxStep=end, samples=self._samples
        )
        return decode_rows(answer.history, operation=SCAN_HISTORY.name)

    def _by_key(self, start: int, end: int) -> list[Row]:
        """The same rows with the wanted keys alone: one spec for the steps, one for each key."""
        keys = self._keys or ()
        specs = make_exact_specs(keys, samples=self._samples, min_step=start, max_step=end)
        answer = ask_run(self._session, SAMPLE_HISTORY, self.path, specs=specs)
        return merge_samples(answer.sampled_history)

    def _exported(self, windows: Windows, coverage: HistoryCoverage) -> Iterator[list[Row]]:
        exports = get_history_exports(self._session, self.path)
        if not exports.urls:
            return
        stop = _LAST_STEP if self._max_step is None else self._max_step
        if exports.live_steps:
            stop = min(stop, *exports.live_steps)
        pages = read_exports(
            exports.urls,
            self._downloader or Downloader(fetcher=HttpFetcher(Settings())),
            keys=self._keys,
            min_step=self._min_step,
            max_step=stop,
            page_size=self._page_size,
        )
        for rows in pages:
            coverage.rows += len(rows)
            coverage.exported += len(rows)
            windows.skip_to(max(steps_of(rows), default=-1) + 1)
            yield pick_rows(rows, self._keys)


def scan_history(
    session: Session,
    path: RunPath,
    *,
    keys: Iterable[str] | None = None,
    min_step: int = 0,
    max_step: int | None = None,
    page_size: int = DEFAULT_PAGE_SIZE,
    source: Source = "server",
    downloader: Downloader | None = None,
) -> HistoryScan:
    """Return every logged row of a run, to be iterated; see `HistoryScan`. Sends nothing yet."""
    return HistoryScan(
        session,
        path,
        keys=keys,
        min_step=min_step,
        max_step=max_step,
        page_size=page_size,
        source=source,
        downloader=downloader,
    )


def check_range(min_step: int, max_step: int | None) -> None:
    """Check a range of steps.

    Raises:
        UsageError: a negative step, or an end before the start.
    """
    if min_step < 0:
        raise UsageError(f"min_step must not be negative, not {min_step!r}")
    if max_step is not None and max_step < min_step:
        raise UsageError(f"max_step must not be before min_step, not {max_step!r} < {min_step!r}")


def check_page_size(page_size: int) -> None:
    """Check how many rows one request is to bring.

    Raises:
        UsageError: none, or more than fit one answer.
    """
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise UsageError(f"page_size must be from 1 to {MAX_PAGE_SIZE}, not {page_size!r}")
