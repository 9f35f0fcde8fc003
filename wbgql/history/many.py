"""Histories of many runs: read side by side, handed on in the order of the runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from wbgql.downloads import Downloader
from wbgql.errors import ConfigError, PartialError, UsageError
from wbgql.expressions import Expr
from wbgql.extras import missing
from wbgql.forks import Workers
from wbgql.frames.writing import FileFormat, replacing, write_file
from wbgql.history.blocks import Block, SmallScan, gather_small, group_runs, sample_blocks, scan_blocks
from wbgql.history.coverage import HistoryCoverage
from wbgql.history.rows import TIMESTAMP, Row, check_keys, keys_with_gaps
from wbgql.history.sampling import make_sample_specs, warn_of_gaps
from wbgql.history.scanning import DEFAULT_PAGE_SIZE, HistoryScan, Source, check_page_size, check_range
from wbgql.history.searching import RowFilter
from wbgql.history.tables import HistoryBatches
from wbgql.lazy import Lazy, LazyList, described
from wbgql.paths import RunPath
from wbgql.scalars import dump_json
from wbgql.wire.session import Session

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

# Several lazy sources read at once, their items handed on in the order of the sources.

T = TypeVar("T")

MAX_WORKERS = 32
# Items that are kept of each source that waits for its turn.
_AHEAD = 4


def iter_in_order(sources: Iterable[Iterator[T]], *, workers: int) -> Iterator[T]:
    """Yield the items of each source, one source after the other, while `workers` of them are read.

    At most `workers` * 5 items are held. The sources themselves are taken in the caller's thread; each is
    read by one thread at a time. Ending early stops every source after the items it is about to bring.

    Raises:
        UsageError: `workers` is not from 1 to 32, or this process was forked from the one that began.
        Whatever a source raises, when it is that source's turn.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise UsageError(f"workers must be from 1 to {MAX_WORKERS}, not {workers!r}")
    return _iter_in_order(iter(sources), workers)


class _Reader(Generic[T]):
    """One source and the items that are being brought from it."""

    def __init__(self, source: Iterator[T], pool: Workers) -> None:
        self._source = source
        self._pool = pool
        self._future: Future[tuple[list[T], bool]] = pool.submit(self._pull, 1)

    def take(self) -> tuple[list[T], bool]:
        """Wait for the next items; the flag says that they are the last. Asks for more at once."""
        items, is_last = self._pool.wait(self._future)
        if not is_last:
            self._future = self._pool.submit(self._pull, _AHEAD)
        return items, is_last

    def _pull(self, count: int) -> tuple[list[T], bool]:
        items = list(islice(self._source, count))
        return items, len(items) < count


def _iter_in_order(sources: Iterator[Iterator[T]], workers: int) -> Iterator[T]:
    with Workers(workers, "wbgql-history") as pool:
        readers = deque(_Reader(source, pool) for source in islice(sources, workers))
        while readers:
            items, is_last = readers[0].take()
            if is_last:
                readers.popleft()
                readers.extend(_Reader(source, pool) for source in islice(sources, 1))
            yield from items


DEFAULT_WORKERS = 4


class HistoryRow(NamedTuple):
    """One row of one run."""

    run: RunPath
    values: Row


