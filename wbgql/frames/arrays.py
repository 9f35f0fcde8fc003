"""Values of one page to Arrow arrays, kinds apart. No I/O.

Imports pyarrow when used. A page is built at once; only one that holds something unusual is gone
through value by value.
"""

# ruff: noqa: PLC0415 - pyarrow is an extra and costs 0.2 s to import

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain, repeat
from types import NoneType
from typing import TYPE_CHECKING, Any

from wbgql.errors import ConfigError
from wbgql.extras import install_command
from wbgql.frames.layout import KeyKind, Kind, in_order
from wbgql.scalars import NON_FINITE_TEXTS, dump_json, parse_datetime, to_safe_json

if TYPE_CHECKING:
    import pyarrow as pa

# Python values to Arrow arrays by way of their buffers.
#
# `pyarrow.array` would do, but it imports pandas wherever that is installed, which costs 0.3 s and
# 60 MB at the first array (pyarrow 26, 2026-11). These are as quick, and import nothing. `nulls`: whether
# to look for None.

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def number_array(values: Sequence[float | None], nulls: bool = True) -> pa.Array:
    """float64. Raises OverflowError, TypeError for what is no such number."""
    import pyarrow as pa

    return _fixed_array(values, "d", pa.float64(), nulls)


def integer_array(values: Sequence[int | None], nulls: bool = True) -> pa.Array:
    """int64. Raises OverflowError, TypeError for what is no such number."""
    import pyarrow as pa

    return _fixed_array(values, "q", pa.int64(), nulls)


def instant_array(values: Sequence[datetime | None]) -> pa.Array:
    """timestamp[us, UTC] from aware instants."""
    import pyarrow as pa

    ticks = [None if value is None else (value - _EPOCH) // _MICROSECOND for value in values]
    return _fixed_array(ticks, "q", pa.timestamp("us", "UTC"))


def boolean_array(values: Sequence[bool | None], nulls: bool = True) -> pa.Array:
    """bool."""
    import pyarrow as pa

    bits = _bits([bool(value) for value in values])
    return pa.Array.from_buffers(pa.bool_(), len(values), [_validity(values) if nulls else None, bits])


def text_array(values: Sequence[str | None], nulls: bool = True) -> pa.Array:
    """Text. Raises TypeError, UnicodeEncodeError for what is no text or holds half a character."""
    import pyarrow as pa

    lengths: Iterable[int]
    if _is_one_text(values):
        text = (values[0] or "").encode()
        data, lengths = text * len(values), repeat(len(text), len(values))
    else:
        texts = [value or "" for value in values]
        whole = "".join(texts)
        data = whole.encode()
        lengths = map(len, texts) if len(data) == len(whole) else (len(text.encode()) for text in texts)
    offsets = array("i", accumulate(lengths, initial=0))
    validity = _validity(values) if nulls else None
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def texts_array(values: Sequence[Sequence[str] | None]) -> pa.Array:
    """Lists of texts. Raises as `text_array`."""
    import pyarrow as pa

    items = text_array(list(chain.from_iterable(value or () for value in values)))
    offsets = array("i", accumulate((len(value or ()) for value in values), initial=0))
    buffers = [_validity(values), pa.py_buffer(offsets)]
    return pa.Array.from_buffers(pa.list_(pa.string()), len(values), buffers, children=[items])


def _is_one_text(values: Sequence[str | None]) -> bool:
    """Whether all rows hold the same text, as those of a project's name do."""
    first = values[0] if values else None
    return isinstance(first, str) and values[-1] == first and values.count(first) == len(values)


def _fixed_array(values: Sequence[Any], code: str, kind: pa.DataType, nulls: bool = True) -> pa.Array:
    import pyarrow as pa

    validity = _validity(values) if nulls else None
    if validity is not None:
        values = [0 if value is None else value for value in values]
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(array(code, values))])


def _validity(values: Sequence[Any]) -> pa.Buffer | None:
    """The bits that tell values from nulls, or None where there is no null."""
    return _bits([value is not None for value in values]) if None in values else None


def _bits(flags: Sequence[bool]) -> pa.Buffer:
    import pyarrow as pa

    octets = pa.Array.from_buffers(pa.uint8(), len(flags), [None, pa.py_buffer(bytes(flags))])
    return octets.cast(pa.bool_()).buffers()[1]


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
    if kind == "number" and "string" in kinds and not math.isfinite(value):
        # Where the server knows the key as text, the number was written so large that it is none: 1e999.
        return "string", to_safe_json(value)
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
