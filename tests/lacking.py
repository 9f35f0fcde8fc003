"""A server whose schema lacks something: the real one, behind a validation of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from graphql import GraphQLSchema, build_schema, parse, validate

from wbgql.documents import Prepared
from wbgql.resources import schema_file
from wbgql.server.likeness.lacking import take_out
from wbgql.wire.transport import Reply, Transport


@cache
def _schema_without(coordinates: tuple[str, ...]) -> GraphQLSchema:
    schema = build_schema(schema_file().read_text(encoding="utf-8"), assume_valid=True)
    take_out(schema, coordinates)
    return schema


class LackingTransport:
    """Hands requests on to a real server, and refuses those that ask for one of `coordinates`.

    `.sent` lists (operation name, text) of those that were handed on.
    """

    def __init__(self, inner: Transport, *coordinates: str) -> None:
        self._inner = inner
        self._schema = _schema_without(coordinates)
        self.sent: list[tuple[str, str]] = []

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        errors = [{"message": error.message} for error in validate(self._schema, parse(prepared.text))]
        if errors:
            return Reply(status=400, errors=errors)
        self.sent.append((prepared.name, prepared.text))
        return self._inner.send(prepared, variables)

    def close(self) -> None:
        self._inner.close()
