"""gql's transport on requests, with bodies as bytes both ways. Imports gql: comes in at the first request."""

from __future__ import annotations

from typing import Any

from gql import GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed, TransportProtocolError
from gql.transport.requests import RequestsHTTPTransport
from graphql import ExecutionResult
from requests import Response

from wbgql.answers import make_excerpt, split_answer


class EncodedRequest(GraphQLRequest):
    """A request whose body is ready; gql would parse and print the document each time."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @property
    def payload(self) -> Any:
        return self._body


class BytesTransport(RequestsHTTPTransport):
    """Splits an answer as it came.

    gql would make a text of it first, and requests gather it in pieces of 10 kB: for a page of 7 MB
    either takes longer than to split it. Wants `stream=True`, so that the body is still to be read.
    """

    def _prepare_result(self, response: Response) -> ExecutionResult:
        """Read the body and split it; `data` stays JSON.

        Raises:
            TransportConnectionFailed: the rest of the body did not come.
            TransportProtocolError: not GraphQL; its text is what the body begins with.
        """
        body = _read(response)
        try:
            answer = split_answer(body)
        except (ValueError, RecursionError) as error:
            raise TransportProtocolError(make_excerpt(body)) from error
        return ExecutionResult(
            data=answer.data,  # type: ignore[arg-type]  # gql says dict, and hands on what it is given
            errors=answer.errors,
            extensions=answer.extensions,
        )


def _read(response: Response) -> bytes:
    try:
        with response:
            return b"".join(response.iter_content(None))
    except Exception as error:
        raise TransportConnectionFailed(str(error)) from error
