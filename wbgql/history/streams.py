"""What a run's machine measured and what its process printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from wbgql.cautions import warn
from wbgql.errors import CoverageWarning, UsageError
from wbgql.history.operations import (
    LIST_CONSOLE_LINES,
    LIST_LAST_CONSOLE_LINES,
    SAMPLE_SYSTEM_METRICS,
    ConsoleLineNode,
    ask_run,
)
from wbgql.history.rows import Row, check_keys, decode_rows, pick
from wbgql.paths import RunPath
from wbgql.scalars import parse_datetime
from wbgql.wire.connection import Connection, PageInfo, iter_nodes
from wbgql.wire.session import Session

MAX_CONSOLE_PAGE = 1000
_MAX_LAST_LINES = 100_000
# More rows than the SDK sends in two days, so that one request does for most runs.
_FIRST_SAMPLES = 10_000
_MAX_SAMPLES = 1_000_000


@dataclass(frozen=True, slots=True)
class ConsoleLine:
    """One line that a run printed.

    `number` counts from 0, `timestamp` is in UTC, `level` is `error` for what went to standard error and
    `info` for the rest, which servers leave without one, `label` the writer's in a run with several.
    What the server does not say is None.
    """

    number: int | None
    timestamp: datetime | None
    level: str
    label: str | None
    line: str


def iter_system_metrics(
    session: Session, path: RunPath, *, keys: Iterable[str] | None = None, samples: int | None = None
) -> Iterator[Row]:
    """Yield what the machine measured, in order of time: `_timestamp`, `_runtime`, `system.cpu`, ...

    All rows, or `samples` chosen by the server. One request, and a second for a run with more than 10,000
    rows: the API has no pages here, so the answer is held in memory. `keys` are cut on this side.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    wanted = check_keys(keys)
    if samples is not None and not 1 <= samples <= _MAX_SAMPLES:
        raise UsageError(f"samples must be from 1 to {_MAX_SAMPLES}, not {samples!r}")
    return _iter_system_metrics(session, path, wanted, samples)


def _iter_system_metrics(
    session: Session, path: RunPath, keys: tuple[str, ...] | None, samples: int | None
) -> Iterator[Row]:
    answer = ask_run(session, SAMPLE_SYSTEM_METRICS, path, samples=samples or _FIRST_SAMPLES)
    there = answer.events_line_count or 0
    if samples is None and there > len(answer.events):
        answer = ask_run(session, SAMPLE_SYSTEM_METRICS, path, samples=there)
    for row in decode_rows(answer.events, operation=SAMPLE_SYSTEM_METRICS.name):
        found = row if keys is None else pick(row, keys)
        if found is not None:
            yield found


def iter_console_lines(
    session: Session, path: RunPath, *, page_size: int = MAX_CONSOLE_PAGE
) -> Iterator[ConsoleLine]:
    """Yield every line that the run printed, in order. One request a page, lazily.

    Needs a server from 0.77 on; older ones page backwards and answer with an error to this operation.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    if not 1 <= page_size <= MAX_CONSOLE_PAGE:
        raise UsageError(f"page_size must be from 1 to {MAX_CONSOLE_PAGE}, not {page_size!r}")

    def fetch(first: int, after: str | None) -> Connection[ConsoleLineNode]:
        lines: Connection[ConsoleLineNode] | None
        lines = ask_run(session, LIST_CONSOLE_LINES, path, first=first, after=after).log_lines
        return _no_lines(path) if lines is None else lines

    return map(_to_line, iter_nodes(fetch, changes=session.changes, page_size=page_size))


def get_last_console_lines(session: Session, path: RunPath, count: int) -> list[ConsoleLine]:
    """Return the last `count` lines that the run printed, in order. One request.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    if not 1 <= count <= _MAX_LAST_LINES:
        raise UsageError(f"ask for 1 to {_MAX_LAST_LINES} lines, not {count!r}")
    lines = ask_run(session, LIST_LAST_CONSOLE_LINES, path, last=count).log_lines
    return [_to_line(node) for node in (_no_lines(path) if lines is None else lines).nodes]


def _no_lines(path: RunPath) -> Connection[ConsoleLineNode]:
    """What stands for null, with a warning."""
    warn(
        f"the server gives null for the console lines of run {str(path)!r}: whether it printed any is not "
        "known",
        CoverageWarning,
    )
    return Connection(edges=[], page_info=PageInfo(has_next_page=False))


def _to_line(node: ConsoleLineNode) -> ConsoleLine:
    return ConsoleLine(
        number=node.number,
        timestamp=_instant(node.timestamp),
        level=node.level or "info",
        label=node.label,
        line=node.line or "",
    )


def _instant(text: str | None) -> datetime | None:
    try:
        return parse_datetime(text) if text else None
    except ValueError:
        return None  # a line of unknown form is kept, its time is not