class HistorySelection(Lazy):
    """Histories of runs, lazily. Every iteration asks the server again.

    `runs` are `RunPath`s, or things with a `.path` that is one, such as the runs of a `RunSelection`.
    Without `samples`, every row of each run is read: one request for each 100 runs asks how many rows they
    hold; histories of up to 1000 rows are then read together, up to 100 runs a request, longer ones by
    themselves, `workers` at once. See `HistoryScan` for what `keys`, steps and `source` do. With `samples`,
    the server chooses them for each key, and one request brings those of up to 100 runs of a project. A
    `SampledWarning` at the end names keys that a row may lack although they were logged at its step.

    Rows come run by run, in the order of `runs`, by step within a run. A run that is gone or hidden is no
    error here: `coverage` has an entry for each run, in the same order.
    """

    def __init__(
        self,
        session: Session,
        runs: Iterable[Any],
        *,
        keys: Iterable[str] | None = None,
        where: Expr | str | None = None,
        min_step: int = 0,
        max_step: int | None = None,
        samples: int | None = None,
        workers: int = DEFAULT_WORKERS,
        page_size: int = DEFAULT_PAGE_SIZE,
        source: Source = "server",
        downloader: Downloader | None = None,
        read_path: Callable[[str], RunPath] | None = None,
    ) -> None:
        check_range(min_step, max_step)
        check_page_size(page_size)
        self.keys = check_keys(keys)
        self.samples = samples
        self.coverage: list[HistoryCoverage] = []
        self._session = session
        # Keys that some row lacks although they may have been logged there, of the latest iteration.
        self._gaps: dict[str, None] = {}
        # A list can be read twice, an iterator cannot.
        self._runs = tuple(runs) if isinstance(runs, Iterator) else runs
        self._steps = (min_step, max_step)
        self._workers = workers
        self._page_size = page_size
        self._source: Source = source
        self._downloader = downloader
        self._read_path = read_path
        self._filter = RowFilter.of(where)
        if samples is not None:
            self._check_samples(samples)

    def where(self, condition: Expr | str) -> HistorySelection:
        """Return the same histories with only those rows for which `condition` holds.

        `condition` asks about steps: `wb.step["loss"] > 10`, or its text. No server searches histories:
        every row of every run is read and compared here. Narrow the runs by what the server knows first,
        `wb.summary["loss"].max` for instance where `define_metric` stored it.

        Raises:
            FilterError: the condition asks about anything but steps.
            UsageError: the histories are sampled, so that the rows in question may not come.
        """
        both = self._filter.and_also(RowFilter.of(condition))
        return HistorySelection(
            self._session,
            self._runs,
            keys=self.keys,
            where=both.expr,
            min_step=self._steps[0],
            max_step=self._steps[1],
            samples=self.samples,
            workers=self._workers,
            page_size=self._page_size,
            source=self._source,
            downloader=self._downloader,
            read_path=self._read_path,
        )

    def __repr__(self) -> str:
        runs: object = self._runs
        if isinstance(runs, Sized) and not isinstance(runs, Lazy):
            runs = f"{len(runs)} runs"
        return described(
            type(self).__name__,
            runs,
            keys=self.keys,
            where=None if self._filter.expr is None else str(self._filter.expr),
            min_step=self._steps[0] or None,
            max_step=self._steps[1],
            samples=self.samples,
        )

    def __iter__(self) -> Iterator[HistoryRow]:
        for path, rows in self._told_of_gaps(self.blocks()):
            for row in rows:
                yield HistoryRow(path, row)

    def blocks(self) -> Iterator[Block]:
        """Yield (run, rows) block by block: a page of a run's rows, never an empty one."""
        return self._blocks(self.keys)

    def _told_of_gaps(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Pass blocks on; warn at the end of keys that a row may lack although they were logged there."""
        yield from blocks
        warn_of_gaps(list(self._gaps), self.samples or 0)

    def stamped_blocks(self) -> Iterator[Block]:
        """Yield the blocks with `_timestamp` in each row, unless they are samples taken without it."""
        if self.keys is None or self.samples is not None:
            return self._blocks(self.keys)
        return self._blocks(check_keys((*self.keys, TIMESTAMP)))

    def matching_runs(self) -> LazyList[RunPath]:
        """Yield the runs that have a row for which `where` holds; a run is read to its first such row.

        Raises:
            UsageError: there is no condition.
        """
        if self._filter.expr is None:
            raise UsageError('say what to look for first: .where(wb.step["loss"] > 10)')
        return LazyList(f"{self!r}.matching_runs()", self._matching_runs())

    def _matching_runs(self) -> Iterator[RunPath]:
        found: set[RunPath] = set()
        for path, rows in self._read(self._sources(self.keys, to_first=True)):
            if path not in found and self._filter.apply(rows, self.keys):
                found.add(path)
                yield path

    @property
    def missing(self) -> list[HistoryCoverage]:
        """Of the latest iteration, the runs whose rows are known to be missing, wholly or in part."""
        return [entry for entry in self.coverage if entry.is_missing]

    def check(self) -> None:
        """Raise PartialError if rows are known to be missing after an iteration."""
        missing = self.missing
        if missing:
            raise PartialError(
                f"{len(missing)} of {len(self.coverage)} histories are not whole: {missing[0].run} "
                f"({missing[0].note}); see coverage",
                done=[entry.run for entry in self.coverage if not entry.is_missing],
                failed=[entry.run for entry in missing],
            )

    def batches(self, *, text: Iterable[str] = ()) -> HistoryBatches:
        """Return the rows as Arrow record batches of one schema; see `HistoryBatches`. Sends nothing yet.

        `_timestamp` is null in samples that were taken without it.
        """
        return HistoryBatches(lambda: self._told_of_gaps(self.stamped_blocks()), self.keys, text)

    def to_arrow(self, *, text: Iterable[str] = ()) -> pa.Table:
        """Return the rows as one Arrow table; columns as `HistoryBatches` says."""
        return self.batches(text=text).to_table()

    def to_polars(self, *, text: Iterable[str] = ()) -> pl.DataFrame:
        """Return the rows as a polars frame; columns as `HistoryBatches` says."""
        polars = _import("polars")
        found: pl.DataFrame = polars.from_arrow(self.to_arrow(text=text))
        return found

    def to_pandas(self, *, text: Iterable[str] = ()) -> pd.DataFrame:
        """Return the rows as a pandas frame; columns as `HistoryBatches` says, null as NaN."""
        _import("pandas")
        found: pd.DataFrame = self.to_arrow(text=text).to_pandas()
        return found

    def write(self, file: Path | str, *, format: FileFormat = "parquet", text: Iterable[str] = ()) -> int:
        """Write the rows to a file and return their number. Holds a few pages in memory.

        Without keys only JSON lines can be written: one object a row, with what was logged. The file is
        whole under its name, or not there.

        Raises:
            StoreError: the disk is full, or the folder cannot be written.
        """
        if self.keys is None and format == "jsonl":
            return self._write_rows(Path(file))
        return write_file(Path(file), self.batches(text=text), format)

    def _write_rows(self, file: Path) -> int:
        count = 0
        with replacing(file) as out:
            for path, row in self:
                whose = {"project": str(path.project_path), "run_id": path.run_id}
                out.write(f"{dump_json({**whose, **row})}\n".encode())
                count += 1
        return count

    def _copy(self, keys: Sequence[str] | None, where: RowFilter) -> HistorySelection:
        return HistorySelection(
            self._session,
            self._runs,
            keys=keys,
            where=where.expr,
            min_step=self._steps[0],
            max_step=self._steps[1],
            samples=self.samples,
            workers=self._workers,
            page_size=self._page_size,
            source=self._source,
            downloader=self._downloader,
            read_path=self._read_path,
        )

    def with_keys(self, keys: Sequence[str]) -> HistorySelection:
        """Return the same histories, cut to other keys."""
        return self._copy(keys, self._filter)

    def _check_samples(self, samples: int) -> None:
        if self.keys is None:
            raise UsageError("name the keys to sample: a server samples by key")
        if self._filter.expr is not None:
            raise UsageError("a search over samples misses rows: leave out samples, or the condition")
        make_sample_specs(self.keys, samples, *self._steps)

    def _blocks(self, keys: Sequence[str] | None) -> Iterator[Block]:
        for path, rows in self._read(self._sources(keys)):
            found = self._filter.apply(rows, keys)
            if found:
                yield path, found

    def _to_first(self, source: Iterator[Block]) -> Iterator[Block]:
        """One run's blocks up to the first with a row that is looked for."""
        for path, rows in source:
            yield path, rows
            if self._filter.apply(rows, self.keys):
                return

    def _read(self, sources: Iterator[Iterator[Block]]) -> Iterator[Block]:
        self.coverage = []
        self._gaps.clear()
        return iter_in_order(sources, workers=self._workers)

    def _sources(self, keys: Sequence[str] | None, *, to_first: bool = False) -> Iterator[Iterator[Block]]:
        """One lazy source for each run, or for each group of runs that one request serves."""
        paths = map(self._path, self._runs)
        if self.samples is not None:
            specs = make_sample_specs(self.keys or (), self.samples, *self._steps)
            return (self._sample(group, specs) for group in group_runs(paths, self.samples * len(specs)))
        read = self._filter.widen(keys)

        def scan(entry: HistoryCoverage) -> Iterator[Block]:
            source = scan_blocks(self._scan(entry, read))
            return self._to_first(source) if to_first else source

        if self._source == "exports":
            return (scan(entry) for path in paths for entry in self._enter([path]))
        small = SmallScan(self._session, read, *self._steps, scan)
        return (
            small.blocks(self._enter(group)) if together else scan(*self._enter(group))
            for group, together in gather_small(self._session, paths, len(read or ()) + 1)
        )

    def _enter(self, paths: Sequence[RunPath]) -> list[HistoryCoverage]:
        entries = [HistoryCoverage(path) for path in paths]
        self.coverage.extend(entries)
        return entries

    def _scan(self, entry: HistoryCoverage, keys: Sequence[str] | None) -> HistoryScan:
        return HistoryScan(
            self._session,
            entry.run,
            keys=keys,
            min_step=self._steps[0],
            max_step=self._steps[1],
            page_size=self._page_size,
            source=self._source,
            downloader=self._downloader,
            coverage=entry,
        )

    def _sample(self, paths: Sequence[RunPath], specs: Sequence[str]) -> Iterator[Block]:
        entries = self._enter(paths)
        for entry in entries:
            entry.note = "samples"
        return sample_blocks(self._session, entries, specs, self._note_gaps)

    def _note_gaps(self, lists: list[list[Row]]) -> None:
        self._gaps.update(dict.fromkeys(keys_with_gaps(lists, self.keys or (), self.samples or 0)))

    def _path(self, item: Any) -> RunPath:
        path = item if isinstance(item, RunPath) else getattr(item, "path", None)
        if path is None and isinstance(item, str) and self._read_path is not None:
            path = self._read_path(item)
        if not isinstance(path, RunPath):
            raise UsageError(f"histories are of runs: give paths or runs, not {item!r}")
        return path


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise missing(error) or ConfigError(f"{name} is not installed; run: pip install {name}") from error
