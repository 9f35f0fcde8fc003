"""A server whose clock is set ahead, and what its settings change of deletion."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.caller import Caller
from tests.server.artifact_logger import ArtifactLogger
from wbgql.errors import ConfigError
from wbgql.server import ServerSettings, advance_clock, purge, scan_store, start

DELETE = "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"
UNDELETE = """
mutation U($filters: JSONString!) {
  undeleteRuns(input: {entityName: "admin", projectName: "p", filters: $filters}) { clientMutationId }
}
"""
CREATED = """query C($name: String!) { project(entityName: "admin", name: "p") { run(name: $name) { createdAt state } } }"""
DAY_S = 86400.0


def make(caller: Caller, *names: str) -> list[str]:
    return [caller.upsert("p", name=name)["bucket"]["id"] for name in names]


def days_ahead(text: str) -> int:
    return round((datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds() / DAY_S)


def undelete(caller: Caller, filters: dict[str, Any]) -> None:
    caller.ask(UNDELETE, filters=json.dumps(filters))


def test_a_running_server_follows_its_clock_until_retention_has_passed(tmp_path):
    with start(tmp_path, retention_s=7 * DAY_S) as server:
        caller = Caller(server.base_url, server.api_key)
        (storage_id,) = make(caller, "run-to-be-forgotten")
        caller.ask(DELETE, id=storage_id)
        server.advance(2 * DAY_S)
        make(caller, "of-day-two")
        created = caller.ask(CREATED, name="of-day-two")["project"]["run"]["createdAt"]

        early = purge(tmp_path)
        now = server.advance(5 * DAY_S + 60)
        late = purge(tmp_path)

        assert days_ahead(created) == 2
        assert days_ahead(now.isoformat()) == 7
        assert (early.runs, late.runs) == (0, 1)
        assert scan_store(tmp_path, [b"run-to-be-forgotten"]) == []


@pytest.mark.parametrize("undeletes", ["filtered", "all"])
def test_what_retention_has_passed_for_is_not_restored_although_no_purge_came(tmp_path, undeletes):
    with start(tmp_path, retention_s=7 * DAY_S, undelete=undeletes, purge_interval_s=3600.0) as server:
        caller = Caller(server.base_url, server.api_key)
        first, second, _ = make(caller, "old", "late", "stays")
        caller.ask(DELETE, id=first)
        server.advance(4 * DAY_S)
        caller.ask(DELETE, id=second)
        server.advance(4 * DAY_S)

        undelete(caller, {})
        refused = caller.post(UNDELETE, filters=json.dumps({"name": "old"}))

        assert caller.run("p", "old") is None
        assert caller.run("p", "late") is not None
        assert refused.status_code == 410
        assert "cannot be restored" in refused.text


def test_a_run_that_was_logging_has_crashed_when_the_clock_passes_its_heartbeat(tmp_path):
    with start(tmp_path) as server:
        caller = Caller(server.base_url, server.api_key)
        make(caller, "r1")
        server.advance(DAY_S)

        assert caller.run("p", "r1")["state"] == "crashed"


def test_a_clock_stays_ahead_and_never_goes_back(tmp_path):
    with start(tmp_path):
        pass
    advance_clock(tmp_path, DAY_S)

    assert days_ahead(advance_clock(tmp_path, 0).isoformat()) == 1
    for seconds in (-1.0, 200 * 366 * DAY_S, float("nan")):
        with pytest.raises(ConfigError, match="not back"):
            advance_clock(tmp_path, seconds)


@pytest.mark.parametrize(("undeletes", "restored"), [("filtered", ["a"]), ("all", ["a", "b"])])
def test_an_undelete_may_ignore_its_filter(tmp_path, undeletes, restored):
    with start(tmp_path, undelete=undeletes) as server:
        caller = Caller(server.base_url, server.api_key)
        for storage_id in make(caller, "a", "b"):
            caller.ask(DELETE, id=storage_id)

        undelete(caller, {"name": "a"})

        assert [name for name in "ab" if caller.run("p", name) is not None] == restored


@pytest.mark.parametrize(
    ("settings", "purged"),
    [
        ({}, False),
        ({"artifact_gc": "off", "retention_s": 0.0}, False),
        ({"artifact_retention_s": 3600.0}, True),
        ({"artifact_retention_s": 90 * DAY_S, "retention_s": 0.0}, False),
    ],
)
def test_artifacts_have_a_retention_and_a_collection_of_their_own(tmp_path, settings, purged):
    with start(tmp_path, **settings) as server:
        logger = ArtifactLogger(Caller(server.base_url, server.api_key), "p")
        artifact_id = logger.log("net", {"a": b"content-of-the-artifact"})
        logger.delete(artifact_id, aliases=True)
        server.advance(DAY_S)

        report = purge(tmp_path)

        assert report.artifacts == purged
        assert bool(scan_store(tmp_path, [b"content-of-the-artifact"])) is not purged


def test_the_retention_can_be_read(tmp_path):
    with start(tmp_path, retention_s=3 * DAY_S) as server:
        info = Caller(server.base_url, server.api_key).ask("{ serverInfo { dataRetentionDuration } }")

    assert info == {"serverInfo": {"dataRetentionDuration": 3 * 86400}}


@pytest.mark.parametrize("setting", ["undelete", "artifact_gc", "sync", "code_saving"])
def test_a_word_that_a_setting_does_not_know_is_refused(tmp_path, setting):
    with pytest.raises(ConfigError, match=f"{setting} is 'maybe', choose one of"):
        ServerSettings(data=tmp_path, **{setting: "maybe"})
