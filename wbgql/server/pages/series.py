"""What a run logged, as lines to draw. Long histories are read in stretches, so that a page stays quick."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wbgql.server.pages.columns import leaves
from wbgql.server.pages.formatting import natural
from wbgql.server.runs import history, lines
from wbgql.server.runs.values import dig
from wbgql.server.store.database import Connection, Row

MAX_ROWS = 25_000
MAX_BYTES = 32 * 2**20
MAX_AXES = 50
_STRETCHES = 50
_HIGHEST = 1e300
"""Larger numbers are drawn as gaps, as infinity is: the range of an axis must stay a number."""

STEP = "_step"
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One key's points by x. A value that was no finite number is NaN: a gap."""

    key: str
    points: list[Point]


@dataclass(frozen=True)
class Reading:
    """Lines in the order of the keys asked for, from `rows_read` of `rows` rows."""

    lines: list[Line]
    rows: int
    rows_read: int


class Stream:
    """The numbered rows of a run in one table, by writer. Counts them when it is made."""

    def __init__(self, db: Connection, column: str, source: str, params: tuple[Any, ...]) -> None:
        self._db = db
        self._column = column
        self._source = f"{source} AND writer = ?"
        self._params = params
        writers = db.execute("SELECT count(*) FROM writers WHERE run_id = ?", params[:1]).get
        self._lengths = {writer: self._length(writer) for writer in range(writers + 1)}
        self.rows = sum(self._lengths.values())

    def _length(self, writer: int) -> int:
        last = self._db.execute(f"SELECT max(number) FROM {self._source}", (*self._params, writer)).get  # noqa: S608
        return 0 if last is None else int(last) + 1

    def texts(self) -> Iterator[str]:
        """The rows, oldest first; of too many, stretches from the first to the last."""
        allowed = min(MAX_ROWS, MAX_BYTES // max(1, self._row_bytes()))
        sql = f"SELECT {self._column} FROM {self._source} AND number >= ? AND number < ? ORDER BY number"  # noqa: S608
        for writer, length in self._lengths.items():
            share = allowed if self.rows <= allowed else allowed * length // self.rows
            for start, end in stretches(length, share):
                for (text,) in self._db.execute(sql, (*self._params, writer, start, end)):
                    yield text

    def _row_bytes(self) -> int:
        """How long a row is, by the first and the last ones of each writer."""
        sql = f"SELECT coalesce(max(length({self._column})), 0) FROM {self._source} AND number IN (?, ?, ?)"  # noqa: S608
        found = (
            self._db.execute(sql, (*self._params, writer, 0, length // 2, length - 1)).get
            for writer, length in self._lengths.items()
        )
        return max(found, default=0)


def history_of(db: Connection, run: Row) -> Stream:
    """The rows that `run.log` sent."""
    return Stream(db, "row", "history WHERE run_id = ?", (run["pk"],))


def events_of(db: Connection, run: Row) -> Stream:
    """The rows of system metrics."""
    return Stream(db, "line", "lines WHERE run_id = ? AND stream = ?", (run["pk"], lines.EVENTS))


def stretches(length: int, allowed: int) -> list[tuple[int, int]]:
    """Ranges of at most `allowed` of `length` rows in all: whole, or evenly spread with both ends.

    Stretches and not every n-th row: a metric that is logged at every hundredth step would be missed.
    """
    if length <= allowed:
        return [(0, length)]
    count = max(1, min(_STRETCHES, allowed))
    size = max(1, allowed // count)
    starts = [index * (length - size) // max(1, count - 1) for index in range(count)]
    return [(start, start + size) for start in starts]


def read(stream: Stream, keys: Sequence[str], x: str) -> Reading:
    """The points of each key over `x`. A row that lacks either is left out; of equal x the last counts."""
    found: list[dict[float, float]] = [{} for _ in keys]
    places = list(zip(keys, found, strict=True))
    rows_read = 0
    for text in stream.texts():
        rows_read += 1
        row = lines.parse_row(text)
        at = _number(row, x)
        if at is None or math.isnan(at):
            continue
        for key, points in places:
            value = _number(row, key)
            if value is not None:
                points[at] = value
    drawn = [Line(key, sorted(points.items())) for key, points in places]
    return Reading(drawn, stream.rows, rows_read)


def _number(row: dict[str, Any], key: str) -> float | None:
    value = row.get(key)
    if value is None and "." in key:
        value = dig(row, key)[1]
    if type(value) is float:
        return value if -_HIGHEST <= value <= _HIGHEST else math.nan
    if type(value) is int:
        return float(value) if -_HIGHEST <= value <= _HIGHEST else math.nan
    return None


def list_keys(db: Connection, run: Row) -> list[str]:
    """Keys of a run's history that hold numbers, by name; a dot leads into an object."""
    if not run["historyLineCount"]:
        return []
    text = _kept_keys(db, run)
    found = history.count_keys(db, run["pk"]) if text is None else history.Keys.from_json(text).answer()
    kinds = {
        key: {one["type"] for one in known["typeCounts"]}
        for key, known in (found or {"keys": {}})["keys"].items()
        if not key.startswith("_")
    }
    numbers = {key for key, types in kinds.items() if "number" in types}
    objects = {key for key, types in kinds.items() if "map" in types}
    return sorted(numbers | _inner_keys(db, run, objects), key=natural)


def _kept_keys(db: Connection, run: Row) -> str | None:
    text: str | None = db.execute("SELECT history_keys FROM run_texts WHERE run_id = ?", (run["pk"],)).get
    return text


def _inner_keys(db: Connection, run: Row, objects: set[str]) -> set[str]:
    """Numbers inside objects, by what the summary has of them: rows are many, the summary is one."""
    if not objects:
        return set()
    text = db.execute("SELECT summary FROM run_texts WHERE run_id = ?", (run["pk"],)).get
    summary = {key: value for key, value in lines.parse_row(text or "{}").items() if key in objects}
    found = ((".".join(parts), value) for parts, value in leaves(summary))
    return {key for key, value in found if isinstance(value, (int, float)) and not isinstance(value, bool)}


def list_axes(db: Connection, run: Row) -> list[str]:
    """Keys that never fall, over which charts may be drawn, by name; the SDK's own are not among them."""
    text = _kept_keys(db, run)
    known = {} if text is None else json.loads(text)["keys"]
    growing = (key for key, one in known.items() if one["monotonic"] and not key.startswith("_"))
    return sorted(growing)[:MAX_AXES]
