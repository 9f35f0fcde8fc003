"""Reading asked-for keys out of many JSON texts at once. No I/O.

Each text is decoded into a type made for the keys, so that what was not asked for is skipped, and rows
become columns without Python in between. A page that this cannot read (a bare NaN, say) is read row by row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import astuple

from wbgql.scalars import MAX_LEVELS, is_deeper, may_be_deeper, parse_json

Values = list[Any]

_KEYS_ONLY: msgspec.json.Decoder[list[dict[str, msgspec.Raw]]] = msgspec.json.Decoder(
    list[dict[str, msgspec.Raw]]
)


class _Wrapped(msgspec.Struct, frozen=True, gc=False):
    """A config entry. Without `value` it is no wrapper but a value of its own."""

    value: Any = msgspec.UNSET


# What msgspec takes for no field's name; such keys are read row by row.
UNNAMEABLE = re.compile(r'[\\"\x00-\x1f\ud800-\udfff]')

# So many rows are turned at a time: few enough for the processor's cache, and for their tuples not to
# set off the collector, which takes 50 ms where polars, gql and the like are imported.
_BLOCK = 100

# Up to this number of columns it is quicker to take them one by one.
_FEW = 4

_VALUE_OF = attrgetter("value")
_ABSENT = _Wrapped(value=None)


class _Rows:
    """Decodes texts into structs with one field for each of `tops`, top-level keys."""

    def __init__(self, tops: Sequence[str], *, wrapped: bool, closed: bool = False) -> None:
        self._names = {top: f"f{number}" for number, top in enumerate(tops)}
        kind, default = (_Wrapped, _ABSENT) if wrapped else (Any, None)
        self._wrapped = wrapped
        self._row: msgspec.json.Decoder[Any] | None = None
        if any(map(UNNAMEABLE.search, tops)):
            return
        row = msgspec.defstruct(
            "Row",
            [(name, kind, default) for name in self._names.values()],
            rename={name: top for top, name in self._names.items()},
            gc=False,
            frozen=True,
            forbid_unknown_fields=closed,
        )
        self._empty = row()
        self._row = msgspec.json.Decoder(row)

    def decode(self, texts: Sequence[str | None]) -> list[Any] | None:
        """All rows, or None where one of them cannot be read this way."""
        if self._row is None:
            return None
        decode = self._row.decode
        try:
            rows = [decode(text) if text else self._empty for text in texts]
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        both = zip(texts, rows, strict=True)
        wide = (astuple(row) for text, row in both if text and may_be_deeper(text, MAX_LEVELS))
        return None if any(is_deeper(list(values), MAX_LEVELS) for values in wide) else rows

    def columns(self, rows: Sequence[Any]) -> dict[str, Values] | None:
        """Values by top-level key, or None where an entry turned out to be no wrapper."""
        found = dict(zip(self._names, _turned(rows, len(self._names)), strict=True))
        if self._wrapped:
            found = {top: list(map(_VALUE_OF, entries)) for top, entries in found.items()}
        if self._wrapped and any(msgspec.UnsetType in set(map(type, values)) for values in found.values()):
            return None
        return found

    def columns_slowly(self, texts: Sequence[str | None]) -> tuple[dict[str, Values], list[int]]:
        """Values by top-level key, row by row; and which texts cannot be read as JSON at all."""
        found: dict[str, Values] = {top: [] for top in self._names}
        broken = []
        for number, text in enumerate(texts):
            row = _parse(text)
            if row is None:
                broken.append(number)
            for top, values in found.items():
                value = (row or {}).get(top)
                values.append(unwrap(value) if self._wrapped else value)
        return found, broken


class KeyReader:
    """Reads the values at `keys` (paths to walk) out of JSON texts.

    A part that holds a dot is looked up as it is, then as nesting. A path that leads nowhere
    gives None. `broken` are the places, among the texts read last, of those that cannot be read as JSON;
    their values are None.
    """

    def __init__(self, keys: Sequence[tuple[str, ...]], *, wrapped: bool) -> None:
        self._keys = tuple(keys)
        tops = dict.fromkeys(top for parts in keys for top in (parts[0], parts[0].partition(".")[0]))
        self._rows = _Rows(list(tops), wrapped=wrapped)
        self.broken: list[int] = []

    def read(self, texts: Sequence[str | None]) -> dict[tuple[str, ...], Values]:
        """One list of values for each key, each as long as `texts`."""
        rows = self._rows.decode(texts)
        columns = None if rows is None else self._rows.columns(rows)
        self.broken = []
        if columns is None:
            columns, self.broken = self._rows.columns_slowly(texts)
        return {parts: _walk_column(columns, parts) for parts in self._keys}


class AllKeysReader:
    """Reads every top-level key; learns the keys as texts come. Fields as `KeyReader`."""

    def __init__(self, known: Sequence[str] = (), *, wrapped: bool, hidden: frozenset[str]) -> None:
        self._wrapped = wrapped
        self._hidden = hidden
        self._tops: dict[str, None] = dict.fromkeys((*known, *sorted(hidden)))
        self._rows = _Rows(list(self._tops), wrapped=wrapped, closed=True)
        self.broken: list[int] = []

    def read(self, texts: Sequence[str | None]) -> dict[tuple[str, ...], Values]:
        """One list of values for each key seen so far, each as long as `texts`."""
        rows = self._rows.decode(texts)
        if rows is None and self._learn(texts):
            rows = self._rows.decode(texts)
        columns = None if rows is None else self._rows.columns(rows)
        self.broken = []
        if columns is None:
            columns, self.broken = self._rows.columns_slowly(texts)
        return {(top,): values for top, values in columns.items() if top not in self._hidden}

    def _learn(self, texts: Sequence[str | None]) -> bool:
        """Take in the keys of these texts; whether there was a new one."""
        before = len(self._tops)
        try:
            found: list[Mapping[str, Any]] = list(
                _KEYS_ONLY.decode(f"[{','.join([text or '{}' for text in texts])}]")
            )
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            found = [_parse(text) or {} for text in texts]
        for row in found:
            self._tops.update(dict.fromkeys(row))
        if len(self._tops) == before:
            return False
        self._rows = _Rows(list(self._tops), wrapped=self._wrapped, closed=True)
        return True


def unwrap(value: Any) -> Any:
    """The value of a config entry, which stands in `{"value": ...}`."""
    return value["value"] if isinstance(value, dict) and "value" in value else value


def dig(value: Any, parts: Sequence[str]) -> Any:
    """Walk into objects; None where the path leads nowhere."""
    for part in parts:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _turned(rows: Sequence[Any], width: int) -> list[Values]:
    """The columns of structs that have `width` fields."""
    if width <= _FEW:
        return [list(map(attrgetter(f"f{number}"), rows)) for number in range(width)]
    columns: list[Values] = [[] for _ in range(width)]
    for start in range(0, len(rows), _BLOCK):
        block = zip(*map(astuple, rows[start : start + _BLOCK]), strict=True)
        for column, values in zip(columns, block, strict=True):
            column.extend(values)
    return columns


def _walk_column(columns: Mapping[str, Values], parts: tuple[str, ...]) -> Values:
    values = columns[parts[0]]
    if len(parts) > 1:
        values = [None if value is None else dig(value, parts[1:]) for value in values]
    if not any("." in part for part in parts):
        return values
    top, *rest = ".".join(parts).split(".")
    return [
        dig(outer, rest) if value is None else value
        for value, outer in zip(values, columns[top], strict=True)
    ]


def _parse(text: str | None) -> dict[str, Any] | None:
    try:
        row = parse_json(text or "{}")
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
