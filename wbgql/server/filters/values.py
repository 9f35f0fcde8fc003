"""Tests of one JSON value, by its type, as SQL: the leaves of a filter. No I/O.

A `Condition` says for each JSON type which SQL decides; a type it does not name never
matches, which is MongoDB's type bracketing: `1`, `"1"` and `true` are three values.
"""

from __future__ import annotations

import json
import math
import operator as op
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import re2

from wbgql.server.filters.fields import FilterRefused, shown
from wbgql.server.filters.operands import compiled_regex, stored_non_finite

_INLINE_MEMBERS = 50
_LITERAL = re.compile(r"[\w /-]*")
_MAX_SIZE = 2**32
MAX_PATTERN = 2000
"""Characters of a pattern."""
_OPERATORS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_ORDER = {"$gt": op.gt, "$gte": op.ge, "$lt": op.lt, "$lte": op.le}
_OVERFLOW = {math.inf: "9e999", -math.inf: "-9e999"}  # what SQLite reads as infinities
_NUMBER = ("integer", "real")
JSON_TYPES = ("null", "true", "false", "integer", "real", "text", "array", "object")


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL text and the values of its `?`, in order."""

    text: str
    params: tuple[object, ...] = ()


def concat(*parts: str | Sql) -> Sql:
    """Put SQL pieces together; plain strings are SQL without parameters."""
    pieces = [part if isinstance(part, Sql) else Sql(part) for part in parts]
    return Sql("".join(p.text for p in pieces), tuple(v for p in pieces for v in p.params))


def combine(operator: Literal["AND", "OR"], parts: list[Sql]) -> Sql:
    """Join conditions as a balanced tree: SQLite refuses expressions deeper than 1000."""
    if len(parts) <= 8:
        return parts[0] if len(parts) == 1 else concat("(", *_between(f" {operator} ", parts), ")")
    half = len(parts) // 2
    return combine(operator, [combine(operator, parts[:half]), combine(operator, parts[half:])])


def _between(separator: str, parts: list[Sql]) -> Iterable[str | Sql]:
    for number, part in enumerate(parts):
        yield separator if number else ""
        yield part


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON value in SQL: its type, its value as `json_extract` gives it, what `json_each` takes.

    `table`: whose row holds it, where an index may give type and value. The elements are then read from that
    row anew: a mention of its column would have SQLite read every row, and not only those with an array.
    """

    type: str
    value: str
    source: str
    table: str | None = None

    def elements(self, alias: str) -> str:
        """Tables and condition for what stands in an array, as rows of `alias`."""
        if self.table is None:
            return f"json_each({self.source}) {alias} WHERE "
        row = f"{alias}_row"
        source = self.source.removeprefix(f"{self.table}.")
        return f"{self.table} {row}, json_each({row}.{source}) {alias} WHERE {row}.id = {self.table}.id AND "


Test = Callable[[Node], Sql]
TRUE, FALSE, UNKNOWN = Sql("1"), Sql("0"), Sql("NULL")


def _always(_: Node) -> Sql:
    return TRUE


@dataclass(frozen=True)
class Condition:
    """Which values match: a test for each JSON type.

    `missing`: a missing value matches. `spreads`: an array also matches through an element.
    `certain`: never unknown, even where comparing with null is. `nested`: a test holds a
    filter of its own, so it must be written once. `guard`: given the SQL of `json_extract`,
    a condition on it that holds wherever a test does, so that an index can narrow the rows;
    `guards_arrays`: it holds for every array too. `ceiling`: the guard is this `<` of a number.
    """

    tests: Mapping[str, Test] = field(default_factory=dict)
    missing: bool = False
    spreads: bool = True
    certain: bool = False
    nested: bool = False
    guard: Callable[[str], Sql] | None = None
    guards_arrays: bool = False
    ceiling: tuple[str, float] | None = None

    def without_lists(self) -> Condition:
        """The same for a server that looks into no list: one matches only if it is asked for any value."""
        if self.tests.keys() >= set(JSON_TYPES):
            return self
        scalars = {type_: test for type_, test in self.tests.items() if type_ != "array"}
        return replace(self, tests=scalars, spreads=False)


def holds(condition: Condition, node: Node, alias: str, *, null: Sql | None = None) -> Sql:
    """Write the SQL that is 1 or 0 for a present `node`; `null` is the answer for a JSON null."""
    cases: dict[str, Sql] = {type_: test(node) for type_, test in condition.tests.items()}
    if condition.spreads and condition.tests:
        own = cases.get("array", FALSE)
        spread = concat(_exists(node, alias), elements(condition, alias), ")")
        cases["array"] = spread if own is FALSE else concat("(", own, " OR ", spread, ")")
    if null is not None and "null" not in cases:
        cases["null"] = null
    return choose(node.type, cases)


