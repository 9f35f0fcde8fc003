"""Running a server: in this process until it is stopped, or in a child process for tests and demos."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from wbgql.errors import ConfigError, StoreError
from wbgql.server import accounts
from wbgql.server.backend import Backend
from wbgql.server.http.access_log import AccessLog
from wbgql.server.http.app import make_app
from wbgql.server.lifecycle import retention
from wbgql.server.likeness.lacking import check_schema
from wbgql.server.likeness.switches import preset
from wbgql.server.operator.accounts import advance_clock, alone
from wbgql.server.settings import ServerSettings
from wbgql.server.store import clocks
from wbgql.server.store.database import Store

# Serving below a path such as `/wandb`, behind a proxy or without one. No I/O of its own.


class PathPrefix:
    """Makes an application answer below `prefix`, and build its addresses with it.

    A proxy may pass the path on whole or cut the prefix off: both are answered.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            whole = path == self._prefix or path.startswith(f"{self._prefix}/")
            scope = {**scope, "root_path": self._prefix, "path": path if whole else self._prefix + path}
        await self._app(scope, receive, send)


log = logging.getLogger("wbgql.server")

STARTUP_S = 60.0
SHUTDOWN_S = 10.0
MAX_CONNECTIONS = 2000
"""Connections at a time; more are answered with 503."""
COLLECT_AFTER = 50_000
"""New objects after which Python looks for cycles among them; its own default is 700."""

OnReady = Callable[[str], None]
OnFirstKey = Callable[[str, str], None]


