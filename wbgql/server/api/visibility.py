"""The one place that decides which nodes may leave the executor, whatever way led to them.

`guard` wraps the resolvers of the schema. A node that the viewer may not see becomes null, and its edge is
taken out of a connection. A sequence that is only the source of a linked version keeps its name and project
reference, which clients need, and is empty otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_list_type,
    is_non_null_type,
)

from wbgql.server.api import work
from wbgql.server.api.registry import Info, Resolver
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.backend import Context
from wbgql.server.relay import slice_connection
from wbgql.server.store.database import Row

Check = Callable[[Context, Row], bool]

HIDDEN = "hidden"
"""Set on a node of which only the name may be told."""

_SHELLS = ("ArtifactSequence", "ArtifactPortfolio", "ArtifactType")
_TOLD = frozenset({"id", "name", "project", "state", "defaultArtifactType", "createdAt", "digestAlgorithm"})
"""Fields of a hidden node that are answered; its project answers null by itself."""


def _in_project(context: Context, node: Row) -> bool:
    return artifacts.project_of(context, node["projectPk"]) is not None


_CHECKS: dict[str, Check] = {
    "Project": lambda context, node: artifacts.project_of(context, node["pk"]) is not None,
    "Run": _in_project,
    "Artifact": artifacts.is_version_visible,
    "ArtifactSequence": _in_project,
    "ArtifactPortfolio": _in_project,
    "ArtifactCollection": _in_project,
    "ArtifactType": _in_project,
    "ArtifactCollectionMembership": lambda context, node: artifacts.is_collection_visible(
        context, node["collectionPk"]
    ),
    "ArtifactAlias": lambda context, node: artifacts.is_collection_visible(context, node["collectionPk"]),
}
"""Whether the viewer may see a node, by the name of the field's type. Answers are kept for the request."""

_ALWAYS_NAMED = frozenset({"artifactSequence", "artifactType", "defaultArtifactType"})
"""Fields that cannot be null: their node is told by its name alone if it is hidden."""


def guard(schema: GraphQLSchema) -> None:
    """Wrap the resolver of each field that can lead to another node."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            for name, field in kind.fields.items():
                _guard_field(kind.name, name, field)


def _guard_field(kind: str, name: str, field: GraphQLField) -> None:
    target = get_named_type(field.type).name
    if kind in _SHELLS and name not in _TOLD:
        field.resolve = _emptied(field)
    if target.endswith("Connection"):
        is_visible = _edge_check(field)
        if is_visible is not None:
            field.resolve = _with_visible_edges(field, is_visible)
    elif target in _CHECKS and not kind.endswith("Edge"):
        is_named = name in _ALWAYS_NAMED and is_non_null_type(field.type)
        field.resolve = _visible(field, _CHECKS[target], is_named=is_named)


def _resolver(field: GraphQLField) -> Resolver:
    return field.resolve or read_key


def _emptied(field: GraphQLField) -> Resolver:
    """Answer nothing for a hidden node."""
    resolver = _resolver(field)
    is_required = is_non_null_type(field.type)
    is_boolean = get_named_type(field.type).name == "Boolean"

    def resolve(source: Any, info: Info, **arguments: Any) -> Any:
        if not (isinstance(source, dict) and source.get(HIDDEN)):
            return resolver(source, info, **arguments)
        if is_boolean or not is_required:
            return False if is_boolean else None
        return slice_connection([], None, None, totalCount=0)

    return resolve


def _visible(field: GraphQLField, is_visible: Check, *, is_named: bool) -> Resolver:
    resolver = _resolver(field)
    is_list = is_list_type(field.type) or (is_non_null_type(field.type) and is_list_type(field.type.of_type))

    def resolve(source: Any, info: Info, **arguments: Any) -> Any:
        found = resolver(source, info, **arguments)
        if is_list and found is not None:
            return [node for node in found if not isinstance(node, dict) or is_visible(info.context, node)]
        if not isinstance(found, dict) or is_visible(info.context, found):
            return found
        return found | {HIDDEN: True} if is_named else None

    return resolve


def _edge_check(field: GraphQLField) -> Check | None:
    """The check of the nodes of a connection."""
    connection: Any = get_named_type(field.type)
    edge: Any = get_named_type(connection.fields["edges"].type)
    return _CHECKS.get(get_named_type(edge.fields["node"].type).name)


def _with_visible_edges(field: GraphQLField, is_visible: Check) -> Resolver:
    resolver = _resolver(field)

    def resolve(source: Any, info: Info, **arguments: Any) -> Any:
        found = resolver(source, info, **arguments)
        if isinstance(found, dict) and isinstance(found.get("edges"), list):
            found["edges"] = [
                edge
                for edge in found["edges"]
                if not isinstance(edge.get("node"), dict) or is_visible(info.context, edge["node"])
            ]
        return found

    return resolve


def read_key(source: Any, info: Info, **arguments: Any) -> Any:
    """Resolve a field that has no resolver of its own: the key of its name."""
    work.check()
    name = info.field_name
    value = source.get(name) if isinstance(source, dict) else getattr(source, name, None)
    if type(value) is str:
        work.grow(len(value))
    return value(info, **arguments) if callable(value) else value
