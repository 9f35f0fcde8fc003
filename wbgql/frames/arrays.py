"""Values of one page to Arrow arrays, kinds apart. No I/O.

Imports pyarrow when used. A page is built at once; only one that holds something unusual is gone
through value by value.
"""

# ruff: noqa: PLC0415 - pyarrow is an extra and costs 0.2 s to import
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import TYPE_CHECKING, Any

from wbgql.errors import ConfigError
from wbgql.extras import install_command
from wbgql.frames.buffers import (
    boolean_array,
    instant_array,
    integer_array,
    number_array,
    text_array,
    texts_array,
)
from wbgql.frames.layout import KeyKind, Kind, in_order
from wbgql.scalars import NON_FINITE_TEXTS, dump_json, parse_datetime

if TYPE_CHECKING:
    import pyarrow as pa

_KIND_OF: Mapping[type, KeyKind] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "json",
    dict: "json",
}


def arrow() -> Any:
    """The pyarrow module.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise ConfigError(f"frames need pyarrow; run: {install_command('frames')}") from error
    return pyarrow


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type of a kind."""
    import pyarrow as pa

    if kind == "texts":
        return pa.list_(pa.string())
    if kind == "time":
        return pa.timestamp("us", "UTC")
    names = {"number": "float64", "integer": "int64", "boolean": "bool"}
    return pa.type_for_alias(names.get(kind, "string"))


def attribute_array(values: Sequence[Any], kind: Kind) -> pa.Array:
    """One array of a kind that was promised."""
    if kind == "time":
        return _time_array(values)
    return _array(values, kind)


def key_arrays(values: Sequence[Any], kinds: Sequence[KeyKind] | None) -> tuple[dict[KeyKind, pa.Array], int]:
    """The arrays of one key, one for each kind among `kinds` that occurs, each as long as `values`.

    Without `kinds`, one for each kind there is. Also returns how many values fit none of
    `kinds`: they are null. Where "json" is among them everything fits: JSON text can hold all.
    The texts NaN, Infinity and -Infinity are numbers wherever numbers are expected.
    """
    types = set(map(type, values))
    nulls = NoneType in types
    types.discard(NoneType)
    if not types:
        return {}, 0
    seen = {_KIND_OF.get(found, "json") for found in types}
    if len(seen) == 1:
        (kind,) = seen
        plain = kind in kinds if kinds is not None else kind != "string" or not _any_non_finite(values)
        if plain:
            return {kind: _array(values, kind, nulls)}, 0
    return _split(values, kinds)


def _any_non_finite(values: Sequence[Any]) -> bool:
    return not NON_FINITE_TEXTS.keys().isdisjoint(values)


def _split(values: Sequence[Any], kinds: Sequence[KeyKind] | None) -> tuple[dict[KeyKind, pa.Array], int]:
    """Go through the values one by one and put each where it belongs."""
    columns: dict[KeyKind, list[Any]] = {}
    strangers = 0
    for row, value in enumerate(values):
        if value is None:
            continue
        placed = _place(value, kinds)
        if placed is None:
            strangers += 1
            continue
        kind, item = placed
        if kind not in columns:
            columns[kind] = [None] * len(values)
        columns[kind][row] = item
    return {kind: _array(columns[kind], kind) for kind in in_order(columns)}, strangers


def _place(value: Any, kinds: Sequence[KeyKind] | None) -> tuple[KeyKind, Any] | None:
    kind = _KIND_OF.get(type(value), "json")
    if kind == "string" and value in NON_FINITE_TEXTS and (kinds is None or "number" in kinds):
        return "number", NON_FINITE_TEXTS[value]
    if kinds is None or kind in kinds:
        return kind, value
    if kind == "number" and "integer" in kinds and float(value).is_integer():
        return "integer", int(value)
    return ("json", value) if "json" in kinds else None


def _array(values: Sequence[Any], kind: Kind, nulls: bool = True) -> pa.Array:
    if kind == "texts":
        return _texts_array(values)
    if kind == "json":
        values = [None if value is None else dump_json(value) for value in values]
    try:
        return _BUILDERS[kind](values, nulls)
    except (TypeError, UnicodeEncodeError, OverflowError):
        # A whole number beyond a float, half a character, a number for a text.
        repair = _REPAIRS[kind]
        return _BUILDERS[kind]([None if value is None else repair(value) for value in values], nulls)


def _texts_array(values: Sequence[Any]) -> pa.Array:
    try:
        return texts_array(values)
    except (TypeError, UnicodeEncodeError):
        return texts_array([None if value is None else [*map(_to_text, value)] for value in values])


def _time_array(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    try:
        return text_array(values).cast(arrow_type("time"))
    except (pa.ArrowInvalid, TypeError, UnicodeEncodeError):
        # A zone is missing somewhere, or the fraction is finer than microseconds.
        return instant_array([None if value is None else _instant(value) for value in values])


def _instant(text: Any) -> datetime | None:
    try:
        return parse_datetime(text)
    except (TypeError, ValueError):
        return None


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _to_int64(value: Any) -> int | None:
    return value if -(2**63) <= value < 2**63 else None


def _to_text(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


_BUILDERS: Mapping[Kind, Callable[[Sequence[Any], bool], Any]] = {
    "number": number_array,
    "integer": integer_array,
    "boolean": boolean_array,
    "string": text_array,
    "json": text_array,
}

_REPAIRS: Mapping[Kind, Callable[[Any], Any]] = {
    "number": _to_float,
    "integer": _to_int64,
    "boolean": bool,
    "string": _to_text,
    "json": _to_text,
}
