"""Failure modes of the fact sheet that verification and watching must see, by their numbers."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.erasure.applied import AppliedJob, Time, clocked, in_time
from tests.stored import World
from wbgql.documents import Prepared
from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.certify import read_standing
from wbgql.erasure.records.verification import Verification
from wbgql.erasure.verifying.job import Care, Reader, next_due, verify
from wbgql.erasure.verifying.watching import count_deletions, watch_once
from wbgql.paths import ProjectPath
from wbgql.runs import list_run_ids
from wbgql.server import start
from wbgql.settings import Settings
from wbgql.wire.session import Session
from wbgql.wire.transport import GqlTransport, Reply


class Between:
    """A transport that may change an answer: `change(name, variables, send)` gives what is returned."""

    def __init__(self, settings: Settings, change: Callable[..., Reply]) -> None:
        self._inner = GqlTransport(settings)
        self._change = change

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        as_json = replace(prepared, result=msgspec.Raw)
        return self._change(prepared.name, variables, lambda: self._inner.send(as_json, variables))

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def job(world: World, tmp_path: Path, time: Time) -> AppliedJob:
    for name in ("r1", "control"):
        world.run(name)
    made = AppliedJob(world, tmp_path, time)
    made.add("r1")
    return made


def _given(time: Time, patience_s: float = 10.0) -> dict[str, Any]:
    numbers = itertools.count()
    return {
        "care": Care(patience_s=patience_s),
        "now": time,
        "new_id": lambda: f"nobody{next(numbers)}",
    }


def _verify(case: Case, session: Session, time: Time, **more: Any) -> Verification:
    return verify(case, in_time(clocked(session), time), **_given(time, **more))


def _stale(before: dict[str, Reply], until: datetime, time: Time) -> Callable[..., Reply]:
    """Answers lists of runs from memory until a moment: a replica that lags."""

    def change(name: str, variables: Mapping[str, Any], send: Callable[[], Reply]) -> Reply:
        if name == "ListRunIds" and time.now < until:
            return before["ListRunIds"]
        return send()

    return change


def test_failure_18_a_replica_that_lags_is_waited_for(job, world, time):
    remembered: dict[str, Reply] = {}

    def remember(name: str, _: Any, send: Callable[[], Reply]) -> Reply:
        return remembered.setdefault(name, send())

    with Session(Between(world.client.settings, remember)) as early:
        assert "r1" in list_run_ids(early, ProjectPath("admin", world.project))
    case = job.open()

    with Session(Between(world.client.settings, _stale(remembered, time.now + _s(6), time))) as late:
        made = _verify(case, late, time)
    assert made.verdict == "hidden"

    with Session(Between(world.client.settings, _stale(remembered, time.now + _s(600), time))) as never:
        made = _verify(case, never, time)
    assert made.verdict == "not_hidden"


def test_failure_18_a_run_that_flickers_to_the_end_is_not_believed(job, world, time):
    case = job.open()
    turns = itertools.cycle([True, False])

    def flicker(name: str, variables: Mapping[str, Any], send: Callable[[], Reply]) -> Reply:
        reply = send()
        if name != "LookUpRuns" or next(turns):
            return reply
        data = msgspec.json.decode(reply.data or b"{}")
        data["project"]["r0"] = {"name": "r1"}
        return Reply(data=msgspec.Raw(msgspec.json.encode(data)))

    with Session(Between(world.client.settings, flicker)) as session:
        made = _verify(case, session, time)

    assert made.verdict == "cannot_verify"
    assert [finding.state for finding in made.findings] == ["unsettled"]


def test_failure_19_rights_that_are_lost_half_way_prove_nothing(job, world, time):
    case = job.open()
    asked = itertools.count()

    def lose(name: str, _: Any, send: Callable[[], Reply]) -> Reply:
        if name in ("LookUpRun", "LookUpRuns", "ListRunIds") and next(asked) >= 4:
            return Reply(data=msgspec.Raw(b'{"project":null}'))
        return send()

    with Session(Between(world.client.settings, lose)) as session:
        made = _verify(case, session, time)

    assert made.verdict == "cannot_verify"
    assert (made.controls.failed, [finding.state for finding in made.findings]) == (1, ["unknown"])


def test_failure_19_a_project_that_was_renamed_answers_for_another(job, world, time):
    case = job.open()

    def redirect(name: str, _: Any, send: Callable[[], Reply]) -> Reply:
        reply = send()
        if reply.data is None or b'"entityName"' not in bytes(reply.data):
            return reply
        return Reply(data=msgspec.Raw(bytes(reply.data).replace(world.project.encode(), b"renamed")))

    with Session(Between(world.client.settings, redirect)) as session:
        made = _verify(case, session, time)

    assert made.verdict == "cannot_verify"


def test_failure_20_a_server_that_does_not_know_a_field_is_a_limit(job, world, time):
    case = job.open()

    def refuse(name: str, _: Any, send: Callable[[], Reply]) -> Reply:
        if name == "LookUpCollections":
            return Reply(status=400, errors=[{"message": "Cannot query field"}])
        return send()

    with Session(Between(world.client.settings, refuse)) as session:
        made = _verify(case, session, time)

    assert made.verdict == "hidden"
    assert made.limits == ["2 forks or artifacts of the server's own could not be looked for"]


def test_failure_20_runs_that_are_shown_as_deleted_count_as_absent(job, world, time):
    case = job.open()

    def show(name: str, _: Any, send: Callable[[], Reply]) -> Reply:
        if name == "GetDeletedMark":
            return Reply(data=msgspec.Raw(b'{"project":{"run":{"deletedAt":"2026-01-01T00:00:00Z"}}}'))
        reply = send()
        if name != "LookUpRuns":
            return reply
        data = msgspec.json.decode(reply.data or b"{}")
        data["project"]["r0"] = {"name": "r1"}
        return Reply(data=msgspec.Raw(msgspec.json.encode(data)))

    with Session(Between(world.client.settings, show)) as session:
        made = _verify(case, session, time)

    assert made.verdict == "hidden"
    assert "shown deleted runs" in made.limits[0]


def test_failure_20_a_server_that_calls_a_missing_version_an_error_is_asked_one_by_one(world, tmp_path, time):
    for name in ("r1", "control"):
        world.run(name)
    kept, gone = world.log("net", {"a": b"1"}), world.log("net", {"a": b"2"})
    job = AppliedJob(world, tmp_path, time)
    job.add("r1", logs={"net:v1": gone}, keeps={"net:v0": kept})
    case = job.open()

    def refuse(name: str, _: Any, send: Callable[[], Reply]) -> Reply:
        reply = send()
        if name in ("LookUpVersions", "GetArtifact") and b"null" in bytes(reply.data or b""):
            return Reply(status=404, errors=[{"message": "not found", "extensions": {"code": "NOT_FOUND"}}])
        return reply

    with Session(Between(world.client.settings, refuse)) as session:
        made = _verify(case, session, time)

    assert (made.verdict, made.counts["artifacts_absent"], made.counts["kept_present"]) == ("hidden", 1, 1)


def test_failure_21_history_that_the_server_keeps_is_a_residual_until_it_is_gone(world, tmp_path, time):
    for name in ("r1", "control"):
        world.run(name)
    world.caller.log(world.project, "r1", {"_step": 0, "loss": 1.0})
    world.caller.stream(world.project, "r1", complete=True, exitcode=0)
    job = AppliedJob(world, tmp_path, time)
    job.add("r1")
    case = job.open()

    made = _verify(case, world.client.session, time)

    assert made.verdict == "hidden"
    assert [(one.kind, one.run) for one in made.residuals] == [("system_artifact", 0)]


def test_failure_26_a_run_that_somebody_else_erased_is_verified_and_not_counted_as_sent(job, world, time):
    world.run("r2")
    job.add("r2")
    world.delete_run("r2")
    case = job.open(outcomes={"r2": "erased_by_other"})

    made = _verify(case, world.client.session, time)
    standing = read_standing(case, time.now)

    assert (made.verdict, made.counts["runs"], made.counts["runs_absent"]) == ("hidden", 2, 2)
    assert standing.counts.runs == {"hidden": 1, "erased_by_other": 1}
    assert count_deletions(case.ledger.entries(case.job)) == (1, 1)


# ---- a server that is stopped and started on another store or with other settings ----


def test_failure_27_a_backup_that_is_put_back_brings_runs_back_and_is_noticed(tmp_path, time):
    data, backup = tmp_path / "data", tmp_path / "backup"
    with start(data) as server:
        world = World(server)
        for name in ("r1", "r2", "control"):
            world.run(name)
        key = server.api_key
        job = AppliedJob(world, tmp_path, time)
        job.add("r1")
        job.add("r2")
        shutil.copytree(data, backup)  # nothing is being written: the database and its log fit together
        case = job.open()
        assert _verify(case, world.client.session, time).verdict == "hidden"
        world.client.close()
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    with start(data, api_key=key) as server, World(server).client as client:
        seen = watch_once(case, in_time(Reader(session=client.session), time), **_given(time))

    assert seen.verdict == "came_back"
    assert [back.run for back in seen.came_back] == [0, 1]
    assert case.ledger.job(case.job).state == "reopened"


def test_failure_28_a_window_that_was_lengthened_moves_the_check_and_advances_no_stage(tmp_path):
    data, time = tmp_path / "data", Time(datetime(2026, 1, 1, tzinfo=UTC))
    with start(data) as server:
        world = World(server)
        for name in ("r1", "control"):
            world.run(name)
        key = server.api_key
        job = AppliedJob(world, tmp_path, time)
        job.add("r1")
        case = job.open()
        assert _clock(_verify(case, world.client.session, time)) == 7 * 86400
        world.client.close()
    time.pass_(days=8)
    with start(data, api_key=key, retention_s=30 * 86400) as server, World(server).client as client:
        assert _clock(_verify(case, client.session, time)) == 30 * 86400
        assert read_standing(case, time.now).reached.stage == "HIDDEN"
        due = next_due(case)
        assert due is not None
        assert (due[1], due[0][:10]) == ("window", "2026-01-31")
        time.pass_(days=23)
        _verify(case, client.session, time)

    assert read_standing(case, time.now).reached.stage == "WINDOW_PASSED"


def _clock(made: Verification) -> int | None:
    return next(clock.seconds for clock in made.clocks if clock.name == "undelete_window")


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
