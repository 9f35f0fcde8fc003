"""Several SDK processes log at once: through a server that is killed and comes back, and twenty at a time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.caller import Caller
from tests.sdk.sdk_process import read_result, start_sdk
from wbgql.server import RunningServer, start

pytestmark = pytest.mark.sdk

LOGS = """
import json, sys, time, wandb
from pathlib import Path
name, rows, per_second, ready, go = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *map(Path, sys.argv[4:])
settings = wandb.Settings(x_disable_stats=True, x_file_stream_transmit_interval=1, console="wrap")
run = wandb.init(project="p", id=name, settings=settings)
(ready / name).touch()
while not go.exists():
    time.sleep(0.02)
start = time.perf_counter()
for number in range(rows):
    time.sleep(max(0.0, start + number / per_second - time.perf_counter()))
    run.log({"x": number, "square": number * number})
took = time.perf_counter() - start
run.finish()
print("RESULT " + json.dumps(took))
"""


class Fleet:
    """SDK processes that begin to log at once, each to a run of its own."""

    def __init__(
        self,
        server: RunningServer,
        home: Path,
        count: int,
        rows: int,
        *,
        per_second: float,
        **environment: str,
    ) -> None:
        self.names, self.rows = [f"r{number}" for number in range(count)], rows
        self._ready, self._go = home / "ready", home / "go"
        self._ready.mkdir(parents=True)
        given = (str(rows), str(per_second), str(self._ready), str(self._go))
        self._processes = [
            start_sdk(server, home / name, LOGS, name, *given, **environment) for name in self.names
        ]

    def begin(self) -> None:
        """Wait until every run is there, and let them log."""
        while len(list(self._ready.iterdir())) < len(self.names):
            assert all(process.poll() is None for process in self._processes), self.finish()
            time.sleep(0.05)
        self._go.touch()

    def finish(self) -> list[float]:
        """Wait until all have ended well; for each the seconds that its rows took."""
        return [read_result(process) for process in self._processes]


def rows_of(caller: Caller, name: str) -> list[dict[str, Any]]:
    return [json.loads(row) for row in caller.run("p", name)["history"]]


def assert_complete(caller: Caller, fleet: Fleet) -> None:
    for name in fleet.names:
        run = caller.run("p", name)
        assert (run["state"], run["exitcode"]) == ("finished", 0)
        assert [row["x"] for row in rows_of(caller, name)] == list(range(fleet.rows))
        assert [row["_step"] for row in rows_of(caller, name)] == list(range(fleet.rows))


@pytest.mark.parametrize("count", [2, pytest.param(5, marks=pytest.mark.full)])
def test_runs_go_on_through_a_kill_of_the_server_and_lose_nothing(tmp_path: Path, count: int):
    """kill -9 in the middle, a new server on the same port: each SDK process sends on, and ends with 0."""
    with start(tmp_path / "store") as first:
        caller, port = Caller(first.base_url, first.api_key), urlsplit(first.base_url).port
        fleet = Fleet(first, tmp_path, count, rows=200, per_second=50)
        fleet.begin()
        while any(len(rows_of(caller, name)) < 20 for name in fleet.names):
            time.sleep(0.05)
        acknowledged = {name: rows_of(caller, name) for name in fleet.names}
        first.process.kill()
        first.process.wait()
    time.sleep(1)
    with start(tmp_path / "store", port=port):
        kept = {name: rows_of(caller, name)[: len(rows)] for name, rows in acknowledged.items()}
        fleet.finish()

        assert kept == acknowledged
        assert max(len(rows) for rows in acknowledged.values()) < fleet.rows
        assert_complete(caller, fleet)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_twenty_processes_log_at_once_at_the_pace_that_they_have_without_a_server(tmp_path: Path):
    """20 x 50 rows a second for 10 s, which forty processes on two cores may not keep up offline either."""
    with start(tmp_path / "store") as server:
        offline = Fleet(server, tmp_path / "offline", 20, rows=500, per_second=50, WANDB_MODE="offline")
        offline.begin()
        alone = max(offline.finish())
        fleet = Fleet(server, tmp_path / "online", 20, rows=500, per_second=50)
        fleet.begin()

        assert max(fleet.finish()) < 1.3 * alone + 1
        assert_complete(Caller(server.base_url, server.api_key), fleet)
