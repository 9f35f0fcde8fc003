"""What the server has acknowledged, it has: killed at any moment, it loses nothing of it."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import apsw
import pytest
import requests

from tests.caller import Caller
from wbgql.server import RunningServer, start
from wbgql.server.backend import Backend
from wbgql.server.settings import ServerSettings

CREATE = """
mutation Create($input: CreateRunFilesInput!) { createRunFiles(input: $input) { files { name uploadUrl } } }
"""
FILES = """
query F($run: String!) { project(entityName: "admin", name: "p") { run(name: $run) {
  historyLineCount history(minStep: 0) files(first: 1000) { edges { node { name sizeBytes directUrl } } }
} } }
"""


class Writer(threading.Thread):
    """Logs to one run until the server is gone; remembers what was acknowledged."""

    def __init__(self, caller: Caller, name: str) -> None:
        super().__init__()
        self.caller, self.name_ = caller, name
        self.rows = 0
        self.tag = -1
        self.files: list[str] = []

    def run(self) -> None:
        try:
            for number in range(10_000):
                self._write(number)
        except requests.RequestException:
            return  # the server was killed

    def _write(self, number: int) -> None:
        self.caller.upsert("p", name=self.name_, tags=[str(number)], jobProgram=None)
        self.tag = number
        self.caller.log("p", self.name_, {"_step": number, "x": number}, offset=number)
        self.rows = number + 1
        given = {"entityName": "admin", "projectName": "p", "runName": self.name_, "files": [f"{number}.txt"]}
        (file,) = self.caller.ask(CREATE, input=given)["createRunFiles"]["files"]
        requests.put(file["uploadUrl"], data=b"x" * (number + 1), timeout=10).raise_for_status()
        self.files.append(f"{number}.txt")


def write_until_killed(server: RunningServer, round_: int) -> list[Writer]:
    caller = Caller(server.base_url, server.api_key)
    writers = [Writer(caller, f"r{round_}-{number}") for number in range(3)]
    for writer in writers:
        writer.start()
    while not any(writer.rows > 5 for writer in writers):
        time.sleep(0.01)
    time.sleep(random.uniform(0.1, 0.5))
    server.process.kill()
    for writer in writers:
        writer.join()
    server.stop()
    return writers


def check(server: RunningServer, writers: list[Writer]) -> None:
    caller = Caller(server.base_url, server.api_key)
    for writer in writers:
        run = caller.ask(FILES, run=writer.name_)["project"]["run"]
        assert len(run["history"]) >= writer.rows
        assert int(caller.run("p", writer.name_)["tags"][0]) >= writer.tag
        sizes = {edge["node"]["name"]: edge["node"] for edge in run["files"]["edges"]}
        assert set(writer.files) <= set(sizes)
        for name in writer.files[-2:]:
            content = requests.get(sizes[name]["directUrl"], timeout=10).content
            assert content == b"x" * sizes[name]["sizeBytes"] == b"x" * (int(name[:-4]) + 1)


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_a_server_killed_at_any_moment_has_all_it_acknowledged(tmp_path, sync):
    done: list[Writer] = []
    for round_ in range(2):
        with start(tmp_path, sync=sync) as server:
            check(server, done)
            done += write_until_killed(server, round_)
    with start(tmp_path, sync=sync) as server:
        check(server, done)

    assert sum(writer.rows for writer in done) > 10, "too little was written to show anything"
    db = apsw.Connection(str(tmp_path / "wbgql.sqlite"))
    assert db.execute("PRAGMA integrity_check").get == "ok"
    db.close()


@pytest.mark.parametrize(("sync", "level"), [("normal", 1), ("full", 2)])
def test_full_means_that_every_connection_flushes_each_commit(tmp_path: Path, sync, level):
    backend = Backend(ServerSettings(data=tmp_path, sync=sync))
    try:
        with backend.store.read() as db:
            assert db.execute("PRAGMA synchronous").get == level
        with backend.store.write() as db:
            assert db.execute("PRAGMA synchronous").get == level
    finally:
        backend.close()
