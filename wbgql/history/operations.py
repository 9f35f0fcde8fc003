"""The operations on a run's history and the types of their answers. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from wbgql.documents import NOT_FETCHED, NamedObject, NamedProject, Operation, Result
from wbgql.errors import NotFound
from wbgql.expressions import compile_filter, run
from wbgql.paths import RunPath
from wbgql.scalars import Count, dump_json
from wbgql.wire.connection import Connection, iter_nodes
from wbgql.wire.session import Session


class _Bounds(NamedObject, frozen=True, kw_only=True):
    history_line_count: Count | None
    summary_metrics: str | None


class _BoundsProject(NamedProject, frozen=True, kw_only=True):
    run: _Bounds | None


class _GetHistoryBounds(Result, frozen=True):
    project: _BoundsProject | None


class _Rows(NamedObject, frozen=True, kw_only=True):
    history: list[str]


class _RowsProject(NamedProject, frozen=True, kw_only=True):
    run: _Rows | None


class _ScanHistory(Result, frozen=True):
    project: _RowsProject | None


class _Samples(NamedObject, frozen=True, kw_only=True):
    sampled_history: list[list[dict[str, Any]]]


class _SamplesProject(NamedProject, frozen=True, kw_only=True):
    run: _Samples | None


class _SampleHistory(Result, frozen=True):
    project: _SamplesProject | None


class RunSamples(Result, frozen=True):
    """One run of many, with one list of rows for each spec."""

    name: str
    sampled_history: list[list[dict[str, Any]]]


class _RunsSamples(NamedProject, frozen=True, kw_only=True):
    runs: Connection[RunSamples] | None


class _SampleRunsHistory(Result, frozen=True):
    project: _RunsSamples | None


class RunCount(Result, frozen=True):
    """One run of many, with the number of rows it logged; None where the server does not say."""

    name: str
    history_line_count: Count | None


class _RunsCounts(NamedProject, frozen=True, kw_only=True):
    runs: Connection[RunCount] | None


class _ListHistoryCounts(Result, frozen=True):
    project: _RunsCounts | None


class RunHistory(Result, frozen=True, kw_only=True):
    """One run of many, with its rows as texts, or as one list for each spec."""

    name: str
    history_line_count: Count | None
    history: list[str] = NOT_FETCHED
    sampled_history: list[list[dict[str, Any]]] = NOT_FETCHED


class _RunsHistory(NamedProject, frozen=True, kw_only=True):
    runs: Connection[RunHistory] | None


class _ScanRunsHistory(Result, frozen=True):
    project: _RunsHistory | None


class _Exports(Result, frozen=True):
    parquet_urls: list[str]
    live_data: list[Any]


class _ExportsRun(NamedObject, frozen=True, kw_only=True):
    parquet_history: _Exports


class _ExportsProject(NamedProject, frozen=True, kw_only=True):
    run: _ExportsRun | None


class _GetHistoryExports(Result, frozen=True):
    project: _ExportsProject | None


class _Events(NamedObject, frozen=True, kw_only=True):
    events_line_count: int | None
    events: list[str]


class _EventsProject(NamedProject, frozen=True, kw_only=True):
    run: _Events | None


class _SampleSystemMetrics(Result, frozen=True):
    project: _EventsProject | None


class ConsoleLineNode(Result, frozen=True):
    """One line as it travels."""

    number: int | None
    timestamp: str | None
    level: str | None
    label: str | None
    line: str | None


class _LogLines(NamedObject, frozen=True, kw_only=True):
    log_lines: Connection[ConsoleLineNode] | None


class _LogLinesProject(NamedProject, frozen=True, kw_only=True):
    run: _LogLines | None


class _ListConsoleLines(Result, frozen=True):
    project: _LogLinesProject | None


GET_HISTORY_BOUNDS = Operation("GetHistoryBounds", _GetHistoryBounds, informs=True)
SCAN_HISTORY = Operation("ScanHistory", _ScanHistory, informs=True)
SAMPLE_HISTORY = Operation("SampleHistory", _SampleHistory, informs=True)
SAMPLE_RUNS_HISTORY = Operation("SampleRunsHistory", _SampleRunsHistory, paged=True, informs=True)
LIST_HISTORY_COUNTS = Operation("ListHistoryCounts", _ListHistoryCounts, paged=True, informs=True)
SCAN_RUNS_HISTORY = Operation("ScanRunsHistory", _ScanRunsHistory, paged=True, informs=True)
GET_HISTORY_EXPORTS = Operation("GetHistoryExports", _GetHistoryExports)
SAMPLE_SYSTEM_METRICS = Operation("SampleSystemMetrics", _SampleSystemMetrics, informs=True)
LIST_CONSOLE_LINES = Operation("ListConsoleLines", _ListConsoleLines, paged=True, informs=True)
LIST_LAST_CONSOLE_LINES = Operation("ListLastConsoleLines", _ListConsoleLines, informs=True)
OPERATIONS: tuple[Operation[Any], ...] = (
    GET_HISTORY_BOUNDS,
    SCAN_HISTORY,
    SAMPLE_HISTORY,
    SAMPLE_RUNS_HISTORY,
    LIST_HISTORY_COUNTS,
    SCAN_RUNS_HISTORY,
    GET_HISTORY_EXPORTS,
    SAMPLE_SYSTEM_METRICS,
    LIST_CONSOLE_LINES,
    LIST_LAST_CONSOLE_LINES,
)


def ask_run(session: Session, operation: Operation[Any], path: RunPath, **variables: Any) -> Any:
    """Send an operation on one run and return its `project.run`. One request.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    project = session.execute(
        operation, entity=path.entity, project=path.project, run=path.run_id, **variables
    ).project
    if project is None:
        raise NotFound.project(path.project_path, operation=operation.name)
    if project.run is None:
        raise NotFound.run(path, operation=operation.name)
    return project.run


def iter_runs_of(
    session: Session, operation: Operation[Any], paths: Sequence[RunPath], **variables: Any
) -> Iterator[Any]:
    """Yield what an operation on many runs of one project brings of each of `paths`, in any order.

    One request, unless a gateway gives up on a request of this size.

    Raises:
        NotFound: the project is missing or not visible. A run that is, does not come.
    """
    project = paths[0].project_path
    ids = sorted({path.run_id for path in paths})
    # The filter names no instant, so that any will do for now.
    filters = dump_json(compile_filter(run.id.in_(ids), now=datetime(2000, 1, 1, tzinfo=UTC)))

    def fetch(first: int, after: str | None) -> Connection[Any]:
        found = session.execute(
            operation,
            entity=project.entity,
            project=project.project,
            filters=filters,
            first=first,
            after=after,
            **variables,
        ).project
        if found is None or found.runs is None:
            raise NotFound.project(project, operation=operation.name)
        runs: Connection[Any] = found.runs
        return runs

    return iter_nodes(fetch, changes=session.changes, page_size=len(ids), key=lambda node: str(node.name))
