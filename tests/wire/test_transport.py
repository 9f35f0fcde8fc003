"""The wire: a real local server for what breaks, `responses` for what is merely odd."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
import requests
import responses

from wbgql.documents import Prepared, Variable
from wbgql.errors import ConfigError, ServerUnavailable, WbgqlError
from wbgql.settings import Settings
from wbgql.wire.session import make_request_error
from wbgql.wire.transport import GqlTransport, Reply

KEY = "0123456789abcdef0123456789abcdef01234567"
TOKEN = base64.b64encode(f"api:{KEY}".encode()).decode()
GET = Prepared(
    "GetName",
    "query GetName { name }",
    "query",
    {name: Variable(name, "String", required=False) for name in ("id", "n")},
    "a.graphql",
    1,
)
GOOD = b'{"data":{"name":"ada"}}'

Handler = Callable[[Any], None]


class Server:
    """A server on a port of its own that keeps each request and answers as `handle` says."""

    def __init__(self) -> None:
        self.handle: Handler = answer(GOOD)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handle(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.body = body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.command, self.path, headers, body))
                outer.handle(self)

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                """Keep still."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handle)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def other_server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def answer(body: bytes, status: int = 200, **headers: str) -> Handler:
    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return handle


def hang_up(request: BaseHTTPRequestHandler) -> None:
    # Closing with unread data pending makes the kernel send a reset.
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def send(url: str, *, variables: dict[str, Any] | None = None, **settings: Any) -> Reply:
    transport = GqlTransport(Settings(base_url=url, api_key=KEY, **{"timeout_s": 5.0} | settings))
    try:
        return transport.send(GET, variables or {})
    finally:
        transport.close()


def failure(url: str, **settings: Any) -> ServerUnavailable:
    with pytest.raises(ServerUnavailable) as caught:
        send(url, **settings)
    assert caught.value.operation == "GetName"
    assert KEY not in str(caught.value)
    return caught.value


def test_send_posts_the_document_signed_and_gives_back_raw_data(server: Server) -> None:
    reply = send(server.url, variables={"id": "ä", "n": [1, None]})

    method, path, headers, body = server.requests[0]
    assert (method, path) == ("POST", "/graphql")
    assert json.loads(body) == {
        "query": GET.text,
        "operationName": "GetName",
        "variables": {"id": "ä", "n": [1, None]},
    }
    assert headers["authorization"] == f"Basic {TOKEN}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("wbgql/")
    assert "gzip" in headers["accept-encoding"]
    assert isinstance(reply.data, msgspec.Raw)
    assert bytes(reply.data) == b'{"name":"ada"}'
    assert (reply.status, reply.errors, reply.text) == (200, None, None)


def test_an_error_status_keeps_what_came_as_json(server: Server) -> None:
    server.handle = answer(b'{"data":{"name":"ada"}}', 500)
    transport = GqlTransport(Settings(base_url=server.url, api_key=KEY))

    reply = transport.send(replace(GET, result=dict[str, str]), {})
    server.handle = answer(b'{"data":{"name":"ada"}}')
    good = transport.send(replace(GET, result=dict[str, str]), {})
    transport.close()

    assert isinstance(reply.data, msgspec.Raw)
    assert (reply.status, bytes(reply.data)) == (500, b'{"name":"ada"}')
    assert good.data == {"name": "ada"}


def test_a_base_url_may_have_a_path_and_headers_may_be_added(server: Server) -> None:
    send(f"{server.url}/prefix/", extra_headers={"X-WANDB-USERNAME": "ada"})

    _, path, headers, _ = server.requests[0]
    assert path == "/prefix/graphql"
    assert headers["x-wandb-username"] == "ada"


def test_bytes_are_counted_as_they_travel(server: Server) -> None:
    packed = gzip.compress(b'{"data":{"name":"' + b"a" * 50_000 + b'"}}')
    server.handle = answer(packed, Content_Encoding="gzip")

    reply = send(server.url)

    assert reply.data is not None
    assert len(bytes(reply.data)) > 50_000
    assert reply.bytes_received == len(packed)
    assert reply.bytes_sent == len(server.requests[0][3])


