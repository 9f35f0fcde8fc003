"""The HTTP side: routes, authentication, bodies in and out."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import functools
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from wbgql.errors import (
    AuthenticationError,
    NotFound,
    PermissionDenied,
    RequestError,
    UsageError,
    WbgqlError,
)
from wbgql.resources import schema_file
from wbgql.server import (
    accounts,
    artifacts_uploads,
    audit,
    blobs,
    bodies,
    files,
    filestream,
    pages,
    projects,
    resolvers_artifacts,
    resolvers_artifacts_changes,
    resolvers_artifacts_versions,
    resolvers_changes,
    resolvers_files,
    resolvers_people,
    resolvers_roots,
    resolvers_runs,
    runs,
)
from wbgql.server.accounts import Viewer
from wbgql.server.backend import Backend, Context
from wbgql.server.blobs import Blob
from wbgql.server.graphql import Answer, Api
from wbgql.server.statuses import status_of
from wbgql.server.store import Row, frozen

log = logging.getLogger("wbgql.server")

P = ParamSpec("P")
T = TypeVar("T")

MAX_GRAPHQL_BYTES = 32 * 2**20
MAX_STREAM_BYTES = 64 * 2**20
RETRY_AFTER_S = 2
MAX_THREADS = 40
"""Requests that are worked on at a time; others wait."""

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
    server = Server(backend, Api(schema_file(), RESOLVERS))
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
        Route("/admin/audit_logs", server.audit_logs, methods=["GET"]),
        Route("/healthz", server.health, methods=["GET"]),
        *pages.make_routes(backend, authenticate, _content),
    ]
    handlers: Mapping[Any, Any] = {WbgqlError: _on_error, HTTPException: _on_http_error, Exception: _on_bug}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.state.server = server
    return app


class Server:
    """What answers requests that are not for people."""

    def __init__(self, backend: Backend, api: Api) -> None:
        self.backend = backend
        self.api = api

        # Quicker there and back than through anyio, by a tenth of what a small request takes.
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="request")

    async def _in_thread(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        call = functools.partial(work, *given, **named)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Wait until nothing is being worked on."""
        self._threads.shutdown()

    async def health(self, _request: Request) -> Response:
        return _json({"ok": True})

    async def graphql(self, request: Request) -> Response:
        body = await _body(request, MAX_GRAPHQL_BYTES)
        answer = await self._in_thread(self._graphql, request, body)
        return _json(answer.body, answer.status)

    def _graphql(self, request: Request, body: bytes) -> Answer:
        with self.context(request) as context:
            given = bodies.decode(_graphql_decoder, body, "a GraphQL request")
            runs.mark_silent(context)
            with contextlib.nullcontext() if self.api.is_mutation(given.query) else frozen(context.db):
                return self.api.execute(context, given.query, given.variables or {}, given.operationName)

    @contextlib.contextmanager
    def context(self, request: Request) -> Iterator[Context]:
        """What a request of an authenticated caller works with."""
        with self.backend.store.read() as db:
            viewer = authenticate(db, request)
            yield Context(
                backend=self.backend,
                viewer=viewer,
                base_url=str(request.base_url).rstrip("/"),
                db=db,
                shared=request.headers.get("x-wandb-use-async-filestream") == "true",
            )

    async def file_stream(self, request: Request) -> Response:
        body = await _body(request, MAX_STREAM_BYTES)
        return _json(await self._in_thread(self._file_stream, request, body))

    def _file_stream(self, request: Request, body: bytes) -> dict[str, Any]:
        with self.context(request) as context:
            path = (request.path_params["entity"], request.path_params["project"], request.path_params["run"])
            client = request.headers.get("x-wandb-async-client-id") if context.shared else None
            return filestream.receive(context, path, filestream.decode(body), client)

    async def run_file(self, request: Request) -> Response:
        return _content(self.backend, await self._in_thread(self._run_file, request))

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
        return _content(self.backend, await self._in_thread(self._artifact_file, request))

    def _artifact_file(self, request: Request) -> Row:
        with self.context(request) as context:
            given = request.path_params
            path = (given["entity"], given["project"], given["collection"])
            return artifacts_uploads.find_content_by_path(context, *path, given["md5"])

    async def audit_logs(self, request: Request) -> Response:
        entries = await self._in_thread(self._audit_logs, request)
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        return Response(lines, media_type="application/x-ndjson")

    def _audit_logs(self, request: Request) -> list[Row]:
        with self.context(request) as context:
            if not context.viewer.admin:
                raise PermissionDenied("permission denied: the audit log is for admins", status=403)
            given = request.query_params
            if not set(given) <= {"startDate", "numDays", "anonymize"}:
                raise UsageError("this server's audit log knows startDate, numDays and anonymize")
            today = self.backend.clock().date()
            start, end = audit.read_days(given.get("startDate"), given.get("numDays"), today)
            return audit.wandb_entries(context.db, start, end, anonymize=given.get("anonymize") == "true")

    async def upload(self, request: Request) -> Response:
        kind, value = self.backend.signer.read("PUT", request.path_params["token"])
        max_bytes = self.backend.settings.max_upload_bytes
        blobs.refuse_larger(int(request.headers.get("content-length", 0)), max_bytes)
        blob = await self.backend.blobs.receive(request.stream(), max_bytes)
        await self._in_thread(UPLOADS[kind], self.backend, value, blob)
        return Response(status_code=200, headers={"ETag": f'"{blob.md5}"'})

    async def download(self, request: Request) -> Response:
        kind, value = self.backend.signer.read("GET", request.path_params["token"])
        return _content(self.backend, await self._in_thread(DOWNLOADS[kind], self.backend, value))


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
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise RequestError(f"request is larger than {limit} bytes", status=413)
        parts.append(part)
    return b"".join(parts)


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
    response = _json({"errors": [{"message": str(error)}], "error": str(error)}, status)
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


async def _on_http_error(_request: Request, error: HTTPException) -> Response:
    return _json({"error": error.detail, "errors": [{"message": error.detail}]}, error.status_code)


async def _on_bug(_request: Request, _error: Exception) -> Response:
    return _json({"error": "internal error", "errors": [{"message": "internal error"}]}, 500)
