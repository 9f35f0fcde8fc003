"""What came back is noticed, named and opened again: exactly that, and nothing else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.erasure.applied import START, AppliedJob, Time, in_time
from tests.erasure.plans import KEY
from tests.stored import World
from wbgql.client import Client
from wbgql.erasure.case.case import Case
from wbgql.erasure.records.journal import find_break
from wbgql.erasure.verifying.audit_logs import Audit, read_audit
from wbgql.erasure.verifying.job import Care, Reader, verify
from wbgql.erasure.verifying.watching import Watched, watch_once
from wbgql.errors import NotFound, PermissionDenied, RequestError, ResponseError
from wbgql.paths import ProjectPath, RunPath
from wbgql.server.operator import accounts as stores
from wbgql.settings import Settings

_UNDELETE = """
mutation Undelete($project: String!, $filters: JSONString!) {
  undeleteRuns(input: {entityName: "admin", projectName: $project, filters: $filters}) { clientMutationId }
}
"""
EVERYTHING = "{}"


class FakeUrl:
    """Answers any URL with one content or error. `.opened` lists what was asked for."""

    def __init__(self, content: bytes | Exception) -> None:
        self._content = content
        self.opened: list[str] = []

    @contextmanager
    def open(self, url: str) -> Iterator[Iterator[bytes]]:
        self.opened.append(url)
        if isinstance(self._content, Exception):
            raise self._content
        yield iter([self._content[:7], self._content[7:]])


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def job(world: World, tmp_path: Path, time: Time) -> AppliedJob:
    return AppliedJob(world, tmp_path, time)


def _given(time: Time) -> dict[str, Any]:
    numbers = itertools.count()
    return {
        "care": Care(patience_s=3.0),
        "now": time,
        "new_id": lambda: f"nobody{next(numbers)}",
    }


def _watch(case: Case, time: Time, client: Client, **reader: Any) -> Watched:
    return watch_once(case, in_time(Reader(session=client.session, **reader), time), **_given(time))


def _subject(case: Case, world: World, run: str) -> str:
    return KEY.run(case.plan.server.base_url, RunPath("admin", world.project, run))


def _undelete(world: World, filters: str) -> None:
    world.caller.ask(_UNDELETE, project=world.project, filters=filters)


def test_as_long_as_all_is_hidden_a_look_is_quiet(job, world, time):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open()

    seen = _watch(case, time, world.client)

    assert (seen.verdict, seen.asked, seen.came_back, seen.audit) == ("quiet", 1, [], None)
    assert case.ledger.verifications(case.job) == []
    entries = list(case.ledger.entries(case.job))
    assert entries[-1].kind == "watched"
    assert find_break(entries, case.ledger.head(case.job)) is None


@pytest.mark.parametrize("failure", [RequestError("HTTP 500"), b"<html>sign in</html>"])
def test_a_log_that_cannot_be_read_is_named_and_what_came_back_is_reopened(job, world, time, failure):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open()
    assert _verify(case, time, world.client) == "hidden"
    _undelete(world, EVERYTHING)

    seen = _watch(case, time, world.client, fetcher=FakeUrl(failure))

    assert (seen.verdict, seen.audit) == ("came_back", None)
    assert seen.audit_not_read
    assert case.ledger.job(case.job).state == "reopened"


def test_failure_15_an_undelete_of_everything_reopens_exactly_our_runs(job, world, time):
    """A colleague undeletes all of the week on day two; a stranger's run comes back with ours."""
    for name in ("r1", "r2", "r3", "stranger", "control"):
        world.run(name)
    for name in ("r1", "r2", "r3"):
        job.add(name)
    case = job.open(outcomes={"r2": "held"})
    world.delete_run("stranger")
    assert _verify(case, time, world.client) == "hidden"
    time.pass_(days=2)
    _undelete(world, EVERYTHING)

    seen = _watch(case, time, world.client)

    assert seen.verdict == "came_back"
    assert [(back.run, back.subject, back.grew) for back in seen.came_back] == [
        (0, _subject(case, world, "r1"), []),
        (2, _subject(case, world, "r3"), []),
    ]
    assert case.ledger.job(case.job).state == "reopened"
    again = [(action.run_no, action.outcome) for action in case.ledger.actions(case.job)]
    assert again == [(0, None), (2, None)]
    entries = list(case.ledger.entries(case.job))
    assert [entry.kind for entry in entries[-3:]] == ["watched", "verified", "reopened"]
    assert entries[-1].body["subjects"] == [back.subject for back in seen.came_back]
    assert case.ledger.verifications(case.job)[-1].verdict == "not_hidden"
    text = json.dumps([entry.body for entry in entries])
    assert world.project not in text
    assert "stranger" not in text


def test_what_was_reopened_is_hidden_again_and_verified(job, world, time):
    for name in ("r1", "r2", "control"):
        world.run(name)
    job.add("r1")
    job.add("r2")
    case = job.open()
    _undelete(world, '{"name":"r2"}')
    assert [back.run for back in _watch(case, time, world.client).came_back] == [1]

    job.apply(case)

    assert _watch(case, time, world.client).verdict == "quiet"
    assert _verify(case, time, world.client) == "hidden"
    assert case.ledger.job(case.job).state == "verified"


def test_failure_14_what_was_logged_into_a_run_that_came_back_is_told(job, world, time):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open()
    _undelete(world, EVERYTHING)
    world.caller.log(world.project, "r1", {"_step": 0, "loss": 1.0})
    world.store("r1", {"late.txt": b"x"})

    seen = _watch(case, time, world.client)

    assert [back.grew for back in seen.came_back] == [["history", "files"]]


