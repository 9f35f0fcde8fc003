"""Expressions to the server's filter JSON and order strings. No I/O, no clock: `now` is an argument.

Only the documented operators are sent, and only in forms that mean the same under MongoDB's
null rules and under SQL's, because W&B compiles filters to SQL on more than one database.
Source: wandb SDK 0.31.0 `apis/public/api.py` (operators); W&B helm chart (databases), 2026-07.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from wbgql.errors import FilterError
from wbgql.expressions.fields import Field, Order, check_filterable
from wbgql.expressions.nodes import And, Condition, Expr, Not, Op, Or, RelativeTime, Scalar, join
from wbgql.scalars import format_datetime

Json: TypeAlias = dict[str, object]
# True stands for every run and False for none, until the outermost level gives them a form.
_Part: TypeAlias = Json | bool

# A contradiction under any null rules; `{"$in": []}` is a syntax error in some SQL dialects.
_NOTHING: Json = {"$and": [{"name": None}, {"name": {"$ne": None}}]}

_OPERATORS = {
    Op.GT: "$gt",
    Op.GE: "$gte",
    Op.LT: "$lt",
    Op.LE: "$lte",
    Op.CONTAINS: "$contains",
    Op.MATCHES: "$regex",
}
# Source: wandb SDK 0.31.0 `apis/public/api.py` documents created_at and heartbeat_at for `order`.
_ORDER_KEYS = {"createdAt": "created_at", "heartbeatAt": "heartbeat_at"}


def compile_filter(expr: Expr | None, *, now: datetime) -> Json:
    """Return the filter JSON for `expr`; None gives {}, which matches every run.

    `ago(...)` is resolved against `now`, which needs a time zone. Equal expressions give equal JSON.

    Raises:
        FilterError: `expr` is not an expression, or `now` has no zone.
    """
    if expr is None:
        return {}
    if not isinstance(expr, Expr):
        raise FilterError(f"{expr!r} is not a condition: {_advice(expr)}")
    part = _compile(expr, now, negated=False)
    if isinstance(part, bool):
        return {} if part else json.loads(json.dumps(_NOTHING))
    return part


def split_filter(expr: Expr | None) -> tuple[Expr | None, Expr | None]:
    """Part `expr` into what the server decides and what is left to the client; both must hold.

    The client's part is made of whole terms of the outermost `and`; None where nothing is left.
    """
    if expr is None:
        return None, None
    served: list[Expr] = []
    left: list[Expr] = []
    for term in conjuncts(expr):
        (left if any(condition.refusal for condition in term.conditions()) else served).append(term)
    return (join(And, served) if served else None), (join(And, left) if left else None)


def conjuncts(expr: Expr) -> list[Expr]:
    """Return the terms that must all hold: of the outermost `and`, or of `not (a or b)`, which is one."""
    if isinstance(expr, And):
        return [inner for term in expr.terms for inner in conjuncts(term)]
    if isinstance(expr, Not) and isinstance(expr.term, Or):
        return [inner for term in expr.term.terms for inner in conjuncts(~term)]
    return [expr]


def compile_order(order: Order) -> str:
    """Return the server's order string; the sign is always there, servers differ without it."""
    if not isinstance(order, Order):
        raise FilterError(f"{order!r} is not a sort order: write -field or +field")
    check_filterable(order.path)
    key = order.path.key
    return f"{'-' if order.descending else '+'}{_ORDER_KEYS.get(key, key)}"


def _advice(value: object) -> str:
    if isinstance(value, Field):
        return "compare the field, as in field > 0.9 or field != None"
    if isinstance(value, Order):
        return "give it to order="
    if isinstance(value, str):
        return "read text with parse_expression"
    return "a comparison was already decided by Python, check == and parentheses"


def _compile(expr: Expr, now: datetime, *, negated: bool) -> _Part:
    if isinstance(expr, Not):
        return _compile(expr.term, now, negated=not negated)
    if isinstance(expr, (And, Or)):
        parts = [_compile(term, now, negated=negated) for term in expr.terms]
        return _all(parts) if isinstance(expr, And) is not negated else _any(parts)
    if isinstance(expr, Condition):
        if expr.refusal is not None:
            raise FilterError(
                f"{expr.refusal}; the client can compare it, with client_side=True in the call, which reads"
                " every run that matches the rest"
            )
        return _RULES[expr.op](expr, now, negated)
    raise FilterError(f"{expr!r}: not an expression of this package")


def _all(parts: list[_Part]) -> _Part:
    if False in [part for part in parts if isinstance(part, bool)]:
        return False
    terms = _flat("$and", parts)
    if len(terms) < 2:
        return terms[0] if terms else True
    return _merged(terms) or {"$and": terms}


