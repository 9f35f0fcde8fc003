"""What kept an HTTP answer from coming: requests' exceptions in words of our own.

The words of requests and urllib3 quote whole URLs, and proxies with their passwords.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wbgql.limits import TooLarge, TooSlow
from wbgql.settings import Settings

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_PROXY_ADVICE = "put its user and password into HTTPS_PROXY and HTTP_PROXY, as http://USER:PASSWORD@HOST:PORT"

# Source: OpenSSL, X509_STORE_CTX_get_error(3): X509_V_ERR_*.
_EXPIRED, _NOT_YET_VALID = 10, 9
_WRONG_NAMES = (62, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no answer, and what to do about it where that is known.

    `timed_out` and `sent` are those of `ServerUnavailable`. `passing`: the same request may succeed later.
    `unusable`: the request itself cannot be sent, whatever the server does. `over_limit`: the answer is
    larger or slower than `settings.limits` allow.
    """

    reason: str
    advice: str = ""
    timed_out: bool = False
    sent: bool = False
    passing: bool = True
    unusable: bool = False
    over_limit: bool = False

    def __str__(self) -> str:
        return f"{self.reason}; {self.advice}" if self.advice else self.reason


def explain_failure(error: BaseException, where: str, settings: Settings) -> Failure:  # noqa: C901  # a list
    """Return why the request to `where`, a host or a URL without its query, brought no answer."""
    from requests import exceptions  # noqa: PLC0415 - imported already, or there were no such error
    from urllib3.exceptions import DecodeError, NewConnectionError, ReadTimeoutError  # noqa: PLC0415

    chain = list(_causes(error))
    reason = _os_reason(chain)

    def is_any(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in chain)

    if is_any(TooLarge, TooSlow):
        say = settings.limits.too_large if is_any(TooLarge) else settings.limits.too_slow
        return Failure(reason=say(f"the answer of {where}"), sent=True, passing=False, over_limit=True)
    # The first that fits: requests' kinds overlap (a connect timeout is both of its words).
    if is_any(exceptions.InvalidURL, exceptions.InvalidSchema, exceptions.InvalidHeader):
        return Failure(reason=_unusable(chain, reason), unusable=True, passing=False)
    if is_any(exceptions.ConnectTimeout):
        return Failure(
            reason=f"connecting to {where} timed out after {settings.timeout_s:g} s", timed_out=True
        )
    if is_any(exceptions.Timeout, ReadTimeoutError):
        return Failure(
            reason=f"waiting for {where} timed out after {settings.timeout_s:g} s", timed_out=True, sent=True
        )
    if (status := _tunnel_status(chain)) is not None:
        return _refused_by_proxy(status, where)
    if is_any(exceptions.SSLError):
        return Failure(
            reason=f"TLS with {where} failed: {reason.rstrip('.')}",
            advice=_tls_advice(chain, reason, settings),
            passing=False,
        )
    if is_any(exceptions.ProxyError):
        return Failure(
            reason=f"no way to {where} through the proxy: {reason}",
            advice="check HTTPS_PROXY and HTTP_PROXY, or name the server in NO_PROXY",
        )
    if is_any(NewConnectionError):
        return Failure(
            reason=f"cannot connect to {where}: {reason}",
            advice="check the host and the port of base_url; if this network needs a proxy, set HTTPS_PROXY",
        )
    if is_any(exceptions.ContentDecodingError, DecodeError):
        return Failure(reason=f"the answer of {where} cannot be unpacked", sent=True)
    return Failure(reason=f"the connection to {where} broke before the answer was whole: {reason}", sent=True)


def proxy_refusal(where: str) -> Failure:
    """Return what an HTTP 407 says: the proxy, not the server, refused the request to `where`."""
    return Failure(
        reason=f"the proxy refused the request to {where}: 407 Proxy Authentication Required",
        advice=f"{_PROXY_ADVICE}, or name the server in NO_PROXY",
        passing=False,
    )


def _refused_by_proxy(status: int, where: str) -> Failure:
    if status == 407:
        return proxy_refusal(where)
    return Failure(
        reason=f"the proxy refused a tunnel to {where}: HTTP {status}",
        advice="ask for access, or name the server in NO_PROXY",
        passing=status == 429 or status >= 500,
    )


def _unusable(chain: list[BaseException], reason: str) -> str:
    if any("SOCKS" in str(cause) for cause in chain):
        return "a SOCKS proxy needs the package PySocks: pip install 'requests[socks]'"
    return reason


def _tls_advice(chain: list[BaseException], reason: str, settings: Settings) -> str:
    code = next(
        (code for cause in chain if isinstance(code := getattr(cause, "verify_code", None), int)), None
    )
    if code == _EXPIRED:
        return "the server's certificate must be renewed, unless the clock of this machine is wrong"
    if code == _NOT_YET_VALID:
        return "check the clock of this machine"
    if code in _WRONG_NAMES:
        return "base_url must use a name that the certificate holds"
    if code is not None and settings.ca_bundle is not None:
        origin = settings.origin.get("ca_bundle", "ca_bundle")
        return f"the CA bundle {settings.ca_bundle!r} ({origin}) does not hold its authority"
    if code is not None:
        return (
            "if it is of your organization's own authority, set REQUESTS_CA_BUNDLE or ca_bundle= to its file"
        )
    if "wrong_version_number" in reason or "record_layer" in reason or "http_request" in reason:
        return "the port may speak plain HTTP: then base_url begins with http://"
    if "certificate_required" in reason or "handshake_failure" in reason:
        return "the server may ask for a client certificate, which wbgql cannot send"
    return "a proxy, a firewall or a server that asks for a client certificate may have cut it"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it stands for: gql, requests and urllib3 each wrap in their own way."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__cause__, getattr(cause, "reason", None), *cause.args]


def _tunnel_status(chain: list[BaseException]) -> int | None:
    """The status with which a proxy refused to connect; http.client keeps it only in its words."""
    found = (_TUNNEL.match(str(cause)) for cause in chain if isinstance(cause, OSError))
    return next((int(match[1]) for match in found if match is not None), None)


def _os_reason(chain: list[BaseException]) -> str:
    """The innermost plain words: "connection refused", "certificate has expired"."""
    reasons = [getattr(cause, "verify_message", None) or getattr(cause, "strerror", None) for cause in chain]
    found = [reason for reason in reasons if isinstance(reason, str)]
    return found[-1].lower() if found else type(chain[-1]).__name__
