"""Deleted runs: hidden, refused, restorable, and in the end gone to the last byte."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import apsw
import pytest
import requests

from tests.caller import UPSERT, Caller, new_project
from wbgql.errors import StoreError
from wbgql.server import audit_log, audit_subject, purge, scan_store, start

DELETE = "mutation D($input: DeleteRunInput!) { deleteRun(input: $input) { clientMutationId } }"
BULK = "mutation D($input: %sInput!) { %s(input: $input) { clientMutationId } }"
CREATE = """
mutation Create($input: CreateRunFilesInput!) { createRunFiles(input: $input) { files { name uploadUrl } } }
"""
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with start(tmp_path_factory.mktemp("retention")) as running:
        yield running


@pytest.fixture
def caller(server) -> Caller:
    return Caller(server.base_url, server.api_key)


def delete(caller: Caller, storage_id: str) -> requests.Response:
    return caller.post(DELETE, input={"id": storage_id, "clientMutationId": "c1"})


def bulk(caller: Caller, name: str, project: str, filters: dict) -> None:
    document = BULK % (name[0].upper() + name[1:], name)
    caller.ask(
        document, input={"entityName": "admin", "projectName": project, "filters": json.dumps(filters)}
    )


def test_a_deleted_run_is_hidden_at_once_and_its_id_refused(caller):
    storage_id = caller.upsert("hidden", name="r1", summaryMetrics={"a": 1})["bucket"]["id"]

    answer = delete(caller, storage_id)

    assert answer.json() == {"data": {"deleteRun": {"clientMutationId": "c1"}}}
    assert caller.run("hidden", "r1") is None
    count = caller.ask('{ project(entityName: "admin", name: "hidden") { runCount tagCounts { name } } }')
    assert count == {"project": {"runCount": 0, "tagCounts": []}}
    assert caller.stream("hidden", "r1").status_code == 410
    assert caller.post(UPSERT, input={"modelName": "hidden", "name": "r1"}).status_code == 410
    again = caller.post(UPSERT, input={"id": storage_id, "notes": "x"})
    assert again.status_code == 410
    assert "previously created and deleted" in again.json()["errors"][0]["message"]


def test_deleting_again_is_no_error_but_an_unknown_id_is(caller):
    storage_id = caller.upsert("twice", name="r1")["bucket"]["id"]

    assert [delete(caller, storage_id).status_code for _ in range(3)] == [200, 200, 200]

    assert delete(caller, "UnVuOnYxOm5vbmU6dHdpY2U6YWRtaW4=").status_code == 404
    assert delete(caller, "garbage").status_code == 404


def test_files_of_a_deleted_run_cannot_be_read_or_written(caller):
    storage_id = caller.upsert("filed", name="r1")["bucket"]["id"]
    given = {"entityName": "admin", "projectName": "filed", "runName": "r1", "files": ["a.txt"]}
    (file,) = caller.ask(CREATE, input=given)["createRunFiles"]["files"]
    requests.put(file["uploadUrl"], data=b"x", timeout=30)

    delete(caller, storage_id)

    assert requests.put(file["uploadUrl"], data=b"y", timeout=30).status_code == 410
    assert caller.post(CREATE, input=given).status_code == 410
    address = f"{caller.base_url}/files/admin/filed/r1/a.txt"
    assert requests.get(address, auth=("api", caller.api_key), timeout=30).status_code == 404


def test_undelete_restores_what_matches_among_the_deleted(caller):
    for name in "abc":
        caller.upsert("restored", name=name, tags=[name], summaryMetrics={"x": 1})
    bulk(caller, "deleteRuns", "restored", {"tags": {"$in": ["a", "b"]}})
    assert [caller.run("restored", name) is None for name in "abc"] == [True, True, False]

    bulk(caller, "undeleteRuns", "restored", {"name": "a"})

    assert [caller.run("restored", name) is None for name in "abc"] == [False, True, False]
    assert json.loads(caller.run("restored", "a")["summaryMetrics"]) == {"x": 1}


def test_purge_leaves_runs_that_can_still_be_restored(caller, server):
    storage_id = caller.upsert("kept", name="r1", notes="canary-that-is-kept")["bucket"]["id"]
    delete(caller, storage_id)

    report = purge(server.data, now=datetime.now(UTC) + timedelta(days=6))

    assert report.runs == 0
    assert scan_store(server.data, [b"canary-that-is-kept"])
    bulk(caller, "undeleteRuns", "kept", {})
    assert caller.run("kept", "r1")["notes"] == "canary-that-is-kept"


def log_canaries(caller: Caller, project: str, name: str, mark: str) -> tuple[str, list[bytes]]:
    """A run with a different canary in every place that holds what a user wrote."""
    places = iter(f"canary-{mark}-{number:02}" for number in range(100))
    used: list[str] = []

    def canary() -> str:
        used.append(next(places))
        return used[-1]

    storage_id = caller.upsert(
        project,
        name=name,
        displayName=canary(),
        notes=canary(),
        description=canary(),
        groupName=canary(),
        jobType=canary(),
        host=canary(),
        commit=canary(),
        jobProgram=canary(),
        jobRepo=canary(),
        tags=[canary()],
        config={canary(): {"value": canary()}, "long": {"value": canary() * 500}},
        summaryMetrics={canary(): 1, "text": canary()},
    )["bucket"]["id"]
    for round_ in range(3):
        caller.stream(
            project,
            name,
            files={
                "wandb-history.jsonl": {
                    "offset": 300 * round_,
                    "content": [json.dumps({"_step": 300 * round_ + i, canary_key: canary_value})
                                for i in range(300)
                                for canary_key, canary_value in [(f"k{i}", used[i % len(used)])]],
                },
                "output.log": {"offset": 0, "content": [canary(), canary() * 300]},
                "wandb-events.jsonl": {"offset": 0, "content": [json.dumps({"system.x": canary()})]},
                "wandb-summary.json": {"offset": 0, "content": [json.dumps({"s": canary()})]},
                canary(): {"offset": 0, "content": [canary()]},
            },
        )  # fmt: skip
    file_name = f"{canary()}/{canary()}.txt"
    given = {"entityName": "admin", "projectName": project, "runName": name, "files": [file_name]}
    (file,) = caller.ask(CREATE, input=given)["createRunFiles"]["files"]
    for _ in range(2):
        assert requests.put(file["uploadUrl"], data=canary().encode() * 1000, timeout=30).status_code == 200
    return storage_id, [text.encode() for text in used]


def test_purge_leaves_no_byte_of_a_run_and_its_id_refused(caller, server):
    kept_id, kept = log_canaries(caller, "mixed", "kept-run", "stays")
    storage_id, canaries = log_canaries(caller, "mixed", "purged-run-name", "goes")
    filters = json.dumps({f"config.{canaries[10].decode()}.value": "x"})
    for _ in range(3):
        caller.ask('query($f: JSONString) { project(name: "mixed") { runCount(filters: $f) } }', f=filters)
    present = {found.needle for found in scan_store(server.data, canaries)}
    assert set(canaries) - present == {canaries[-2]}, "the first of two uploads is gone, the rest is there"

    delete(caller, storage_id)
    assert {found.needle for found in scan_store(server.data, canaries)} == present
    report = purge(server.data, now=datetime.now(UTC) + WEEK + timedelta(minutes=1))

    assert report.runs >= 1
    assert report.complete
    assert report.size_bytes > 0
    assert scan_store(server.data, [*canaries, b"purged-run-name"]) == []
    assert caller.run("mixed", "kept-run")["id"] == kept_id
    assert {found.needle for found in scan_store(server.data, kept)} == set(kept) - {kept[-2]}
    assert caller.post(UPSERT, input={"modelName": "mixed", "name": "purged-run-name"}).status_code == 410
    assert caller.post(UPSERT, input={"id": storage_id, "notes": "x"}).status_code == 410
    assert delete(caller, storage_id).status_code == 200
    bulk(caller, "undeleteRuns", "mixed", {})
    assert caller.run("mixed", "purged-run-name") is None


def test_purge_leaves_nothing_in_the_statistics_of_the_database(caller, server):
    storage_id, canaries = log_canaries(caller, "counted", "run-in-statistics", "statistics")
    db = apsw.Connection(str(server.data / "wbgql.sqlite"))
    db.execute("PRAGMA busy_timeout=10000; ANALYZE").fetchall()
    samples = b"".join(sample for (sample,) in db.execute("SELECT sample FROM sqlite_stat4"))
    db.close()
    assert b"run-in-statistics" in samples
    delete(caller, storage_id)

    purge(server.data, now=datetime.now(UTC) + WEEK + timedelta(minutes=1))

    assert scan_store(server.data, [*canaries, b"run-in-statistics"]) == []


def test_purged_id_stays_refused_after_the_project_was_renamed(caller, server):
    storage_id = caller.upsert("before", name="r1")["bucket"]["id"]
    delete(caller, storage_id)
    purge(server.data, now=datetime.now(UTC) + WEEK * 2)
    document = "mutation R($input: RenameProjectInput!) { renameProject(input: $input) { inserted } }"

    caller.ask(document, input={"entityName": "admin", "oldProjectName": "before", "newProjectName": "after"})

    assert caller.post(UPSERT, input={"modelName": "after", "name": "r1"}).status_code == 410


def test_the_audit_log_names_who_and_what_without_the_run(caller, server):
    storage_id = caller.upsert("audited", name="audited-run")["bucket"]["id"]
    delete(caller, storage_id)
    bulk(caller, "undeleteRuns", "audited", {"name": "audited-run"})
    delete(caller, storage_id)
    purge(server.data, now=datetime.now(UTC) + WEEK * 2)

    subject = audit_subject(server.data, "admin", "audited", "audited-run")
    entries = [entry for entry in audit_log(server.data) if entry["subject"] == subject]

    assert [(entry["actor"], entry["action"]) for entry in entries] == [
        ("admin", "run:delete"),
        ("admin", "run:undelete"),
        ("admin", "run:delete"),
        ("retention", "run:purge"),
    ]
    assert {entry["project"] for entry in entries} == {"audited"}


def test_purging_again_does_nothing(server):
    purge(server.data, now=datetime.now(UTC) + WEEK * 2)

    assert purge(server.data, now=datetime.now(UTC) + WEEK * 2).runs == 0


def test_a_purge_that_was_cut_short_is_finished_by_the_next(tmp_path):
    with start(tmp_path / "store") as running:
        delete(Caller(running.base_url, running.api_key), log_canaries(
            Caller(running.base_url, running.api_key), "p", "r1", "cut")[0])  # fmt: skip
    with sqlite3.connect(tmp_path / "store" / "wbgql.sqlite") as db:
        db.execute("INSERT INTO settings VALUES ('purge_unfinished', 1)")
    db.close()

    report = purge(tmp_path / "store", now=datetime.now(UTC))

    assert report.runs == 0
    assert report.complete
    assert purge(tmp_path / "store", now=datetime.now(UTC) + WEEK).runs == 1


def test_the_server_purges_by_itself(tmp_path):
    with start(tmp_path / "store", retention_s=0.0, purge_interval_s=0.2) as running:
        caller = Caller(running.base_url, running.api_key)
        storage_id, canaries = log_canaries(caller, "p", "r1", "auto")
        delete(caller, storage_id)

        for _ in range(100):
            if not scan_store(running.data, canaries):
                break
            time.sleep(0.1)

        assert scan_store(running.data, canaries) == []
        assert caller.post(UPSERT, input={"modelName": "p", "name": "r1"}).status_code == 410


def test_purge_of_no_store_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="no store"):
        purge(tmp_path / "nothing")


def test_delete_runs_refuses_an_empty_filter_text(caller):
    project = new_project()
    caller.upsert(project, name="r1")
    document = "mutation D($input: DeleteRunsInput!) { deleteRuns(input: $input) { errors } }"

    answer = caller.post(document, input={"entityName": "admin", "projectName": project, "filters": ""})

    assert answer.status_code == 400
    assert caller.run(project, "r1") is not None
