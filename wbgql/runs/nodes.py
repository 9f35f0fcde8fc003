"""Runs as they travel: the wire's Structs and the operations that bring them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from wbgql.documents import NOT_FETCHED, NamedProject, Operation, Result
from wbgql.errors import ResultError
from wbgql.paths import ProjectPath
from wbgql.scalars import Count, parse_datetime
from wbgql.wire.connection import Connection

# The largest page W&B serves (its own advice for scripts, 2026).
MAX_PAGE_SIZE = 1000
DEFAULT_ORDER = "+created_at"
# While a run is in one of these states its SDK process holds config, summary and tags in memory and
# writes them whole when it finishes, over whatever was changed meanwhile.
LOGGING_STATES = frozenset({"running", "preempting"})


class _User(Result, frozen=True):
    username: str | None


class RunNode(Result, frozen=True):
    """One run as it travels.

    A field that was not asked for is `NOT_FETCHED`; None is the server's null. `config` and
    `summary_metrics` are JSON texts, `compute_seconds` is a whole number. `id`, `name` and `created_at`
    always travel.
    """

    id: str
    name: str
    created_at: str
    display_name: str | None = NOT_FETCHED
    state: str | None = NOT_FETCHED
    tags: list[str] | None = NOT_FETCHED
    group: str | None = NOT_FETCHED
    job_type: str | None = NOT_FETCHED
    sweep_name: str | None = NOT_FETCHED
    heartbeat_at: str | None = NOT_FETCHED
    user: _User | None = NOT_FETCHED
    config: str | None = NOT_FETCHED
    summary_metrics: str | None = NOT_FETCHED
    notes: str | None = NOT_FETCHED
    host: str | None = NOT_FETCHED
    updated_at: str | None = NOT_FETCHED
    compute_seconds: int | None = NOT_FETCHED


def read_instant(run: object, name: str, text: str) -> datetime:
    """Return the attribute `name` of a run as an instant in UTC.

    Raises:
        ResultError: the server sent what is no instant.
    """
    try:
        return parse_datetime(text)
    except ValueError as error:
        raise ResultError(f"{name} of run {str(run)!r} is no ISO-8601 instant: {text[:80]!r}") from error


class DecidingRun(RunNode, frozen=True, kw_only=True):
    """A run whose state, tags and user decide over a deletion: an answer that lacks one is an error."""

    state: str | None
    tags: list[str] | None
    user: _User | None


class _RunsOf(NamedProject, frozen=True, kw_only=True):
    runs: Connection[RunNode] | None


class _ListRuns(Result, frozen=True):
    project: _RunsOf | None


class _RunCount(NamedProject, frozen=True, kw_only=True):
    run_count: Count


class _CountRuns(Result, frozen=True):
    project: _RunCount | None


class RunCounts(NamedProject, frozen=True, kw_only=True):
    """How many runs match a filter, how many do not, and how many there are."""

    run_count: Count
    others: int
    all: int


class _CompareCounts(Result, frozen=True):
    project: RunCounts | None


class _RunOf(NamedProject, frozen=True, kw_only=True):
    run: RunNode | None


class _GetRun(Result, frozen=True):
    project: _RunOf | None


class IdNode(Result, frozen=True):
    id: str
    name: str


class _IdsOf(NamedProject, frozen=True, kw_only=True):
    runs: Connection[IdNode] | None


class _ListRunIds(Result, frozen=True):
    project: _IdsOf | None


def real_path(project: NamedProject, asked: ProjectPath) -> ProjectPath:
    """The path that the server knows a project by; the one that was asked for where it does not say."""
    return ProjectPath(project.entity_name or asked.entity, project.name or asked.project)


class RunPage(list[RunNode]):
    """Runs of one project as they travel, each once in a selection; at most `page_size` of them."""

    def __init__(self, project: ProjectPath, nodes: Iterable[RunNode] = ()) -> None:
        super().__init__(nodes)
        self.project = project


LIST_RUNS = Operation("ListRuns", _ListRuns, paged=True, informs=True)
COUNT_RUNS = Operation("CountRuns", _CountRuns, informs=True)
COMPARE_COUNTS = Operation("CompareCounts", _CompareCounts, informs=True)
GET_RUN = Operation("GetRun", _GetRun, informs=True)
LIST_RUN_IDS = Operation("ListRunIds", _ListRunIds, paged=True)
OPERATIONS: tuple[Operation[Any], ...] = (LIST_RUNS, COUNT_RUNS, COMPARE_COUNTS, GET_RUN, LIST_RUN_IDS)
