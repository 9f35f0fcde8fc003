"""gql's transport on requests, with bodies as bytes both ways. Imports gql: comes in at the first request."""

from __future__ import annotations

from typing import Any

from gql import GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.requests import RequestsHTTPTransport
from graphql import ExecutionResult
from requests import Response


class EncodedRequest(GraphQLRequest):
    """A request whose body is ready; gql would parse and print the document each time."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @property
    def payload(self) -> Any:
        return self._body


class BytesTransport(RequestsHTTPTransport):
    """Hands on an answer's body as it came, whatever it holds.

    gql would make a text of it first, and requests gather it in pieces of 10 kB: for a page of 7 MB
    either takes longer than to decode it. Wants `stream=True`, so that the body is still to be read.
    """

    def _prepare_result(self, response: Response) -> ExecutionResult:
        """Read the body, which is all of the result's `data`.

        Raises:
            TransportConnectionFailed: the rest of the body did not come.
        """
        return ExecutionResult(data=_read(response))  # type: ignore[arg-type]  # gql hands on what it is given


def _read(response: Response) -> bytes:
    try:
        with response:
            return b"".join(response.iter_content(None))
    except Exception as error:
        raise TransportConnectionFailed(str(error)) from error
