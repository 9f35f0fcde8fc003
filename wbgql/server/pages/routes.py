"""The addresses of pages: who asks is settled here, and every error becomes a page."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from wbgql.errors import AuthenticationError, RequestError, WbgqlError
from wbgql.server.accounts import Viewer
from wbgql.server.backend import Backend, Context
from wbgql.server.http.statuses import public_message, status_of
from wbgql.server.pages import artifact_views, formatting, project_views, run_views
from wbgql.server.pages.links import SERVICE, Links
from wbgql.server.pages.visits import Answer, Content, Page, Sessions, Visit, set_cookie
from wbgql.server.runs import rows as runs
from wbgql.server.store.database import Connection, Row, frozen

# Templates to HTML, and the headers every page has.

_HERE = Path(__file__).parent
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_YEAR_S = 365 * 86400

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Renderer:
    """The templates, and the files that they name. Everything user-made is escaped on its way in."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            number=formatting.number,
            size=formatting.size,
            duration=formatting.duration,
            instant=formatting.instant,
            ago=formatting.ago,
            plain=formatting.plain,
        )
        self._files = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir())}
        self.version = hashlib.sha256(b"\0".join(self._files.values())).hexdigest()[:12]

    def page(self, template: str, values: dict[str, Any], status: int = 200) -> Response:
        """A page as an answer."""
        text = self._templates.get_template(template).render(values)
        # A name may hold half a surrogate pair, which has no bytes in UTF-8.
        return HTMLResponse(text.encode(errors="replace"), status, headers=HEADERS)

    def static(self, name: str) -> Response | None:
        """A style sheet, script or icon; None where there is no such file. Its address changes with it."""
        content = self._files.get(name)
        if content is None:
            return None
        headers = HEADERS | {"Cache-Control": f"public, max-age={_YEAR_S}, immutable"}
        return Response(content, headers=headers, media_type=_TYPES[Path(name).suffix])


MAX_FORM_BYTES = 8192

View = Callable[[Visit], Answer]
Endpoint = Callable[[Request], Awaitable[Response]]
Authenticate = Callable[[Connection, Request], Viewer]
Send = Callable[[Backend, Row], Response]
Perform = Callable[..., Awaitable[Any]]

_PROJECT = "/{entity}/{project}"
_RUN = f"{_PROJECT}/runs/{{run}}"
# The words of W&B's own addresses that the SDK or people's bookmarks use, for the same pages.
_VIEWS: tuple[tuple[str, View], ...] = (
    ("/", project_views.home),
    ("/{entity}", project_views.entity),
    (_PROJECT, project_views.runs_table),
    (f"{_PROJECT}/workspace", project_views.runs_table),
    (f"{_PROJECT}/table", project_views.runs_table),
    (f"{_PROJECT}/deleted", project_views.deleted_table),
    (f"{_PROJECT}/artifacts", artifact_views.collections),
    (f"{_PROJECT}/artifacts/{{rest:path}}", artifact_views.below),
    (_RUN, run_views.of_run(run_views.charts)),
    (f"{_RUN}/workspace", run_views.of_run(run_views.charts)),
    (f"{_RUN}/overview", run_views.of_run(run_views.charts)),
    (f"{_RUN}/system", run_views.of_run(run_views.system)),
    (f"{_RUN}/logs", run_views.of_run(run_views.logs)),
    (f"{_RUN}/files", run_views.of_run(run_views.run_files)),
    (f"{_RUN}/file", run_views.of_run(run_views.run_file)),
    (f"{_RUN}/artifacts", run_views.of_run(run_views.run_artifacts)),
)


def make_routes(backend: Backend, authenticate: Authenticate, send: Send, perform: Perform) -> list[Route]:
    """The routes of all pages, to stand behind those of the API.

    `authenticate` finds the viewer by the request's Authorization header, or raises
    AuthenticationError; `send` sends a stored content to be saved, never to be shown as a page;
    `perform` does the work of a viewer's request in a thread, within its limits.
    """
    pages = _Pages(backend, authenticate, send, perform)
    return [
        Route(f"{SERVICE}/static/{{version}}/{{name}}", pages.static, methods=["GET"]),
        Route(f"{SERVICE}/login", pages.login_form, methods=["GET"]),
        Route(f"{SERVICE}/login", pages.login, methods=["POST"]),
        Route(f"{SERVICE}/logout", pages.logout, methods=["POST"]),
        # Where the SDK sends people for a key (wandb SDK 0.31.0 `sdk/lib/wbauth`, 2026-11).
        Route("/authorize", pages.login_form, methods=["GET"]),
        *(Route(path, pages.show(view), methods=["GET"]) for path, view in _VIEWS),
    ]


