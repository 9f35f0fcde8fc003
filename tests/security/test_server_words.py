"""What a server says where something is wrong: no path of its store, and one line for a caller who left."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import apsw
import pytest

from tests.caller import Caller
from tests.cli.conftest import Command
from wbgql.server import start
from wbgql.server.accounts import add_user
from wbgql.server.store.database import Store


def test_an_answer_does_not_say_where_the_store_lies(tmp_path: Path) -> None:
    with start(tmp_path / "the-store") as server:
        Caller(server.base_url, server.api_key).upsert("p", name="r")
    file = server.data / "wbgql.sqlite"
    db = apsw.Connection(str(file))
    page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'projects'").get
    size = db.execute("PRAGMA page_size").get
    db.close()
    with file.open("r+b") as damaged:
        damaged.seek((page - 1) * size)
        damaged.write(b"\xff" * size)
    with start(server.data) as server:
        caller = Caller(server.base_url, server.api_key)

        answer = caller.post('{ project(name: "p", entityName: "admin") { id } }')

    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (
        503,
        "store is damaged or not a store",
    )
    assert "the-store" not in answer.text


def test_a_caller_who_leaves_costs_one_line(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    key = add_user(store, "admin", admin=True)
    store.close()
    with subprocess.Popen(
        [sys.executable, "-m", "wbgql", "server", "--port", "0", "--data", str(store.data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = urlsplit(process.stdout.readline().strip())
        basic = base64.b64encode(f"api:{key}".encode()).decode()
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as caller:
            head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\nContent-Length: 900\r\n\r\n{{"
            caller.sendall(head.encode())
            time.sleep(0.5)
        time.sleep(0.5)
        process.terminate()
        _, told = process.communicate(timeout=30)

    assert "Traceback" not in told
    assert told.count("given up by its caller: POST /graphql") == 1


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_key_is_read_from_a_file_or_standard_input(tmp_path: Path, way: str) -> None:
    command = Command(tmp_path)
    file, key = tmp_path / "ada.key", "from-a-file-" + "k" * 40
    file.write_text(f"{key}\n")
    given = ("--key-file", str(file)) if way == "file" else ("--key-file", "-")
    data = ("--data", str(tmp_path / "store"), "--format", "json")

    made = command("server", "user", "add", "ada", *given, *data, stdin=f"{key}\n")
    both = command("server", "user", "add", "ada", "--key", key, *given, *data, stdin=f"{key}\n")
    missing = command("server", "key", "rotate", "ada", "--key-file", str(tmp_path / "none"), *data)

    assert json.loads(made.out)["api_key"] == key
    assert (both.code, missing.code) == (2, 2)
    assert key not in both.err
