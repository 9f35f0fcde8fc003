"""The columns of a table of runs: those asked for, or those that tell the runs on it apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from wbgql.errors import UsageError
from wbgql.server.backend import Context
from wbgql.server.pages.filtering import Column
from wbgql.server.pages.formatting import natural
from wbgql.server.runs.lines import parse_row
from wbgql.server.runs.pages import Projection, key_column
from wbgql.server.runs.values import unwrap
from wbgql.server.store.database import Row

MAX_COLUMNS = 50
MAX_KEYS = 400
"""Keys offered as further columns."""
_LOOKED_AT = 25
_DEPTH = 4
_CONFIGS, _SUMMARIES = 3, 6
_GRAPHQL_NAMES = {"summary": "summaryMetrics", "config": "config"}
_ATTRIBUTES = {
    "id": "name",
    "group": "group",
    "job_type": "jobType",
    "host": "host",
    "sweep": "sweepName",
    "updated_at": "updatedAt",
    "heartbeat_at": "heartbeatAt",
}
"""Run attributes that may be a column, by the name of the field, and where a node has them."""


def check(columns: Sequence[Column]) -> None:
    """Refuse what no table can show.

    Raises:
        UsageError: too many, or an attribute that is always shown.
    """
    if len(columns) > MAX_COLUMNS:
        raise UsageError(f"{len(columns)} columns: a table may have {MAX_COLUMNS}")
    for column in columns:
        if column.section == "run" and column.parts[0] not in _ATTRIBUTES:
            raise UsageError(f"{column.text}: is in the table already, or cannot be a column")


class KnownKeys:
    """The keys in config and summary of the first runs on a page. Reads their texts with one query."""

    def __init__(self, context: Context, runs: Sequence[Row]) -> None:
        self.count = 0
        self._kinds: dict[Column, Counter[type]] = {}
        self._values: dict[Column, set[str]] = {}
        pks = [run["pk"] for run in runs[:_LOOKED_AT]]
        marks = ",".join("?" * len(pks))
        sql = f"SELECT config, summary FROM run_texts WHERE run_id IN ({marks})"  # noqa: S608
        for config, summary in context.db.execute(sql, pks):
            self.count += 1
            self._add("config", {key: unwrap(item) for key, item in parse_row(config or "{}").items()})
            self._add("summary", parse_row(summary or "{}"))

    def _add(self, section: str, values: dict[str, Any]) -> None:
        for parts, value in leaves(values):
            column = Column(section, parts)
            if column not in self._kinds and len(self._kinds) >= 10 * MAX_KEYS:
                return
            self._kinds.setdefault(column, Counter())[type(value)] += 1
            self._values.setdefault(column, set()).add(repr(value))

    def offered(self) -> list[Column]:
        """Keys that may become columns: config first, then by name."""
        return sorted(self._kinds, key=_place)[:MAX_KEYS]

    def chosen(self) -> list[Column]:
        """Columns for a table for which none were asked: config that differs, numbers of the summary."""
        configs = [one for one in self.offered() if one.section == "config" and len(self._values[one]) > 1]
        numbers = [
            one
            for one in self.offered()
            if one.section == "summary" and self._kinds[one].keys() <= {int, float}
        ]
        frequent = sorted(
            numbers, key=lambda one: (-self._kinds[one].total(), -len(self._values[one]), _place(one))
        )[:_SUMMARIES]
        return [*configs[:_CONFIGS], *sorted(frequent, key=_place)]


def _place(column: Column) -> tuple[str, list[tuple[int, str]]]:
    return column.section, natural(column.label)


def leaves(
    values: dict[str, Any], above: tuple[str, ...] = (), depth: int = _DEPTH
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values of an object that are no objects, with the keys that lead to them.

    What the SDK keeps for itself (`_wandb`, `_runtime`) and media objects are left out.
    """
    for key, value in values.items():
        if key.startswith("_") and not above:
            continue
        if isinstance(value, dict) and "_type" not in value and depth > 1:
            yield from leaves(value, (*above, key), depth - 1)
        elif not isinstance(value, dict):
            yield (*above, key), value


def read_values(context: Context, runs: Sequence[Row], columns: Sequence[Column]) -> list[list[Any]]:
    """For each run the values of the columns; None where it has none. One query."""
    wanted = [column for column in columns if column.section != "run"]
    projection = Projection(keys=frozenset(_key(column) for column in wanted))
    names = [name for name, _ in projection.columns]
    marks = ",".join("?" * len(runs))
    sql = f"SELECT id{projection.sql()} FROM runs WHERE id IN ({marks})"  # noqa: S608
    found = {}
    if wanted and runs:
        for pk, *texts in context.db.execute(sql, [run["pk"] for run in runs]):
            found[pk] = dict(zip(names, texts, strict=True))
    return [[_value(run, found.get(run["pk"], {}), column) for column in columns] for run in runs]


def _key(column: Column) -> tuple[str, str]:
    return _GRAPHQL_NAMES[column.section], column.label


def _value(run: Row, texts: Row, column: Column) -> Any:
    if column.section == "run":
        return run[_ATTRIBUTES[column.parts[0]]]
    text = texts.get(key_column(*_key(column)))
    return None if text is None else parse_row(f'{{"value":{text}}}').get("value")