def test_failure_14_artifacts_that_come_late_under_a_hidden_run_are_told(job, world, time):
    for name in ("r-1", "control"):
        world.run(name)
    job.add("r-1")
    case = job.open()
    late = world.log("run-r-1-table", {"a": b"1"}, artifactTypeName="run_table")
    world.log("run-r-10-table", {"a": b"2"}, artifactTypeName="run_table")

    seen = _watch(case, time, world.client)

    assert late
    assert seen.verdict == "quiet"
    assert len(seen.late) == 1


def test_a_project_that_cannot_be_seen_is_not_quiet(job, world, time, local_server):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open()
    key = stores.add_user(local_server.data, "watchman")

    with Client(settings=Settings(base_url=local_server.base_url, api_key=key)) as blind:
        seen = _watch(case, time, blind)

    assert (seen.verdict, seen.unsettled) == ("cannot_tell", 1)
    assert case.ledger.job(case.job).state == "applied"


def _verify(case: Case, time: Time, client: Client) -> str:
    return verify(case, in_time(Reader(session=client.session), time), **_given(time)).verdict


# ---- the audit log ----

PROJECT = ProjectPath("acme", "vision")


def _line(action: str, **fields: Any) -> bytes:
    given = {"timestamp": "2026-01-01T12:00:00Z", "entity_name": "acme", "project_name": "vision"}
    return json.dumps({"action": action, "actor_email": "ada@example.org"} | given | fields).encode() + b"\n"


def _read(content: bytes | Exception, sent: int = 2, hidden: int = 2) -> tuple[Audit | None, FakeUrl]:
    url = FakeUrl(content)
    end = START + timedelta(days=2)
    given = {"start": START, "end": end, "sent": sent, "hidden": hidden}
    return read_audit(url, "https://wandb.acme.test", {PROJECT}, **given), url


def test_the_log_is_held_to_what_the_job_sent():
    log = (
        _line("run:delete") * 3
        + _line("run:delete", project_name="other")
        + _line("run:delete", response_code=403)
        + _line("run:delete", timestamp="2025-12-31T23:59:59Z")
        + _line("run:undelete_many", response_code=200)
        + b"\n"
    )

    audit, url = _read(log)

    assert audit == Audit(deletes=3, bulk_deletes=0, undeletes=1, sent=2, hidden=2)
    assert (audit.unexplained, audit.missing) == (2, 0)
    assert url.opened == ["https://wandb.acme.test/admin/audit_logs?startDate=2026-01-01&numDays=3"]


def test_a_deletion_that_the_log_does_not_show_is_missing():
    audit, _ = _read(_line("run:delete"))

    assert audit is not None
    assert (audit.unexplained, audit.missing) == (0, 1)


@pytest.mark.parametrize("logged", [1, 2, 3])
def test_a_deletion_whose_answer_was_lost_is_neither_missing_nor_somebody_elses(logged):
    """One run was hidden for certain; of another, two requests may have arrived or not."""
    audit, _ = _read(_line("run:delete") * logged, sent=3, hidden=1)

    assert audit is not None
    assert (audit.unexplained, audit.missing) == (0, 0)


@pytest.mark.parametrize("error", [NotFound("no"), PermissionDenied("no")])
def test_a_log_that_is_not_there_or_not_for_this_key_says_nothing(error):
    assert _read(error)[0] is None


class Pages:
    """W&B's cloud: answers by what is asked for. `.opened`: the queries."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers
        self.opened: list[str] = []

    @contextmanager
    def open(self, url: str) -> Iterator[Iterator[bytes]]:
        self.opened.append(url.partition("?")[2])
        yield iter([self._answers.pop(0)])


def _page(*lines: bytes, cursor: str | None = None) -> bytes:
    found = [json.loads(line) for line in lines]
    return json.dumps({"audit_logs": found, "count": len(found), "next_cursor": cursor}, indent=1).encode()


@pytest.mark.parametrize("host", ["api.wandb.ai", "api.forge.coreweave.com"])
def test_the_log_of_the_cloud_is_read_by_page_and_seven_days(host):
    late = "2026-01-08T01:00:00Z"
    # An answer may hold a day more than was asked for.
    pages = Pages(
        [
            _page(_line("run:delete"), cursor="c1"),
            _page(_line("run:delete", timestamp="2026-01-02T00:00:00Z"), _line("run:delete", timestamp=late)),
            _page(_line("run:delete", timestamp=late)),
        ]
    )

    given = {"start": START, "end": START + timedelta(days=8), "sent": 3, "hidden": 3}
    audit = read_audit(pages, f"https://{host}", {PROJECT}, **given)

    assert audit is not None
    assert audit.deletes == 3
    assert pages.opened == [
        "startDate=2026-01-01&numDays=7",
        "startDate=2026-01-01&numDays=7&cursor=c1",
        "startDate=2026-01-08&numDays=2",
    ]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"audit_logs": 1}', _page(cursor="c1")])
def test_a_log_of_the_cloud_that_cannot_be_read_is_an_error(body):
    pages = Pages([body, body])

    with pytest.raises(ResponseError):
        read_audit(pages, "https://api.wandb.ai", {PROJECT}, start=START, end=START, sent=0, hidden=0)


def test_what_is_no_log_is_told():
    with pytest.raises(ResponseError, match="one JSON object a line"):
        _read(b"<html>")
    with pytest.raises(RequestError, match="longer than 1 MiB"):
        _read(b"x" * (2 << 20))
