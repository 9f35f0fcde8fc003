"""Blocks of rows: the pages of one run's scan, or the samples of several runs that one request brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TypeAlias

from wbgql.documents import NOT_FETCHED
from wbgql.errors import NotFound, PermissionDenied, ResultError
from wbgql.history.coverage import HistoryCoverage
from wbgql.history.operations import (
    LIST_HISTORY_COUNTS,
    SAMPLE_RUNS_HISTORY,
    SCAN_RUNS_HISTORY,
    RunHistory,
    iter_runs_of,
)
from wbgql.history.rows import (
    Row,
    decode_rows,
    is_cheaper_by_key,
    make_exact_specs,
    merge_samples,
    pick_rows,
    step_of,
    within,
)
from wbgql.history.sampling import warn_of_stepless
from wbgql.history.scanning import HistoryScan
from wbgql.paths import RunPath
from wbgql.wire.session import Session

Block: TypeAlias = tuple[RunPath, list[Row]]
"""Rows of one run, in order of steps."""

# Rows that one answer may hold: some megabytes of JSON.
_MAX_ROWS = 100_000
_MAX_RUNS = 100
# Histories no longer than this are read together.
_SMALL_ROWS = 1000


def scan_blocks(scan: HistoryScan) -> Iterator[Block]:
    """Yield the pages of a scan. A run that is gone, hidden or unreadable is noted; its rows so far stand."""
    try:
        for rows in scan.pages():
            yield scan.path, rows
    except (NotFound, PermissionDenied, ResultError) as error:
        scan.coverage.fail(str(error))


def group_runs(paths: Iterable[RunPath], rows_per_run: int) -> Iterator[list[RunPath]]:
    """Yield groups of runs of one project, small enough for one answer to hold the rows of all."""
    size = max(1, min(_MAX_RUNS, _MAX_ROWS // rows_per_run))
    for _, found in groupby(paths, key=lambda path: path.project_path):
        while group := list(islice(found, size)):
            yield group


def sample_blocks(
    session: Session,
    entries: Sequence[HistoryCoverage],
    specs: Sequence[str],
    on_lists: Callable[[list[list[Row]]], object] = lambda _lists: None,
) -> Iterator[Block]:
    """Yield the samples of each run among `entries`, all of one project. One request.

    A run that does not come is noted in its entry. `on_lists` is called with the answers of each run, one
    for each spec.
    """
    paths = [entry.run for entry in entries]
    try:
        found = {
            node.name: node for node in iter_runs_of(session, SAMPLE_RUNS_HISTORY, paths, specs=list(specs))
        }
    except (NotFound, PermissionDenied) as error:
        for entry in entries:
            entry.fail(str(error))
        return
    for entry in entries:
        node = found.get(entry.run.run_id)
        if node is None:
            entry.fail("no such run: deleted, never there, or not visible to this key")
            continue
        on_lists(node.sampled_history)
        rows = merge_samples(node.sampled_history)
        warn_of_stepless(rows, entry.run)
        entry.rows = len(rows)
        yield entry.run, rows


def gather_small(
    session: Session, paths: Iterable[RunPath], rows_per_step: int
) -> Iterator[tuple[list[RunPath], bool]]:
    """Yield (runs, whether they are small enough to be read together), in the order of `paths`.

    One request for each 100 runs of a project asks for their number of rows. A run that does not come,
    or does not say, stands alone.
    """
    for group in group_runs(paths, 1):
        if len(group) == 1:
            yield group, False
            continue
        counts = _count_rows(session, group)
        bundle: list[RunPath] = []
        room = _MAX_ROWS
        for path in group:
            count = counts.get(path.run_id)
            small = count is not None and count <= _SMALL_ROWS
            size = (count or 0) * rows_per_step
            if bundle and (not small or size > room):
                yield bundle, True
                bundle, room = [], _MAX_ROWS
            if small:
                bundle, room = [*bundle, path], room - size
            else:
                yield [path], False
        if bundle:
            yield bundle, True


def _count_rows(session: Session, paths: Sequence[RunPath]) -> Mapping[str, int | None]:
    try:
        nodes = list(iter_runs_of(session, LIST_HISTORY_COUNTS, paths))
    except (NotFound, PermissionDenied):
        return {}  # each run is asked for by itself, and says so itself
    return {node.name: node.history_line_count for node in nodes}


@dataclass(slots=True)
class SmallScan:
    """Reads every row of several small runs of one project in one request.

    Whole rows at first; where the keys turn out to be a small part of them, key by key from then on.
    """

    session: Session
    keys: Sequence[str] | None
    min_step: int
    max_step: int | None
    rescan: Callable[[HistoryCoverage], Iterator[Block]]
    """Reads one run by itself: one that grew, did not come, or did not come whole."""
    _by_key: bool = field(default=False, init=False)

    def blocks(self, entries: Sequence[HistoryCoverage]) -> Iterator[Block]:
        """Yield the rows of each run, in the order of `entries`."""
        by_key = self._by_key
        found = self._fetch([entry.run for entry in entries], by_key)
        for entry in entries:
            node = found.get(entry.run.run_id)
            try:
                rows = None if node is None else self._rows(node, by_key)
            except ResultError:
                rows = None  # by itself it says so itself, and ends nobody else's
            if node is None or rows is None:
                yield from self.rescan(entry)
                continue
            self._by_key = self._by_key or is_cheaper_by_key(rows, self.keys)
            entry.rows, entry.expected = len(rows), node.history_line_count
            entry.close(whole_range=self._is_whole)
            yield entry.run, pick_rows(rows, self.keys)

    @property
    def _is_whole(self) -> bool:
        return self.min_step <= 0 and self.max_step is None

    def _fetch(self, paths: Sequence[RunPath], by_key: bool) -> Mapping[str, RunHistory]:
        samples = 2 * _SMALL_ROWS  # a run may have grown since it was counted
        specs = make_exact_specs(
            self.keys or (), samples=samples, min_step=self.min_step, max_step=self.max_step
        )
        try:
            nodes = iter_runs_of(
                self.session,
                SCAN_RUNS_HISTORY,
                paths,
                minStep=self.min_step or None,
                maxStep=self.max_step,
                samples=samples,
                specs=specs,
                bySpec=by_key,
            )
            return {node.name: node for node in nodes}
        except (NotFound, PermissionDenied):
            return {}

    def _rows(self, node: RunHistory, by_key: bool) -> list[Row] | None:
        """The rows of a run, None where they may not be all."""
        if (node.sampled_history if by_key else node.history) is NOT_FETCHED:
            return None
        if by_key:
            rows = merge_samples(node.sampled_history)
            if any(step_of(row) is None for row in rows):
                return None  # what belongs to one row cannot be told
        else:
            rows = decode_rows(node.history, operation=SCAN_RUNS_HISTORY.name)
        if len(rows) > _SMALL_ROWS or (self._is_whole and len(rows) < (node.history_line_count or 0)):
            return None
        end = 2**63 if self.max_step is None else self.max_step
        return within(rows, self.min_step, end)
