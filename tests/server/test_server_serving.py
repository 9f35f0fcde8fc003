"""Starting, stopping, and the ways in which a start can fail."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.caller import Caller
from wbgql.errors import ConfigError, StoreError
from wbgql.server import ServerSettings, list_users, serve, start


def alive(base_url: str) -> bool:
    try:
        return requests.get(f"{base_url}/healthz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def test_data_outlives_a_restart_and_every_start_has_a_key_of_its_own(tmp_path):
    with start(tmp_path / "store") as first:
        Caller(first.base_url, first.api_key).upsert("p", name="r1")
    with start(tmp_path / "store") as second:
        found = [
            Caller(second.base_url, key).run("p", "r1")["name"] for key in (first.api_key, second.api_key)
        ]

    assert found == ["r1", "r1"]
    assert first.api_key != second.api_key
    assert not alive(second.base_url)


def test_the_first_key_is_shown_once(tmp_path):
    settings = ServerSettings(data=tmp_path / "store", port=0)
    shown: list[tuple[str, str]] = []
    seen: list[object] = []

    for _ in range(2):
        stop = threading.Event()

        def ask_and_stop(url: str, stop: threading.Event) -> None:
            seen.append(Caller(url, shown[0][1]).ask("{ viewer { admin } }"))
            stop.set()

        def ready(url: str, stop: threading.Event = stop) -> None:
            threading.Thread(target=ask_and_stop, args=(url, stop)).start()

        serve(settings, on_ready=ready, on_first_key=lambda name, key: shown.append((name, key)), stop=stop)

    assert seen == [{"viewer": {"admin": True}}] * 2
    assert [name for name, _ in shown] == ["admin"]
    assert [user["username"] for user in list_users(tmp_path / "store")] == ["admin"]


def test_a_port_in_use_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(StoreError, match=rf"cannot listen: 127\.0\.0\.1:{port}, address already in use"):
            start(tmp_path / "store", port=port)


def test_a_store_has_one_server(tmp_path):
    with start(tmp_path / "store") as first:
        with pytest.raises(StoreError, match="another server has the store"):
            start(tmp_path / "store")

        assert alive(first.base_url)


def test_a_damaged_store_is_said(tmp_path):
    (tmp_path / "wbgql.sqlite").write_bytes(b"this is no database" * 1000)

    with pytest.raises(StoreError, match="damaged or not a store"):
        start(tmp_path)


def test_a_newer_store_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "wbgql.sqlite") as db:
        db.execute("PRAGMA user_version=99")
    db.close()

    with pytest.raises(StoreError, match="version 99"):
        start(tmp_path)


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreError, match="file"):
        start(tmp_path / "file")


def test_an_unknown_setting_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such setting"):
        start(tmp_path, colour="red")


def test_the_server_ends_with_its_parent(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from wbgql.server import start\n"
        "print(start(Path(sys.argv[1])).base_url, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "store")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    )
    assert parent.stdout is not None
    base_url = parent.stdout.readline().strip()
    assert alive(base_url)

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    for _ in range(100):
        if not alive(base_url):
            break
        time.sleep(0.1)
    assert not alive(base_url)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_cleanly(tmp_path, sign):
    with start(tmp_path / "store") as server:
        Caller(server.base_url, server.api_key).upsert("p", name="r1")
        server.process.send_signal(sign)

        assert server.process.wait(20) == 0

    assert not (tmp_path / "store" / "wbgql.sqlite-wal").exists()


def test_what_was_acknowledged_outlives_a_kill(tmp_path):
    with start(tmp_path / "store") as server:
        caller = Caller(server.base_url, server.api_key)
        caller.upsert("p", name="r1")
        caller.log("p", "r1", *({"_step": step} for step in range(100)))
        server.process.kill()
        server.process.wait()

    with start(tmp_path / "store") as server:
        assert Caller(server.base_url, server.api_key).run("p", "r1")["historyLineCount"] == 100


def test_only_the_owner_can_read_the_store(tmp_path):
    with start(tmp_path / "store"):
        modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "store").iterdir()}

    assert modes["wbgql.sqlite"] == 0
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0


def test_a_request_that_is_too_large_is_refused(local_server):
    def parts():
        for _ in range(40):
            yield b" " * 2**20

    key = ("api", local_server.api_key)
    answer = requests.post(f"{local_server.base_url}/graphql", data=parts(), auth=key, timeout=30)

    assert answer.status_code == 413
