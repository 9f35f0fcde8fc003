"""W&B's run filters and orders as SQLite SQL, on expression indexes where there are some. No I/O.

Filters are MongoDB-like JSON. With `nulls="mongo"` a leaf over a null or missing value is
false, as in MongoDB, so a negation matches it; with `nulls="sql"` it is unknown, so a
negation does not. User text reaches SQL as parameters, except JSON paths, which are escaped.

What W&B leaves open is decided so:

- `$and: []` matches everything, as W&B's own front end sends it; `$or: []` and `$nor: []`
  are refused, as in MongoDB: filters also drive deletion.
- Objects are equal whatever the order of their keys.
- `$type`, `$mod`, `$expr`, `$where`, `$comment` and the regex flag `x`, which RE2 lacks, are refused.
- A value reached by its index in an array is looked into if it is an array itself.
- A condition on `id` matches nothing, negated or not.

The SQL uses the functions of `register_functions`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeGuard

from wbgql.server.filters.fields import (
    ColumnField,
    DocumentFields,
    ElementFields,
    Field,
    Fields,
    FilterRefused,
    IndexPath,
    NoField,
    RunFields,
    has_path,
    index_sql,
    instant_text,
    path_literal,
    shown,
)
from wbgql.server.filters.operands import operand, sql_equal, sql_regexp
from wbgql.server.filters.paths import ColumnTarget, ElementTarget, JsonTarget, NoTarget, Nulls, Target
from wbgql.server.filters.values import (
    TRUE,
    Condition,
    Sql,
    any_element,
    choose,
    combine,
    concat,
    equals,
    has_size,
    has_text,
    in_range,
    matches_regex,
    one_of,
    present,
)

if TYPE_CHECKING:
    import apsw

__all__ = [
    "DEFAULT_ORDER",
    "RUN_FIELDS",
    "DocumentFields",
    "Fields",
    "FilterRefused",
    "IndexPath",
    "OrderBy",
    "RunFields",
    "Where",
    "compile_order",
    "compile_where",
    "index_sql",
    "register_functions",
]

MAX_DEPTH = 50
MAX_ELEM_MATCH_DEPTH = 8
MAX_CONDITIONS = 500
MAX_MEMBERS = 10_000
MAX_PARAMS = 30_000  # SQLite allows 32,766; the rest is the caller's
MAX_SQL_CHARS = 500_000
RUN_FIELDS = RunFields()
DEFAULT_ORDER = "+created_at"


@dataclass(frozen=True)
class Where:
    """A condition for `WHERE`, without the word. `index_paths`: where an expression index would help."""

    sql: str
    params: tuple[object, ...]
    index_paths: frozenset[IndexPath]


@dataclass(frozen=True)
class OrderBy:
    """Terms for `ORDER BY`, without the words."""

    sql: str
    index_paths: frozenset[IndexPath]


def compile_where(filter_: object, fields: Fields, *, nulls: Nulls = "mongo") -> Where:
    """Compile a decoded filter; `{}` matches every row.

    Raises:
        FilterRefused: malformed, unknown operator or column, or too large.
    """
    compiler = _Compiler(nulls)
    sql = compiler.document(filter_, _Scope(fields, "$"))
    if len(sql.text) > MAX_SQL_CHARS or len(sql.params) > MAX_PARAMS:
        raise FilterRefused("$: too long, split the filter")
    return Where(sql.text, sql.params, frozenset(compiler.index_paths))


def compile_order(order: str | None, fields: Fields) -> OrderBy:
    """Compile an order: `+key` ascending, `-key` or bare `key` descending; none is `DEFAULT_ORDER`.

    Rows without a value come last either way; ties follow the row id in the same
    direction. Numbers sort before text, so `-` puts a stored "NaN" first.

    Source: bare keys are descending in the SDK's removed `format_order_key` (2026-08, likely).

    Raises:
        FilterRefused: no such column.
    """
    order = order or DEFAULT_ORDER
    direction = "ASC" if order.startswith("+") else "DESC"
    field = fields.resolve(order[1:] if order[0] in "+-" else order)
    tie_break = f"{fields.tie_break} {direction}"
    if isinstance(field, NoField):
        return OrderBy(tie_break, frozenset())
    if isinstance(field, ColumnField):
        return OrderBy(f"{field.source} {direction} NULLS LAST, {tie_break}", frozenset())
    if not has_path(field.parts):
        raise FilterRefused("no order by a key that holds a NUL character")
    paths = {IndexPath(field.column, field.parts)} if field.column and field.parts else set()
    value = f"json_extract({field.source}, {path_literal(field.parts)})"
    return OrderBy(f"{value} {direction} NULLS LAST, {tie_break}", frozenset(paths))


def register_functions(connection: apsw.Connection) -> None:
    """Add the SQL functions that compiled filters call: `wb_regexp` and `wb_equal`."""
    connection.create_scalar_function("wb_regexp", sql_regexp, 2, deterministic=True)
    connection.create_scalar_function("wb_equal", sql_equal, 2, deterministic=True)


@dataclass(frozen=True)
class _Scope:
    """Where in the filter the compiler stands, and what a key means there."""

    fields: Fields
    at: str
    positive: bool = True
    depth: int = 0
    arrays: int = 0

    def step(self, at: str, *, negated: bool = False) -> _Scope:
        positive = self.positive and not negated
        return _Scope(self.fields, self.at + at, positive, self.depth + 1, self.arrays)

    def into(self, fields: Fields) -> _Scope:
        return _Scope(fields, self.at, True, self.depth + 1, self.arrays + 1)

    def refuse(self, reason: str) -> FilterRefused:
        return FilterRefused(f"{self.at}: {reason}")


class _Compiler:
    """One compilation: counts what it reads, names subqueries, collects index wishes."""

    def __init__(self, nulls: Nulls) -> None:
        self.index_paths: set[IndexPath] = set()
        self._nulls = nulls
        self._aliases = count(1)
        self._conditions = 0
        self._logic: dict[str, Callable[[Any, _Scope], Sql]] = {
            "$and": self._and,
            "$or": self._or,
            "$nor": self._nor,
        }

    def document(self, filter_: object, scope: _Scope) -> Sql:
        if scope.depth > MAX_DEPTH:
            raise scope.refuse(f"nested deeper than {MAX_DEPTH} levels")
        if not isinstance(filter_, dict):
            raise scope.refuse(f"must be an object, not {shown(filter_)}")
        parts = [self._entry(key, value, scope) for key, value in filter_.items()]
        return combine("AND", parts) if parts else TRUE

    def _entry(self, key: str, value: object, scope: _Scope) -> Sql:
        if key in self._logic:
            return self._logic[key](value, scope)
        if key.startswith("$"):
            raise scope.step(f".{key}").refuse("unknown operator")
        inner = scope.step(f".{key}")
        try:
            field = scope.fields.resolve(key)
        except FilterRefused as error:
            raise inner.refuse(str(error)) from error
        return self._field(field, value, inner)

    def _and(self, members: object, scope: _Scope) -> Sql:
        return combine("AND", self._members("$and", members, scope) or [TRUE])

    def _or(self, members: object, scope: _Scope) -> Sql:
        return combine("OR", self._some("$or", members, scope))

    def _nor(self, members: object, scope: _Scope) -> Sql:
        return concat("NOT (", combine("OR", self._some("$nor", members, scope, negated=True)), ")")

    def _some(self, name: str, members: object, scope: _Scope, *, negated: bool = False) -> list[Sql]:
        parts = self._members(name, members, scope, negated=negated)
        if not parts:
            raise scope.step(f".{name}").refuse("empty, send {} to match everything")
        return parts

    def _members(self, name: str, members: object, scope: _Scope, *, negated: bool = False) -> list[Sql]:
        if not isinstance(members, list):
            raise scope.step(f".{name}").refuse(f"needs an array of filters, not {shown(members)}")
        self._count(len(members), scope)
        return [
            self.document(member, scope.step(f".{name}[{index}]", negated=negated))
            for index, member in enumerate(members)
        ]

    def _field(self, field: Field, value: object, scope: _Scope) -> Sql:
        convert = instant_text if isinstance(field, ColumnField) and field.kind == "instant" else operand
        target = self._target(field)
        operators = value if _is_operators(value) else {"$eq": value}
        return self._operators(operators, _Question(target, convert, scope))

    def _target(self, field: Field) -> Target:
        if isinstance(field, NoField):
            return NoTarget()
        if isinstance(field, ColumnField):
            return ColumnTarget(field, self._nulls)
        return JsonTarget(field, self._nulls, self._new_alias, self.index_paths.add)

    def _new_alias(self) -> str:
        return f"n{next(self._aliases)}"

    def _count(self, conditions: int, scope: _Scope) -> None:
        self._conditions += conditions
        if self._conditions > MAX_CONDITIONS:
            raise scope.refuse(f"more than {MAX_CONDITIONS} conditions, use $in for many values")

    def _operators(self, operators: dict[str, Any], question: _Question) -> Sql:
        if question.scope.depth > MAX_DEPTH:
            raise question.scope.refuse(f"nested deeper than {MAX_DEPTH} levels")
        if "$options" in operators and "$regex" not in operators:
            raise question.scope.step(".$options").refuse("needs $regex beside it")
        self._count(len(operators), question.scope)
        parts = [
            self._operator(name, value, operators, question)
            for name, value in operators.items()
            if name != "$options"
        ]
        return combine("AND", parts)

    def _operator(self, name: str, value: Any, siblings: dict[str, Any], question: _Question) -> Sql:
        scope = question.scope.step(f".{name}")
        if name in _NEGATED or name == "$not":
            return self._negation(name, value, question)
        if name == "$all":
            return self._all(value, question)
        if name == "$exists":
            return self._exists(value, question, scope)
        if name == "$elemMatch":
            condition = self._elem_match(value, scope)
        else:
            condition = self._condition(name, value, siblings, question, scope)
        return question.target.ask(condition, positive=scope.positive)

    def _condition(
        self, name: str, value: Any, siblings: dict[str, Any], question: _Question, scope: _Scope
    ) -> Condition:
        try:
            if name == "$regex":
                return matches_regex(value, siblings.get("$options", ""))
            if name == "$in":
                return one_of(_list(value, question.convert))
            if name in _COMPARISONS:
                return _COMPARISONS[name](question.convert(value))
            if name in _PLAIN:
                return _PLAIN[name](value)
        except FilterRefused as error:
            raise scope.refuse(str(error)) from error
        raise scope.refuse("unknown operator" if name.startswith("$") else "a key beside operators")

    def _negation(self, name: str, value: Any, question: _Question) -> Sql:
        scope = question.scope.step(f".{name}", negated=True)
        if name in _NEGATED:
            condition = self._condition(_NEGATED[name], value, {}, question, scope)
            return concat("NOT (", question.target.ask(condition, positive=False), ")")
        if not _is_operators(value):
            raise scope.refuse(f"needs an object of operators, not {shown(value)}")
        return concat("NOT (", self._operators(value, question.within(scope)), ")")

    def _exists(self, value: Any, question: _Question, scope: _Scope) -> Sql:
        if not isinstance(value, int) or value not in (0, 1):
            raise scope.refuse(f"needs true or false, not {shown(value)}")
        there = question.target.ask(present(), positive=scope.positive)
        return there if value else concat("NOT (", there, ")")

    def _all(self, value: Any, question: _Question) -> Sql:
        scope = question.scope.step(".$all")
        if not isinstance(value, list):
            raise scope.refuse(f"needs an array, not {shown(value)}")
        parts = []
        for index, member in enumerate(value):
            is_elem_match = isinstance(member, dict) and member.keys() == {"$elemMatch"}
            wanted = member if is_elem_match else {"$eq": member}
            parts.append(self._operators(wanted, question.within(scope.step(f"[{index}]"))))
        return combine("AND", parts or [question.target.ask(Condition(), positive=scope.positive)])

    def _elem_match(self, value: Any, scope: _Scope) -> Condition:
        if not isinstance(value, dict):
            raise scope.refuse(f"needs an object, not {shown(value)}")
        if scope.arrays >= MAX_ELEM_MATCH_DEPTH:
            raise scope.refuse(f"more than {MAX_ELEM_MATCH_DEPTH} inside each other")
        alias = self._new_alias()
        inside = scope.into(ElementFields(f"{alias}.value"))
        if _is_operators(value) and not value.keys() & self._logic.keys():
            inner = self._operators(value, _Question(ElementTarget(alias, self._nulls), operand, inside))
        else:
            inner = choose(f"{alias}.type", {"object": self.document(value, inside)})
        return Condition({"array": lambda node: any_element(node, alias, inner)}, spreads=False, nested=True)


@dataclass(frozen=True)
class _Question:
    """What operators apply to: a place, how its operands are read, and where in the filter they stand."""

    target: Target
    convert: Callable[[object], object]
    scope: _Scope

    def within(self, scope: _Scope) -> _Question:
        return _Question(self.target, self.convert, scope)


def _list(value: object, convert: Callable[[object], object]) -> list[Any]:
    if not isinstance(value, list):
        raise FilterRefused(f"needs an array, not {shown(value)}")
    if len(value) > MAX_MEMBERS:
        raise FilterRefused(f"more than {MAX_MEMBERS} values")
    return [convert(member) for member in value]


def _is_operators(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and any(key.startswith("$") for key in value) and value.keys() != _DOUBLE


_DOUBLE = {"$numberDouble"}
_NEGATED = {"$ne": "$eq", "$nin": "$in"}
_COMPARISONS: dict[str, Callable[[Any], Condition]] = {
    "$eq": equals,
    "$gt": partial(in_range, "$gt"),
    "$gte": partial(in_range, "$gte"),
    "$lt": partial(in_range, "$lt"),
    "$lte": partial(in_range, "$lte"),
}
_PLAIN: dict[str, Callable[[Any], Condition]] = {
    "$contains": has_text,
    "$size": has_size,
}
