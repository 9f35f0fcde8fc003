"""Expressions over a fetched run, without the compiled filter in between. No I/O.

It shares no rule with `compiling`, so that a run which the server returned by mistake is noticed.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from wbgql.errors import FilterError
from wbgql.expressions.nodes import And, Condition, Expr, FieldPath, Not, Op, Or, RelativeTime
from wbgql.expressions.operands import check_pattern
from wbgql.scalars import parse_datetime

RunDocument: TypeAlias = Mapping[str, object]
"""A fetched run: server filter keys ("name", "displayName", "createdAt", ...), "summary_metrics" as an
object, "config" as an object of plain values (without the {"value": ...} around each)."""

_MISSING = object()
_COMPARISONS: dict[Op, Callable[[Any, Any], bool]] = {
    Op.GT: operator.gt,
    Op.GE: operator.ge,
    Op.LT: operator.lt,
    Op.LE: operator.le,
}


def matches(expr: Expr | None, document: RunDocument, *, now: datetime) -> bool:
    """Whether the run is one that `expr` asks for; None asks for every run.

    NaN and infinities count as the strings that W&B stores; `createdAt` and its like
    are compared as instants; a key that the document lacks is missing. A list
    holds if one of its members does.

    Raises:
        FilterError: `now` has no time zone.
    """
    if expr is None:
        return True
    if isinstance(expr, Not):
        return not matches(expr.term, document, now=now)
    if isinstance(expr, And):
        return all(matches(term, document, now=now) for term in expr.terms)
    if isinstance(expr, Or):
        return any(matches(term, document, now=now) for term in expr.terms)
    if isinstance(expr, Condition):
        if expr.op in (Op.IS_LIST, Op.HAS):
            return _lists(expr, document)
        return _holds(expr, list(_found(expr.path, document)), now)
    raise FilterError(f"{expr!r} is not a condition")


def _holds(condition: Condition, found: list[object], now: datetime) -> bool:
    null = any(value is None or value is _MISSING for value in found)
    match condition.op:
        case Op.IS_NULL | Op.NOT_NULL:
            return null is (condition.op is Op.IS_NULL)
        case Op.EXISTS | Op.MISSING:
            return any(value is not _MISSING for value in found) is (condition.op is Op.EXISTS)
        case Op.CONTAINS | Op.MATCHES:
            return any(isinstance(value, str) and _reads(condition, value) for value in found)
        case Op.NE | Op.NOT_IN:
            return not null and not _compares(condition, operator.eq, found, now)
        case _:
            return _compares(condition, _COMPARISONS.get(condition.op, operator.eq), found, now)


def _lists(condition: Condition, document: RunDocument) -> bool:
    """Whether the value itself is a list that equals the operand, or holds it."""
    wanted = condition.operand if isinstance(condition.operand, tuple) else (condition.operand,)
    for value in _walk(document, _place(condition.path)):
        if not isinstance(value, (list, tuple)):
            continue
        members = [_stored(member, condition.path) for member in value]
        if condition.op is Op.HAS:
            if any(_same(member, wanted[0]) for member in members):
                return True
        elif len(members) == len(wanted) and all(map(_same, members, wanted)):
            return True
    return False


def _same(value: object, wanted: object) -> bool:
    return _kind(value) is _kind(wanted) and value == wanted


def _reads(condition: Condition, value: str) -> bool:
    text = str(condition.operand)
    if condition.op is Op.CONTAINS:
        return text in value
    return check_pattern(str(condition.path), text).search(value) is not None


def _compares(
    condition: Condition, holds: Callable[[Any, Any], bool], found: list[object], now: datetime
) -> bool:
    operands = condition.operand if isinstance(condition.operand, tuple) else (condition.operand,)
    resolved = [item.resolve(now) if isinstance(item, RelativeTime) else item for item in operands]
    return any(_kind(value) is _kind(item) and holds(value, item) for value in found for item in resolved)


def _kind(value: object) -> type:
    """Values of different kinds are never equal and have no order; true is not 1."""
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def _found(path: FieldPath, document: RunDocument) -> Iterator[object]:
    """Yield the values at `path`: several where a list is on the way or at the end.

    Below a list without objects the key is missing, as for SQL's JSON functions; MongoDB takes it
    for neither null nor there.
    """
    for value in list(_walk(document, _place(path))) or [_MISSING]:
        yield _stored(value, path)
        if path.section == "step":
            yield value  # compared here alone, where an infinity is greater than 10
        if isinstance(value, (list, tuple)):
            yield from (_stored(member, path) for member in value)


def _place(path: FieldPath) -> tuple[str, ...]:
    sections = {"summary": "summary_metrics", "config": "config", "step": "step"}
    return (path.key,) if path.section == "run" else (sections[path.section], *path.parts)


def _walk(value: object, parts: tuple[str, ...]) -> Iterator[object]:
    if not parts:
        yield value
    elif isinstance(value, Mapping):
        yield from _walk(value[parts[0]], parts[1:]) if parts[0] in value else (_MISSING,)
    elif isinstance(value, (list, tuple)):
        if parts[0].isdecimal() and int(parts[0]) < len(value):
            yield from _walk(value[int(parts[0])], parts[1:])
        for member in value:
            if isinstance(member, Mapping):
                yield from _walk(member, parts)
    else:
        yield _MISSING


def _stored(value: object, path: FieldPath) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if path.is_date and isinstance(value, str):
        try:
            return parse_datetime(value)
        except (ValueError, OverflowError):
            return value
    return value
