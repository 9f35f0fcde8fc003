"""Every logged row of one run, in as few requests as sparse or dense steps allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from wbgql.downloads import Downloader
from wbgql.downloads.fetching import HttpFetcher
from wbgql.errors import UsageError
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
from wbgql.history.windows import Windows
from wbgql.lazy import Lazy, described
from wbgql.paths import RunPath
from wbgql.scalars import dump_json
from wbgql.settings import Settings
from wbgql.wire.session import Session

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
        for rows in self.pages():
            yield from rows

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