def elements(condition: Condition, alias: str) -> Sql:
    """Write the SQL of `condition` on the `json_each` row `alias`, not looking into arrays."""
    node = element_node(alias)
    return choose(node.type, {type_: test(node) for type_, test in condition.tests.items()})


def element_node(alias: str) -> Node:
    """The value of the `json_each` row `alias`."""
    return Node(f"{alias}.type", f"{alias}.value", f"{alias}.value")


def choose(type_sql: str, cases: Mapping[str, Sql], otherwise: Sql = FALSE) -> Sql:
    """Write a CASE over JSON types. Only the chosen arm is evaluated, so no arm sees another type."""
    if not cases:
        return otherwise
    arms = [concat(f" WHEN '{type_}' THEN ", case) for type_, case in cases.items()]
    return concat(f"CASE {type_sql}", *arms, " ELSE ", otherwise, " END")


def _exists(node: Node, alias: str) -> str:
    return f"EXISTS(SELECT 1 FROM {node.elements(alias)}"  # noqa: S608 - names made here


def any_element(node: Node, alias: str, condition: Sql) -> Sql:
    """Write the SQL that is 1 if an element of the array `node` meets `condition` on row `alias`."""
    return concat(_exists(node, alias), condition, ")")


def equals(value: Any) -> Condition:
    """Match one value. A non-finite number also matches the string W&B stores for it."""
    if value is None:
        return Condition({"null": _always}, missing=True, certain=True)
    if isinstance(value, bool):
        return Condition({"true" if value else "false": _always}, guard=_compare("=", int(value)))
    if isinstance(value, float) and not math.isfinite(value):
        return one_of([value])
    if isinstance(value, (int, float)):
        return Condition(_same(_NUMBER, "=", value), guard=_compare("=", value))
    if isinstance(value, str):
        return Condition(_same(("text",), "=", value), guard=_compare("=", value))
    return _equals_container(value)


def _equals_container(value: Any) -> Condition:
    type_, low, high = ("array", "[", "\\") if isinstance(value, list) else ("object", "{", "|")
    canonical = json.dumps(value)
    return Condition(
        {type_: lambda node: Sql(f"wb_equal({node.value}, ?)", (canonical,))},
        guard=lambda x: Sql(f"({x} >= '{low}' AND {x} < '{high}')"),
    )


def one_of(values: list[Any]) -> Condition:
    """Match any of `values`; none at all matches nothing, for certain."""
    tests: dict[str, Test] = {}
    guards: list[Callable[[str], Sql]] = []
    numbers = [v for v in values if _is_number(v) and not math.isnan(v)]
    texts = [v for v in values if isinstance(v, str)]
    texts += [stored_non_finite(v) for v in values if isinstance(v, float) and not math.isfinite(v)]
    for types, members in ((_NUMBER, numbers), (("text",), texts)):
        if members:
            tests.update(dict.fromkeys(types, _member_test(members)))
            guards.append(_member_guard(members))
    others = [equals(v) for v in values if v is None or isinstance(v, (bool, list, dict))]
    for other in others:
        for type_, test in other.tests.items():
            tests[type_] = _either(tests[type_], test) if type_ in tests else test
        if other.guard:
            guards.append(other.guard)
    null = any(v is None for v in values)
    guard = None if null else lambda x: combine("OR", [g(x) for g in guards]) if guards else FALSE
    return Condition(tests, missing=null, certain=null or not values, guard=guard)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _either(one: Test, other: Test) -> Test:
    return lambda node: concat("(", one(node), " OR ", other(node), ")")


def _member_test(members: list[Any]) -> Test:
    return lambda node: _member_sql(node.value, members)


def _member_guard(members: list[Any]) -> Callable[[str], Sql]:
    return lambda x: _member_sql(x, members)


def _member_sql(value: str, members: list[Any]) -> Sql:
    if len(members) == 1:
        return Sql(f"{value} = ?", (members[0],))
    if len(members) <= _INLINE_MEMBERS:
        return Sql(f"{value} IN ({', '.join('?' * len(members))})", tuple(members))
    texts = (_OVERFLOW.get(member) or json.dumps(member) for member in members)
    members_sql = "(SELECT value FROM json_each(?))"
    return Sql(f"{value} IN {members_sql}", (f"[{','.join(texts)}]",))


