"""MongoDB's filter semantics in plain Python, from its manual: what the server's SQL is held against.

Answers are True, False or None: with `nulls="sql"` a leaf over nothing but nulls is unknown (None).
A stored NaN is the string "NaN", as in W&B; a non-finite operand also equals its string.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator
from typing import Any

MISSING = object()
_RANGES = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
_NEGATED = {"$ne": "$eq", "$nin": "$in"}
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}


def matches(document: Any, filter_: dict[str, Any], *, nulls: str = "mongo") -> bool:
    """Whether `document` is selected by `filter_`."""
    return _document(document, filter_, nulls == "sql") is True


def _document(document: Any, filter_: dict[str, Any], sql: bool) -> bool | None:
    return _all(_entry(document, key, value, sql) for key, value in filter_.items())


def _entry(document: Any, key: str, value: Any, sql: bool) -> bool | None:
    if key == "$and":
        return _all(_document(document, member, sql) for member in value)
    if key == "$or":
        return _any(_document(document, member, sql) for member in value)
    if key == "$nor":
        return _not(_any(_document(document, member, sql) for member in value))
    return _operators(list(_walk(document, key.split("."))), _as_operators(value), sql, spread=True)


def _as_operators(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and any(key.startswith("$") for key in value):
        return value if value.keys() != {"$numberDouble"} else {"$eq": value}
    return {"$eq": value}


def _walk(value: Any, parts: list[str], *, inside: bool = False) -> Iterator[Any]:
    if not parts:
        yield value
    elif isinstance(value, dict):
        if parts[0] in value:
            yield from _walk(value[parts[0]], parts[1:])
        elif not (inside and re.fullmatch("[0-9]+", parts[0])):
            yield MISSING
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if str(index) == parts[0]:
                yield from _walk(item, parts[1:])
            if isinstance(item, dict):
                yield from _walk(item, parts, inside=True)
    else:
        yield MISSING


def _operators(found: list[Any], operators: dict[str, Any], sql: bool, *, spread: bool) -> bool | None:
    return _all(
        _operator(found, name, value, operators, sql, spread)
        for name, value in operators.items()
        if name != "$options"
    )


def _operator(
    found: list[Any], name: str, value: Any, beside: dict[str, Any], sql: bool, spread: bool
) -> bool | None:
    present = [item for item in found if item is not MISSING]
    if name == "$exists":
        return bool(present) == bool(value)
    if name in _NEGATED:
        return _not(_operator(found, _NEGATED[name], value, {}, sql, spread))
    if name == "$not":
        return _not(_operators(found, value, sql, spread=spread))
    if name == "$all" and value:
        wanted = [member if _is_elem_match(member) else {"$eq": member} for member in value]
        return _all(_operators(found, member, sql, spread=spread) for member in wanted)
    if _accepts_null(name, value):
        return any(item is MISSING or item is None or _leaf(item, name, value, spread) for item in found)
    if sql and not (name == "$in" and not value) and all(item is None for item in present):
        return None
    if name == "$regex":
        value = re.compile(value, sum(_FLAGS[letter] for letter in set(beside.get("$options", ""))))
    return any(_present(item, name, value, sql, spread) for item in present)


def _present(item: Any, name: str, value: Any, sql: bool, spread: bool) -> bool:
    if name == "$elemMatch":
        return _elem_match(item, value, sql)
    if name == "$size":
        return isinstance(item, list) and len(item) == value
    return name != "$all" and _leaf(item, name, value, spread)


def _accepts_null(name: str, value: Any) -> bool:
    return (name in ("$eq", "$gte", "$lte") and value is None) or (name == "$in" and None in value)


def _is_elem_match(member: Any) -> bool:
    return isinstance(member, dict) and "$elemMatch" in member


def _elem_match(item: Any, condition: dict[str, Any], sql: bool) -> bool:
    if not isinstance(item, list):
        return False
    logic = {"$and", "$or", "$nor"}
    if condition and all(key.startswith("$") for key in condition) and not logic & condition.keys():
        return any(_operators([element], condition, sql, spread=False) is True for element in item)
    return any(isinstance(e, dict) and _document(e, condition, sql) is True for e in item)


def _leaf(item: Any, name: str, value: Any, spread: bool) -> bool:
    if _test(item, name, value):
        return True
    return spread and isinstance(item, list) and any(_test(element, name, value) for element in item)


def _test(item: Any, name: str, value: Any) -> bool:
    if name == "$eq":
        return _equal(item, value)
    if name == "$in":
        return any(_equal(item, member) for member in value)
    if name == "$regex":
        return isinstance(item, str) and value.search(item) is not None
    if name == "$contains":
        return isinstance(item, str) and value in item
    value = _number(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return name in ("$gte", "$lte") and _equal(item, value)
    return _kind(item) == _kind(value) and bool(_RANGES[name](item, value))


def _equal(item: Any, value: Any) -> bool:
    value = _number(value)
    if isinstance(value, float) and not math.isfinite(value):
        word = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return item == word or (_kind(item) == "number" and item == value)
    if _kind(item) != _kind(value):
        return False
    if isinstance(value, list):
        return len(item) == len(value) and all(map(_equal_inside, item, value))
    if isinstance(value, dict):
        return item.keys() == value.keys() and all(_equal_inside(item[key], value[key]) for key in item)
    return bool(item == value)


def _equal_inside(item: Any, value: Any) -> bool:
    return _kind(item) == _kind(value) and _equal(item, value)


def _number(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"$numberDouble"}:
        return float(value["$numberDouble"])
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def _all(answers: Any) -> bool | None:
    answers = list(answers)
    return False if False in answers else None if None in answers else True


def _any(answers: Any) -> bool | None:
    answers = list(answers)
    return True if True in answers else None if None in answers else False


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer
