"""Which HTTP status an error has, and what of its message callers are told."""

from __future__ import annotations

import logging

from graphql import GraphQLError

from wbgql.errors import RequestError, StoreError, UsageError

log = logging.getLogger("wbgql.server")


def status_of(error: BaseException) -> int:
    """The HTTP status for an error: what it carries, 400 for the caller's, 503 for the store's, else 500."""
    if isinstance(error, RequestError):
        return error.status or 400
    if isinstance(error, (UsageError, GraphQLError)):
        return 400
    return 503 if isinstance(error, StoreError) else 500


def public_message(error: BaseException) -> str:
    """What a caller learns of an error: of the store's, what is wrong but not where. The log says where."""
    if not isinstance(error, StoreError):
        return str(error)
    log.error("%s", error)
    return str(error).partition(":")[0]
