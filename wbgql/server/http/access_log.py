"""One JSON line for each request: who asked for what, and how many bytes it took."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Entry(msgspec.Struct, frozen=True):
    """One request. Bytes are those of the bodies; `agent` is the User-Agent header."""

    method: str
    path: str
    status: int
    bytes_in: int
    bytes_out: int
    agent: str


class AccessLog:
    """ASGI middleware that appends an `Entry` to a file when a request ends.

    Paths carry run ids, so that the file is its owner's alone. See `public_path` for what they leave out.
    """

    def __init__(self, app: ASGIApp, file: Path) -> None:
        self._app = app
        # A file that is there keeps its lines; others may not read them any more.
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.fchmod(descriptor, 0o600)
        self._file = os.fdopen(descriptor, "ab")
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on and count what goes by."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = {"in": 0, "out": 0, "status": 0}

        async def counted_receive() -> Message:
            message = await receive()
            seen["in"] += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            seen["status"] = message.get("status", seen["status"])
            seen["out"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counted_receive, counted_send)
        finally:
            self._write(scope, seen)

    def _write(self, scope: Scope, seen: dict[str, int]) -> None:
        path = public_path(scope["path"])
        agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
        entry = Entry(
            scope["method"],
            path,
            seen["status"],
            seen["in"],
            seen["out"],
            agent.decode("latin-1"),
        )
        with self._lock:
            self._file.write(msgspec.json.encode(entry) + b"\n")
            self._file.flush()


_SIGNED = re.compile(r"(?<=/storage/)[^/]+")


def public_path(path: str) -> str:
    """A path without its signed part, which admits whoever has it."""
    return _SIGNED.sub("-", path)


def read_access_log(file: Path) -> list[Entry]:
    """All entries of a log, oldest first."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Entry)
    return [decoder.decode(line) for line in file.read_bytes().splitlines()]
