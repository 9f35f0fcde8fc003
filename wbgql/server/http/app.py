"""The HTTP side: routes, authentication, bodies in and out."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from wbgql.errors import (
    AuthenticationError,
    NotFound,
    PermissionDenied,
    RequestError,
    WbgqlError,
)
from wbgql.resources import schema_file
from wbgql.server import accounts, pages
from wbgql.server.accounts import Viewer
from wbgql.server.api import artifact_mutations as resolvers_artifacts_changes
from wbgql.server.api import artifacts as resolvers_artifacts
from wbgql.server.api import files as resolvers_files
from wbgql.server.api import people as resolvers_people
from wbgql.server.api import roots as resolvers_roots
from wbgql.server.api import run_mutations as resolvers_changes
from wbgql.server.api import runs as resolvers_runs
from wbgql.server.api import versions as resolvers_artifacts_versions
from wbgql.server.api.executor import Answer, Api
from wbgql.server.api.work import Work
from wbgql.server.artifacts import uploads as artifacts_uploads
from wbgql.server.audit import log as audit
from wbgql.server.backend import Backend, Context
from wbgql.server.http import bodies
from wbgql.server.http.access_log import public_path
from wbgql.server.http.statuses import public_message, status_of
from wbgql.server.lifecycle import filestream, moves, retention
from wbgql.server.likeness.failing import Faults
from wbgql.server.likeness.switches import ON
from wbgql.server.projects import rows as projects
from wbgql.server.runs import files
from wbgql.server.runs import rows as runs
from wbgql.server.store import blobs
from wbgql.server.store.blobs import Blob
from wbgql.server.store.database import Row, frozen

log = logging.getLogger("wbgql.server")

P = ParamSpec("P")
T = TypeVar("T")

MAX_GRAPHQL_BYTES = 32 * 2**20
MAX_STREAM_BYTES = 64 * 2**20
RETRY_AFTER_S = 2
MAX_THREADS = 40
"""Requests that are worked on at a time; others wait."""
MAX_FOR_ONE = 12
"""Requests of one user that are worked on or read at a time, so that others find a thread."""
QUICK_S = 0.5
"""Most requests are done by then; the others are watched: for their time, and for a caller who hangs up."""
BODY_S = 60.0
"""A body must arrive within this time."""
WRITE_FACTOR = 10
"""What changes the store may take this many times longer: an artifact of many files is one commit."""
STUCK_S = 10.0
"""A request that still works so long after it was stopped makes `/healthz` say so."""

RESOLVERS = (
    resolvers_roots.resolvers,
    resolvers_runs.resolvers,
    resolvers_files.resolvers,
    resolvers_changes.resolvers,
    resolvers_people.resolvers,
    resolvers_artifacts.resolvers,
    resolvers_artifacts_versions.resolvers,
    resolvers_artifacts_changes.resolvers,
)

UPLOADS: dict[str, Callable[[Backend, Any, Blob], None]] = {
    files.UPLOAD: files.store_upload,
    artifacts_uploads.CONTENT: artifacts_uploads.store_content,
    artifacts_uploads.MANIFEST: artifacts_uploads.store_manifest,
}
"""What to do with an uploaded content, by the kind its URL was signed for."""

DOWNLOADS: dict[str, Callable[[Backend, Any], Row]] = {
    files.UPLOAD: files.find_download,
    artifacts_uploads.CONTENT: artifacts_uploads.find_content,
    artifacts_uploads.MANIFEST: artifacts_uploads.find_manifest_content,
}
"""Finds `blob` and `name` for a download, by the kind its URL was signed for."""


class GraphqlBody(msgspec.Struct, frozen=True):
    """The body of a GraphQL request."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815


_graphql_decoder = msgspec.json.Decoder(GraphqlBody)


