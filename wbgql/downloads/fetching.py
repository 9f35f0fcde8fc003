"""Reads URLs of stored content over HTTP: no GraphQL, no secrets to strangers. requests comes lazily."""

# ruff: noqa: PLC0415 - requests costs 0.1 s to import
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from wbgql.errors import (
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestError,
    ResponseError,
    ServerUnavailable,
)
from wbgql.forks import PerProcess
from wbgql.secrecy import Secret
from wbgql.settings import Settings, tls_verification
from wbgql.wire.credentials import Credentials
from wbgql.wire.http_failures import explain_failure, proxy_refusal
from wbgql.wire.retry import parse_retry_after

if TYPE_CHECKING:
    from requests import PreparedRequest, Response
    from requests import Session as HttpSession

_POOL = 64


class HttpFetcher:
    """Opens the URLs that the server signed. Several threads may share it.

    A forked process opens connections of its own.

    The URL itself is the right to read, so no key is sent; only where the server's own address answers
    401 or 403 is it asked once more with the key. Other hosts never see it, and the user's netrc is
    not used.

    Source: `directUrl` is read without authentication by the SDK (wandb SDK 0.31.0
    `sdk/artifacts/storage_policies/wandb_storage_policy.py`, 2026-11).
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._credentials = Credentials(settings)
        self._http: PerProcess[HttpSession] = PerProcess(
            lambda: _connect(settings), lambda http: http.close()
        )

    @contextmanager
    def open(self, url: str) -> Iterator[Iterator[bytes]]:
        """Return the content of `url` in pieces of up to 1 MiB; see `downloads.Fetcher`."""
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        try:
            full = urljoin(self._settings.base_url.rstrip("/") + "/", url)
            where = _without_query(full)
        except ValueError as error:
            raise RequestError("the server gives a URL for it that is none") from error
        try:
            response = self._get(full)
        except (RequestException, HTTPError, OSError) as error:
            raise self._make_error(where, error) from error
        with response:
            _check(response, where)
            yield self._chunks(response, where)

    def close(self) -> None:
        """Close the connections; the next URL opens new ones."""
        self._http.close()

    def _get(self, url: str) -> Response:
        response = self._send(url, _anonymous)
        if response.status_code in (401, 403) and _same_origin(url, self._settings.base_url):
            authorization = self._credentials.authorization()
            if authorization is not None:
                response.close()
                return self._send(url, _Signed(authorization))
        return response

    def _send(self, url: str, auth: Any) -> Response:
        from wbgql.wire.http_limits import cut_redirect_body

        # Not compressed: the digest is of the stored bytes, and some stores would unpack them otherwise.
        return self._http.get().get(
            url,
            auth=auth,
            stream=True,
            timeout=self._settings.timeout_s,
            headers={"Accept-Encoding": "identity"},
            hooks={"response": cut_redirect_body},
            verify=self._http.get().verify,  # named here, or requests would ask the environment again
        )

    def _chunks(self, response: Response, where: str) -> Iterator[bytes]:
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        from wbgql.wire.http_limits import read_pieces

        try:
            yield from read_pieces(response)
        except (RequestException, HTTPError, OSError) as error:
            raise self._make_error(where, error) from error

    def _make_error(self, where: str, error: Exception) -> RequestError:
        failure = explain_failure(error, where, self._settings)
        if failure.over_limit:
            return ResponseError(str(failure))
        if failure.unusable or isinstance(error, ValueError):  # requests' words for an address it cannot use
            return RequestError(f"{where} cannot be read: {failure}")
        return ServerUnavailable(
            f"reading {where} failed: {failure}", timed_out=failure.timed_out, passing=failure.passing
        )


def _connect(settings: Settings) -> HttpSession:
    from requests import Session as HttpSession

    from wbgql.wire.http_limits import LimitedAdapter

    class NetrcFree(HttpSession):
        def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
            # requests' own would look into netrc at a redirect, whatever `auth` says.
            old, new = response.request.url or "", prepared_request.url or ""
            if self.should_strip_auth(old, new):  # type: ignore[no-untyped-call]  # untyped in its stubs
                prepared_request.headers.pop("Authorization", None)

    http, limits = NetrcFree(), settings.limits
    http.verify = tls_verification(settings)
    for scheme in ("http://", "https://"):
        http.mount(scheme, LimitedAdapter(limits.answer_s, limits.download_bytes_s, pool_maxsize=_POOL))
    return http


class _Signed:
    """An `auth` that sends the key. requests' own would keep it in the open."""

    def __init__(self, authorization: Secret) -> None:
        self._authorization = authorization

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = self._authorization
        return request


def _anonymous(request: PreparedRequest) -> PreparedRequest:
    """An `auth` that adds nothing: without one, requests would look into netrc."""
    return request


def _check(response: Response, where: str) -> None:
    status = response.status_code
    if status == 200:
        return
    if status == 407:
        raise RequestError(str(proxy_refusal(where)), status=status)
    if status in (404, 410):
        raise NotFound(f"{where} answers HTTP {status}: the content is gone", status=status)
    if status in (400, 401, 403):
        # Stores answer an expired signature with any of these.
        raise PermissionDenied(
            f"{where} answers HTTP {status}: the URL has expired, or this key may not", status=status
        )
    headers = {name.lower(): value for name, value in response.headers.items()}
    wait = parse_retry_after(headers, time.time())
    if status == 429:
        raise RateLimited(f"{where} answers HTTP 429", status=status, retry_after_s=wait)
    if status >= 500 or status == 408:
        raise ServerUnavailable(f"{where} answers HTTP {status}", status=status, retry_after_s=wait)
    raise RequestError(f"{where} answers HTTP {status}", status=status)


def _same_origin(url: str, base_url: str) -> bool:
    one, other = urlsplit(url), urlsplit(base_url)
    return (one.scheme, one.netloc) == (other.scheme, other.netloc)


def _without_query(url: str) -> str:
    """A URL that may be shown: the query, and the path of signed ones, are what gives the right."""
    parts = urlsplit(url)
    name = parts.path.rsplit("/", 1)[-1]
    return f"{parts.scheme}://{parts.hostname}/.../{name}"
