"""Edges of run pages made in one go: the executor takes some hundred times longer for a page of 1000.

Only for selections whose every field is known here; any other is left to the executor. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from graphql import FieldNode

from wbgql.server.registry import Info
from wbgql.server.runs import NODE_NAMES
from wbgql.server.selection import argument, children
from wbgql.server.store import Row

Getter = Callable[[Row], Any]
Fields = dict[str, Getter]

RUN_FIELDS = (set(NODE_NAMES) | {"id", "projectId"}) - {
    "pk",
    "projectPk",
    "userPk",
    "duration",
    "jobProgram",
}
"""Fields of a run that are a key of its node."""

_USER_FIELDS = {"id", "username", "name", "email", "admin", "entity"}
_PROJECT_FIELDS = {"id", "name", "entityName", "internalId"}

Computed = Mapping[str, Callable[[list[str] | None], Getter]]
"""Fields that need more than a look at the row: makes a getter from the argument `keys`."""


def compile_edges(info: Info, computed: Computed) -> Callable[[list[Row]], list[Row]] | None:
    """A function from edges as resolvers give them to edges as answered; None if it takes the executor.

    `info` is that of the `edges` field.
    """
    edge: Fields = {}
    for child in children(info, info.field_nodes):
        name, key = child.name.value, response_key(child)
        if key in edge:
            return None
        if name == "node":
            node = _compile_node(info, child, computed)
            if node is None:
                return None
            edge[key] = _nested("node", node)
        elif name == "cursor":
            edge[key] = itemgetter("cursor")
        else:
            return None
    plan = list(edge.items())
    return lambda edges: [{key: get(edge) for key, get in plan} for edge in edges]


def response_key(node: FieldNode) -> str:
    """The name a field has in the answer."""
    return node.alias.value if node.alias else node.name.value


def _compile_node(info: Info, node: FieldNode, computed: Computed) -> Fields | None:
    fields: Fields = {}
    for child in children(info, [node]):
        key, getter = response_key(child), _compile_field(info, child, computed)
        if getter is None or key in fields:
            return None
        fields[key] = getter
    return fields


def _compile_field(info: Info, node: FieldNode, computed: Computed) -> Getter | None:
    name = node.name.value
    if name in computed:
        return computed[name](argument(info, node, "keys"))
    if name == "user":
        return _compile_part(info, node, _USER_FIELDS)
    if name == "project":
        return _compile_part(info, node, _PROJECT_FIELDS)
    return itemgetter(name) if name in RUN_FIELDS else None


def _compile_part(info: Info, node: FieldNode, known: Iterable[str]) -> Getter | None:
    fields: Fields = {}
    for child in children(info, [node]):
        if child.name.value not in known or response_key(child) in fields:
            return None
        fields[response_key(child)] = itemgetter(child.name.value)
    return _nested(node.name.value, fields)


def _nested(name: str, fields: Fields) -> Getter:
    plan = list(fields.items())

    def get(parent: Row) -> Row:
        value = parent[name]
        return {key: getter(value) for key, getter in plan}

    return get