def make_app(backend: Backend, lifespan: Callable[[Starlette], Any] | None = None) -> Starlette:
    """The application over an opened backend."""
    settings = backend.settings
    api = Api(
        schema_file(),
        RESOLVERS,
        without=settings.without,
        null=settings.null,
        introspection=settings.introspection == ON,
    )
    server = Server(backend, api)
    run = "/files/{entity}/{project}/{run}"
    routes = [
        Route("/graphql", server.graphql, methods=["POST"]),
        Route(f"{run}/file_stream", server.file_stream, methods=["POST"]),
        Route(f"{run}/{{name:path}}", server.run_file, methods=["GET"]),
        Route(
            "/artifactsV2/{region}/{entity}/{project}/{collection}/{birth}/{md5}/{name:path}",
            server.artifact_file,
            methods=["GET"],
        ),
        Route("/storage/{token}/{name:path}", server.upload, methods=["PUT"]),
        Route("/storage/{token}/{name:path}", server.download, methods=["GET"]),
        Route(audit.PATHS[settings.audit_log], server.audit_logs, methods=["GET"]),
        Route("/~/deleted/{entity}/{project}", server.deleted_runs, methods=["GET"]),
        Route("/healthz", server.health, methods=["GET"]),
        *pages.make_routes(backend, authenticate, _content, server.perform),
    ]
    handlers: Mapping[Any, Any] = {
        WbgqlError: _on_error,
        HTTPException: _on_http_error,
        ClientDisconnect: _on_leaving,
        Exception: _on_bug,
    }
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.state.server = server
    return app


