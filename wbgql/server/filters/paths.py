"""A condition at a place: a column, a path through JSON, or one element of an array. No I/O.

A path into JSON is tried first as plain object keys, which is one quick look-up. Only if
nothing is there, and an array stands on the way, a recursive walk follows MongoDB's rules:
an array is entered through its objects, and through an index where the part is a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from wbgql.server.filters.fields import ColumnField, IndexPath, JsonField, has_path, path_literal
from wbgql.server.filters.values import (
    FALSE,
    TRUE,
    UNKNOWN,
    Condition,
    Node,
    Sql,
    combine,
    concat,
    elements,
    holds,
)

Nulls = Literal["mongo", "sql"]


class Target(Protocol):
    """Something a condition can be asked of."""

    def ask(self, condition: Condition, *, positive: bool) -> Sql:
        """Write the SQL of `condition` here: 1, 0, or NULL where it is unknown.

        Where `positive`, nothing negates the answer, so that 0 and NULL are the same there.
        """


@dataclass(frozen=True)
class NoTarget:
    """Unknown whatever is asked, so that even a negation matches nothing."""

    def ask(self, condition: Condition, *, positive: bool) -> Sql:  # noqa: ARG002 - the same for all
        return UNKNOWN


@dataclass(frozen=True)
class ColumnTarget:
    """A scalar column of the row."""

    field: ColumnField
    nulls: Nulls

    def ask(self, condition: Condition, *, positive: bool) -> Sql:
        source = self.field.source
        node = Node("", source, source)
        test = condition.tests.get("real" if self.field.kind == "number" else "text")
        answer = test(node) if test else FALSE
        if condition.missing:
            return concat(f"({source} IS NULL OR ", answer, ")") if test else Sql(f"({source} IS NULL)")
        if self.nulls == "sql" and not condition.certain and not positive:
            return concat(f"CASE WHEN {source} IS NOT NULL THEN ", answer, " END")
        return concat(f"({source} IS NOT NULL AND ", answer, ")")


@dataclass(frozen=True)
class ElementTarget:
    """One element of an array, not looked into: the row `alias` of a `json_each`."""

    alias: str
    nulls: Nulls

    def ask(self, condition: Condition, *, positive: bool) -> Sql:  # noqa: ARG002 - no index serves here
        unknown = self.nulls == "sql" and not condition.certain
        tests = {"null": lambda _: UNKNOWN, **condition.tests} if unknown else condition.tests
        return elements(replace(condition, tests=tests), self.alias)


@dataclass(frozen=True)
class JsonTarget:
    """A path into JSON. `new_alias` makes names for subqueries; `wish` notes a useful index."""

    field: JsonField
    nulls: Nulls
    new_alias: Callable[[], str]
    wish: Callable[[IndexPath], None]

    def ask(self, condition: Condition, *, positive: bool) -> Sql:
        if self.field.opaque_lists:
            condition = condition.without_lists()
        unknown = self.nulls == "sql" and not condition.certain
        arrays = self._arrays_on_the_way()
        if (arrays and condition.nested) or not has_path(self.field.parts):
            exact = self._walk(condition, unknown=unknown)
        else:
            exact = self._look_up(condition, arrays, unknown=unknown)
        guard = self._guard(condition) if positive else None
        return exact if guard is None else concat("(", guard, " AND ", exact, ")")

    @property
    def _node(self) -> Node:
        where = f"{self.field.source}, {path_literal(self.field.parts)}"
        return Node(f"json_type({where})", f"json_extract({where})", where, self.field.table)

    def _prefixes(self) -> list[tuple[str, ...]]:
        parts = self.field.parts
        if self.field.opaque_lists:
            return []
        start = 0 if self.field.root_array else 1
        prefixes = (parts[:length] for length in range(start, len(parts)))
        return [prefix for prefix in prefixes if prefix not in self.field.arrayless]

    def _arrays_on_the_way(self) -> list[Sql]:
        source = self.field.source
        return [Sql(f"json_type({source}, {path_literal(p)}) = 'array'") for p in self._prefixes()]

    def _look_up(self, condition: Condition, arrays: list[Sql], *, unknown: bool) -> Sql:
        missing = TRUE if condition.missing else UNKNOWN if unknown else FALSE
        null = UNKNOWN if unknown else None
        found = holds(condition, self._node, self.new_alias(), null=null)
        if arrays:
            walk = self._walk(condition, unknown=unknown)
            missing = concat("CASE WHEN ", combine("OR", arrays), " THEN ", walk, " ELSE ", missing, " END")
        if missing is FALSE:
            return found
        return concat(f"CASE WHEN {self._node.type} IS NULL THEN ", missing, " ELSE ", found, " END")

    def _walk(self, condition: Condition, *, unknown: bool) -> Sql:
        walk, child = self.new_alias(), self.new_alias()
        length = len(self.field.parts)
        node = Node(f"{walk}.type", f"{walk}.value", f"{walk}.value")
        answer = holds(condition, node, self.new_alias())
        if condition.missing:
            answer = _or_dead_end(self.field, walk, self.new_alias(), answer)
            return concat("(", _rows(self.field, walk, child), "SELECT max(", answer, f") FROM {walk})")
        answer = concat("ifnull(max(", answer, "), 0)")
        if unknown:
            answer = concat(f"CASE WHEN max({walk}.type <> 'null') THEN ", answer, " END")
        rows = _rows(self.field, walk, child)
        return concat("(", rows, "SELECT ", answer, f" FROM {walk} WHERE {walk}.depth = {length})")

    def _guard(self, condition: Condition) -> Sql | None:
        column = self.field.column
        if column is None or condition.guard is None or not has_path(self.field.parts):
            return None
        if self.field.parts:  # an index on the whole JSON would copy it
            self.wish(IndexPath(column, self.field.parts))
        value = self._node.value
        if condition.ceiling and self.field.project_id is not None and not self._prefixes():
            return self._below_ceiling(*condition.ceiling)
        terms = [condition.guard(value)]
        if condition.spreads and not condition.guards_arrays and self.field.parts not in self.field.arrayless:
            terms.append(Sql(is_array_text(value)))
        for prefix in self._prefixes():
            self.wish(IndexPath(column, prefix, "type"))
        return combine("OR", terms + self._arrays_on_the_way())

    def _below_ceiling(self, symbol: str, number: float) -> Sql:
        """One range instead of two, so that the index also gives the order.

        Arrays sort above the numbers; only if the project has one here must the range reach them.
        """
        value = f"json_extract(other.{self.field.column}, {path_literal(self.field.parts)})"
        return Sql(
            f"{self._node.value} {symbol} (SELECT CASE WHEN EXISTS(SELECT 1 FROM runs other "  # noqa: S608 - no user text but escaped paths
            f"WHERE other.project_id = ? AND {is_array_text(value)}) THEN '{_ARRAY_END}' ELSE ? END)",
            (self.field.project_id, number),
        )


_ARRAY_START, _ARRAY_END = "[", "\\"  # the text of every array sorts between these


def is_array_text(value: str) -> str:
    """The SQL that holds for what `json_extract` gives for any array, and for some texts."""
    return f"({value} >= '{_ARRAY_START}' AND {value} < '{_ARRAY_END}')"


def _rows(field: JsonField, walk: str, child: str) -> Sql:
    """Write the common table of all values on the way: depth, type, value, reached by spreading.

    UNION keeps one of equal rows. With UNION ALL their number would double at each array whose index and
    whose objects' key are both a part of the path.
    """
    length = len(field.parts)
    parts = json.dumps(field.parts)
    return concat(
        f"WITH RECURSIVE {walk}(depth, type, value, spread) AS ("  # noqa: S608 - no user text but escaped paths
        f"SELECT 0, json_type({field.source}), {field.source}, 0 UNION "
        f"SELECT {walk}.depth + 1, {child}.type, {child}.value, 0 "
        f"FROM {walk}, json_each(CASE WHEN {walk}.type IN ('object', 'array') THEN {walk}.value END) {child} "
        f"WHERE {walk}.depth < {length} AND CAST({child}.key AS TEXT) = ",
        Sql(f"json_extract(?, '$[' || {walk}.depth || ']')", (parts,)),
        f" UNION SELECT {walk}.depth, {child}.type, {child}.value, 1 "  # noqa: S608 - no user text but escaped paths
        f"FROM {walk}, json_each(CASE WHEN {walk}.type = 'array' THEN {walk}.value END) {child} "
        f"WHERE {walk}.depth < {length} AND {child}.type = 'object') ",
    )


def _or_dead_end(field: JsonField, walk: str, child: str, answer: Sql) -> Sql:
    """Write `answer` for the rows at the end of the path, and 1 for those with no way on.

    An array is no dead end, nor is an object in it that has no key like "0": the number was its index.
    """
    part = Sql(f"json_extract(?, '$[' || {walk}.depth || ']')", (json.dumps(field.parts),))
    return concat(
        f"CASE WHEN {walk}.depth = {len(field.parts)} THEN ",
        answer,
        f" WHEN {walk}.type = 'array' OR ({walk}.spread AND ",
        part,
        " GLOB '[0-9]*' AND ",
        part,
        " NOT GLOB '*[^0-9]*') THEN 0 ",
        f"ELSE NOT EXISTS(SELECT 1 FROM json_each("  # noqa: S608 - names made here
        f"CASE WHEN {walk}.type = 'object' THEN {walk}.value END) {child} WHERE {child}.key = ",
        part,
        ") END",
    )
