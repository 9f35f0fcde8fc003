"""Histories that a server keeps as Parquet files: a fake server, and real files over a local HTTP server."""

from __future__ import annotations

import functools
import json
import math
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fakes import FakeTransport
from wbgql.downloads import Downloader
from wbgql.downloads.fetching import HttpFetcher
from wbgql.errors import PartialError, ResultError
from wbgql.history import HistoryScan, get_history_exports
from wbgql.paths import RunPath
from wbgql.settings import Settings
from wbgql.wire.session import Session

PATH = RunPath("acme", "vision", "r1")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL under which its files are served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def bounds(count: int, last: int) -> dict[str, Any]:
    return {"project": {"run": {"historyLineCount": count, "summaryMetrics": json.dumps({"_step": last})}}}


def exports(*urls: str, live: list[Any] | None = None) -> dict[str, Any]:
    return {"project": {"run": {"parquetHistory": {"parquetUrls": list(urls), "liveData": live or []}}}}


def live_rows(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"project": {"run": {"history": [json.dumps(row) for row in rows]}}}


def scan(transport: FakeTransport, **arguments: Any) -> HistoryScan:
    downloader = Downloader(fetcher=HttpFetcher(Settings()))
    return HistoryScan(Session(transport), PATH, source="exports", downloader=downloader, **arguments)


def test_files_in_any_order_and_the_rows_after_them_are_one_history(files: tuple[Path, str]) -> None:
    folder, url = files
    pq.write_table(pa.table({"_step": [2, 3], "loss": [0.2, None], "acc": [None, 1.0]}), folder / "b.parquet")
    pq.write_table(pa.table({"_step": [0.0, 1.0], "loss": [0.0, math.nan]}), folder / "a.parquet")
    transport = FakeTransport(
        bounds(5, 4),
        exports(f"{url}/b.parquet", f"{url}/a.parquet", live=[{"_step": 4}]),
        live_rows({"_step": 4, "loss": 0.4}),
    )
    history = scan(transport)

    found = list(history)

    assert [row["_step"] for row in found] == [0, 1, 2, 3, 4]
    assert math.isnan(found[1]["loss"])
    assert found[3] == {"_step": 3, "acc": 1.0}
    assert transport.sent[-1][1]["minStep"] == 4
    assert (history.coverage.exported, history.coverage.rows, history.coverage.complete) == (4, 5, True)


def test_every_kind_of_text_column_is_read_and_keys_choose_columns(files: tuple[Path, str]) -> None:
    folder, url = files
    table = pa.table(
        {
            "_step": pa.array([0, 1], pa.uint64()),
            "large": pa.array(["a", None], pa.large_string()),
            "view": pa.array(["c", "d"], pa.string_view()),
            "kind": pa.array(["x", "x"]).dictionary_encode(),
            "deep": pa.array([{"k": 1}, {"k": 2}]),
            "a.b": [0.5, 0.6],
            "other": [1, 2],
        }
    )
    pq.write_table(table, folder / "a.parquet", compression="zstd")
    transport = FakeTransport(bounds(2, 1), exports(f"{url}/a.parquet"))

    found = list(scan(transport, keys=["large", "view", "kind", "deep.k", "a.b"]))

    assert found == [
        {"_step": 0, "large": "a", "view": "c", "kind": "x", "deep.k": 1, "a.b": 0.5},
        {"_step": 1, "view": "d", "kind": "x", "deep.k": 2, "a.b": 0.6},
    ]


def test_a_range_of_steps_is_cut_out_of_the_files(files: tuple[Path, str]) -> None:
    folder, url = files
    pq.write_table(pa.table({"_step": list(range(100))}), folder / "a.parquet")
    transport = FakeTransport(bounds(100, 99), exports(f"{url}/a.parquet"))

    assert [row["_step"] for row in scan(transport, min_step=10, max_step=20)] == list(range(10, 20))


def test_a_step_that_two_files_hold_comes_once(files: tuple[Path, str]) -> None:
    folder, url = files
    pq.write_table(pa.table({"_step": [0, 1], "a": [1, 1]}), folder / "a.parquet")
    pq.write_table(pa.table({"_step": [1, 2], "b": [2, 2]}), folder / "b.parquet")
    transport = FakeTransport(bounds(3, 2), exports(f"{url}/a.parquet", f"{url}/b.parquet"))

    assert list(scan(transport)) == [{"_step": 0, "a": 1}, {"_step": 1, "a": 1, "b": 2}, {"_step": 2, "b": 2}]


def test_a_server_without_exports_is_asked_for_its_rows() -> None:
    transport = FakeTransport(bounds(1, 0), exports(), live_rows({"_step": 0, "a": 1}))
    history = scan(transport)

    assert list(history) == [{"_step": 0, "a": 1}]
    assert history.coverage.exported == 0


def test_a_file_that_is_gone_is_an_error_that_says_what_to_do(files: tuple[Path, str]) -> None:
    _, url = files
    transport = FakeTransport(bounds(1, 0), exports(f"{url}/gone.parquet?signature=secret"))

    with pytest.raises(PartialError, match="source='server'") as caught:
        list(scan(transport))

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really", b"<html>sign in</html>"])
def test_a_file_that_is_no_parquet_is_an_error(files: tuple[Path, str], content: bytes) -> None:
    folder, url = files
    (folder / "a.parquet").write_bytes(content)

    with pytest.raises(ResultError, match="Parquet"):
        list(scan(FakeTransport(bounds(1, 0), exports(f"{url}/a.parquet"))))


def test_a_file_without_steps_is_an_error(files: tuple[Path, str]) -> None:
    folder, url = files
    pq.write_table(pa.table({"loss": [1.0]}), folder / "a.parquet")

    with pytest.raises(ResultError, match="_step"):
        list(scan(FakeTransport(bounds(1, 0), exports(f"{url}/a.parquet"))))


def test_signed_urls_are_not_shown() -> None:
    transport = FakeTransport(exports("https://store/x?signature=secret", live=[{"_step": 7}, "odd"]))

    found = get_history_exports(Session(transport), PATH)

    assert found.live_steps == (7,)
    assert "secret" not in repr(found)