class Server:
    """What answers requests that are not for people."""

    def __init__(self, backend: Backend, api: Api) -> None:
        self.backend = backend
        self.api = api
        self._faults = Faults(backend.settings.failing_reads)

        # Quicker there and back than through anyio, by a tenth of what a small request takes.
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="request")
        self._works: set[Work] = set()
        self._places: dict[int, asyncio.Semaphore] = {}

    def viewer(self, request: Request) -> Viewer:
        """Find who asks, before the body is read: nothing is kept for a stranger. See `authenticate`."""
        with self.backend.store.read() as db:
            return authenticate(db, request)

    def place(self, viewer: Viewer) -> asyncio.Semaphore:
        """What a user's requests wait for if many of them are under way."""
        return self._places.setdefault(viewer.user_id, asyncio.Semaphore(MAX_FOR_ONE))

    async def in_thread(self, request: Request, call: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Do a request's work in a thread, within the time that a request may take.

        The body must have been read. Work that its caller no longer waits for is stopped.

        Raises:
            WorkStopped: it took longer than `request_timeout_s`, or the server ends.
        """
        work = Work()

        def do() -> T:
            try:
                with work.by_this_thread():
                    work.check()
                    return call(*given, **named)
            finally:
                self._works.discard(work)

        self._works.add(work)
        try:
            future = asyncio.get_running_loop().run_in_executor(self._threads, do)
            try:
                done, _ = await asyncio.wait({future}, timeout=QUICK_S)
                if not done:
                    await self._watch(request, work, future)
                return future.result()
            except asyncio.CancelledError:
                work.stop("the server ends", 503)
                raise
        finally:
            if not work.is_running:
                self._works.discard(work)

    async def perform(
        self, request: Request, viewer: Viewer, call: Callable[P, T], *given: P.args, **named: P.kwargs
    ) -> T:
        """Do the work of a request without a body; see `in_thread`."""
        async with self.place(viewer):
            return await self.in_thread(request, call, *given, **named)

    async def _watch(self, request: Request, work: Work, future: asyncio.Future[Any]) -> None:
        """Wait for `future`, and stop its work when its time is up or its caller has gone."""
        limit_s = self.backend.settings.request_timeout_s
        since = time.monotonic()
        leaving = asyncio.ensure_future(_disconnected(request))
        try:
            while not future.done():
                waiting = {future} if leaving.done() else {future, leaving}
                await asyncio.wait(waiting, timeout=QUICK_S, return_when=asyncio.FIRST_COMPLETED)
                if leaving.done() and not work.writes:
                    work.stop("the caller has gone", 499)
                factor = WRITE_FACTOR if work.writes else 1
                if time.monotonic() - (work.began or since) > limit_s * factor:
                    work.stop("the request took too long and was stopped; ask for less at a time", 400)
        finally:
            leaving.cancel()

    def close(self) -> None:
        """Stop what is being worked on, and wait until it has ended."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while running := [work for work in list(self._works) if work.is_running]:
            for work in running:
                work.stop("the server ends", 503)
            time.sleep(0.05)

    async def health(self, _request: Request) -> Response:
        """Answer 200, or 503 if work does not end although it was stopped."""
        now = time.monotonic()
        running = [work for work in self._works if work.is_running]
        stuck = [work for work in running if work.stopped is not None and now - work.stopped > STUCK_S]
        found = {
            "ok": not stuck,
            "working": len(running),
            "waiting": len(self._works) - len(running),
            "stuck": len(stuck),
        }
        return _json(found, 503 if stuck else 200)

    async def graphql(self, request: Request) -> Response:
        viewer = self.viewer(request)
        async with self.place(viewer):
            body = await _body(request, MAX_GRAPHQL_BYTES)
            answer = await self.in_thread(request, self._graphql, request, body)
        return _json(answer.body, answer.status)

    def _graphql(self, request: Request, body: bytes) -> Answer:
        with self.context(request) as context:
            given = bodies.decode(_graphql_decoder, body, "a GraphQL request")
            moves.finish_due(self.backend)
            runs.mark_silent(context)
            variables = given.variables or {}
            if self.api.is_mutation(given.query):
                return self.api.execute(context, given.query, variables, given.operationName)
            if fault := self._faults.next():
                return Answer(500, {"errors": [{"message": fault}]})
            with self.backend.replica.reading(context.db) as db, frozen(db):
                return self.api.execute(replace(context, db=db), given.query, variables, given.operationName)

    @contextlib.contextmanager
    def context(self, request: Request) -> Iterator[Context]:
        """What a request of an authenticated caller works with.

        The caller is looked up once more: a key may have ended while the body came or the request waited.
        """
        with self.backend.store.read() as db:
            yield Context(
                backend=self.backend,
                viewer=authenticate(db, request),
                base_url=str(request.base_url).rstrip("/"),
                db=db,
                shared=request.headers.get("x-wandb-use-async-filestream") == "true",
            )

    async def file_stream(self, request: Request) -> Response:
        viewer = self.viewer(request)
        async with self.place(viewer):
            body = await _body(request, MAX_STREAM_BYTES)
            return _json(await self.in_thread(request, self._file_stream, request, body))

    def _file_stream(self, request: Request, body: bytes) -> dict[str, Any]:
        with self.context(request) as context:
            path = (request.path_params["entity"], request.path_params["project"], request.path_params["run"])
            client = request.headers.get("x-wandb-async-client-id") if context.shared else None
            return filestream.receive(context, path, filestream.decode(body), client)

    async def run_file(self, request: Request) -> Response:
        viewer = self.viewer(request)
        return _content(self.backend, await self.perform(request, viewer, self._run_file, request))

    def _run_file(self, request: Request) -> Row:
        with self.context(request) as context:
            given = request.path_params
            project = projects.find_project(context, given["entity"], given["project"])
            run = runs.find_run(context, project, given["run"]) if project else None
            file = files.find_file(context.db, run["pk"], given["name"]) if run else None
            if file is None or file["blob"] is None:
                raise NotFound(f"file {given['name']!r} not found", status=404)
            return file

    async def artifact_file(self, request: Request) -> Response:
        viewer = self.viewer(request)
        found = await self.perform(request, viewer, self._artifact_file, request)
        return _content(self.backend, found)

    def _artifact_file(self, request: Request) -> Row:
        with self.context(request) as context:
            given = request.path_params
            path = (given["entity"], given["project"], given["collection"])
            return artifacts_uploads.find_content_by_path(context, *path, given["md5"])

    async def audit_logs(self, request: Request) -> Response:
        viewer = self.viewer(request)
        found = await self.perform(request, viewer, self._audit_logs, request)
        if isinstance(found, dict):
            return _json(found)
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in found)
        return Response(lines, media_type="application/x-ndjson")

    def _audit_logs(self, request: Request) -> list[Row] | Row:
        with self.context(request) as context:
            if not context.viewer.admin:
                raise PermissionDenied("permission denied: the audit log is for admins", status=403)
            return audit.answer(context, dict(request.query_params))

    async def deleted_runs(self, request: Request) -> Response:
        viewer = self.viewer(request)
        return _json(await self.perform(request, viewer, self._deleted_runs, request))

    def _deleted_runs(self, request: Request) -> Row:
        """The runs of a project that the caller may restore. W&B's servers have no such endpoint."""
        with self.context(request) as context:
            given = request.path_params
            project = projects.find_project(context, given["entity"], given["project"])
            if project is None:
                raise NotFound("project not found", status=404)
            return {"runs": retention.list_restorable(context, project)}

    async def upload(self, request: Request) -> Response:
        kind, value = self.backend.signer.read("PUT", request.path_params["token"])
        max_bytes = self.backend.settings.max_upload_bytes
        blobs.refuse_larger(int(request.headers.get("content-length", 0)), max_bytes)
        blob = await self.backend.blobs.receive(_timely(request.stream()), max_bytes)
        await self.in_thread(request, UPLOADS[kind], self.backend, value, blob)
        return Response(status_code=200, headers={"ETag": f'"{blob.md5}"'})

    async def download(self, request: Request) -> Response:
        kind, value = self.backend.signer.read("GET", request.path_params["token"])
        return _content(self.backend, await self.in_thread(request, DOWNLOADS[kind], self.backend, value))


