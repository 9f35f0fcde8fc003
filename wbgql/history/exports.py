"""Histories that the server keeps as Parquet files: where they are, and their rows."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter, le
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from wbgql.downloads import Downloader, Wanted
from wbgql.errors import PartialError, ResultError
from wbgql.frames.arrays import arrow
from wbgql.history.operations import GET_HISTORY_EXPORTS, ask_run
from wbgql.history.rows import STEP, Row, steps_of
from wbgql.paths import RunPath
from wbgql.wire.session import Session

_ADVICE = "ask again for fresh URLs, or read with source='server'"


@dataclass(frozen=True, slots=True)
class HistoryExports:
    """Signed URLs of Parquet files, in no order, and the steps of rows that are in none of them yet.

    The URLs are secrets for as long as they live: `repr` hides them.
    """

    urls: tuple[str, ...]
    live_steps: tuple[int, ...]

    def __repr__(self) -> str:
        return f"HistoryExports({len(self.urls)} urls, {len(self.live_steps)} live steps)"


def get_history_exports(session: Session, path: RunPath) -> HistoryExports:
    """Return where the files of a run's history are; no URL where the server offers none. One request.

    Raises:
        NotFound: the run or its project is missing or not visible.

    Source: wandb SDK 0.31.0 `core/internal/runhistoryreader` (2026-11): the order of the URLs is not said.
    """
    found = ask_run(session, GET_HISTORY_EXPORTS, path).parquet_history
    live = [row for row in found.live_data if isinstance(row, dict)]
    return HistoryExports(tuple(found.parquet_urls), tuple(steps_of(live)))


def read_exports(
    urls: Iterable[str],
    downloader: Downloader,
    *,
    keys: Sequence[str] | None,
    min_step: int,
    max_step: int,
    page_size: int,
) -> Iterator[list[Row]]:
    """Yield the rows of exported files with min_step <= `_step` < max_step, in order of steps, in pages.

    Every file is fetched into a folder that is removed at the end; of each, the columns of `keys` are held
    in memory. Cells without a value are left out of their rows. A step that two files hold comes once.

    Raises:
        ConfigError: pyarrow is not installed.
        PartialError: a file could not be fetched.
        ResultError: a file is damaged or holds no `_step`.
    """
    arrow()
    with TemporaryDirectory(prefix="wbgql-history-") as folder:
        files = _fetch(urls, downloader, Path(folder))
        sources = [_iter_file(file, keys, min_step, max_step) for file in files]
        by_step = groupby(heapq.merge(*sources, key=itemgetter(STEP)), itemgetter(STEP))
        merged = (_joined(rows) for _, rows in by_step)
        while page := list(islice(merged, page_size)):
            yield page


def _fetch(urls: Iterable[str], downloader: Downloader, folder: Path) -> list[Path]:
    wanted = [Wanted(name=f"{number}.parquet", url=url) for number, url in enumerate(urls)]
    try:
        files = downloader.download(wanted, folder).files
    except PartialError as error:
        reason = error.failed[0].error
        raise PartialError(
            f"a history export could not be fetched: {reason}; {_ADVICE}", failed=error.failed
        ) from error
    gone = [file for file in files if file.path is None]
    if gone:
        raise PartialError(f"{len(gone)} of {len(files)} history exports are gone; {_ADVICE}", failed=gone)
    return [file.path for file in files if file.path is not None]


def _iter_file(file: Path, keys: Sequence[str] | None, min_step: int, max_step: int) -> Iterator[Row]:
    table = _read_table(file, keys)
    steps = [step for step in table.column(STEP).to_pylist() if step is not None]
    rows = _iter_rows(table, min_step, max_step)
    # Arrow cannot sort every type it can read.
    return rows if all(map(le, steps, steps[1:])) else iter(sorted(rows, key=itemgetter(STEP)))


def _iter_rows(table: Any, min_step: int, max_step: int) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=1000):
        for cells in batch.to_pylist():
            row = {key: value for key, value in cells.items() if value is not None}
            step = row.get(STEP)
            if step is not None and min_step <= step < max_step:
                row[STEP] = int(step)
                yield row


def _read_table(file: Path, keys: Sequence[str] | None) -> Any:
    pa = arrow()
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(file) as found:
            names = found.schema_arrow.names
            if STEP not in names:
                raise ResultError(f"a history export holds no {STEP}: its columns are {names[:10]}")
            wanted = None if keys is None else [STEP, *(name for name in names if _serves(name, keys))]
            return found.read(columns=wanted)
    except pa.ArrowException as error:
        raise ResultError(f"a history export cannot be read as Parquet: {error}") from error


def _serves(column: str, keys: Sequence[str]) -> bool:
    """Whether a column is one of the keys, or an object on the way to one."""
    return column != STEP and any(key == column or key.startswith(f"{column}.") for key in keys)


def _joined(rows: Iterable[Row]) -> Row:
    found: Row = {}
    for row in rows:
        found |= row
    return found
