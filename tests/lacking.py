"""A server whose schema lacks something: the real one, behind a validation of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import build_schema, parse, validate

from wbgql.documents import Prepared
from wbgql.resources import schema_file
from wbgql.server.lacking import take_out
from wbgql.transport import Reply, Transport


class LackingTransport:
    """Hands requests on to a real server, and refuses those that ask for one of `coordinates`.

    `.sent` lists (operation name, text) of those that were handed on.
    """

    def __init__(self, inner: Transport, *coordinates: str) -> None:
        self._inner = inner
        self._schema = build_schema(schema_file().read_text(encoding="utf-8"), assume_valid=True)
        take_out(self._schema, coordinates)
        self.sent: list[tuple[str, str]] = []

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        errors = [{"message": error.message} for error in validate(self._schema, parse(prepared.text))]
        if errors:
            return Reply(status=400, errors=errors)
        self.sent.append((prepared.name, prepared.text))
        return self._inner.send(prepared, variables)

    def close(self) -> None:
        self._inner.close()
