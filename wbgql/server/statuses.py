"""Which HTTP status an error has. No I/O."""

from __future__ import annotations

from graphql import GraphQLError

from wbgql.errors import RequestError, StoreError, UsageError


def status_of(error: BaseException) -> int:
    """The HTTP status for an error: what it carries, 400 for the caller's, 503 for the store's, else 500."""
    if isinstance(error, RequestError):
        return error.status or 400
    if isinstance(error, (UsageError, GraphQLError)):
        return 400
    return 503 if isinstance(error, StoreError) else 500
