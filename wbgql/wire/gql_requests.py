"""gql's transport on requests, with bodies as bytes both ways. Imports gql: comes in at the first request."""

from __future__ import annotations

from typing import Any

from gql import GraphQLRequest
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.requests import RequestsHTTPTransport
from graphql import ExecutionResult
from requests import Response

from wbgql.limits import Limits, TooLarge
from wbgql.wire.http_limits import LimitedAdapter, read_pieces


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

    def __init__(self, *args: Any, limits: Limits, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits

    def connect(self) -> None:
        """Open a session whose answers have limits."""
        super().connect()  # type: ignore[no-untyped-call]  # untyped in gql
        assert self.session is not None
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, LimitedAdapter(self._limits.answer_s))

    def _prepare_result(self, response: Response) -> ExecutionResult:
        """Read the body, which is all of the result's `data`.

        Raises:
            TransportConnectionFailed: the rest of the body did not come, or it is larger than the limit.
        """
        return ExecutionResult(data=_read(response, self._limits.answer_bytes))  # type: ignore[arg-type]  # gql hands on what it is given


def _read(response: Response, max_bytes: int) -> bytes:
    if response.is_redirect:  # read and cut already
        return response.content
    pieces, size = [], 0
    try:
        with response:
            for piece in read_pieces(response):
                pieces.append(piece)
                size += len(piece)
                if size > max_bytes:
                    break
    except Exception as error:
        raise TransportConnectionFailed(str(error)) from error
    if size > max_bytes:
        raise TransportConnectionFailed("too large") from TooLarge()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
