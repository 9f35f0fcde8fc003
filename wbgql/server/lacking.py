"""Takes fields and arguments out of the schema: the server answers as one that never had them. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable

from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema

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
