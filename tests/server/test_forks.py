"""Forks have a copy of what they share with their source, and live and die without it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.caller import Caller, new_project
from wbgql.server import purge, scan_store, start

LATER = datetime.now(UTC) + timedelta(days=30)
DELETE = "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with start(tmp_path_factory.mktemp("forks")) as running:
        yield running


@pytest.fixture
def caller(server) -> Caller:
    return Caller(server.base_url, server.api_key)


def config(run: object, step: object) -> str:
    return json.dumps({"_wandb": {"value": {"t": {}, "branch_point": {"run_id": run, "step": step}}}})


def steps(caller: Caller, project: str, name: str) -> list[int]:
    return [json.loads(row)["_step"] for row in caller.run(project, name)["history"]]


def test_a_fork_takes_the_rows_up_to_its_step_and_logs_behind_them(caller):
    project = new_project()
    caller.upsert(project, name="source")
    caller.log(project, "source", *[{"_step": step, "x": step} for step in (0, 2, 4, 6)])

    made = caller.upsert(project, name="fork", config=config("source", 4))["bucket"]
    caller.log(project, "fork", {"_step": 5, "y": 1}, offset=made["historyLineCount"])

    assert made["historyLineCount"] == 3
    assert steps(caller, project, "fork") == [0, 2, 4, 5]
    assert steps(caller, project, "source") == [0, 2, 4, 6]
    keys = caller.ask(
        'query($p: String) { project(name: $p, entityName: "admin") { run(name: "fork") { historyKeys } } }',
        p=project,
    )["project"]["run"]["historyKeys"]
    assert (keys["lastStep"], set(keys["keys"])) == (5, {"_step", "x", "y"})


def test_a_fork_that_is_synced_again_is_the_same(caller):
    project = new_project()
    caller.upsert(project, name="source")
    caller.log(project, "source", {"_step": 0}, {"_step": 1})
    for _ in range(2):
        caller.upsert(project, name="fork", config=config("source", 0))
        caller.log(project, "fork", {"_step": 1}, offset=1)

    assert steps(caller, project, "fork") == [0, 1]


@pytest.mark.parametrize(
    ("run", "step"),
    [("missing", 1), ("deleted", 1), ("fork", 1), (None, 1), ("source", "x"), ("source", None)],
)
def test_a_branch_point_that_leads_nowhere_gives_a_run_like_any_other(caller, run, step):
    project = new_project()
    for name in ("source", "deleted"):
        storage_id = caller.upsert(project, name=name)["bucket"]["id"]
        caller.log(project, name, {"_step": 0})
    caller.ask(DELETE, id=storage_id)

    made = caller.upsert(project, name="fork", config=config(run, step))

    assert (made["inserted"], made["bucket"]["historyLineCount"]) == (True, 0)


def test_a_fork_keeps_its_copy_when_the_source_is_deleted_and_purged(caller, server):
    project = new_project()
    storage_id = caller.upsert(project, name="source")["bucket"]["id"]
    caller.log(project, "source", {"_step": 0, "note": "canary-that-the-fork-shares"})
    caller.log(project, "source", {"_step": 1, "note": "canary-of-the-source-alone"}, offset=1)
    caller.upsert(project, name="fork", config=config("source", 0))

    caller.ask(DELETE, id=storage_id)
    purge(server.data, now=LATER)

    assert steps(caller, project, "fork") == [0]
    assert scan_store(server.data, [b"canary-that-the-fork-shares"])
    assert scan_store(server.data, [b"canary-of-the-source-alone"]) == []
