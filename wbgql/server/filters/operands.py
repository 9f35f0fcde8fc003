"""The values of a filter, checked, and the SQL functions that compare with them. No I/O."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any

import re2

from wbgql.server.filters.fields import FilterRefused, require_unicode, shown

MAX_OPERAND_DEPTH = 50
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_STORED_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def operand(value: object, depth: int = 0) -> Any:
    """Return a checked operand: JSON, with `{"$numberDouble": "NaN"}` read as a number.

    Integers beyond 64 bits become floats, as SQLite reads them.

    Raises:
        FilterRefused: a bare NaN or infinity, bad Unicode, an operator where a value stands, too deep.
    """
    if depth > MAX_OPERAND_DEPTH:
        raise FilterRefused(f"nested deeper than {MAX_OPERAND_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, str):
        return require_unicode(value)
    if isinstance(value, list):
        return [operand(member, depth + 1) for member in value]
    if isinstance(value, dict):
        return _object(value, depth)
    raise FilterRefused(f"{shown(value)}: not a JSON value")


def _number(value: int | float) -> int | float:
    try:
        number = value if _INT64_MIN <= value <= _INT64_MAX else float(value)
    except OverflowError as error:
        raise FilterRefused("a number beyond the range of a double") from error
    if not math.isfinite(number):
        raise FilterRefused(f"{value!r}: not JSON, send the string {stored_non_finite(value)!r}")
    return number


def _object(value: dict[str, object], depth: int) -> Any:
    if value.keys() == {"$numberDouble"}:
        return _double(value["$numberDouble"])
    for key in value:
        if key.startswith("$"):
            raise FilterRefused(f"operator {key!r} inside a value")
        require_unicode(key)
    return {key: operand(member, depth + 1) for key, member in value.items()}


def _double(text: object) -> float:
    try:
        return float(text) if isinstance(text, str) else _refuse_double(text)
    except ValueError as error:
        raise FilterRefused(f"$numberDouble: {shown(text)} is not a number") from error


def _refuse_double(text: object) -> float:
    raise FilterRefused(f"$numberDouble: {shown(text)} is not a string")


def stored_non_finite(value: float) -> str:
    """Return the string that W&B stores for NaN or an infinity."""
    return _STORED_NON_FINITE.get(value, "NaN")


MAX_REGEX_STEPS = 3 * 10**8
"""Steps of a pattern's program times characters of a text: up to 5 s of RE2, which nothing can interrupt."""


@lru_cache(maxsize=256)
def compiled_regex(pattern: str) -> Any:
    """Compile an RE2 pattern, once.

    Raises:
        re2.error: RE2 cannot read it.
    """
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options=options)


def sql_regexp(*arguments: Any) -> int | None:
    """`wb_regexp(pattern, text)`: 1 if the pattern is found; null for what is not text. Linear time."""
    pattern, text = arguments
    if not isinstance(text, str):
        return None
    regex = compiled_regex(pattern)
    if regex.programsize * len(text) > MAX_REGEX_STEPS:
        raise FilterRefused(f"$regex: {shown(pattern)} is too complex for a text of {len(text)} characters")
    return int(regex.search(text) is not None)


def sql_equal(*arguments: Any) -> int | None:
    """`wb_equal(json, json)`: 1 if both are the same JSON; numbers by value, keys in any order."""
    stored, wanted = arguments
    if not isinstance(stored, str):
        return None
    try:
        return int(_same_json(json.loads(stored), json.loads(wanted)))
    except RecursionError:  # deeper than any operand may be, so not equal to one
        return 0


def _same_json(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same_json, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same_json(one[key], other[key]) for key in one)
    return bool(one == other)