def serve(
    settings: ServerSettings,
    *,
    on_ready: OnReady | None = None,
    on_first_key: OnFirstKey | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until `stop` is set.

    `on_ready` gets the base URL once requests are answered. `on_first_key` gets the name and key
    of the user that is made if the store has none: the key is stored hashed and never shown again.

    Raises:
        ConfigError: `without` or `null` names what the schema does not have; no store was opened.
        StoreError: the port is in use, another server has the store, or the store cannot be opened.
    """
    check_schema(settings)
    with alone(settings.data), _bind(settings) as listener:
        backend = Backend(settings)
        try:
            clocks.keep_periods(backend.store, settings.periods)
            if not accounts.count_users(backend.store):
                key = accounts.add_user(backend.store, settings.first_user, admin=True)
                if on_first_key is not None:
                    on_first_key(settings.first_user, key)
            host, port = listener.getsockname()[:2]
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}{settings.path_prefix}"
            _run(backend, listener, stop, (lambda: on_ready(url)) if on_ready is not None else None)
        finally:
            backend.close()


def _run(
    backend: Backend,
    listener: socket.socket,
    stop: threading.Event | None,
    on_ready: Callable[[], None] | None,
) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_purge_often, backend)
            if stop is not None:
                tasks.start_soon(_watch, stop, server)
            if on_ready is not None:
                on_ready()
            yield
            tasks.cancel_scope.cancel()

    inner = make_app(backend, lifespan)
    app: ASGIApp = inner
    if backend.settings.path_prefix:
        app = PathPrefix(app, backend.settings.path_prefix)
    if backend.settings.access_log is not None:
        app = AccessLog(app, backend.settings.access_log)
    # uvicorn takes httptools and uvloop where they are: a small request costs half of what it costs without.
    config = uvicorn.Config(
        app,
        http=_protocol(),
        limit_concurrency=MAX_CONNECTIONS,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=int(SHUTDOWN_S) - 5,
    )
    server = uvicorn.Server(config)
    with contextlib.closing(inner.state.server), _quiet_signals(), _calm_collector():
        server.run(sockets=[listener])


def _protocol() -> Any:
    try:
        from wbgql.server.http.protocol import LimitedProtocol  # noqa: PLC0415  # needs httptools
    except ModuleNotFoundError:
        return "auto"
    return LimitedProtocol


@contextlib.contextmanager
def _quiet_signals() -> Iterator[None]:
    """Keep uvicorn from dying of the signal it has obeyed: it raises it again once it has stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def _calm_collector() -> Iterator[None]:
    """Let Python's collector leave alone what stays, and look less often at what is new.

    A look at the whole schema costs 100 ms, and pages of thousands of objects without a cycle set it off.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _purge_often(backend: Backend) -> None:
    while True:
        try:
            await anyio.to_thread.run_sync(_purge, backend)
        except StoreError as error:
            # A full disk or a lock may pass; what is due is purged the next time.
            log.warning("purge failed: %s", error)
        await anyio.sleep(backend.settings.purge_interval_s)


def _purge(backend: Backend) -> None:
    doubted_s = clocks.doubted_s(backend.store, clocks.read_machine())
    if doubted_s:
        log.warning(
            "the machine's clock is %d s ahead of the time that passed: purges wait by that much until"
            " `wbgql server clock --confirm` says that it is right",
            doubted_s,
        )
    now = backend.clock() - timedelta(seconds=doubted_s)
    retention.purge(backend.store, backend.blobs, now=now, periods=backend.settings.periods)


async def _watch(stop: threading.Event, server: uvicorn.Server) -> None:
    while not stop.is_set():
        await anyio.sleep(0.05)
    server.should_exit = True


@contextlib.contextmanager
def _bind(settings: ServerSettings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, each answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise StoreError(
            f"cannot listen: {settings.host}:{settings.port}, {reason.lower()}, choose another port"
        ) from error
    with listener:
        yield listener


@dataclass
class RunningServer:
    """A server in a child process. Stops when this object is closed or this process ends."""

    base_url: str
    api_key: str
    username: str
    data: Path
    process: subprocess.Popen[str]

    def environment(self, home: Path) -> dict[str, str]:
        """Environment variables that point the wandb SDK at this server and keep its files under `home`."""
        folders = {name: home / name.lower() for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR")}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "WANDB_BASE_URL": self.base_url,
            "WANDB_API_KEY": self.api_key,
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_SILENT": "true",
            **{f"WANDB_{name}": str(folder) for name, folder in folders.items()},
        }

    def advance(self, seconds: float) -> datetime:
        """Set the server's clock ahead; return its time now, which the server has when this returns."""
        now = advance_clock(self.data, seconds)
        time.sleep(2 * clocks.REFRESH_S)
        return now

    def stop(self) -> None:
        """Stop the server and wait until it has closed its store."""
        with contextlib.suppress(BrokenPipeError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start(
    data: Path,
    *,
    port: int = 0,
    username: str = "admin",
    api_key: str | None = None,
    like: str | None = None,
    **settings: Any,
) -> RunningServer:
    """Start a server in a child process and return once it answers.

    An admin `username` is added, or gets one more key. `settings` are further fields of
    `ServerSettings`, such as `retention_s`; they win over what the preset `like` sets (`likeness.PRESETS`).
    The child ends with this process.

    Raises:
        StoreError: as `serve`, or the child did not come up.
        ConfigError: no such setting or preset, the schema has no such coordinate, or the key is too short.
    """
    try:
        wanted = ServerSettings(data=data, port=port, **{**preset(like), **settings})
    except TypeError as error:
        raise ConfigError(f"no such setting of a server: {error}") from error
    check_schema(wanted)
    store = Store(data)
    try:
        key = accounts.add_user(store, username, api_key, admin=True)
    finally:
        store.close()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "wbgql.server.http.child", json.dumps(asdict(wanted), default=str)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            base_url = _first_line(process)
        except StoreError:
            process.kill()
            process.wait()
            errors.seek(0)
            last = errors.read().strip().splitlines()[-1:] or ["no message"]
            raise StoreError(f"server did not start: {data}, {last[0]}") from None
    return RunningServer(base_url, key, username, data, process)


def _first_line(process: subprocess.Popen[str]) -> str:
    found: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: found.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    reader.join(STARTUP_S)
    if not found or not found[0].strip():
        raise StoreError("server did not come up")
    return found[0].strip()