class _Pages:
    def __init__(self, backend: Backend, authenticate: Authenticate, send: Send, perform: Perform) -> None:
        self.backend = backend
        self.authenticate = authenticate
        self.send = send
        self.perform = perform
        self.sessions = Sessions(backend)
        self.renderer = Renderer()

    def links(self, request: Request) -> Links:
        return Links(str(request.scope.get("root_path", "")).rstrip("/"), self.renderer.version)

    async def static(self, request: Request) -> Response:
        found = self.renderer.static(request.path_params["name"])
        return found or Response(status_code=404, headers=HEADERS)

    # ---- pages ----

    def show(self, view: View) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            viewer = self._viewer(request)
            if viewer is None:
                return self._ask_to_sign_in(request)
            response: Response = await self.perform(request, viewer, self._show, view, request, viewer)
            return response

        return endpoint

    def _show(self, view: View, request: Request, viewer: Viewer) -> Response:
        with self.backend.store.read() as db:
            try:
                context = Context(self.backend, viewer, str(request.base_url).rstrip("/"), db)
                runs.mark_silent(context)
                with frozen(db):
                    visit = Visit(context, request.path_params, request.query_params, self.links(request))
                    answer = view(visit)
                    return self._answer(request, viewer, answer)
            except WbgqlError as error:
                status = status_of(error)
                page = Page("error.html", {"status": status, "message": public_message(error)}, status)
                return self._answer(request, viewer, page)

    def _viewer(self, request: Request) -> Viewer | None:
        with self.backend.store.read() as db:
            if "authorization" in request.headers:
                return self.authenticate(db, request)
            return self.sessions.viewer(db, request)

    def _answer(self, request: Request, viewer: Viewer | None, answer: Answer) -> Response:
        if isinstance(answer, Content):
            response = self.send(self.backend, answer.file)
            response.headers["Cache-Control"] = HEADERS["Cache-Control"]
            return response
        shared = {
            "links": self.links(request),
            "now": self.backend.clock(),
            "viewer": viewer,
            "form_token": self.sessions.session_token(request),
        }
        return self.renderer.page(answer.template, shared | answer.values, answer.status)

    # ---- sign-in ----

    def _ask_to_sign_in(self, request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            # A program would take the form for what it asked for.
            raise AuthenticationError("user is not logged in", status=401)
        # As it was sent: decoded, a "?" in a name could not be told from the query's.
        path = request.scope["raw_path"].decode("latin-1").removeprefix(self.links(request).prefix)
        after = f"{path}?{request.url.query}" if request.url.query else path
        return RedirectResponse(self.links(request).login(after), 302, headers=HEADERS)

    async def login_form(self, request: Request) -> Response:
        return self._login_form(request, local_path(request.query_params.get("next", "")))

    def _login_form(self, request: Request, after: str, problem: str = "", status: int = 200) -> Response:
        cookie = self.sessions.form_cookie(request)
        values: dict[str, Any] = {
            "after": after,
            "problem": problem,
            "form_token": self.sessions.form_token(cookie),
            # A SameSite=Strict cookie does not come along when a link on another site is followed.
            # Going on from here it does, so that who is signed in need not sign in again.
            "retry": request.headers.get("sec-fetch-site") == "cross-site" and after,
        }
        response = self._answer(request, None, Page("login.html", values, status))
        if self.sessions.session_name not in request.cookies:
            set_cookie(request, response, self.sessions.form_name, cookie)
        return response

    async def login(self, request: Request) -> Response:
        form = await _form(request)
        after = local_path(form.get("next", ""))
        if not self.sessions.is_own_form(request, form.get("token", "")):
            return self._login_form(request, after, "The form had expired. Please try again.", 403)
        cookie = self.sessions.open(form.get("key", "").strip())
        if cookie is None:
            return self._login_form(request, after, "No user has this key.", 403)
        response = RedirectResponse(self.links(request).below(after or "/"), 303, headers=HEADERS)
        set_cookie(request, response, self.sessions.session_name, cookie)
        set_cookie(request, response, self.sessions.form_name, "")
        return response

    async def logout(self, request: Request) -> Response:
        form = await _form(request)
        response = RedirectResponse(self.links(request).login(), 303, headers=HEADERS)
        if self.sessions.is_own_form(request, form.get("token", "")):
            self.sessions.close(request)
            set_cookie(request, response, self.sessions.session_name, "")
        return response


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        RequestError: larger than any form here.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            raise RequestError(f"form is larger than {MAX_FORM_BYTES} bytes", status=413)
    fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True)
    return {name: given[-1] for name, given in fields.items()}


def local_path(text: str) -> str:
    """A path on this server with its query, or "" for anything that leads elsewhere."""
    leads_away = text.startswith(("//", f"{SERVICE}/")) or "\\" in text
    return text if text.startswith("/") and not leads_away and text.isascii() and text.isprintable() else ""
