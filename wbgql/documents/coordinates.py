"""The schema coordinates that documents use, as servers name them: `Run.config(keys:)`, `StopRunInput.id`.

Imports graphql-core at once.
"""

from __future__ import annotations

from typing import Any

from graphql import (
    DocumentNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    specified_scalar_types,
    visit,
)


def coordinates_of(  # noqa: C901  # one visitor for each kind of node
    document: DocumentNode, schema: GraphQLSchema
) -> set[str]:
    """Fields, arguments, fields of inputs and values of enums that a document spells out, and types it names.

    What the schema lacks, and `__typename` and the scalars of GraphQL itself, are left out.
    """
    found: set[str] = set()
    types = TypeInfo(schema)

    class Collect(Visitor):
        def enter_field(self, node: Any, *_: Any) -> None:
            parent = types.get_parent_type()
            if parent is not None and types.get_field_def() is not None and node.name.value != "__typename":
                found.add(f"{parent.name}.{node.name.value}")

        def enter_argument(self, node: Any, _key: Any, _parent: Any, _path: Any, ancestors: Any) -> None:
            parent, argument, field = types.get_parent_type(), types.get_argument(), ancestors[-1]
            if parent is not None and argument is not None and types.get_directive() is None:
                found.add(f"{parent.name}.{field.name.value}({node.name.value}:)")

        def enter_object_field(self, node: Any, *_: Any) -> None:
            owner = get_named_type(types.get_parent_input_type())
            if owner is not None and types.get_input_type() is not None:
                found.add(f"{owner.name}.{node.name.value}")

        def enter_enum_value(self, node: Any, *_: Any) -> None:
            owner = get_named_type(types.get_input_type())
            if isinstance(owner, GraphQLEnumType) and node.value in owner.values:
                found.add(f"{owner.name}.{node.value}")

        def enter_named_type(self, node: Any, *_: Any) -> None:
            if node.name.value not in specified_scalar_types and node.name.value in schema.type_map:
                found.add(node.name.value)

    visit(document, TypeInfoVisitor(types, Collect()))
    return found


def has_coordinate(schema: GraphQLSchema, coordinate: str) -> bool:
    """Whether a schema has what a coordinate names."""
    name, _, member = coordinate.partition(".")
    owner = schema.get_type(name)
    member, _, argument = member.partition("(")
    if owner is None or not member:
        return owner is not None
    if isinstance(owner, GraphQLEnumType):
        return member in owner.values
    if isinstance(owner, GraphQLInputObjectType):
        return member in owner.fields
    if member.startswith("__"):  # of GraphQL itself, and in no type's fields
        return True
    if not isinstance(owner, (GraphQLObjectType, GraphQLInterfaceType)) or member not in owner.fields:
        return False
    return not argument or argument.removesuffix(":)") in owner.fields[member].args
