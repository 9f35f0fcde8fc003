"""Lines of a run by their place: history rows, system metrics and console text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wbgql.errors import UsageError
from wbgql.scalars import parse_json
from wbgql.server.runs import values as run_values
from wbgql.server.store.database import Connection

HISTORY = "wandb-history.jsonl"
EVENTS = "wandb-events.jsonl"
CONSOLE = "output.log"

MAX_STEP = 2**53
"""The last whole number that every reader of JSON keeps exact."""

_COUNT_COLUMNS = {HISTORY: "history_lines", EVENTS: "events_lines", CONSOLE: "log_lines"}


def writer_number(db: Connection, pk: int, client: str | None) -> int:
    """0 for the only writer of a run; in shared mode a number for each client id, from 1."""
    if client is None:
        return 0
    found = db.execute("SELECT writer FROM writers WHERE run_id = ? AND client = ?", (pk, client)).get
    if found is None:
        found = int(db.execute("SELECT count(*) + 1 FROM writers WHERE run_id = ?", (pk,)).get)
        db.execute("INSERT INTO writers VALUES (?, ?, ?)", (pk, client, found))
    return int(found)


def check(stream: str, offset: int, content: Sequence[str]) -> None:
    """Refuse lines that no reader could be served: rows that are no objects, or a `_step` that is no step.

    Raises:
        UsageError: with the line's number.
    """
    if stream not in (HISTORY, EVENTS):
        return
    for number, line in enumerate(content, offset):
        step = run_values.parse_object(line, f"line {number} of {stream}").get("_step", 0)
        is_step = isinstance(step, (int, float)) and 0 <= step <= MAX_STEP and step == int(step)
        if stream == HISTORY and not is_step:
            raise UsageError(f"line {number} of {stream} has no step: its _step is {step!r:.40}")


def write(
    db: Connection,
    pk: int,
    stream: str,
    writer: int,
    offset: int,
    content: Sequence[str],
    *,
    keeps: bool = False,
) -> None:
    """Put `content` at line `offset`: a chunk sent twice changes nothing.

    It goes over what is there; if it `keeps`, lines that are there stay as they are.
    """
    if not content:
        return
    column = _COUNT_COLUMNS.get(stream)
    if column is not None:
        _count(db, pk, stream, writer, column, range(offset, offset + len(content)))
    numbered = enumerate(content, offset)
    if stream == HISTORY:
        db.executemany(
            "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?)",
            ((pk, writer, number, step_of(line), line) for number, line in numbered),
        )
    else:
        known = "IGNORE" if keeps else "REPLACE"
        db.executemany(
            f"INSERT OR {known} INTO lines VALUES (?, ?, ?, ?, ?)",  # noqa: S608
            ((pk, stream, writer, number, line) for number, line in numbered),
        )


def differs(db: Connection, pk: int, stream: str, writer: int, offset: int, content: Sequence[str]) -> bool:
    """Whether `content` at line `offset` would take the place of other lines."""
    params: tuple[Any, ...] = (pk, writer, offset, offset + len(content))
    sql = "SELECT number, row FROM history WHERE run_id = ? AND writer = ? AND number >= ? AND number < ?"
    if stream != HISTORY:
        sql = (
            "SELECT number, line FROM lines WHERE run_id = ? AND writer = ? AND number >= ? AND number < ?"
            " AND stream = ?"
        )
        params = (*params, stream)
    return any(content[number - offset] != line for number, line in db.execute(sql, params))


def contradicts(db: Connection, pk: int, writer: int, offset: int, content: Sequence[str]) -> bool:
    """Whether a run, as it is read, would have other values at steps that it has already.

    Of one writer's rows of a step the last is read, with those of other writers as one row. What stands at
    the same places does not count: see `differs`.
    """
    sql = "SELECT writer, number, row FROM history WHERE run_id = ? AND step = ?"
    for number, line in enumerate(content, offset):
        values = parse_row(line)
        step = step_in(values)
        known = () if step is None else db.execute(sql, (pk, step)).fetchall()
        for other_writer, other_number, text in known:
            if (other_writer, other_number) == (writer, number):
                continue
            logged = parse_row(str(text))
            hidden = logged.keys() if other_writer == writer else values.keys() & logged.keys()
            if any(
                key not in values or run_values.is_other(logged[key], values[key])
                for key in hidden
                if not key.startswith("_")
            ):
                return True
    return False


def cut(db: Connection, pk: int, stream: str, number: int) -> None:
    """Delete the lines of a stream from `number` on, and all that writers in shared mode sent."""
    table, where, params = (
        ("history", "", ()) if stream == HISTORY else ("lines", "stream = ? AND ", (stream,))
    )
    db.execute(
        f"DELETE FROM {table} WHERE {where}run_id = ? AND (writer > 0 OR number >= ?)",  # noqa: S608
        (*params, pk, number),
    )
    db.execute(f"UPDATE runs SET {_COUNT_COLUMNS[stream]} = ? WHERE id = ?", (number, pk))  # noqa: S608


def _count(db: Connection, pk: int, stream: str, writer: int, column: str, numbers: range) -> None:
    """Count lines about to be written.

    The only writer's count is where its next line goes, gaps included, as a resumed run takes it for that. In
    shared mode each writer numbers its own lines, so those are counted that are new.
    """
    if not writer:
        sql = f"UPDATE runs SET {column} = max({column}, ?) WHERE id = ?"  # noqa: S608
        db.execute(sql, (numbers.stop, pk))
        return
    table, where = ("history", "") if stream == HISTORY else ("lines", "stream = ? AND ")
    known = db.execute(
        f"SELECT count(*) FROM {table} WHERE {where}run_id = ? AND writer = ? AND number BETWEEN ? AND ?",  # noqa: S608
        (*([stream] if where else []), pk, writer, numbers.start, numbers.stop - 1),
    ).get
    db.execute(
        f"UPDATE runs SET {column} = {column} + ? WHERE id = ?",  # noqa: S608
        (len(numbers) - known, pk),
    )


def step_of(line: str) -> int | None:
    """The `_step` of a history row, or None if it has none or is no row."""
    return step_in(parse_row(line))


def step_in(row: dict[str, Any]) -> int | None:
    """The `_step` of a decoded row, or None if it has none that fits 64 bits."""
    step = row.get("_step")
    return int(step) if isinstance(step, (int, float)) and abs(step) < 2**63 else None


def parse_row(line: str) -> dict[str, Any]:
    """Decode one row, NaN included; a broken one counts as empty, as it cannot be sent back to the SDK."""
    try:
        value = parse_json(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def tail(db: Connection, pk: int, stream: str, count: int = 1) -> list[str]:
    """The last lines of a stream, oldest first."""
    if stream == HISTORY:
        sql, params = "SELECT row FROM history WHERE run_id = ? ORDER BY number DESC LIMIT ?", (pk, count)
        return [line for (line,) in db.execute(sql, params)][::-1]
    found = db.execute(
        "SELECT line FROM lines WHERE run_id = ? AND stream = ? ORDER BY number DESC LIMIT ?",
        (pk, stream, count),
    )
    return [line for (line,) in found][::-1]


def read(db: Connection, pk: int, stream: str, skip: int = 0, limit: int = -1) -> list[tuple[int, str]]:
    """(line number, line) in order, of each writer in turn; without the first `skip` lines.

    Numbers may have gaps, and in shared mode each writer has its own: only counting gives pages.
    """
    return list(
        db.execute(
            "SELECT number, line FROM lines WHERE run_id = ? AND stream = ?"
            " ORDER BY writer, number LIMIT ? OFFSET ?",
            (pk, stream, limit, skip),
        )
    )


def count(db: Connection, pk: int, stream: str) -> int:
    """How many lines `read` gives in all."""
    return int(db.execute("SELECT count(*) FROM lines WHERE run_id = ? AND stream = ?", (pk, stream)).get)
