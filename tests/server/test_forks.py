"""Forks have a copy of what they share with their source, and live and die without it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.caller import UPSERT, Caller, new_project
from wbgql.server import purge, scan_store, start

LATER = datetime.now(UTC) + timedelta(days=30)
REWIND = "mutation R($input: RewindRunInput!) { rewindRun(input: $input) { rewoundRun { name } } }"
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


@pytest.fixture
def project(caller: Caller) -> str:
    """Has a run `source` with the steps 0 to 2, one without rows, and one that was deleted."""
    name = new_project()
    caller.upsert(name, name="empty")
    for run in ("source", "deleted"):
        storage_id = caller.upsert(name, name=run)["bucket"]["id"]
        caller.log(name, run, *[{"_step": step} for step in range(3)])
    caller.ask(DELETE, id=storage_id)
    return name


@pytest.mark.parametrize(("run", "step"), [("fork", 1), (None, 1), ("source", "x"), ("source", None)])
def test_what_is_no_branch_point_gives_a_run_like_any_other(caller, project, run, step):
    made = caller.upsert(project, name="fork", config=config(run, step))

    assert (made["inserted"], made["bucket"]["historyLineCount"]) == (True, 0)


@pytest.mark.parametrize(
    ("run", "step", "status", "words"),
    [
        ("missing", 1, 404, "/missing not found, so it cannot be forked"),
        ("deleted", 1, 410, "/deleted was previously created and deleted"),
        ("empty", 0, 400, "run 'empty' cannot go on from step 0: it has no history"),
        ("source", 3, 400, "run 'source' cannot go on from step 3: its steps end at 2"),
        ("source", -1, 400, "run 'source' cannot go on from step -1: its steps end at 2"),
        ("source", 1e300, 400, "cannot go on from step"),
    ],
)
def test_a_fork_of_what_is_not_there_is_refused_and_leaves_no_run(caller, project, run, step, status, words):
    given = {"modelName": project, "entityName": "admin", "name": "fork", "jobProgram": "train.py"}

    answer = caller.post(UPSERT, input=given | {"config": config(run, step)})

    assert answer.status_code == status, answer.text
    assert words in answer.json()["errors"][0]["message"]
    assert caller.run(project, "fork") is None


def test_a_fork_that_is_synced_again_begins_behind_the_rows_it_shares(caller, project):
    caller.upsert(project, name="fork", config=config("source", 1))
    caller.log(project, "fork", {"_step": 2}, {"_step": 3}, offset=2)

    answer = caller.upsert(project, name="fork", config=config("source", 1))
    caller.log(project, "fork", {"_step": 2}, offset=answer["bucket"]["historyLineCount"])

    assert answer["bucket"]["historyLineCount"] == 2
    assert steps(caller, project, "fork") == [0, 1, 2]


def test_a_fork_that_is_synced_again_keeps_its_rows_though_its_source_is_gone(caller, project):
    caller.upsert(project, name="fork", config=config("source", 1))
    caller.ask(DELETE, id=caller.run(project, "source")["id"])

    again = {"modelName": project, "entityName": "admin", "name": "fork", "jobProgram": "train.py"}
    assert caller.post(UPSERT, input=again | {"config": config("source", 1)}).status_code == 200

    assert steps(caller, project, "fork") == [0, 1]


@pytest.mark.parametrize(("name", "step"), [("source", 3), ("source", -1), ("source", 1e300), ("empty", 0)])
def test_a_run_cannot_be_rewound_to_where_it_has_not_been(caller, project, name, step):
    given = {"entityName": "admin", "projectName": project, "runName": name, "metricName": "_step"}

    answer = caller.post(REWIND, input=given | {"metricValue": step})

    assert answer.status_code == 400, answer.text
    assert f"run '{name}' cannot go on from step" in answer.json()["errors"][0]["message"]
    assert steps(caller, project, "source") == [0, 1, 2]


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
