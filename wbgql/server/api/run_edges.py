"""Edges of run pages made in one go: the executor takes some hundred times longer for a page of 1000.

A page is made column by column, and its edges are Structs of the columns' values, so that nearly all of it
happens outside Python's loop. Only for selections whose every field is known here; any other is left to the
executor. No I/O.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from graphql import FieldNode, get_named_type

from wbgql.server.api.registry import Info
from wbgql.server.api.selection import children, list_argument
from wbgql.server.runs.pages import RunPage
from wbgql.server.runs.rows import NODE_NAMES
from wbgql.server.store.database import Row

Column = Callable[[RunPage], Iterable[Any]]
"""From a page to one value for each of its runs, as it is answered."""

Computed = Mapping[str, Callable[[list[str] | None], Column]]
"""Fields that need more than a look at the rows: makes a column from the argument `keys`."""

CACHED_RECORDS = 256

_TYPENAME = "__typename"
_USER_FIELDS = frozenset({"id", "username", "name", "admin", "entity"})
_PROJECT_FIELDS = frozenset({"id", "name", "entityName", "internalId"})


def _plain(name: str) -> Column:
    return lambda page: page.column(name)


def _same(value: Callable[[RunPage], Any]) -> Column:
    """One value for all runs."""
    return lambda page: [value(page)] * len(page.rows)


_COLUMNS: dict[str, Column] = {
    **{
        name: _plain(name)
        for name in NODE_NAMES
        if name not in ("pk", "projectPk", "userPk", "duration", "jobProgram")
    },
    "id": lambda page: page.storage_ids(),
    "projectId": _same(lambda page: str(page.project["pk"])),
    # As it is stored it is the JSON to answer.
    "tags": lambda page: map(msgspec.Raw, page.column("tags")),
    "stopped": lambda page: map(bool, page.column("stopped")),
    "exitcode": lambda page: [None if code is None else float(code) for code in page.column("exitcode")],
    _TYPENAME: _same(lambda _: "Run"),
}
RUN_FIELDS = frozenset(_COLUMNS) - {_TYPENAME}
"""Fields of a run that a page has without being asked for more."""


def compile_edges(info: Info, computed: Computed) -> Column | None:
    """A function from a page to its edges as answered; None if it takes the executor.

    `info` is that of the `edges` field.
    """

    def edge(name: str, nodes: list[FieldNode]) -> Column | None:
        if name == "node":
            return _compile(info, nodes, lambda name, nodes: _compile_field(info, name, nodes, computed))
        if name == "cursor":
            return lambda page: page.cursors()
        type_name = get_named_type(info.return_type).name
        return _same(lambda _: type_name) if name == _TYPENAME else None

    return _compile(info, info.field_nodes, edge)


def _compile(
    info: Info, parents: Iterable[FieldNode], field: Callable[[str, list[FieldNode]], Column | None]
) -> Column | None:
    """Records of what is selected below `parents`; None if a field has no column, or nothing is selected."""
    columns: dict[str, Column] = {}
    for key, nodes in _merged(info, parents).items():
        column = field(nodes[0].name.value, nodes)
        if column is None:
            return None
        columns[key] = column
    return _records(columns) if columns else None


def _merged(info: Info, parents: Iterable[FieldNode]) -> dict[str, list[FieldNode]]:
    """The fields below `parents` by their name in the answer; a valid document repeats only equal ones."""
    found: dict[str, list[FieldNode]] = {}
    for child in children(info, parents):
        found.setdefault(child.alias.value if child.alias else child.name.value, []).append(child)
    return found


def _records(columns: dict[str, Column]) -> Column:
    record = _record_type(tuple(columns))
    parts = tuple(columns.values())
    return lambda page: list(map(record, *[column(page) for column in parts]))


@functools.lru_cache(CACHED_RECORDS)
def _record_type(keys: tuple[str, ...]) -> type[msgspec.Struct]:
    """A Struct that is encoded with these keys; making one takes longer than a small page."""
    names = [f"f{number}" for number in range(len(keys))]
    return msgspec.defstruct("Record", names, rename=dict(zip(names, keys, strict=True)), gc=False)


def _compile_field(info: Info, name: str, nodes: list[FieldNode], computed: Computed) -> Column | None:
    if name in computed:
        return computed[name](list_argument(info, nodes[0], "keys"))
    if name == "user":
        return _compile_user(info, nodes)
    if name == "project":
        get = _compile_part(info, nodes, _PROJECT_FIELDS, "Project")
        return None if get is None else _same(lambda page: get(page.project))
    return _COLUMNS.get(name)


def _compile_user(info: Info, nodes: list[FieldNode]) -> Column | None:
    get = _compile_part(info, nodes, _USER_FIELDS, "User")
    if get is None:
        return None

    def column(page: RunPage) -> Iterable[Any]:
        owners = page.column("userPk")
        made = {pk: get(page.users[pk]) for pk in set(owners)}
        return map(made.__getitem__, owners)

    return column


def _compile_part(
    info: Info, nodes: list[FieldNode], known: frozenset[str], type_name: str
) -> Callable[[Row], Row] | None:
    fields = {key: below[0].name.value for key, below in _merged(info, nodes).items()}
    if not set(fields.values()) <= known | {_TYPENAME}:
        return None
    return lambda source: {
        key: type_name if name == _TYPENAME else source[name] for key, name in fields.items()
    }