def in_range(operator: str, value: Any) -> Condition:
    """Match values of the operand's own type in order: numbers, text by code point, false before true.

    `$gte` and `$lte` null are equality with null; `$gt` and `$lt` null match nothing. NaN
    is equal to itself and in no other order.

    Raises:
        FilterRefused: the operand is an array or object.
    """
    if isinstance(value, (list, dict)):
        raise FilterRefused("needs a number, string, boolean or null to compare with")
    inclusive = operator in ("$gte", "$lte")
    if value is None or (_is_number(value) and math.isnan(value)):
        return equals(value) if inclusive else Condition()
    symbol = _OPERATORS[operator]
    if isinstance(value, bool):
        matching = [stored for stored in (False, True) if _ORDER[operator](stored, value)]
        return one_of(matching) if matching else Condition()
    if isinstance(value, str):
        return Condition(_same(("text",), symbol, value), guard=_text_range(symbol, value))
    # Text sorts after numbers in SQLite, and arrays are extracted as text.
    above = symbol.startswith(">")
    return Condition(
        _same(_NUMBER, symbol, value),
        guard=_compare(symbol, value),
        guards_arrays=above,
        ceiling=None if above else (symbol, value),
    )


def _text_range(symbol: str, value: str) -> Callable[[str], Sql]:
    floor = "{} >= '' AND " if symbol.startswith("<") else ""
    return lambda x: Sql(f"({floor.format(x)}{x} {symbol} ?)", (value,))


def _compare(symbol: str, value: object) -> Callable[[str], Sql]:
    return lambda x: Sql(f"{x} {symbol} ?", (value,))


def _same(types: tuple[str, ...], symbol: str, value: object) -> dict[str, Test]:
    return dict.fromkeys(types, lambda node: Sql(f"{node.value} {symbol} ?", (value,)))


def present() -> Condition:
    """Match any value, JSON null included."""
    return Condition(dict.fromkeys(JSON_TYPES, _always), spreads=False, certain=True)


def has_size(value: Any) -> Condition:
    """Match arrays of exactly `value` elements.

    Raises:
        FilterRefused: not a whole number from 0.
    """
    if not _is_number(value) or value < 0 or not float(value).is_integer() or value >= _MAX_SIZE:
        raise FilterRefused(f"needs a whole number from 0, not {shown(value)}")
    test: Test = lambda node: Sql(f"json_array_length({node.source}) = ?", (int(value),))  # noqa: E731
    return Condition({"array": test}, spreads=False)


def has_text(value: Any) -> Condition:
    """Match strings that contain `value`, case counting.

    Source: `$contains` is W&B's, "rewritten to an indexed LIKE": wandb/skills `WANDB_SDK.md`; whether
    W&B's looks at case is not documented (2026-08).

    Raises:
        FilterRefused: not a string.
    """
    if not isinstance(value, str):
        raise FilterRefused(f"needs a string, not {shown(value)}")
    return Condition({"text": lambda node: Sql(f"instr({node.value}, ?) > 0", (value,))})


def matches_regex(pattern: Any, flags: Any) -> Condition:
    """Match strings in which RE2 finds `pattern`; flags are letters of `ims`.

    Source: W&B evaluates regexes with RE2, no look-around: wandb/wandb#12195 (2026-07).

    Raises:
        FilterRefused: not a pattern RE2 reads, or a flag it does not have.
    """
    if not isinstance(pattern, str) or not isinstance(flags, str):
        raise FilterRefused("$regex and $options need strings")
    unknown = sorted(set(flags) - set("ims"))
    if unknown:
        raise FilterRefused(f"$options {unknown[0]!r} is not known, use i, m or s")
    if len(pattern) > MAX_PATTERN:
        raise FilterRefused(f"$regex is {len(pattern)} characters long, use up to {MAX_PATTERN}")
    whole = f"(?{''.join(sorted(set(flags)))}){pattern}" if flags else pattern
    try:
        compiled_regex(whole)
    except re2.error as error:
        raise FilterRefused(f"{shown(pattern)} is not an RE2 pattern, {_reason(error)}") from error
    if _LITERAL.fullmatch(whole):
        return has_text(whole)  # the same answer, without a call out of SQLite for every row
    return Condition({"text": lambda node: Sql(f"wb_regexp(?, {node.value})", (whole,))})


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else "unreadable"
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)
