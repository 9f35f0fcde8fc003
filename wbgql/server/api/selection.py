"""Looking ahead: which fields below a resolver the document asks for. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, SelectionNode, Undefined, value_from_ast_untyped

from wbgql.server.api.registry import Info


def select(info: Info, *path: str) -> list[FieldNode]:
    """The fields at `path` below the field being resolved, through all fragments.

    Type conditions are not looked at, so there may be more than is answered.
    """
    found: list[FieldNode] = list(info.field_nodes)
    for name in path:
        found = [node for node in children(info, found) if node.name.value == name]
    return list(children(info, found))


def children(info: Info, nodes: Iterable[FieldNode]) -> Iterator[FieldNode]:
    """The fields directly below `nodes`, through all fragments."""
    for node in nodes:
        if node.selection_set is not None:
            yield from _flatten(info, node.selection_set.selections)


def _flatten(info: Info, selections: Iterable[SelectionNode]) -> Iterator[FieldNode]:
    for selection in selections:
        if not _included(info, selection):
            continue
        if isinstance(selection, FieldNode):
            yield selection
        elif isinstance(selection, FragmentSpreadNode):
            yield from _flatten(info, info.fragments[selection.name.value].selection_set.selections)
        else:
            inline: Any = selection
            yield from _flatten(info, inline.selection_set.selections)


def _included(info: Info, selection: SelectionNode) -> bool:
    given = {
        directive.name.value: value_from_ast_untyped(argument.value, info.variable_values.coerced)
        for directive in selection.directives or ()
        for argument in directive.arguments or ()
    }
    return not given.get("skip", False) and bool(given.get("include", True))


def list_argument(info: Info, node: FieldNode, name: str) -> list[Any] | None:
    """The value of one argument of a field that takes a list, or None; a lone value is a list of one."""
    for given in node.arguments or ():
        if given.name.value == name:
            value = value_from_ast_untyped(given.value, info.variable_values.coerced)
            if value is None or value is Undefined:
                return None
            return value if isinstance(value, list) else [value]
    return None
