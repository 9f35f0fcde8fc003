"""Moving runs between projects, and the mutations over many runs that are refused."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
import requests

from tests.caller import Caller, new_project
from tests.server.artifact_logger import ArtifactLogger
from wbgql.server import add_team, add_user, audit_log, audit_requests, audit_subject

MOVE = """
mutation M($input: MoveRunsInput!) { moveRuns(input: $input) { clientMutationId task { id state progress type } } }
"""
TASK = "query T($id: ID!) { task(id: $id) { state progress } }"
DELETE = "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"


def move(
    caller: Caller, source: str, destination: str, filters: Any = None, entity: str = "admin"
) -> requests.Response:
    given = {
        "sourceEntityName": entity,
        "sourceProjectName": source,
        "destinationEntityName": entity,
        "destinationProjectName": destination,
        "filters": filters if isinstance(filters, str) else json.dumps(filters or {}),
    }
    return caller.post(MOVE, input=given)


def test_a_moved_run_is_whole_in_its_new_project_and_its_old_id_leads_nowhere(caller, local_server):
    source, destination = new_project(), new_project()
    old_id = caller.upsert(source, name="r1", tags=["go"], summaryMetrics={"a": 1})["bucket"]["id"]
    caller.log(source, "r1", {"_step": 0, "a": 1})
    caller.upsert(source, name="stays")
    artifact_id = ArtifactLogger(caller, source).log("net", {"a": b"1"}, runName="r1")

    answer = move(caller, source, destination, {"tags": "go"}).json()["data"]["moveRuns"]

    assert (answer["task"]["state"], answer["task"]["progress"]) == ("FINISHED", 100)
    assert caller.ask(TASK, id=answer["task"]["id"])["task"] == {"state": "FINISHED", "progress": 100}
    assert caller.run(source, "r1") is None
    assert caller.run(source, "stays") is not None
    moved = caller.run(destination, "r1")
    assert (moved["tags"], len(moved["history"]), json.loads(moved["summaryMetrics"])) == (
        ["go"],
        1,
        {"a": 1},
    )
    assert moved["id"] != old_id
    assert caller.post(DELETE, id=old_id).status_code == 404
    assert caller.run(destination, "r1") is not None
    maker = "query A($id: ID!) { artifact(id: $id) { createdBy { ... on Run { project { name } } } } }"
    assert caller.ask(maker, id=artifact_id)["artifact"]["createdBy"] == {"project": {"name": destination}}
    subjects = [audit_subject(local_server.data, "admin", project, "r1") for project in (source, destination)]
    changes = [row for row in audit_log(local_server.data) if row["subject"] in subjects]
    assert [(row["action"], row["subject"]) for row in changes] == [("run:move", one) for one in subjects]


def test_a_move_onto_an_id_that_is_taken_or_was_deleted_moves_none(caller):
    source, destination = new_project(), new_project()
    for name in ("a", "b", "c"):
        caller.upsert(source, name=name)
    caller.ask(DELETE, id=caller.upsert(destination, name="b")["bucket"]["id"])

    answer = move(caller, source, destination)

    assert answer.status_code == 400
    assert "'b' is taken" in answer.json()["errors"][0]["message"]
    assert [caller.run(source, name) is not None for name in "abc"] == [True, True, True]
    assert move(caller, source, source).status_code == 200
    assert caller.run(source, "a") is not None


def test_a_move_needs_a_filter_and_the_right_to_each_run(caller, local_server):
    mark = secrets.token_hex(3)
    ann = Caller(local_server.base_url, add_user(local_server.data, f"ann-{mark}"))
    add_team(local_server.data, f"team-{mark}", member=f"ann-{mark}")
    ann.upsert("p", name="mine", entityName=f"team-{mark}")
    caller.upsert("p", name="theirs", entityName=f"team-{mark}")

    assert move(ann, "p", "q", " ", entity=f"team-{mark}").status_code == 400
    assert move(ann, "p", "q", entity=f"team-{mark}").status_code == 403
    assert ann.run("p", "mine", entity=f"team-{mark}") is not None
    assert move(ann, "p", "q", {"name": "mine"}, entity=f"team-{mark}").status_code == 200
    assert ann.run("q", "mine", entity=f"team-{mark}") is not None


@pytest.mark.parametrize("task_id", ["x", "", "VGFzazoxMg==", "UnVuOm1vdmVSdW5zOnh4"])
def test_a_task_that_never_was_is_null(caller, task_id):
    assert caller.ask(TASK, id=task_id) == {"task": None}


@pytest.mark.parametrize(
    "document",
    [
        'mutation { deleteSweep(input: {id: "U3dlZXA6MQ==", deleteRuns: true}) { affectedRuns } }',
        'mutation { deleteSweeps(input: {ids: ["U3dlZXA6MQ=="], deleteRuns: true}) { affectedRuns } }',
    ],
)
def test_deleting_sweeps_is_refused_in_words_and_noted(caller, local_server, document):
    answer = caller.post(document)

    assert answer.status_code == 501
    assert "no sweeps" in answer.json()["errors"][0]["message"]
    assert audit_requests(local_server.data)[-1]["code"] == 501
