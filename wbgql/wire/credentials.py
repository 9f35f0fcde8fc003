"""How requests are signed: with an API key, or with an access token got for an identity token."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wbgql.cautions import warn
from wbgql.errors import AuthenticationError, ConfigError, ServerUnavailable
from wbgql.forks import renew_after_fork
from wbgql.private_files import replace_private
from wbgql.scalars import parse_json
from wbgql.secrecy import Secret, basic_authorization, basic_token
from wbgql.settings import Settings, tls_verification
from wbgql.wire.http_failures import explain_failure

# Source: wandb SDK `core/internal/api/credentials.go`, `expiresAtLayout` and `IsTokenExpiring` (2026).
_INSTANT = "%Y-%m-%d %H:%M:%S"
_EXPIRES_SOON_S = 300
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class _Token:
    text: Secret
    expires_at: float

    def is_fresh(self, now: float) -> bool:
        return self.expires_at - now > _EXPIRES_SOON_S


class Credentials:
    """Gives the `Authorization` header for the server of some settings. Several threads may share it.

    With an identity token file, the token in it is exchanged at `<base_url>/oidc/token` for an access token
    when none is kept that lasts five minutes more: one request. The access token is kept in the
    credentials file, which the wandb SDK shares. The identity token is read again for each exchange.

    Source: wandb SDK `core/internal/api/credentials.go` (2026); OAuth RFC 7523. It was tried against a
    stand-in only.
    """

    def __init__(self, settings: Settings, *, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._token: _Token | None = None
        self._lock = threading.Lock()
        renew_after_fork(self)

    def authorization(self) -> Secret | None:
        """Return the header's value; None without a key and without an identity token.

        Raises:
            AuthenticationError: the identity token is refused, or its file cannot be read.
            ServerUnavailable: no answer, or one that may pass. Nothing else was sent.
        """
        settings = self._settings
        if settings.api_key is not None:
            return basic_authorization(settings.api_key)
        if settings.identity_token_file is None:
            return None
        with self._lock:
            if self._token is None or not self._token.is_fresh(self._now()):
                kept = self._read_kept().get(settings.base_url)
                self._token = kept if kept is not None and kept.is_fresh(self._now()) else self._exchange()
            return Secret(f"Bearer {self._token.text}")

    def scrub(self, value: Any) -> Any:
        """Blank out the key or token where a server repeats it in what it complains about."""
        hidden = [] if self._token is None else [str(self._token.text)]
        if self._settings.api_key is not None:
            hidden = [str(basic_token(self._settings.api_key)), str(self._settings.api_key)]
        return _scrub(value, hidden) if hidden else value

    def after_fork(self) -> None:
        """Replace the lock, which another thread may have held. Called in a forked process."""
        self._lock = threading.Lock()

    def _exchange(self) -> _Token:
        import requests  # noqa: PLC0415 - as where requests are sent: not on import

        assertion = _read_identity_token(self._settings.identity_token_file or "")
        url = f"{self._settings.base_url}/oidc/token"
        where = repr(urlsplit(url).netloc)
        try:
            response = requests.post(
                url,
                data={"grant_type": _GRANT, "assertion": str(assertion)},
                headers=dict(self._settings.extra_headers),
                auth=_anonymous,
                allow_redirects=False,
                stream=True,
                timeout=self._settings.timeout_s,
                verify=tls_verification(self._settings),
            )
            with response:
                body = response.raw.read(_MAX_BYTES, decode_content=True)
        except (requests.RequestException, OSError) as error:
            failure = explain_failure(error, where, self._settings)
            message = f"exchanging the identity token at {where} failed: {failure}"
            raise ServerUnavailable(
                message, timed_out=failure.timed_out, sent=False, passing=failure.passing
            ) from None  # the cause holds the request, and so the token
        found = _to_object(body)
        if response.status_code == 429 or response.status_code >= 500:
            message = f"exchanging the identity token at {where} failed with HTTP {response.status_code}"
            raise ServerUnavailable(message, status=response.status_code, sent=False)
        token, lasts = found.get("access_token"), found.get("expires_in")
        if response.status_code != 200 or not isinstance(token, str) or not token:
            words = [f"HTTP {response.status_code}"]
            words += [str(found[name]) for name in ("error", "error_description") if found.get(name)]
            raise AuthenticationError(
                f"{where} did not exchange the identity token of {self._settings.identity_token_file!r} "
                f"({_scrub(': '.join(words), [str(assertion)])}): the token may have expired or be made for "
                "another audience, or this server takes API keys only",
                status=response.status_code,
            )
        seconds = lasts if isinstance(lasts, (int, float)) and not isinstance(lasts, bool) else 0
        made = _Token(Secret(token), self._now() + seconds)
        self._keep(made)
        return made

    def _read_kept(self) -> dict[str, _Token]:
        """What the credentials file holds by address; what cannot be read there is not used."""
        entries = _read_file(self._settings.credentials_file).get("credentials")
        found = {}
        for address, entry in entries.items() if isinstance(entries, dict) else ():
            try:
                instant = datetime.strptime(entry["expires_at"], _INSTANT).replace(tzinfo=UTC)
                found[address] = _Token(Secret(entry["access_token"]), instant.timestamp())
            except (KeyError, TypeError, ValueError):
                continue
        return found

    def _keep(self, token: _Token) -> None:
        file = self._settings.credentials_file
        if file is None:
            return
        whole = _read_file(file)
        entries = whole.get("credentials")
        expires_at = datetime.fromtimestamp(token.expires_at, UTC).strftime(_INSTANT)
        own = {"expires_at": expires_at, "access_token": str(token.text)}
        whole["credentials"] = {
            **(entries if isinstance(entries, dict) else {}),
            self._settings.base_url: own,
        }
        path = Path(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_private(path, json.dumps(whole, indent=2).encode())
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            warn(f"the access token cannot be kept in {file!r}: {reason}; each process asks for one")


def _read_identity_token(file: str) -> Secret:
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"the identity token file {file!r} holds no token") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"the identity token file {file!r} (WANDB_IDENTITY_TOKEN_FILE) cannot be read: {reason}"
        ) from error
    if not token or not token.isprintable() or " " in token:
        raise ConfigError(f"the identity token file {file!r} holds no token")
    return Secret(token)


def _read_file(file: str | None) -> dict[str, Any]:
    try:
        return _to_object(Path(file).read_bytes()) if file else {}
    except OSError:
        return {}


def _to_object(text: bytes) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _anonymous(request: Any) -> Any:
    """An `auth` that adds nothing: without one, requests would look into netrc."""
    return request


def _scrub(value: Any, hidden: list[str]) -> Any:
    if isinstance(value, str):
        for text in hidden:
            value = value.replace(text, "***")
        return value
    if isinstance(value, list):
        return [_scrub(item, hidden) for item in value]
    if isinstance(value, dict):
        return {name: _scrub(item, hidden) for name, item in value.items()}
    return value
