"""Takes types, fields and arguments out of the schema, or answers null for fields, as other servers do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_non_null_type,
)

from wbgql.errors import ConfigError, DocumentError
from wbgql.resources import schema_file
from wbgql.server.likeness.switches import Likeness

_COORDINATE = re.compile(r"(?P<type>\w+)(?:\.(?P<field>\w+)(?:\((?P<argument>\w+):\))?)?")

_KINDS = (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)


def read_schema(file: Path) -> GraphQLSchema:
    """Build the schema of an SDL file.

    Raises:
        DocumentError: the SDL is broken.
    """
    try:
        return build_schema(file.read_text(encoding="utf-8"))
    except (GraphQLError, TypeError) as error:
        raise DocumentError(str(error), file=str(file)) from error


def check_schema(likeness: Likeness) -> None:
    """Check that the schema has what `without` and `null` name.

    Raises:
        ConfigError: it does not.
    """
    if likeness.without or likeness.null:
        schema = read_schema(schema_file())
        answer_null(schema, likeness.null)
        take_out(schema, likeness.without)


def take_out(schema: GraphQLSchema, coordinates: Iterable[str]) -> None:
    """Remove types, `Type.field` and `Type.field(argument:)` from a schema: validation and introspection.

    They go from the interfaces of the type too, which would demand them. With a type go the fields and the
    arguments of that type, and types that are left without a field.

    Raises:
        ConfigError: the schema has no such type, field or argument, or cannot do without the type.
    """
    for coordinate in coordinates:
        found = _COORDINATE.fullmatch(coordinate)
        if found is None:
            raise ConfigError(f"{coordinate!r} is not Type, Type.field or Type.field(argument:)")
        owner = schema.type_map.get(found["type"])
        field, argument = found["field"], found["argument"]
        if field is None:
            _take_out_type(schema, found["type"])
            continue
        fields = owner.fields if isinstance(owner, _KINDS) else {}
        if field not in fields or (argument and argument not in getattr(fields[field], "args", {})):
            raise ConfigError(f"the schema has no {coordinate}{_hint(schema, found)}")
        for each in (owner, *getattr(owner, "interfaces", ())):
            if argument and field in each.fields:
                each.fields[field].args.pop(argument, None)
            elif not argument:
                each.fields.pop(field, None)


def _take_out_type(schema: GraphQLSchema, name: str) -> None:
    gone = schema.type_map.get(name)
    if gone is None:
        raise ConfigError(f"the schema has no type {name}{_near(name, schema.type_map)}")
    if gone in (schema.query_type, schema.mutation_type) or name.startswith("__"):
        raise ConfigError(f"the schema cannot do without {name}")
    del schema.type_map[name]
    for known in schema._implementations_map.values():
        known.objects[:] = [one for one in known.objects if one is not gone]
        known.interfaces[:] = [one for one in known.interfaces if one is not gone]
    emptied = [each.name for each in schema.type_map.values() if _lose(each, gone)]
    for one in emptied:
        if one in schema.type_map:
            _take_out_type(schema, one)


def _lose(owner: GraphQLNamedType, gone: GraphQLNamedType) -> bool:
    """Take out of one type what is of the type `gone`. Return whether nothing of it is left."""
    if isinstance(owner, GraphQLUnionType):
        owner.types = tuple(one for one in owner.types if one is not gone)
        return not owner.types
    if not isinstance(owner, _KINDS):
        return False
    for name, field in list(owner.fields.items()):
        if get_named_type(field.type) is gone:
            del owner.fields[name]
        arguments = getattr(field, "args", {})
        for argument in [one for one, given in arguments.items() if get_named_type(given.type) is gone]:
            del arguments[argument]
    if not isinstance(owner, GraphQLInputObjectType):
        owner.interfaces = tuple(one for one in owner.interfaces if one is not gone)
    return not owner.fields


def _hint(schema: GraphQLSchema, found: re.Match[str]) -> str:
    """The nearest name to the part of a coordinate that the schema does not have."""
    owner = schema.type_map.get(found["type"])
    if not isinstance(owner, _KINDS):
        return _near(found["type"], schema.type_map)
    field = owner.fields.get(found["field"])
    if field is None:
        return _near(found["field"], owner.fields)
    return _near(found["argument"] or "", getattr(field, "args", {}))


def _near(name: str, names: Iterable[str]) -> str:
    found = get_close_matches(name, names, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def answer_null(schema: GraphQLSchema, coordinates: Iterable[str]) -> None:
    """Answer null for each `Type.field`, as a server does that has no value for it or does not show it.

    Raises:
        ConfigError: no object type of the schema has such a field, or the field is never null.
    """
    for coordinate in coordinates:
        found = _COORDINATE.fullmatch(coordinate)
        if found is None or found["argument"] or not found["field"]:
            raise ConfigError(f"{coordinate!r} is not Type.field")
        owner = schema.type_map.get(found["type"])
        field = owner.fields.get(found["field"]) if isinstance(owner, GraphQLObjectType) else None
        if field is None:
            raise ConfigError(f"the schema has no {coordinate}{_hint(schema, found)}")
        if is_non_null_type(field.type):
            raise ConfigError(f"{coordinate} is of type {field.type}, which is never null")
        field.resolve = _null


def _null(*_source_and_info: object, **_arguments: object) -> None:
    return None