def test_without_a_key_nothing_is_signed_not_even_from_netrc(
    server: Server, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1\n  login user\n  password {KEY}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    transport = GqlTransport(Settings(base_url=server.url))

    transport.send(GET, {})
    transport.close()

    assert "authorization" not in server.requests[0][2]


def test_connections_are_kept_and_reopened_after_close(server: Server) -> None:
    peers: set[Any] = set()

    def handle(request: BaseHTTPRequestHandler) -> None:
        peers.add(request.client_address)
        answer(GOOD)(request)

    server.handle = handle
    transport = GqlTransport(Settings(base_url=server.url, api_key=KEY))

    for _ in range(3):
        transport.send(GET, {})
    assert len(peers) == 1
    transport.close()
    transport.close()
    transport.send(GET, {})
    assert len(peers) == 2
    transport.close()


def test_threads_each_get_their_own_answer(server: Server) -> None:
    together = threading.Barrier(4)

    def echo(request: Any) -> None:
        together.wait(5)
        number = json.loads(request.body)["variables"]["n"]
        answer(b'{"errors":["no"]}', 400 + number, X_N=str(number))(request)

    server.handle = echo
    transport = GqlTransport(Settings(base_url=server.url, api_key=KEY))
    seen: dict[int, tuple[int, str]] = {}

    def work(number: int) -> None:
        reply = transport.send(GET, {"n": number})
        seen[number] = (reply.status, reply.headers["x-n"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transport.close()

    assert seen == {number: (400 + number, str(number)) for number in range(4)}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (
            b'{"errors":[{"message":"no","extensions":{"code":"X"}}]}',
            [{"message": "no", "extensions": {"code": "X"}}],
        ),
        (b'{"errors":["no"]}', [{"message": "no"}]),
        (b'{"error":"no"}', [{"message": "no"}]),
        (b'{"error":{"message":"no"}}', [{"message": "no"}]),
        (b'{"errors":"no"}', [{"message": "no"}]),
        (b'{"data":{"a":1},"errors":[]}', None),
        (b'{"data":{"a":1},"errors":null}', None),
    ],
)
@pytest.mark.parametrize("status", [200, 403, 500])
def test_every_shape_of_error_is_understood_with_its_status(
    server: Server, body: bytes, errors: Any, status: int
) -> None:
    server.handle = answer(body, status, Retry_After="3")

    reply = send(server.url)

    assert (reply.status, reply.errors, reply.text) == (status, errors, None)
    assert reply.headers["retry-after"] == "3"


def test_partial_data_and_extensions_come_beside_errors(server: Server) -> None:
    server.handle = answer(b'{"data":{"a":null},"errors":[{"message":"no"}],"extensions":{"cost":2}}')

    reply = send(server.url)

    assert reply.data is not None
    assert bytes(reply.data) == b'{"a":null}'
    assert reply.extensions == {"cost": 2}


def test_null_data_is_no_data(server: Server) -> None:
    server.handle = answer(b'{"data": null, "errors": [{"message": "no"}]}')

    assert send(server.url).data is None


def test_a_bare_nan_becomes_the_text_that_wandb_stores(server: Server) -> None:
    server.handle = answer(b'{"data":{"loss":NaN,"best":-Infinity,"name":"a"}}')

    reply = send(server.url)

    assert reply.data is not None
    assert msgspec.json.decode(reply.data) == {"loss": "NaN", "best": "-Infinity", "name": "a"}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<html><head><TITLE>502 Bad\nGateway</TITLE></head><body>nginx</body></html>", "502 Bad Gateway"),
        (b"upstream   connect\nerror", "upstream connect error"),
        (b"", ""),
        (b"x" * 1000, "x" * 200 + "..."),
        (b"[1, 2]", "[1, 2]"),
        (b'"text"', '"text"'),
        (b"{}", "{}"),
        (b'{"data": ', '{"data":'),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
@pytest.mark.parametrize("status", [200, 404, 502])
def test_a_body_that_is_not_graphql_is_shown_in_short(
    server: Server, body: bytes, text: str, status: int
) -> None:
    server.handle = answer(body, status)

    reply = send(server.url)

    assert (reply.status, reply.text, reply.data, reply.errors) == (status, text, None, None)


def test_a_key_that_the_server_repeats_is_blanked_out(server: Server) -> None:
    server.handle = answer(
        json.dumps({"errors": [{"message": f"bad {KEY}", "path": [TOKEN, 1]}]}).encode(), 401
    )
    assert send(server.url).errors == [{"message": "bad ***", "path": ["***", 1]}]

    server.handle = answer(f"bad {KEY}".encode(), 401)
    assert send(server.url).text == "bad ***"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_takes_neither_key_nor_body_elsewhere(
    server: Server, other_server: Server, status: int
) -> None:
    server.handle = answer(b"moved", status, Location=f"{other_server.url}/graphql")

    reply = send(server.url)

    assert other_server.requests == []
    assert (reply.status, reply.headers["location"]) == (status, f"{other_server.url}/graphql")


def test_a_redirect_that_holds_an_answer_is_an_error_like_any_other(server: Server) -> None:
    server.handle = answer(b'{"data": {"name": "n"}}', 302, Location="https://elsewhere")
    transport = GqlTransport(Settings(base_url=server.url, api_key=KEY))

    reply = transport.send(replace(GET, result=dict[str, str]), {})
    transport.close()
    error = make_request_error(GET.name, reply)

    assert error is not None
    assert "HTTP 302: the server lives elsewhere" in str(error)
    assert error.data == {"name": "n"}


def test_a_refused_connection_was_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    error = failure(f"http://127.0.0.1:{port}")

    assert (error.sent, error.timed_out, error.status) == (False, False, None)
    assert f"cannot connect to '127.0.0.1:{port}': connection refused" in str(error)


def test_a_host_without_an_address_was_not_sent() -> None:
    error = failure("http://no-such-host.invalid", timeout_s=20)

    assert not error.sent
    assert "cannot connect to 'no-such-host.invalid'" in str(error)


def test_a_connection_broken_before_the_answer_may_have_been_applied(server: Server) -> None:
    server.handle = hang_up

    error = failure(server.url)

    assert (error.sent, error.timed_out, error.status) == (True, False, None)
    assert "broke before the answer was whole" in str(error)


def test_a_slow_answer_times_out_and_may_have_been_applied(server: Server) -> None:
    done = threading.Event()
    server.handle = lambda _request: done.wait(5) and None

    error = failure(server.url, timeout_s=0.2)
    done.set()

    assert (error.sent, error.timed_out) == (True, True)
    assert "timed out after 0.2 s" in str(error)


def test_a_body_that_stops_halfway_times_out_with_its_status(server: Server) -> None:
    done = threading.Event()

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(b'{"data"')
        done.wait(5)

    server.handle = handle
    error = failure(server.url, timeout_s=0.2)
    done.set()

    assert (error.sent, error.timed_out, error.status) == (True, True, 200)


@pytest.mark.parametrize("status", [200, 502])
def test_a_truncated_body_is_unavailable_with_its_status(server: Server, status: int) -> None:
    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(GOOD)
        request.close_connection = True

    server.handle = handle
    error = failure(server.url)

    assert (error.sent, error.timed_out, error.status) == (True, False, status)


def test_a_body_that_cannot_be_unpacked_is_unavailable(server: Server) -> None:
    server.handle = answer(b"not gzip", Content_Encoding="gzip")

    assert "cannot be unpacked" in str(failure(server.url))


def test_tls_that_fails_was_not_sent_and_says_what_to_do(server: Server) -> None:
    error = failure(server.url.replace("http://", "https://"))

    assert not error.sent
    assert "TLS with '127.0.0.1" in str(error)
    assert "base_url begins with http://" in str(error)


def test_a_proxy_from_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")

    send("http://wandb.acme.example")

    assert server.requests[0][1] == "http://wandb.acme.example/graphql"


def test_a_proxy_that_is_not_there_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://user:s3cret@127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")

    error = failure("https://wandb.acme.example")

    assert not error.sent
    assert "through the proxy" in str(error)
    assert "s3cret" not in str(error)


@responses.activate
@pytest.mark.parametrize(
    ("raised", "timed_out", "sent"),
    [
        (requests.exceptions.ConnectTimeout("x"), True, False),
        (requests.exceptions.ReadTimeout("x"), True, True),
        (requests.exceptions.SSLError("x"), False, False),
        (requests.exceptions.ProxyError("x"), False, False),
        (requests.exceptions.ConnectionError("x"), False, True),
        (requests.exceptions.ChunkedEncodingError("x"), False, True),
        (requests.exceptions.RetryError("x"), False, True),
        (OSError("x"), False, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_no_exception_of_requests_leaves(raised: Exception, timed_out: bool, sent: bool) -> None:
    responses.post("http://w.example/graphql", body=raised)

    error = failure("http://w.example")

    assert (error.timed_out, error.sent) == (timed_out, sent)
    assert isinstance(error, WbgqlError)
    assert error.__cause__ is not None


@responses.activate
def test_an_address_that_requests_refuses_is_a_config_error() -> None:
    responses.post("http://w.example/graphql", body=requests.exceptions.InvalidProxyURL("x"))

    with pytest.raises(ConfigError, match="proxy"):
        send("http://w.example")


def test_debug_logging_shows_no_key(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        send(server.url, variables={"id": "1"})

    assert "GetName" in caplog.text
    assert KEY not in caplog.text
    assert TOKEN not in caplog.text


def test_importing_the_session_imports_nothing_heavy() -> None:
    code = (
        "import sys, wbgql.wire.session, wbgql.documents\n"
        "print([name for name in ('gql', 'requests', 'graphql') if name in sys.modules])"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"
