"""Verification: hidden is what repeated reads beside a control prove; everything else has another name."""

from __future__ import annotations

import itertools
from pathlib import Path
from time import time as now
from typing import Any

import msgspec
import pytest

from tests.erasure.applied import AppliedJob, Time, clocked, in_time
from tests.erasure.plans import KEY
from tests.stored import World
from wbgql.client import Client
from wbgql.downloads.fetching import HttpFetcher
from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.standing import read_standing
from wbgql.erasure.reading.server_clocks import ServerClock
from wbgql.erasure.records.journal import find_break
from wbgql.erasure.records.verification import Verification
from wbgql.erasure.verifying.job import Care, Reader, is_due, next_due, verify
from wbgql.errors import NotVerified, UsageError
from wbgql.paths import RunPath
from wbgql.server.operator import accounts as stores
from wbgql.settings import Settings

_UNDELETE = """
mutation Undelete($project: String!, $filters: JSONString!) {
  undeleteRuns(input: {entityName: "admin", projectName: $project, filters: $filters}) { clientMutationId }
}
"""


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def job(world: World, tmp_path: Path, time: Time) -> AppliedJob:
    return AppliedJob(world, tmp_path, time)


def _verify(case: Case, time: Time, client: Client, **given: Any) -> Verification:
    numbers = itertools.count()
    reader = given.pop("reader", None) or Reader(session=client.session)
    care = given.pop("care", Care(patience_s=5.0))
    return verify(
        case, in_time(reader, time), care=care, now=time, new_id=lambda: f"nobody{next(numbers)}", **given
    )


def _subject(case: Case, world: World, run: str) -> str:
    return KEY.run(case.plan.server.base_url, RunPath("admin", world.project, run))


@pytest.mark.parametrize("days", [8, -8])
def test_a_machine_whose_clock_is_off_proves_no_window_and_writes_nothing(job, world, time, days):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open()
    clock = ServerClock(lambda: now() + days * 86_400)
    session = world.client.session.through(clock.watch)

    with pytest.raises(NotVerified, match="set the clock"):
        _verify(case, time, world.client, reader=Reader(session=session, clock=clock))

    assert case.ledger.verifications(case.job) == []


def test_hidden_runs_and_deleted_versions_are_verified_and_written_down(job, world, time):
    for name in ("r1", "r2", "control"):
        world.run(name)
    gone, kept = world.log("net", {"a": b"1"}), world.log("data", {"a": b"2"})
    job.add("r1", logs={"net:v0": gone}, keeps={"data:v0": kept})
    job.add("r2")
    case = job.open()

    made = _verify(case, time, world.client)

    assert made.verdict == "hidden"
    assert (made.findings, made.residuals, made.limits) == ([], [], [])
    assert made.controls.positive == made.controls.negative == 1
    assert made.equal_reads == 3
    del made.counts["requests"]
    searched = made.counts.pop("projects_searched")
    assert len(made.searched) == searched
    assert made.counts == {
        "runs": 2,
        "runs_absent": 2,
        "artifacts": 1,
        "artifacts_absent": 1,
        "files": 0,
        "files_absent": 0,
        "kept": 1,
        "kept_present": 1,
        "forks": 0,
        "not_claimed": 0,
        "open": 0,
        "projects_not_searched": 0,
        "entities_not_searched": 0,
        "clock_known": 0,
    }
    stored = case.ledger.verifications(case.job)
    assert [(one.kind, one.verdict) for one in stored] == [("reads", "hidden")]
    entries = list(case.ledger.entries(case.job))
    assert entries[-1].kind == "verified"
    assert entries[-1].body["digest"] == msgspec.json.decode(stored[0].results, type=Verification).digest
    assert find_break(entries, case.ledger.head(case.job)) is None
    assert case.ledger.job(case.job).state == "verified"


def test_a_run_that_is_visible_is_named_by_its_number_and_subject(job, world, time):
    for name in ("r1", "r2", "control"):
        world.run(name)
    job.add("r1")
    job.add("r2")
    case = job.open()
    world.caller.ask(_UNDELETE, project=world.project, filters='{"name":"r2"}')

    made = _verify(case, time, world.client)

    assert made.verdict == "not_hidden"
    found = [(finding.run, finding.kind, finding.state, finding.subject) for finding in made.findings]
    assert found == [(1, "run", "visible", _subject(case, world, "r2"))]
    assert case.ledger.job(case.job).state == "applied"


def test_failure_19_a_project_that_is_not_visible_cannot_be_verified(job, world, time, local_server):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open()
    key = stores.add_user(local_server.data, "auditor")

    with Client(settings=Settings(base_url=local_server.base_url, api_key=key)) as auditor:
        made = _verify(case, time, world.client, reader=Reader(session=auditor.session, second=True))

    assert made.verdict == "cannot_verify"
    assert made.reader == "second"
    assert made.controls.failed == 1
    assert [finding.state for finding in made.findings] == ["unknown"]


def test_the_only_runs_of_a_project_are_proved_hidden_by_its_count(job, world, time):
    world.run("r1")
    job.add("r1")
    case = job.open()

    made = _verify(case, time, world.client)

    assert made.verdict == "hidden"
    assert (made.controls.positive, made.controls.empty) == (0, 1)


