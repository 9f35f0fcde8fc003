"""What a view gets and what it gives back. No I/O."""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from wbgql.errors import NotFound, UsageError
from wbgql.server import accounts
from wbgql.server.accounts import Viewer
from wbgql.server.backend import Backend, Context
from wbgql.server.pages.links import Links
from wbgql.server.projects import rows as projects
from wbgql.server.store.database import Connection, Row

# Who looks at a page: sessions that the server keeps, opened with an API key and void without that key.

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


MAX_PAGE = 10_000_000


@dataclass(frozen=True)
class Visit:
    """One request for a page by a viewer who is signed in."""

    context: Context
    path: dict[str, str]
    query: QueryParams
    links: Links

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.context.backend.clock()

    def page_number(self) -> int:
        """The page asked for, from 1.

        Raises:
            UsageError: not a number of a page.
        """
        text = self.query.get("page") or "1"
        if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MAX_PAGE):
            raise UsageError(f"not the number of a page: {text[:20]!r}")
        return int(text)

    def query_with(self, **changes: str | None) -> list[tuple[str, str]]:
        """The query of this page with some values changed; None takes one away, and the page goes too."""
        kept = [
            (name, value)
            for name, value in self.query.multi_items()
            if name not in changes and name != "page"
        ]
        return [*kept, *((name, value) for name, value in changes.items() if value)]

    def project(self) -> Row:
        """The project in the path.

        Raises:
            NotFound: missing or not visible, as GraphQL answers null.
        """
        entity, name = self.path["entity"], self.path["project"]
        found = projects.find_project(self.context, entity, name)
        if found is None:
            raise NotFound(f"there is no project {entity}/{name} that you may see", status=404)
        return found


@dataclass(frozen=True)
class Page:
    """A template and what it shows."""

    template: str
    values: dict[str, Any]
    status: int = 200


@dataclass(frozen=True)
class Content:
    """A stored content to send: `name` and `blob` of `file`."""

    file: Row


Answer = Page | Content


@dataclass(frozen=True)
class Pager:
    """Where a page of a list stands, with links to its neighbours; `total` is None where nobody counted."""

    number: int
    size: int
    shown: int
    total: int | None
    previous: str | None
    following: str | None

    @property
    def first(self) -> int:
        """The number of the first item shown, from 1; 0 where there is none."""
        return (self.number - 1) * self.size + 1 if self.shown else 0

    @property
    def last(self) -> int:
        """The number of the last item shown."""
        return (self.number - 1) * self.size + self.shown


def turn_pages(
    visit: Visit, size: int, *, shown: int, more: bool, total: int | None = None, number: int | None = None
) -> Pager:
    """The pager of a list of which `shown` items are on this page; its links change nothing but the page."""
    number = visit.page_number() if number is None else number

    def link(to: int) -> str:
        return f"?{urlencode([*visit.query_with(), ('page', str(to))])}"

    return Pager(
        number,
        size,
        shown,
        total,
        link(number - 1) if number > 1 else None,
        link(number + 1) if more else None,
    )
