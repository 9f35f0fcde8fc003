"""Who looks at a page: sessions that the server keeps, opened with an API key and void without that key."""

from __future__ import annotations

import hmac
import secrets
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from wbgql.server import accounts
from wbgql.server.accounts import Viewer
from wbgql.server.backend import Backend
from wbgql.server.store.database import Connection

SESSION_S = 7 * 86400


class Sessions:
    """Makes and reads the cookies of one store; those of another on the same host have other names.

    A session cookie is a random text, of which the store has a keyed hash, next to that of the API key: a
    copy of the database opens none. It is HttpOnly and SameSite=Strict.
    """

    def __init__(self, backend: Backend) -> None:
        self._store = backend.store
        self._secret = hmac.digest(backend.keyring.signing, b"pages", "sha256")
        store = hmac.digest(self._secret, b"cookie", "sha256").hex()[:8]
        self.session_name = f"wbgql_session_{store}"
        self.form_name = f"wbgql_form_{store}"

    def open(self, key: str) -> str | None:
        """Begin a session for an API key and return its cookie; None where nobody has that key."""
        cookie, now = secrets.token_urlsafe(32), int(time.time())
        with self._store.write() as db:
            db.execute("DELETE FROM sessions WHERE opened_at <= ?", (now - SESSION_S,))
            viewer = accounts.find_viewer(db, key)
            if viewer is None:
                return None
            values = (accounts.hash_key(db, cookie), accounts.hash_key(db, key), now)
            db.execute("INSERT INTO sessions VALUES (?, ?, ?)", values)
        return cookie

    def close(self, request: Request) -> None:
        """End the session of a request, for every copy of its cookie."""
        with self._store.write() as db:
            token = accounts.hash_key(db, request.cookies.get(self.session_name, ""))
            db.execute("DELETE FROM sessions WHERE token = ?", (token,))

    def viewer(self, db: Connection, request: Request) -> Viewer | None:
        """The viewer whose session the request carries; None without one, or if it is over."""
        cookie = request.cookies.get(self.session_name)
        if not cookie:
            return None
        key_hash = db.execute(
            "SELECT key_hash FROM sessions WHERE token = ? AND opened_at > ?",
            (accounts.hash_key(db, cookie), int(time.time()) - SESSION_S),
        ).get
        return None if key_hash is None else accounts.find_viewer_by_hash(db, key_hash)

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
