"""Groups of runs: the best or latest of each, and counts, sums, means, least and greatest. No I/O."""

# ruff: noqa: PLC0415 - pyarrow is an extra, and heavy
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from wbgql.errors import UsageError
from wbgql.expressions import Field, parse_field
from wbgql.scalars import dump_json

if TYPE_CHECKING:
    import pyarrow as pa

By: TypeAlias = Field | str | Sequence[Field | str]
Mode = Literal["max", "min"]
# Partial results that are merged at a time: bounds memory where nearly every run is a group of its own.
_MERGE_AT = 64
_STATISTICS = ("count", "sum", "min", "max")


class HasFields(Protocol):
    """Something that gives the value of a field, as a run does."""

    def __getitem__(self, field: Field) -> Any: ...


R = TypeVar("R", bound=HasFields)


@dataclass(frozen=True)
class GroupBest(Generic[R]):
    """The best run of one group.

    `group` holds one value for each field of `by`, None where the runs have none. `run` and `value` are
    None where no run of the group has a number (or instant) there. `runs` counts the whole group,
    `measured` those with a value. Of equals, the first in the order of the selection is taken.
    """

    group: tuple[Any, ...]
    run: R | None
    value: Any
    runs: int
    measured: int


@dataclass(frozen=True, slots=True)
class GroupKey:
    """One thing to group by: a field of the run, or its project (`field` None)."""

    name: str
    field: Field | None

    def read(self, run: Any) -> Any:
        """The value in one run."""
        return str(run.path.project_path) if self.field is None else run[self.field]


def group_keys(by: By) -> tuple[GroupKey, ...]:
    """Return what `by` names: one field or several, their texts, or the word "project".

    Raises:
        UsageError: none at all, or a field that cannot be read.
    """
    several = [by] if isinstance(by, (Field, str)) else list(by)
    if not several:
        raise UsageError("name at least one field to group by")
    return tuple(_group_key(one) for one in several)


def _group_key(one: Field | str) -> GroupKey:
    if isinstance(one, str) and one == "project":
        return GroupKey("project", None)
    field = parse_field(one) if isinstance(one, str) else one
    if not isinstance(field, Field):
        raise UsageError(f"group by a field such as wb.run.group or its text, not {one!r}")
    return GroupKey(str(field), field)


def best_of_each(
    runs: Iterable[R], by: Sequence[GroupKey], metric: Field, *, mode: Mode = "max"
) -> list[GroupBest[R]]:
    """Return the best run of each group, in the order in which the groups appear.

    Reads the runs once and keeps one for each group. NaN, text, true and false are no measure. Numbers
    that are equal are one group (1 and 1.0), values of different types are not (1, "1" and true).

    Raises:
        UsageError: `mode` is neither "max" nor "min".
    """
    if mode not in ("max", "min"):
        raise UsageError(f"mode {mode!r}: write 'max' or 'min'")
    better: Callable[[Any, Any], bool] = (lambda a, b: a > b) if mode == "max" else (lambda a, b: a < b)
    groups: dict[str, _Group[R]] = {}
    for run in runs:
        values = tuple(key.read(run) for key in by)
        group = groups.setdefault(_key(values), _Group(values))
        group.add(run, _measure(run[metric]), better)
    return [group.result() for group in groups.values()]


class _Group(Generic[R]):
    __slots__ = ("best", "measured", "runs", "value", "values")

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values = values
        self.best: R | None = None
        self.value: Any = None
        self.runs = self.measured = 0

    def add(self, run: R, value: Any, better: Callable[[Any, Any], bool]) -> None:
        self.runs += 1
        if value is None:
            return
        self.measured += 1
        if self.best is None or better(value, self.value):
            self.best, self.value = run, value

    def result(self) -> GroupBest[R]:
        return GroupBest(self.values, self.best, self.value, self.runs, self.measured)


def _measure(value: Any) -> Any:
    """What can be compared, or None. The server keeps infinities as text."""
    match value:
        case bool():
            return None
        case "Infinity" | "-Infinity":
            return float(value)
        case float() if math.isnan(value):
            return None
        case int() | float() | datetime():
            return value
        case _:
            return None


def _key(values: tuple[Any, ...]) -> str:
    return dump_json([_plain(value) for value in values])


