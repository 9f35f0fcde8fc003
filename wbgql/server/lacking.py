"""Takes fields and arguments out of the schema, or answers null for fields, as other servers do. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable

from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    is_non_null_type,
)

from wbgql.errors import ConfigError

_COORDINATE = re.compile(r"(?P<type>\w+)\.(?P<field>\w+)(?:\((?P<argument>\w+):\))?")

_KINDS = (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)


def take_out(schema: GraphQLSchema, coordinates: Iterable[str]) -> None:
    """Remove `Type.field` and `Type.field(argument:)` from a schema: from validation and introspection.

    They go from the interfaces of the type too, which would demand them.

    Raises:
        ConfigError: the schema has no such field or argument.
    """
    for coordinate in coordinates:
        found = _COORDINATE.fullmatch(coordinate)
        if found is None:
            raise ConfigError(f"{coordinate!r} is not Type.field or Type.field(argument:)")
        owner = schema.type_map.get(found["type"])
        fields = owner.fields if isinstance(owner, _KINDS) else {}
        field, argument = found["field"], found["argument"]
        if field not in fields or (argument and argument not in getattr(fields[field], "args", {})):
            raise ConfigError(f"the schema has no {coordinate}: nothing can be left out")
        for each in (owner, *getattr(owner, "interfaces", ())):
            if argument and field in each.fields:
                each.fields[field].args.pop(argument, None)
            elif not argument:
                each.fields.pop(field, None)


def answer_null(schema: GraphQLSchema, coordinates: Iterable[str]) -> None:
    """Answer null for each `Type.field`, as a server does that has no value for it or does not show it.

    Raises:
        ConfigError: no object type of the schema has such a field, or the field is never null.
    """
    for coordinate in coordinates:
        found = _COORDINATE.fullmatch(coordinate)
        if found is None or found["argument"]:
            raise ConfigError(f"{coordinate!r} is not Type.field")
        owner = schema.type_map.get(found["type"])
        field = owner.fields.get(found["field"]) if isinstance(owner, GraphQLObjectType) else None
        if field is None:
            raise ConfigError(f"the schema has no {coordinate}: it cannot be null")
        if is_non_null_type(field.type):
            raise ConfigError(f"{coordinate} is of type {field.type}, which is never null")
        field.resolve = _null


def _null(*_source_and_info: object, **_arguments: object) -> None:
    return None
