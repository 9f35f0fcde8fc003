"""Rows of histories as Arrow: one schema, whatever was logged. Imports pyarrow when used. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wbgql.cautions import warn
from wbgql.errors import UsageError
from wbgql.frames.arrays import arrow, attribute_array, key_arrays
from wbgql.frames.layout import FrameWarning, Kind
from wbgql.history.rows import ABSENT, STEP, TIMESTAMP, Row, dig, step_of
from wbgql.paths import RunPath
from wbgql.scalars import dump_json

if TYPE_CHECKING:
    import pyarrow as pa

_LEADING: tuple[tuple[str, Kind], ...] = (
    ("project", "string"),
    ("run_id", "string"),
    (STEP, "integer"),
    (TIMESTAMP, "number"),
)

Blocks = Iterable[tuple[RunPath, Sequence[Row]]]


class HistoryBatches:
    """Record batches of one schema, one for each block of rows, made as they are asked for.

    Columns: `project` (entity/project) and `run_id` as strings, `_step` int64, `_timestamp` float64 (Unix
    seconds), then each key as float64, or as a string for those in `text` (objects and lists as JSON).
    Null where a step did not log the key. true and false count as 1 and 0. Warns (FrameWarning) at the
    end of values that are no numbers and became null.

    Raises:
        UsageError: no keys, a key that is the name of a leading column, or a text key not asked for.
        ConfigError: pyarrow is not installed.
    """

    def __init__(
        self, read: Callable[[], Blocks], keys: Sequence[str] | None, text: Iterable[str] = ()
    ) -> None:
        if keys is None:
            raise UsageError("a table needs its columns: name the keys, or read row by row")
        kept = [key for key in keys if key not in (STEP, TIMESTAMP)]
        asked = set(text)
        for key in kept:
            if key in dict(_LEADING):
                raise UsageError(f"{key!r} is a column of every table: read that key row by row instead")
        if strange := sorted(asked.difference(kept)):
            raise UsageError(f"text names a key that was not asked for: {strange[0]!r}")
        self._columns = {key: "string" if key in asked else "number" for key in kept}
        self._read = read
        self.schema = self._make_schema()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches. Holds one block at a time."""
        misfits: Counter[str] = Counter()
        for path, rows in self._read():
            yield self._batch(path, rows, misfits)
        if misfits:
            names = ", ".join(f"{key!r} ({count})" for key, count in misfits.most_common(20))
            warn(FrameWarning(f"values that are no numbers are null: {names}; name such keys in text="))

    def to_table(self) -> pa.Table:
        """All rows as one table."""
        return arrow().Table.from_batches(list(self), schema=self.schema)

    def _make_schema(self) -> pa.Schema:
        pa = arrow()
        types = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
        return pa.schema([(name, types[kind]) for name, kind in (*_LEADING, *self._columns.items())])

    def _batch(self, path: RunPath, rows: Sequence[Row], misfits: Counter[str]) -> pa.RecordBatch:
        arrays = [
            attribute_array([str(path.project_path)] * len(rows), "string"),
            attribute_array([path.run_id] * len(rows), "string"),
            attribute_array([step_of(row) for row in rows], "integer"),
            _numbers(TIMESTAMP, rows, misfits),
        ]
        for key, kind in self._columns.items():
            arrays.append(_texts(key, rows) if kind == "string" else _numbers(key, rows, misfits))
        return arrow().RecordBatch.from_arrays(arrays, schema=self.schema)


def _numbers(key: str, rows: Sequence[Row], misfits: Counter[str]) -> pa.Array:
    values = [_value(row, key) for row in rows]
    values = [float(value) if isinstance(value, bool) else value for value in values]
    arrays, strangers = key_arrays(values, ("number",))
    if strangers:
        misfits[key] += strangers
    return arrays.get("number", attribute_array([None] * len(rows), "number"))


def _texts(key: str, rows: Sequence[Row]) -> pa.Array:
    values = (_value(row, key) for row in rows)
    texts = [value if isinstance(value, str) or value is None else dump_json(value) for value in values]
    return attribute_array(texts, "string")


def _value(row: Row, key: str) -> Any:
    value = dig(row, key)
    return None if value is ABSENT else value
