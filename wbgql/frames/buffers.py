"""Python values to Arrow arrays by way of their buffers. No I/O.

`pyarrow.array` would do, but it imports pandas wherever that is installed, which costs 0.3 s and
60 MB at the first array (pyarrow 26, 2026-11). These are as quick, and import nothing. `nulls`: whether
to look for None.
"""

# ruff: noqa: PLC0415 - pyarrow is an extra and costs 0.2 s to import
from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain, repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


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
