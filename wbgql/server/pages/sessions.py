"""Who looks at a page: signed cookies, made from an API key and void as soon as that key is gone."""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from wbgql.server import accounts
from wbgql.server.accounts import Viewer
from wbgql.server.backend import Backend
from wbgql.server.store import Connection

SESSION_S = 7 * 86400


class Sessions:
    """Makes and reads the cookies of one store; those of another on the same host have other names.

    A session cookie holds the row of an API key and a mark made from the key's hash, so that
    it cannot be forged and dies with the key. It is HttpOnly and SameSite=Strict.
    """

    def __init__(self, backend: Backend) -> None:
        self._secret = hmac.digest(backend.secret, b"pages", "sha256")
        self._serializer = URLSafeTimedSerializer(self._secret, salt="session")
        store = hmac.digest(self._secret, b"cookie", "sha256").hex()[:8]
        self.session_name = f"wbgql_session_{store}"
        self.form_name = f"wbgql_form_{store}"

    def open(self, db: Connection, key: str) -> str | None:
        """The session cookie for an API key; None where nobody has that key."""
        digest = accounts.hash_key(key)
        found = db.execute("SELECT id FROM api_keys WHERE hash = ?", (digest,)).get
        return None if found is None else self._serializer.dumps([found, self._mark(digest)])

    def viewer(self, db: Connection, request: Request) -> Viewer | None:
        """The viewer whose session the request carries; None without one, or if it is over."""
        try:
            pk, mark = self._serializer.loads(request.cookies.get(self.session_name, ""), max_age=SESSION_S)
        except (BadData, ValueError, TypeError):
            return None
        digest = db.execute("SELECT hash FROM api_keys WHERE id = ?", (pk,)).get
        if digest is None or not hmac.compare_digest(self._mark(digest), mark):
            return None
        return accounts.find_viewer_by_hash(db, digest)

    def _mark(self, digest: bytes) -> str:
        return hmac.digest(self._secret, digest, "sha256").hex()[:32]

    def form_cookie(self, request: Request) -> str:
        """What a form on this page is tied to: the session, or a random cookie made for the sign-in form."""
        named = (request.cookies.get(name) for name in (self.session_name, self.form_name))
        return next((value for value in named if value), None) or secrets.token_urlsafe(16)

    def session_token(self, request: Request) -> str:
        """The hidden field of the sign-out button; empty where there is no session to end."""
        cookie = request.cookies.get(self.session_name)
        return self.form_token(cookie) if cookie else ""

    def form_token(self, cookie: str) -> str:
        """The hidden field that a form must bring beside `cookie`: no other site can know it."""
        return hmac.digest(self._secret, f"form:{cookie}".encode(), "sha256").hex()

    def is_own_form(self, request: Request, token: str) -> bool:
        """Whether a form that was sent is one of ours, seen by this browser."""
        cookies = (request.cookies.get(name) for name in (self.session_name, self.form_name))
        expected = (self.form_token(cookie) for cookie in cookies if cookie)
        return token.isascii() and any(hmac.compare_digest(one, token) for one in expected)


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """Give the browser a cookie that no script and no other site can use. An empty value takes it away."""
    places: dict[str, Any] = {
        "path": request.scope.get("root_path") or "/",
        "secure": request.url.scheme == "https",
        "httponly": True,
        "samesite": "strict",
    }
    if value:
        response.set_cookie(name, value, max_age=SESSION_S, **places)
    else:
        response.delete_cookie(name, **places)