def authenticate(db: Any, request: Request) -> Viewer:
    """The caller, by HTTP Basic with any user name and the key as password.

    Raises:
        AuthenticationError: no key, or not a known one.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    key = ""
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            key = base64.b64decode(credentials).decode().partition(":")[2]
    viewer = accounts.find_viewer(db, key) if key else None
    if viewer is None:
        raise AuthenticationError("user is not logged in", status=401)
    return viewer


async def _body(request: Request, limit: int) -> bytes:
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise RequestError(f"request is larger than {limit} bytes", status=413)
                parts.append(part)
    except TimeoutError:
        raise RequestError(f"the request did not arrive within {BODY_S:g} s", status=408) from None
    return b"".join(parts)


async def _timely(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The parts of an upload, each of which must arrive within `BODY_S` after the one before."""
    while True:
        try:
            async with asyncio.timeout(BODY_S):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise RequestError(f"nothing arrived for {BODY_S:g} s", status=408) from None
        yield part


async def _disconnected(request: Request) -> None:
    """Return once the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(body: Any, status: int = 200) -> Response:
    try:
        content = msgspec.json.encode(body)
    except (OverflowError, UnicodeEncodeError):
        # A logged value may be an integer beyond 64 bits, or half a surrogate pair.
        content = json.dumps(body, allow_nan=False, default=_decode_again).encode()
    return Response(content, status, media_type="application/json")


def _decode_again(encoded: Any) -> Any:
    """What the quicker encoder takes and the standard library does not: Structs, and JSON that is ready."""
    return json.loads(msgspec.json.encode(encoded))


def _content(backend: Backend, file: Row) -> Response:
    # What users stored must not run as a page of this server.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    name = str(file["name"]).rsplit("/", 1)[-1]
    path = backend.blobs.path(file["blob"])
    return FileResponse(path, headers=headers, filename=name, media_type="application/octet-stream")


async def _on_error(_request: Request, error: Exception) -> Response:
    status = status_of(error)
    message = public_message(error)
    response = _json({"errors": [{"message": message}], "error": message}, status)
    if status in (401, 408, 413):
        # What is left of the body is not read.
        response.headers["Connection"] = "close"
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


async def _on_http_error(_request: Request, error: HTTPException) -> Response:
    return _json({"error": error.detail, "errors": [{"message": error.detail}]}, error.status_code)


async def _on_leaving(request: Request, _error: Exception) -> Response:
    """The caller went while it sent its body. Nobody reads the answer."""
    log.warning("given up by its caller: %s %s", request.method, public_path(request.url.path))
    return Response(status_code=499)


async def _on_bug(_request: Request, _error: Exception) -> Response:
    return _json({"error": "internal error", "errors": [{"message": "internal error"}]}, 500)