def test_what_came_later_under_the_name_of_a_run_is_a_residual(job, world, time):
    for name in ("r1", "control"):
        world.run(name)
    late = world.log("run-r1-table", {"a": b"1"}, artifactTypeName="run_table")
    job.add("r1")
    case = job.open()

    made = _verify(case, time, world.client)

    assert late
    assert made.verdict == "hidden"
    assert [(one.kind, one.run) for one in made.residuals] == [("late_object", 0)]


def test_a_fork_that_is_still_there_is_a_residual(job, world, time):
    for name in ("r1", "fork", "control"):
        world.run(name)
    job.add("r1", forks=[f"admin/{world.project}/fork"])
    case = job.open()

    made = _verify(case, time, world.client)

    assert made.verdict == "hidden"
    assert [(one.kind, one.subject) for one in made.residuals] == [("fork", _subject(case, world, "fork"))]


def test_a_version_that_was_to_stay_and_is_gone_is_told(job, world, time):
    for name in ("r1", "control"):
        world.run(name)
    kept = world.log("data", {"a": b"1"})
    job.add("r1", keeps={"data:v0": kept})
    case = job.open()
    world.logger.delete(kept, aliases=True)

    made = _verify(case, time, world.client)

    assert made.verdict == "hidden"
    assert [(finding.kind, finding.state) for finding in made.findings] == [("artifact", "missing")]


def test_files_are_asked_for_by_their_urls_beside_a_file_that_opens(job, world, time):
    for name in ("r1", "control"):
        world.run(name)
        world.store(name, {"media/a b.txt": b"x"})
    job.add("r1", files=job.files_of("r1"))
    case = job.open()
    reader = Reader(session=world.client.session, fetcher=HttpFetcher(world.client.settings))

    made = _verify(case, time, world.client, reader=reader)

    assert (made.verdict, made.limits) == ("hidden", [])
    assert (made.counts["files"], made.counts["files_absent"]) == (1, 1)


def test_files_that_cannot_be_told_are_a_limit_and_no_proof(job, world, time):
    world.run("r1")
    world.store("r1", {"a.txt": b"x"})
    world.run("control")
    job.add("r1", files=job.files_of("r1"))
    case = job.open()
    reader = Reader(session=world.client.session, fetcher=HttpFetcher(world.client.settings))

    made = _verify(case, time, world.client, reader=reader)

    assert made.verdict == "hidden"
    assert (made.counts["files"], made.counts["files_absent"]) == (1, 0)
    assert "no file of a live run opened" in made.limits[0]
    assert [(one.kind, one.state) for one in made.findings] == [("file", "not_looked_at")]
    assert [(item.kind, item.proof) for item in read_standing(case, time.now).items] == [
        ("run", "absent"),
        ("file", "not_looked_at"),
    ]


def test_files_of_a_verification_without_urls_are_not_looked_at(job, world, time):
    for name in ("r1", "control"):
        world.run(name)
        world.store(name, {"a.txt": b"x"})
    job.add("r1", files=job.files_of("r1"))
    case = job.open()

    made = _verify(case, time, world.client)

    assert made.verdict == "hidden"
    assert [item.proof for item in read_standing(case, time.now).items] == ["absent", "not_looked_at"]


def test_the_servers_time_is_known_where_it_says_it(job, world, time):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open()

    assert _verify(case, time, world.client, reader=clocked(world.client.session)).counts["clock_known"] == 1


def test_runs_that_were_held_are_not_claimed_and_not_asked(job, world, time):
    for name in ("r1", "held", "open"):
        world.run(name)
        job.add(name)
    case = job.open(outcomes={"held": "held", "open": None})

    made = _verify(case, time, world.client)

    assert made.verdict == "hidden"
    assert (made.counts["runs"], made.counts["not_claimed"], made.counts["open"]) == (1, 1, 1)
    assert made.limits == ["1 runs are not done yet: nothing was claimed of them, nothing was asked"]
    assert case.ledger.job(case.job).state == "applying"


def test_a_ledger_on_another_database_holds_the_same(job, world, time, database):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open(database=database)

    assert _verify(case, time, world.client).verdict == "hidden"
    assert not is_due(case, time.now)
    assert next_due(case) == ("2026-01-01T01:00:01Z", "1h")
    assert case.ledger.job(case.job).state == "verified"


def test_a_job_that_hid_nothing_has_nothing_to_verify(job, world, time):
    world.run("r1")
    job.add("r1")
    case = job.open(outcomes={"r1": "denied"})

    with pytest.raises(UsageError, match="nothing to verify"):
        _verify(case, time, world.client)


def test_checks_become_due_after_an_hour_a_day_the_window_and_each_month(job, world, time):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open()
    assert is_due(case, time.now)

    seen = []
    for _ in range(5):
        _verify(case, time, world.client)
        assert not is_due(case, time.now)
        due = next_due(case)
        assert due is not None
        seen.append(due[1])
        time.now = msgspec.convert(due[0], type(time.now))
        assert is_due(case, time.now)

    # The local server's window is seven days, and it says so.
    assert seen == ["1h", "24h", "window", "monthly", "monthly"]