def _plain(value: Any) -> Any:
    """JSON that is equal where the values are: `1.0` as 1, an object whatever the order of its keys."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case datetime():
            return value.isoformat()
        case dict():
            return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def summarize(
    batches: Iterable[Any], by: Sequence[str], columns: Sequence[str], *, schema: pa.Schema | None = None
) -> pa.Table:
    """Return one Arrow row per group, in the order in which the groups appear.

    `batches` are Arrow tables or record batches of one schema; they are read once and summed up as they
    come. Columns: those of `by`, `runs` int64, then for each of `columns` its `.count` int64 and `.sum`,
    `.mean`, `.min`, `.max` float64. NaN counts as missing; true is 1, false 0. A group without a number
    has count 0 and nulls. Zero batches give the same columns, those of `by` as in `schema`, or as text.

    Raises:
        UsageError: a column is missing, holds no numbers, or is a list and cannot be grouped by.
    """

    merged: pa.Table | None = None
    nothing = None if schema is None else _partial(schema.empty_table(), by, columns)
    parts = (_partial(_as_table(batch), by, columns) for batch in batches)
    while several := list(islice(parts, _MERGE_AT)):
        merged = _merge([*([] if merged is None else [merged]), *several], by, columns)
    if merged is None:
        merged = _merge([_empty(by, columns) if nothing is None else nothing], by, columns)
    return _finish(merged, by, columns)


def _as_table(batch: Any) -> pa.Table:
    import pyarrow as pa

    return batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])


def _partial(table: pa.Table, by: Sequence[str], columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    for name in by:
        if pa.types.is_nested(_column(table, name).type):
            raise UsageError(f"column {name!r} holds lists: it cannot be grouped by")
    arrays = {**{name: _column(table, name) for name in by}, "runs": pa.nulls(len(table), pa.int64())}
    for name in columns:
        arrays[f"{name}."] = _numbers(name, _column(table, name))
    wanted = [("runs", "count", _count_all())]
    wanted += [(f"{name}.", statistic, None) for name in columns for statistic in _STATISTICS]
    grouped = pa.table(arrays).group_by(list(by), use_threads=False).aggregate(wanted)
    # "x._count" is what pyarrow names the count of "x.".
    names = [*by, "runs", *(f"{name}.{statistic}" for name in columns for statistic in _STATISTICS)]
    made = [*by, "runs_count", *(f"{name}._{statistic}" for name in columns for statistic in _STATISTICS)]
    return grouped.select(made).rename_columns(names)


def _merge(parts: list[pa.Table], by: Sequence[str], columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    sums = {"count": "sum", "sum": "sum", "min": "min", "max": "max"}
    wanted = [("runs", "sum")]
    wanted += [(f"{name}.{one}", again) for name in columns for one, again in sums.items()]
    whole = pa.concat_tables(parts, promote_options="permissive")
    grouped = whole.group_by(list(by), use_threads=False).aggregate(wanted)
    made = [*by, *(f"{column}_{function}" for column, function in wanted)]
    return grouped.select(made).rename_columns([*by, *(column for column, _ in wanted)])


def _finish(merged: pa.Table, by: Sequence[str], columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = {name: merged[name] for name in (*by, "runs")}
    for name in columns:
        count, total = merged[f"{name}.count"], merged[f"{name}.sum"]
        mean = pc.divide(total, pc.if_else(pc.greater(count, 0), count, None).cast(pa.float64()))
        values = {"count": count, "sum": total, "mean": mean}
        values |= {statistic: merged[f"{name}.{statistic}"] for statistic in ("min", "max")}
        arrays |= {f"{name}.{statistic}": array for statistic, array in values.items()}
    return pa.table(arrays)


def _empty(by: Sequence[str], columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    types = {**dict.fromkeys(by, pa.string()), "runs": pa.int64()}
    for name in columns:
        for statistic in _STATISTICS:
            types[f"{name}.{statistic}"] = pa.int64() if statistic == "count" else pa.float64()
    return pa.schema(list(types.items())).empty_table()


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise UsageError(f"no column {name!r}: there are {', '.join(map(repr, table.column_names))}")
    return table[name]


def _numbers(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as float64 without NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise UsageError(f"column {name!r} holds {kind}, not numbers: leave it out, or group by it")
    floats = column.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(floats), None, floats)


def _count_all() -> Any:
    import pyarrow.compute as pc

    return pc.CountOptions(mode="all")


def iter_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a small table as dicts."""
    for batch in table.to_batches():
        yield from batch.to_pylist()