def _any(parts: list[_Part]) -> _Part:
    if True in [part for part in parts if isinstance(part, bool)]:
        return True
    terms = _flat("$or", parts)
    if len(terms) < 2:
        return terms[0] if terms else False
    return {"$or": terms}


def _flat(operator: str, parts: list[_Part]) -> list[Json]:
    """Lift nested lists of the same operator, and keep each term once."""
    terms: dict[str, Json] = {}
    for part in parts:
        if isinstance(part, bool):
            continue
        inner = part.get(operator) if len(part) == 1 else None
        for term in inner if isinstance(inner, list) else _split(part) if operator == "$and" else [part]:
            terms.setdefault(json.dumps(term), term)
    return list(terms.values())


def _split(part: Json) -> list[Json]:
    return [{key: value} for key, value in part.items()]


def _merged(terms: list[Json]) -> Json | None:
    """Join conjuncts into one object, as people write them; None where two ask the same of a key."""
    merged: Json = {}
    for term in terms:
        ((key, test),) = term.items()
        if key not in merged:
            merged[key] = test
            continue
        other = merged[key]
        if not isinstance(test, dict) or not isinstance(other, dict) or test.keys() & other.keys():
            return None
        merged[key] = {**other, **test}
    return merged


def _absent(condition: Condition) -> list[Json]:
    """The arms that hold where there is no value, one per way in which servers see that."""
    key = condition.path.key
    arms: list[Json] = [{key: None}]
    if condition.path.section == "config":
        # Equality with null does not find config values on some servers (wandb/wandb#1107, 2020 to 2024).
        arms.append({key: {"$exists": False}})
    return arms


def _or_absent(condition: Condition, arm: Json) -> Json:
    null, *others = _absent(condition)
    return {"$or": [null, arm, *others]}


def _present_and(condition: Condition, arm: Json) -> Json:
    return {"$and": [{condition.path.key: {"$ne": None}}, arm]}


def _equal(condition: Condition, now: datetime, negated: bool) -> _Part:
    key, value = condition.path.key, _value(condition.operand, now)
    return _or_absent(condition, {key: {"$ne": value}}) if negated else {key: value}


def _differs(condition: Condition, now: datetime, negated: bool) -> _Part:
    key, value = condition.path.key, _value(condition.operand, now)
    if negated:
        return _or_absent(condition, {key: value})
    return _present_and(condition, {key: {"$ne": value}})


def _operator(condition: Condition, now: datetime, negated: bool) -> _Part:
    plain: Json = {condition.path.key: {_OPERATORS[condition.op]: _value(condition.operand, now)}}
    return _or_absent(condition, {"$nor": [plain]}) if negated else plain


def _one_of(condition: Condition, now: datetime, negated: bool) -> _Part:
    values = _values(condition, now)
    if not values:
        return negated
    key = condition.path.key
    return _or_absent(condition, {key: {"$nin": values}}) if negated else {key: {"$in": values}}


def _none_of(condition: Condition, now: datetime, negated: bool) -> _Part:
    values = _values(condition, now)
    if not values:
        return _null(condition, now, not negated)
    key = condition.path.key
    if negated:
        return _or_absent(condition, {key: {"$in": values}})
    return _present_and(condition, {key: {"$nin": values}})


def _null(condition: Condition, _now: datetime, negated: bool) -> _Part:
    if negated:
        return {condition.path.key: {"$ne": None}}
    arms = _absent(condition)
    return arms[0] if len(arms) == 1 else {"$or": arms}


def _exists(condition: Condition, _now: datetime, negated: bool) -> _Part:
    return {condition.path.key: {"$exists": not negated}}


def _values(condition: Condition, now: datetime) -> list[object]:
    operands = condition.operand if isinstance(condition.operand, tuple) else ()
    return [_value(item, now) for item in operands]


def _value(operand: Scalar | tuple[Scalar, ...] | None, now: datetime) -> object:
    if isinstance(operand, RelativeTime):
        return format_datetime(operand.resolve(now))
    return format_datetime(operand) if isinstance(operand, datetime) else operand


_RULES: dict[Op, Callable[[Condition, datetime, bool], _Part]] = {
    Op.EQ: _equal,
    Op.NE: _differs,
    Op.IN: _one_of,
    Op.NOT_IN: _none_of,
    Op.IS_NULL: _null,
    Op.NOT_NULL: lambda condition, now, negated: _null(condition, now, not negated),
    Op.EXISTS: _exists,
    Op.MISSING: lambda condition, now, negated: _exists(condition, now, not negated),
    **dict.fromkeys(_OPERATORS, _operator),
}
