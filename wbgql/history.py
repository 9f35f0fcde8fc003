"""Logged rows of a run: every row of a range of steps, or rows sampled by the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wbgql.documents import Operation, Result
from wbgql.errors import NotFound, UsageError
from wbgql.paths import RunPath
from wbgql.scalars import dump_json, parse_json
from wbgql.session import Session

Row = dict[str, Any]


class _Bounds(Result, frozen=True):
    history_line_count: int | None
    summary_metrics: str | None


class _BoundsProject(Result, frozen=True):
    run: _Bounds | None


class _GetHistoryBounds(Result, frozen=True):
    project: _BoundsProject | None


class _Rows(Result, frozen=True):
    history: list[str]


class _RowsProject(Result, frozen=True):
    run: _Rows | None


class _ScanHistory(Result, frozen=True):
    project: _RowsProject | None


class _Samples(Result, frozen=True):
    sampled_history: list[Any]


class _SamplesProject(Result, frozen=True):
    run: _Samples | None


class _SampleHistory(Result, frozen=True):
    project: _SamplesProject | None


GET_HISTORY_BOUNDS = Operation("GetHistoryBounds", _GetHistoryBounds)
SCAN_HISTORY = Operation("ScanHistory", _ScanHistory)
SAMPLE_HISTORY = Operation("SampleHistory", _SampleHistory)
OPERATIONS: tuple[Operation[Any], ...] = (GET_HISTORY_BOUNDS, SCAN_HISTORY, SAMPLE_HISTORY)


def scan_history(
    session: Session,
    path: RunPath,
    *,
    min_step: int = 0,
    max_step: int | None = None,
    page_size: int = 1000,
) -> Iterator[Row]:
    """Yield every logged row with min_step <= `_step` < max_step, in order of steps.

    Sends one request for the bounds where `max_step` is not given, then one for each `page_size` steps,
    lazily. A row holds only the keys logged at that step; NaN and infinities come as floats.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    if page_size < 1:
        raise UsageError(f"page_size must be at least 1, not {page_size!r}")
    stop = max_step if max_step is not None else _last_step(session, path) + 1
    for start in range(min_step, stop, page_size):
        end = min(start + page_size, stop)
        yield from _scan_page(session, path, start, end)


def sample_history(session: Session, path: RunPath, keys: Sequence[str], *, samples: int = 500) -> list[Row]:
    """Return up to `samples` rows chosen by the server, each holding all of `keys`.

    One request. NaN and infinities come as the strings W&B stores them as.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    if not keys:
        raise UsageError("name at least one key to sample")
    spec = dump_json({"keys": ["_step", *(key for key in keys if key != "_step")], "samples": samples})
    project = session.execute(SAMPLE_HISTORY, **_names(path), specs=[spec]).project
    rows: list[Row] = _present(path, SAMPLE_HISTORY.name, project).sampled_history[0]
    return rows


def _scan_page(session: Session, path: RunPath, start: int, end: int) -> list[Row]:
    # `samples` no smaller than the steps asked for: one row a step at most, so nothing is thinned out.
    project = session.execute(
        SCAN_HISTORY, **_names(path), minStep=start, maxStep=end, samples=end - start
    ).project
    return [parse_json(text) for text in _present(path, SCAN_HISTORY.name, project).history]


def _last_step(session: Session, path: RunPath) -> int:
    project = session.execute(GET_HISTORY_BOUNDS, **_names(path)).project
    bounds = _present(path, GET_HISTORY_BOUNDS.name, project)
    summary = parse_json(bounds.summary_metrics or "{}")
    step = summary.get("_step")
    if isinstance(step, (int, float)):
        return int(step)
    # Older runs have no `_step` in the summary: then rows are numbered from 0.
    return (bounds.history_line_count or 0) - 1


def _names(path: RunPath) -> dict[str, str]:
    return {"entity": path.entity, "project": path.project, "run": path.run_id}


def _present(path: RunPath, operation: str, project: Any) -> Any:
    if project is None:
        raise NotFound.project(path.project_path, operation=operation)
    if project.run is None:
        raise NotFound.run(path, operation=operation)
    return project.run
