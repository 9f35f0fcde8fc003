"""A whole case on a server that is as awkward as others: it is right, or it says what it could not do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.real_command import RealCommand
from tests.stored import World
from wbgql.server import RunningServer, start

SWITCHES: Mapping[str, Mapping[str, Any]] = {
    "saas-2026": {"like": "saas-2026"},
    "failing reads": {"failing_reads": 4},
    "deleted ids 409": {"deleted_ids": 409},
    "paged audit log": {"audit_log": "paged"},
    "bulk filters ignored": {"bulk_filters": "ignored"},
    "undelete all": {"undelete": "all"},
    "opaque lists": {"lists": "opaque"},
    "no introspection": {"introspection": "off"},
    "stale reads": {"stale_reads_s": 0.6},
    "without what informs": {
        "without": (
            "Run.storageBytes", "Run.fileCount", "File.isReference", "Run.branchPoint", "Run.deletedAt",
            "ServerInfo.dataRetentionDuration", "ServerInfo.deploymentId", "Project.storageBytes",
        )
    },
}  # fmt: skip
QUICK = ("saas-2026",)


@pytest.fixture(
    params=[pytest.param(name, marks=[] if name in QUICK else pytest.mark.full) for name in SWITCHES]
)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningServer]:
    with start(tmp_path / "store", **SWITCHES[request.param]) as running:
        yield running


def test_a_case_goes_from_plan_to_certificate(server: RunningServer, tmp_path: Path) -> None:
    world = World(server)
    for name in ("doomed-1", "doomed-2", "stays"):
        world.run(name)
    for name in ("doomed-1", "doomed-2"):
        world.caller.upsert(world.project, name=name, config={"who": {"value": "anna"}}, state="finished")
    weights = world.log("net", {"w": b"1"}, runName="doomed-1", aliases=[])
    command = RealCommand(server, tmp_path, sleep=time.sleep)
    plan, key = str(tmp_path / "plan.json"), str(tmp_path / "key.pem")

    def run(*argv: str, code: int = 0) -> str:
        got = command("erase", *argv)
        assert got.code == code, f"{argv}: {got.code}\n{got.out}\n{got.err}"
        return got.out

    run("key", "new", key)

    def ids() -> list[str]:
        listed = command("runs", "list", world.path, "--format", "ids").out.split()
        return sorted(path.rsplit("/", 1)[-1] for path in listed)

    until(lambda: ids() == ["doomed-1", "doomed-2", "stays"])  # a replica may lag behind what was written
    made = json.loads(
        run(
            "plan", world.path, "--where", 'config["who"] == "anna"', "--request", "R-1", "--basis", "gdpr-17",
            "--max-percent", "90", "-o", plan, "--format", "json",
        )
    )  # fmt: skip
    host = server.base_url.removeprefix("http://")
    run("apply", plan, "--digest", made["digest"], "--yes", "--host", host, "--rate", "1000")
    run("verify", plan, "--patience", "2s")
    run("certify", plan, "--key", key)
    watched = json.loads(run("watch", plan, "--once", "--patience", "2s"))

    assert watched["verdict"] == "quiet"
    assert ids() == ["stays"]
    found = world.caller.ask("query Q($id: ID!) { artifact(id: $id) { state } }", id=weights)["artifact"]
    assert found is None or found["state"] == "DELETED"


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; half a minute at most."""
    for _ in range(300):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it never held")
