"""How resolvers are registered: one `Resolvers` per module, bound to the schema once. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from graphql import GraphQLNonNull, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema

from wbgql.errors import DocumentError, ResponseError
from wbgql.server.api import work
from wbgql.server.audit import log as audit
from wbgql.server.backend import Context

Info = GraphQLResolveInfo[Context]
Resolver = Callable[..., Any]
R = TypeVar("R", bound=Resolver)


class Resolvers:
    """Resolvers by type and field. A field without one reads the key of its own name from a dict."""

    def __init__(self) -> None:
        self.fields: dict[tuple[str, str], Resolver] = {}

    def field(self, type_name: str, *names: str) -> Callable[[R], R]:
        """Register a function `(source, info, **arguments)` for fields of a type."""

        def register(resolver: R) -> R:
            for name in names:
                self.fields[type_name, name] = resolver
            return resolver

        return register

    def mutation(self, name: str) -> Callable[[R], R]:
        """Register a function `(context, input)` for a mutation; `clientMutationId` is echoed for it.

        The audit log notes it if it is in `audit_actions.NOTED`.
        """

        def register(resolver: R) -> R:
            def resolve(_root: Any, info: Any, input: dict[str, Any]) -> dict[str, Any]:
                with audit.noted(info.context, name, input):
                    payload: dict[str, Any] = resolver(info.context, input)
                return {"clientMutationId": input.get("clientMutationId"), **payload}

            self.fields["Mutation", name] = resolve
            return resolver

        return register


def bind(schema: GraphQLSchema, all_resolvers: Iterable[Resolvers]) -> None:
    """Give every registered resolver to its field.

    Raises:
        DocumentError: the SDL has no such field.
    """
    for resolvers in all_resolvers:
        for (type_name, field_name), resolver in resolvers.fields.items():
            kind = schema.type_map.get(type_name)
            if not isinstance(kind, GraphQLObjectType) or field_name not in kind.fields:
                raise DocumentError(f"a resolver has no field in the SDL: {type_name}.{field_name}")
            kind.fields[field_name].resolve = _checked(resolver)
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            _refuse_the_rest(kind)


def _checked(resolver: Resolver) -> Resolver:
    """The resolver of a request that may have been stopped: then it raises `WorkStopped`."""

    def resolve(source: Any, info: Info, **arguments: Any) -> Any:
        work.check()
        return resolver(source, info, **arguments)

    return resolve


def _refuse_the_rest(kind: GraphQLObjectType) -> None:
    """Make what is not offered say so, where a null would be taken for a success or break the answer."""
    for name, field in kind.fields.items():
        if field.resolve is None and (kind.name == "Mutation" or isinstance(field.type, GraphQLNonNull)):
            field.resolve = _required(kind.name, name)


def _required(kind: str, name: str) -> Resolver:
    def resolve(source: Any, info: Info, **arguments: Any) -> Any:
        value = source.get(name) if isinstance(source, dict) else None
        value = value(info, **arguments) if callable(value) else value
        if value is None:
            raise ResponseError(f"this server does not offer {kind}.{name}", status=501)
        return value

    return resolve
