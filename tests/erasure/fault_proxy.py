"""A proxy before the local server that does what networks and servers do to requests, and keeps a record.

`faults` decide on each GraphQL request by its place and its operation; `mutations` lists those that reached
the server, in order, with their variables and the status that came back.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import requests

DESTROYS = ("DeleteRun", "DeleteArtifact", "DeleteFiles", "UnlinkArtifact", "StopRun")


@dataclass(frozen=True)
class Request:
    """One GraphQL request: `number` counts from 1 over all, `nth` over those of its operation."""

    number: int
    nth: int
    operation: str
    variables: dict[str, Any]

    @property
    def destroys(self) -> bool:
        return self.operation in DESTROYS


@dataclass
class Fault:
    """What happens to a request. The default is nothing.

    `forward`: it reaches the server. `before`, `after`: called before and after that (to kill a worker, or to
    change the world). `status`, `headers`, `body`: what is answered instead; None keeps the server's.
    `cut`: "reset" the connection, or send "half" the body. `delay_s`: before the answer.
    """

    forward: bool = True
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: str | None = None
    delay_s: float = 0.0
    change: Callable[[Any], Any] | None = None


Chooser = Callable[[Request], Fault | None]


class FaultProxy:
    """Runs in a thread of the test. `choose` may be replaced at any time."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.choose: Chooser = lambda _request: None
        self.requests: list[Request] = []
        self.mutations: list[tuple[str, dict[str, Any], int]] = []
        self._lock = threading.Lock()
        self._nth: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(self))
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def forget(self) -> None:
        """Begin anew: no counts, no record, no faults."""
        with self._lock:
            self.choose = lambda _request: None
            self.requests, self.mutations, self._nth = [], [], {}

    def applied(self, operation: str, **variables: Any) -> int:
        """How many such mutations reached the server."""
        return sum(
            name == operation and variables.items() <= given.items() for name, given, _ in self.mutations
        )

    def take(self, body: bytes) -> Request:
        """Count a request."""
        given = json.loads(body)
        name = given.get("operationName") or ""
        with self._lock:
            self._nth[name] = self._nth.get(name, 0) + 1
            request = Request(
                len(self.requests) + 1, self._nth[name], name, dict(given.get("variables") or {})
            )
            self.requests.append(request)
        return request

    def record(self, request: Request, status: int) -> None:
        if request.destroys:
            with self._lock:
                self.mutations.append((request.operation, request.variables, status))

    def start(self) -> None:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def proxied(target: str) -> Iterator[FaultProxy]:
    """A proxy before `target`, closed at the end."""
    proxy = FaultProxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()


def on(operation: str, *faults: Fault | None) -> Chooser:
    """Give the first requests of an operation these faults, in order; None is none."""

    def choose(request: Request) -> Fault | None:
        if request.operation != operation or request.nth > len(faults):
            return None
        return faults[request.nth - 1]

    return choose


def always(operation: str, fault: Fault) -> Chooser:
    """Give every request of an operation this fault."""
    return lambda request: fault if request.operation == operation else None


def _make_handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    session = requests.Session()
    session.trust_env = False

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if urlsplit(self.path).path != "/graphql":
                self._answer(*self._forward(body))
                return
            request = proxy.take(body)
            fault = proxy.choose(request) or Fault()
            fault.before()
            status, headers, content = 503, {}, b"never sent"
            if fault.forward:
                status, headers, content = self._forward(body)
                proxy.record(request, status)
            fault.after()
            time.sleep(fault.delay_s)
            if fault.change is not None:
                content = json.dumps(fault.change(json.loads(content))).encode()
            status = status if fault.status is None else fault.status
            content = content if fault.body is None else fault.body
            if fault.cut == "reset":
                self._reset()
                return
            self._answer(status, headers | fault.headers, content, half=fault.cut == "half")

        def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            sent = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "accept-encoding")
            }
            answer = session.post(f"{proxy.target}{self.path}", data=body, headers=sent, timeout=60)
            kept = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
            return answer.status_code, kept, answer.content

        def _answer(self, status: int, headers: dict[str, str], body: bytes, *, half: bool = False) -> None:
            # The worker may be dead: a test kills it on purpose.
            try:
                # A fault's own Date stands for the server's.
                (self.send_response_only if "Date" in headers else self.send_response)(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if half else body)
                if half:
                    self._reset()
            except OSError:
                self.close_connection = True

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.wfile.close()
            self.connection.close()

        def log_message(self, *_: Any) -> None:
            """Nothing: tests are quiet."""

    return Handler
