"""One request over HTTP: gql on requests, without retries, redirects or surprises.

gql and requests are imported at the first request. No exception of theirs leaves.
"""

# ruff: noqa: PLC0415 - gql, requests and graphql-core cost 0.3 s to import
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from wbgql.documents import Prepared
from wbgql.errors import ConfigError, RequestError, ResponseError, ServerUnavailable
from wbgql.extras import installed_version
from wbgql.forks import PerProcess
from wbgql.secrecy import Secret
from wbgql.settings import Settings, tls_verification
from wbgql.wire.answers import Answer, make_excerpt, split_answer
from wbgql.wire.credentials import Credentials
from wbgql.wire.http_failures import explain_failure

if TYPE_CHECKING:
    from gql.transport.exceptions import TransportError
    from gql.transport.requests import RequestsHTTPTransport
    from requests import PreparedRequest, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, whatever its status.

    `data` is of the type that the request names, or still JSON (`msgspec.Raw`) where that did not fit or
    errors stand beside it. `errors` is None or the GraphQL errors, as the server sent them; a bare text
    is made into `{"message": text}`. `text` is the beginning of a body that was not GraphQL. Header names
    are in lower case. `bytes_received` counts the body as it travelled. `wait_s`: seconds until the
    answer began, None where nobody measured.
    """

    status: int = 200
    data: Any = None
    errors: list[Any] | None = None
    extensions: Any = None
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    bytes_sent: int = 0
    bytes_received: int = 0
    wait_s: float | None = None


class Transport(Protocol):
    """Sends one request, once. Anything with these two methods can stand in for the network."""

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        """Send a request and return the answer, good or bad. Of `variables`, those that it declares are sent.

        Raises:
            ServerUnavailable: no answer; `.sent` and `.timed_out` say how far it came.
        """

    def close(self) -> None:
        """Give back connections. May be called twice."""


class ObservedTransport:
    """A transport that shows each answer to `on_reply` before it hands it on."""

    def __init__(self, inner: Transport, on_reply: Callable[[Reply], object]) -> None:
        self._inner = inner
        self._on_reply = on_reply

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        """Send one request; see `Transport.send`."""
        reply = self._inner.send(prepared, variables)
        self._on_reply(reply)
        return reply

    def close(self) -> None:
        """Close the transport that it stands before."""
        self._inner.close()


class GqlTransport:
    """Sends to `<base_url>/graphql` as user `api` with the key as password, or with an access token.

    Connections are kept and reused. One transport may serve several threads: what belongs
    to a request is kept per request, and requests' pool is safe to share. A forked process opens
    connections of its own. Proxies are taken from the environment as requests does, the CA bundle from
    the settings; the netrc look-up of requests is not used.
    Redirects are never followed: they would turn a mutation into a GET, or carry its body
    to another host; the status and the `location` header come back instead.

    Source: Basic auth with user `api`: wandb SDK `core/internal/api/credentials.go` (2026-08).
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._credentials = Credentials(settings)
        self._gql: PerProcess[RequestsHTTPTransport] = PerProcess(
            lambda: _connect(settings),
            lambda gql: gql.close(),  # type: ignore[no-untyped-call]  # untyped in gql
        )

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        """Send one request; see `Transport.send`.

        Raises:
            AuthenticationError: the identity token is refused.
            ServerUnavailable: refused, reset, timed out, cut off, or TLS failed.
            ResponseError: the answer is larger or slower than `settings.limits` allow.
            ConfigError: the address, a proxy or a header cannot be used at all.
        """
        from gql.transport.exceptions import TransportError

        from wbgql.wire.gql_requests import EncodedRequest

        body = _encode(prepared, variables)
        exchange = _Exchange(self._credentials.authorization())
        try:
            result = self._gql.get().execute(EncodedRequest(body), extra_args={"auth": exchange})
        except TransportError as error:
            raise _make_failure(error, self._settings, prepared.name, exchange.status) from error
        # The response holds its request, and that the exchange: let go, or they stay until a collection.
        response, exchange.response = exchange.response, None
        assert response is not None  # without one, the failure was raised
        # An answer of another status, a redirect too, is an error, which keeps what came as JSON.
        wanted = prepared.result if response.status_code < 300 else msgspec.Raw
        answer, text = _read_answer(result.data, wanted)
        return self._make_reply(response, answer, text, len(body))

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._gql.close()

    def _make_reply(
        self, response: Response, answer: Answer | None, text: str | None, bytes_sent: int
    ) -> Reply:
        return Reply(
            status=response.status_code,
            data=None if answer is None else answer.data,
            errors=None if answer is None else self._credentials.scrub(answer.errors),
            extensions=None if answer is None else answer.extensions,
            text=self._credentials.scrub(text),
            headers={name.lower(): value for name, value in response.headers.items()},
            bytes_sent=bytes_sent,
            bytes_received=_wire_size(response),
            wait_s=response.elapsed.total_seconds(),
        )


