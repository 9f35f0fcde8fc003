"""Stored content over HTTP: what each status means, and who gets to see the key."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wbgql.downloads import Downloader, Wanted
from wbgql.downloads.fetching import HttpFetcher
from wbgql.errors import (
    NotFound,
    PartialError,
    PermissionDenied,
    RateLimited,
    RequestError,
    ServerUnavailable,
)
from wbgql.settings import Settings
from wbgql.wire.retry import RetryPolicy

KEY = "k" * 40
BASIC = "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()


class Store:
    """A store of contents: answers by the first part of the path. `.seen` lists paths and keys."""

    def __init__(self) -> None:
        store = self
        self.seen: list[tuple[str, str | None]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                store.seen.append((self.path, self.headers["Authorization"]))
                store.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Keep still."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up on an answer it does not want is no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        what = request.path.split("/")[1].split("?")[0]
        status, body, headers = 200, b"content", {}
        if what == "cut":
            headers["Content-Length"] = "100"
        elif what == "key":
            status = 200 if request.headers["Authorization"] == BASIC else 403
        elif what == "later":
            status, headers["Retry-After"] = 429, "3"
        elif what == "to":
            status, headers["Location"] = 302, request.path.removeprefix("/to/")
        elif what.isdigit():
            status = int(what)
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
        if what == "cut":
            request.close_connection = True

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Store]:
    made = Store()
    yield made
    made.close()


@pytest.fixture
def fetcher(store: Store) -> Iterator[HttpFetcher]:
    made = HttpFetcher(Settings(base_url=store.url, api_key=KEY))
    yield made
    made.close()


def read(fetcher: HttpFetcher, url: str) -> bytes:
    with fetcher.open(url) as chunks:
        return b"".join(chunks)


def test_a_signed_url_is_read_without_the_key(fetcher, store):
    assert read(fetcher, f"{store.url}/ok?signature=x") == b"content"
    assert store.seen == [("/ok?signature=x", None)]


def test_a_path_alone_is_the_servers(fetcher):
    assert read(fetcher, "/ok") == b"content"


def test_the_servers_own_address_gets_the_key_where_it_asks_for_it(fetcher, store):
    assert read(fetcher, f"{store.url}/key") == b"content"
    assert [key for _, key in store.seen] == [None, BASIC]


def test_another_host_never_sees_the_key(fetcher, other):
    with pytest.raises(PermissionDenied):
        read(fetcher, f"{other.url}/key")

    assert [key for _, key in other.seen] == [None]


def test_a_redirect_does_not_carry_the_key_to_another_host(store, other, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    fetcher = HttpFetcher(Settings(base_url=store.url, api_key=KEY))

    content = read(fetcher, f"{store.url}/to/{other.url}/ok")
    fetcher.close()

    assert content == b"content"
    assert [key for _, key in other.seen] == [None]


@pytest.mark.parametrize("url", ["http://[", "ftp://host/x", "file:///etc/passwd"])
def test_an_address_that_cannot_be_read_is_no_passing_error(fetcher, url):
    with pytest.raises(RequestError) as raised:
        read(fetcher, url)

    assert not raised.value.retryable


def test_netrc_is_not_used(fetcher, store, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    read(fetcher, f"{store.url}/ok")

    assert [key for _, key in store.seen] == [None]


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("404", NotFound),
        ("410", NotFound),
        ("400", PermissionDenied),
        ("401", PermissionDenied),
        ("later", RateLimited),
        ("503", ServerUnavailable),
        ("500", ServerUnavailable),
        ("416", RequestError),
        ("cut", ServerUnavailable),
    ],
)
def test_what_an_answer_means(fetcher, other, what, error):
    with pytest.raises(error) as raised:
        read(fetcher, f"{other.url}/{what}?signature=secret")

    assert type(raised.value) is error
    assert "secret" not in str(raised.value)


def test_what_the_server_asks_to_wait_is_kept(fetcher, store):
    with pytest.raises(RateLimited) as raised:
        read(fetcher, f"{store.url}/later")

    assert raised.value.retry_after_s == 3


def test_a_server_that_is_not_there_is_unavailable(fetcher, other):
    other.close()

    with pytest.raises(ServerUnavailable, match=r"reading http://127\.0\.0\.1"):
        read(fetcher, f"{other.url}/ok")


def test_content_that_is_cut_off_is_never_kept(fetcher, store, tmp_path):
    downloader = Downloader(fetcher=fetcher, policy=RetryPolicy(attempts=2, base_s=0))

    with pytest.raises(PartialError):
        downloader.download([Wanted(name="f", url=f"{store.url}/cut")], tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert len(store.seen) == 2
