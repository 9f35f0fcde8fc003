"""How runs end: exit codes, exceptions, a kill, a preemption, a stop from outside."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.caller import Caller, new_project
from tests.sdk.sdk_process import TIMEOUT_S, start_sdk
from wbgql.server import RunningServer, start

pytestmark = pytest.mark.sdk

HEARTBEAT_TIMEOUT_S = 3

ENDS = """
import sys, wandb

def init(name):
    settings = wandb.Settings(x_disable_stats=True, x_file_stream_transmit_interval=1)
    return wandb.init(project=sys.argv[1], id=name, settings=settings)

with init("good") as run:
    run.log({"x": 1})
init("seven").finish(exit_code=7)
try:
    with init("raised") as run:
        raise ValueError("boom")
except ValueError:
    pass
run = init("left open")
run.log({"x": 1})
sys.exit(3)
"""

KILLED = """
import os, signal, sys, time, wandb

def init(name):
    settings = wandb.Settings(x_disable_stats=True, x_file_stream_transmit_interval=1)
    run = wandb.init(project=sys.argv[1], id=name, reinit="create_new", settings=settings)
    run.log({"x": 1})
    return run

killed, preempted = init("killed"), init("preempted")
preempted.mark_preempting()
time.sleep(2)
os.kill(os.getpid(), signal.SIGKILL)
"""

STOPPED = """
import sys, time, wandb
settings = wandb.Settings(x_disable_stats=True, x_file_stream_transmit_interval=1)
run = wandb.init(project=sys.argv[1], id="stopped", settings=settings)
wandb.Api().run(f"admin/{sys.argv[1]}/stopped").stop()
time.sleep(100)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that takes a run for crashed after few seconds of silence."""
    folder = tmp_path_factory.mktemp("lifecycle")
    with start(folder, heartbeat_timeout_s=HEARTBEAT_TIMEOUT_S) as running:
        yield running


def wait_for_state(caller: Caller, project: str, name: str, wanted: str) -> str:
    """The state of a run once it is `wanted`, else the last one seen."""
    end = time.monotonic() + 10 * HEARTBEAT_TIMEOUT_S
    while (state := caller.run(project, name)["state"]) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    return str(state)


def test_the_state_follows_from_how_the_process_ends(server: RunningServer, tmp_path: Path) -> None:
    project = new_project()
    process = start_sdk(server, tmp_path, ENDS, project)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 3, output

    caller = Caller(server.base_url, server.api_key)
    runs = {name: caller.run(project, name) for name in ("good", "seven", "raised", "left open")}
    assert {name: (run["state"], run["exitcode"]) for name, run in runs.items()} == {
        "good": ("finished", 0),
        "seven": ("failed", 7),
        "raised": ("failed", 1),
        "left open": ("failed", 3),
    }
    assert [len(run["history"]) for run in runs.values()] == [1, 0, 0, 1]


def test_silence_after_a_kill_is_a_crash_or_a_preemption(server: RunningServer, tmp_path: Path) -> None:
    project = new_project()
    process = start_sdk(server, tmp_path, KILLED, project)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL, output

    caller = Caller(server.base_url, server.api_key)
    assert wait_for_state(caller, project, "killed", "crashed") == "crashed"
    assert wait_for_state(caller, project, "preempted", "preempted") == "preempted"
    assert len(caller.run(project, "killed")["history"]) == 1


@pytest.mark.full
def test_a_stop_from_outside_interrupts_the_run(server: RunningServer, tmp_path: Path) -> None:
    """The SDK asks every 15 s whether its run is to stop, and then raises KeyboardInterrupt in it."""
    project = new_project()
    process = start_sdk(server, tmp_path, STOPPED, project)
    output, _ = process.communicate(timeout=TIMEOUT_S)

    run = Caller(server.base_url, server.api_key).run(project, "stopped")
    assert "KeyboardInterrupt" in output
    assert (run["state"], run["exitcode"], run["stopped"]) == ("failed", 255, True)