def _read_answer(body: Any, result: Any) -> tuple[Answer | None, str | None]:
    """The GraphQL answer that a body is, else what the body begins with."""
    try:
        return split_answer(body, result), None
    except (ValueError, RecursionError):
        return None, make_excerpt(body)


def _encode(prepared: Prepared, variables: Mapping[str, Any]) -> bytes:
    payload: dict[str, Any] = {"query": prepared.text, "operationName": prepared.name}
    declared = {name: value for name, value in variables.items() if name in prepared.variables}
    if declared:
        payload["variables"] = declared
    return json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()


class _Exchange:
    """Signs one request and keeps its response, which gql's exceptions do not carry.

    Handed to requests as `auth`, which may be any callable.
    """

    def __init__(self, authorization: Secret | None) -> None:
        self._authorization = authorization
        self.response: Response | None = None

    @property
    def status(self) -> int | None:
        return None if self.response is None else self.response.status_code

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        from wbgql.wire.http_limits import cut_redirect_body

        if self._authorization is not None:
            request.headers["Authorization"] = self._authorization
        request.register_hook("response", cut_redirect_body)  # type: ignore[no-untyped-call]
        request.register_hook("response", self._keep)  # type: ignore[no-untyped-call]  # untyped in requests
        return request

    def _keep(self, response: Response, **_options: Any) -> None:
        self.response = response


def _connect(settings: Settings) -> RequestsHTTPTransport:
    from wbgql.wire.gql_requests import BytesTransport

    transport = BytesTransport(
        f"{settings.base_url}/graphql",
        headers={
            "User-Agent": f"wbgql/{installed_version('wbgql') or '0'}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            **settings.extra_headers,
        },
        use_json=False,
        timeout=settings.timeout_s,
        retries=0,
        json_serialize=bytes.decode,  # only for gql's debug log: the body is encoded already
        allow_redirects=False,
        stream=True,
        # gql sends this with each request, and so overrides the session's own.
        verify=tls_verification(settings),
        limits=settings.limits,
    )
    transport.connect()
    assert transport.session is not None
    # Read the proxies once: left alone, requests reads them again for every request (1 ms).
    given = transport.session.merge_environment_settings(settings.base_url, {}, None, None, None)
    transport.session.proxies, transport.session.trust_env = given["proxies"], False
    return transport


def _make_failure(
    error: TransportError, settings: Settings, operation: str, status: int | None
) -> RequestError | ConfigError:
    failure = explain_failure(error, repr(urlsplit(settings.base_url).netloc), settings)
    if failure.unusable:
        return ConfigError(
            f"the address {settings.base_url!r}, a proxy or a header cannot be used: {failure}"
        )
    if failure.over_limit:  # not tried again: it would be as long once more
        return ResponseError(str(failure), operation=operation, status=status)
    return ServerUnavailable(
        str(failure),
        operation=operation,
        status=status,
        timed_out=failure.timed_out,
        sent=failure.sent,
        passing=failure.passing,
    )


def _wire_size(response: Response) -> int:
    return int(response.raw.tell())
