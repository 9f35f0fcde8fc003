"""A hostile server cannot fill the memory or the disk of its client, nor keep it for ever."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import wbgql as wb
from wbgql.downloads import Downloader, Wanted
from wbgql.downloads.fetching import HttpFetcher
from wbgql.errors import ConfigError, PartialError, ResponseError
from wbgql.limits import Limits
from wbgql.settings import Settings, resolve_settings
from wbgql.wire.retry import RetryPolicy

Speak = Callable[[socket.socket], None]
LIMITS = Limits(answer_bytes=1_000_000, answer_s=0.6, download_bytes=500_000, download_bytes_s=1000.0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def hostile(speak: Speak) -> Iterator[str]:
    """A server that reads one request's beginning and then speaks as it is told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65536)
                speak(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def drip(before: bytes, piece: bytes) -> Speak:
    def speak(connection: socket.socket) -> None:
        connection.sendall(before)
        while True:
            connection.sendall(piece)
            time.sleep(0.05)

    return speak


def say(*pieces: bytes) -> Speak:
    def speak(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return speak


def packed(encoding: str, content: bytes, status: bytes = HEAD) -> bytes:
    body = gzip.compress(content) if encoding == "gzip" else zlib.compress(content)
    return status + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(content: bytes, size: int = 100_000) -> list[bytes]:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        *(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces),
    ]


SLOW = {
    "a byte of the body": drip(HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "a chunk": drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a byte of a chunk's head": drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "no length": drip(HEAD + b"\r\n", b" "),
    "a byte of the head": drip(b"HTTP/1.1 200 OK\r\nX-Filler: ", b"a"),
    "a byte of the status": drip(b"HTTP/1.1 200 ", b"O"),
    # Empty blocks, of which a packed body may hold any number.
    "packed nothing": drip(
        HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10], b"\0\0\0\xff\xff"
    ),
    "a redirect": drip(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 1000000\r\n\r\n", b" "),
}  # fmt: skip
LARGE = {
    "plain": say(HEAD + b"Content-Length: 3000000\r\n\r\n", b" " * 3_000_000),
    "no length": say(HEAD + b"\r\n", b" " * 3_000_000),
    "chunked": say(*chunked(b" " * 3_000_000)),
    "gzip bomb": say(packed("gzip", b" " * 100_000_000)),
    "deflate bomb": say(packed("deflate", b" " * 100_000_000)),
    "twice packed": say(
        HEAD + b"Content-Encoding: gzip, gzip\r\nConnection: close\r\n\r\n"
        + gzip.compress(gzip.compress(b" " * 100_000_000))
    ),
}  # fmt: skip


def session(url: str, limits: Limits = LIMITS) -> wb.Session:
    return wb.Session.open(Settings(base_url=url, api_key="k" * 40, timeout_s=5.0, limits=limits))


@pytest.mark.parametrize("how", SLOW)
def test_an_answer_that_drips_ends_with_the_name_of_the_limit(how: str) -> None:
    started = time.monotonic()
    with hostile(SLOW[how]) as url, session(url) as client:
        with pytest.raises(ResponseError, match="WBGQL_MAX_ANSWER_SECONDS"):
            client.execute(wb.Operation("GetViewer", dict))
        assert client.stats.requests == 1

    assert time.monotonic() - started < 5


@pytest.mark.parametrize("how", LARGE)
def test_an_answer_that_is_too_large_ends_with_the_name_of_the_limit(how: str) -> None:
    with hostile(LARGE[how]) as url, session(url, Limits(answer_bytes=1_000_000)) as client:
        tracemalloc.start()
        try:
            with pytest.raises(ResponseError, match="1000000 bytes, the limit WBGQL_MAX_ANSWER_BYTES"):
                client.execute(wb.Operation("GetViewer", dict))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak < 30_000_000


def test_the_body_of_a_redirect_is_not_unpacked() -> None:
    bomb = packed("gzip", b" " * 100_000_000, b"HTTP/1.1 302 Found\r\nLocation: /x\r\n")
    with hostile(say(bomb)) as url, session(url) as client:
        tracemalloc.start()
        with pytest.raises(ResponseError, match="HTTP 302"):
            client.execute(wb.Operation("GetViewer", dict))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak < 30_000_000


def test_an_answer_within_its_limits_is_read_whole() -> None:
    content = b'{"data":{"viewer":{"id":"' + b"x" * 900_000 + b'"}}}'
    with hostile(say(packed("gzip", content))) as url, session(url) as client:
        assert len(client.execute(wb.Operation("GetViewer", dict))["viewer"]["id"]) == 900_000


def downloader(url: str, limits: Limits = LIMITS) -> Downloader:
    settings = Settings(base_url=url, api_key="k" * 40, timeout_s=5.0, limits=limits)
    return Downloader(fetcher=HttpFetcher(settings), limits=limits, policy=RetryPolicy(attempts=1))


@pytest.mark.parametrize("how", SLOW)
def test_a_download_that_drips_ends_with_the_name_of_the_limit(how: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with hostile(SLOW[how]) as url, pytest.raises(PartialError, match="WBGQL_MAX_ANSWER_SECONDS") as failed:
        downloader(url).download([Wanted(name="a", url=f"{url}/a", size_bytes=1_000_000)], tmp_path)

    assert len(failed.value.failed) == 1
    assert (list(tmp_path.iterdir()), time.monotonic() - started < 5) == ([], True)


@pytest.mark.parametrize("how", LARGE)
@pytest.mark.parametrize(
    ("declared", "words"), [(10, "10 bytes that the server declared"), (None, "WBGQL_MAX_DOWNLOAD_BYTES")]
)
def test_a_file_stops_at_its_declared_size(
    how: str, declared: int | None, words: str, tmp_path: Path
) -> None:
    with hostile(LARGE[how]) as url, pytest.raises(PartialError, match=words):
        downloader(url).download([Wanted(name="a", url=f"{url}/a", size_bytes=declared)], tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_is_read_into_memory_has_the_limit_of_an_answer() -> None:
    with hostile(LARGE["gzip bomb"]) as url, pytest.raises(ResponseError, match="WBGQL_MAX_ANSWER_BYTES"):
        downloader(url).read(f"{url}/manifest")


def test_a_slow_download_that_keeps_its_rate_is_read_whole(tmp_path: Path) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 10000\r\n\r\n")
        for _ in range(10):
            connection.sendall(b"x" * 1000)
            time.sleep(0.1)

    with hostile(speak) as url:
        done = downloader(url).download([Wanted(name="a", url=f"{url}/a", size_bytes=10_000)], tmp_path)

    assert (done.size_bytes, done.failed) == (10_000, ())


def test_each_limit_is_set_by_the_environment(tmp_path: Path) -> None:
    environ = {
        "WANDB_API_KEY": "k" * 40,
        "WBGQL_MAX_ANSWER_BYTES": "7",
        "WBGQL_MAX_ANSWER_SECONDS": "1.5",
        "WBGQL_MAX_DOWNLOAD_BYTES": "8",
        "WBGQL_MIN_DOWNLOAD_RATE": "9",
    }

    found = resolve_settings(environ=environ, home=tmp_path, cwd=tmp_path).limits

    assert found == Limits(answer_bytes=7, answer_s=1.5, download_bytes=8, download_bytes_s=9.0)


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan", "inf", "1e3"])
def test_a_limit_is_a_positive_number(text: str) -> None:
    with pytest.raises(ConfigError, match="must be a positive number"):
        Limits.from_environ({"WBGQL_MAX_ANSWER_BYTES": text})
