"""Hiding runs: what is proved, what is refused, and that nothing is sent twice or to the wrong run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock, FakeTransport, error_reply, page
from wbgql.client import Client
from wbgql.deletes import (
    DELETE_FILES,
    STOP_RUN,
    UNLINK_ARTIFACT,
    Deletion,
    delete_run,
    delete_runs,
    group_by_reason,
    preview_delete,
    undelete_runs,
)
from wbgql.deletes.runs import DELETE_RUN
from wbgql.documents import Operation
from wbgql.errors import (
    AuthenticationError,
    Held,
    NotApproved,
    NotVisible,
    PartialError,
    PermissionDenied,
    ResponseError,
    ResultError,
    ServerUnavailable,
    StillLogging,
    UsageError,
    WbgqlError,
)
from wbgql.limiting import Limits
from wbgql.paths import ProjectPath, RunPath
from wbgql.safety.holds import HoldRegister
from wbgql.scalars import make_run_storage_id
from wbgql.settings import Settings
from wbgql.wire.mutations import send_once
from wbgql.wire.session import Session
from wbgql.wire.transport import Reply

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATH = RunPath("acme", "vision", "r1")
LOCAL = {"serverInfo": {"deploymentId": "wbgql-local", "dataRetentionDuration": 86400}}
UNKNOWN = {"serverInfo": {"deploymentId": "other", "dataRetentionDuration": 604800}}
DELETED = {"deleteRun": {"clientMutationId": None}}


def rights(*, admin: bool = True, username: str = "ada", role: str | None = None) -> dict[str, Any]:
    members = [{"username": username, "role": role, "admin": False}] if role else []
    return {
        "viewer": {"username": username, "admin": admin},
        "entity": {"name": "acme", "isTeam": True, "members": members},
    }


def seen(
    run_id: str | None,
    *,
    controls: tuple[str, ...] = ("other",),
    count: int = 2,
    state: str = "finished",
    owner: str = "ada",
    tags: tuple[str, ...] = (),
    read_only: bool = False,
    project: str = "vision",
) -> dict[str, Any]:
    run = run_id and {
        "id": f"S-{run_id}",
        "name": run_id,
        "displayName": None,
        "state": state,
        "tags": list(tags),
        "group": None,
        "jobType": None,
        "sweepName": None,
        "createdAt": "2026-01-01T00:00:00Z",
        "heartbeatAt": None,
        "user": {"username": owner},
    }
    edges = [{"node": {"name": name}} for name in controls]
    return {
        "project": {
            "name": project,
            "entityName": "acme",
            "readOnly": read_only,
            "runCount": count,
            "run": run,
            "controls": {"edges": edges},
        }
    }


def searched(project: str, *runs: str, created_at: str = "2026-01-01T00:00:00Z") -> list[Any]:
    """Answers to a search: the entity's projects, of which one is another, and the runs found in that."""
    fields = {"entityName": "acme", "createdAt": "2026-01-01T00:00:00Z", "readOnly": False}
    projects = [fields | {"id": name, "name": name} for name in ("vision", project)]
    found = [{"id": f"S-{project}-{run}", "name": run, "createdAt": created_at} for run in runs]
    return [
        {"projects": page(projects)},
        {"project": {"name": project, "entityName": "acme", "runs": page(found)}},
    ]


@pytest.fixture
def holds(tmp_path: Path) -> HoldRegister:
    return HoldRegister(tmp_path / "holds.json")


def session(transport: FakeTransport) -> Session:
    clock = FakeClock()
    return Session(transport, clock=clock, sleep=clock.sleep)


def delete(transport: FakeTransport, holds: HoldRegister, **options: Any) -> Deletion:
    return delete_run(session(transport), PATH, holds=holds, now=lambda: NOW, **options)


def names(transport: FakeTransport) -> list[str]:
    return [name for name, _ in transport.sent]


def test_hidden_means_seen_before_null_after_and_a_control_still_visible(holds: HoldRegister) -> None:
    transport = FakeTransport(
        seen("r1", controls=("r1", "r2")), rights(), LOCAL, DELETED, seen(None, controls=("r2",))
    )

    deletion = delete(transport, holds)

    assert deletion == Deletion(
        path="acme/vision/r1", outcome="hidden", undo_until=datetime(2026, 1, 2, tzinfo=UTC), control="r2"
    )
    assert names(transport) == ["LookUpRun", "GetRights", "GetRetention", "DeleteRun", "LookUpRun"]
    assert transport.sent[3][1] == {"id": "S-r1"}


@pytest.mark.parametrize(
    "other", [("acme", "vision", "r2"), ("acme", "other", "r1"), ("umbrella", "vision", "r1")]
)
def test_a_storage_id_of_another_run_is_refused_and_nothing_is_sent(
    holds: HoldRegister, other: tuple[str, str, str]
) -> None:
    answer = seen("r1")
    answer["project"]["run"]["id"] = make_run_storage_id(*other)
    transport = FakeTransport(answer)

    with pytest.raises(UsageError, match=f"a storage id that names '{'/'.join(other)}'"):
        delete(transport, holds)

    assert names(transport) == ["LookUpRun"]


def test_the_undo_date_is_unknown_where_the_unit_is(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("r1"), rights(), UNKNOWN, DELETED, seen(None))

    assert delete(transport, holds).undo_until is None


def test_the_undo_date_is_unknown_where_the_server_lacks_the_field(holds: HoldRegister) -> None:
    refused = error_reply('Cannot query field "deploymentId" on type "ServerInfo".', status=400)
    without = {"serverInfo": {"dataRetentionDuration": 604_800}}
    transport = FakeTransport(seen("r1"), rights(), refused, without, DELETED, seen(None))

    assert delete(transport, holds).undo_until is None


def test_null_before_with_a_control_was_not_there(holds: HoldRegister) -> None:
    transport = FakeTransport(seen(None, controls=("r2",)), *searched("speech"))

    assert delete(transport, holds) == Deletion(
        path="acme/vision/r1", outcome="absent_before", control="r2", searched=("acme/speech",)
    )
    assert names(transport) == ["LookUpRun", "ListProjects", "FindRuns"]


def test_null_without_any_control_says_nothing(holds: HoldRegister) -> None:
    transport = FakeTransport(seen(None, controls=(), count=0))

    assert delete(transport, holds).outcome == "not_visible"


def test_a_project_that_answers_null_is_not_an_absent_run(holds: HoldRegister) -> None:
    with pytest.raises(NotVisible, match="nothing can be said"):
        delete(FakeTransport({"project": None}), holds)


def test_the_only_run_of_a_project_needs_no_control(holds: HoldRegister) -> None:
    transport = FakeTransport(
        seen("r1", controls=("r1",), count=1), rights(), LOCAL, DELETED, seen(None, controls=(), count=0)
    )

    deletion = delete(transport, holds)

    assert (deletion.outcome, deletion.control) == ("hidden", None)


def test_rights_lost_in_between_are_not_booked_as_hidden(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("r1", count=5), rights(), LOCAL, DELETED, seen(None, controls=(), count=0))

    with pytest.raises(NotVisible, match="rights may have been lost"):
        delete(transport, holds)


def test_an_acknowledged_deletion_that_did_not_happen_is_an_error(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("r1"), rights(), LOCAL, DELETED, seen("r1"), seen("r1"), seen("r1"))

    with pytest.raises(ResponseError, match="still visible"):
        delete(transport, holds)
    assert names(transport).count("DeleteRun") == 1


def test_a_replica_that_lags_is_read_again(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("r1"), rights(), LOCAL, DELETED, seen("r1"), seen(None))

    assert delete(transport, holds).outcome == "hidden"


@pytest.mark.parametrize("lost", [ServerUnavailable("timed out"), {"deleteRun": None}], ids=["lost", "null"])
def test_a_run_that_was_moved_before_the_deletion_arrived_is_not_hidden(
    holds: HoldRegister, lost: Any
) -> None:
    transport = FakeTransport(seen("r1"), rights(), LOCAL, lost, seen(None), *searched("speech", "r1"))

    deletion = delete(transport, holds)

    assert (deletion.outcome, deletion.found_at) == ("elsewhere", "acme/speech/r1")
    assert (deletion.answered, deletion.undo_until) == (False, None)


def test_another_run_of_the_same_id_elsewhere_does_not_take_a_deletion_back(holds: HoldRegister) -> None:
    lost = ServerUnavailable("timed out")
    elsewhere = searched("speech", "r1", created_at="2025-05-05T00:00:00Z")
    transport = FakeTransport(seen("r1"), rights(), LOCAL, lost, seen(None), *elsewhere)

    assert delete(transport, holds).outcome == "hidden"


def test_a_run_that_was_moved_before_it_was_read_is_named_where_it_stands(holds: HoldRegister) -> None:
    transport = FakeTransport(seen(None, controls=("r2",)), *searched("speech", "r1"))

    deletion = delete(transport, holds)

    assert (deletion.outcome, deletion.found_at) == ("elsewhere", "acme/speech/r1")


def test_many_absent_runs_are_searched_for_together(holds: HoldRegister) -> None:
    transport = FakeTransport(seen(None), seen(None), *searched("speech", "b"))
    told: list[str] = []

    with pytest.raises(PartialError, match="acme/speech/b': name it there"):
        delete_runs(
            session(transport), paths("a", "b"), holds=holds, on_result=lambda one: told.append(one.outcome)
        )

    assert told == ["absent_before", "elsewhere"]
    assert names(transport).count("FindRuns") == 1
    assert transport.sent[-1][1]["filters"] == '{"name":{"$in":["a","b"]}}'


def test_a_project_that_cannot_be_read_is_not_called_searched(holds: HoldRegister) -> None:
    projects, _ = searched("secret")
    denied = error_reply("permission denied", status=403)
    transport = FakeTransport(seen(None, controls=("r2",)), projects, denied)

    assert delete(transport, holds).searched == ()


@pytest.mark.parametrize("success", [False, None], ids=["false", "null"])
@pytest.mark.parametrize(
    ("operation", "field", "wanted"),
    [
        (DELETE_FILES, "deleteFiles", {"files": ["f"], "projectId": 1}),
        (STOP_RUN, "stopRun", {"id": "i"}),
        (UNLINK_ARTIFACT, "unlinkArtifact", {"id": "i", "portfolio": "p"}),
    ],
    ids=["files", "stop", "unlink"],
)
def test_a_mutation_is_done_only_where_the_server_says_so(
    operation: Operation[Any], field: str, wanted: dict[str, Any], success: bool | None
) -> None:
    for answer in ({field: {"success": success}}, {field: None}):
        assert isinstance(send_once(Session(FakeTransport(answer)), operation, wanted).lost, ResultError)

    assert send_once(Session(FakeTransport({field: {"success": True}})), operation, wanted).lost is None


LOST = [
    ServerUnavailable("timed out", timed_out=True),
    ServerUnavailable("bad gateway", status=502),
    error_reply("internal", status=500),
    error_reply("internal", status=200),
    Reply(status=200, text="a proxy's page"),
    {},
]
LOST_IDS = ["timeout", "502", "500", "200-with-errors", "200-with-html", "200-without-data"]


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
def test_a_lost_answer_is_looked_up_and_never_sent_again(holds: HoldRegister, lost: Any) -> None:
    transport = FakeTransport(seen("r1"), rights(), LOCAL, lost, seen(None), *searched("speech"))

    deletion = delete(transport, holds)

    assert (deletion.outcome, deletion.answered) == ("hidden", False)
    assert deletion.searched == ("acme/speech",)
    assert names(transport).count("DeleteRun") == 1


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
def test_a_deletion_that_was_surely_not_applied_is_sent_once_more(holds: HoldRegister, lost: Any) -> None:
    there = [seen("r1")] * 3
    applied = FakeTransport(seen("r1"), rights(), LOCAL, lost, *there, seen("r1"), DELETED, seen(None))
    never = FakeTransport(seen("r1"), rights(), LOCAL, lost, *there, seen("r1"), lost, *there)

    deletion = delete(applied, holds)
    with pytest.raises((ServerUnavailable, ResponseError, ResultError)) as caught:
        delete(never, holds)

    assert (deletion.outcome, deletion.answered) == ("hidden", True)
    assert [names(transport).count("DeleteRun") for transport in (applied, never)] == [2, 2]
    assert not caught.value.maybe_applied


def test_a_hold_that_comes_before_the_second_attempt_stops_it(holds: HoldRegister) -> None:
    lost = ServerUnavailable("reset")
    held = seen("r1", tags=("legal-hold",))
    transport = FakeTransport(seen("r1"), rights(), LOCAL, lost, *[seen("r1")] * 3, held)

    with pytest.raises(Held):
        delete(transport, holds)
    assert names(transport).count("DeleteRun") == 1


def test_a_429_is_waited_out_and_the_run_passes_the_gate_again(holds: HoldRegister) -> None:
    clock = FakeClock()
    slow = Reply(status=429, headers={"retry-after": "7"})
    answers = [seen("r1"), rights(), LOCAL, slow]
    taken = FakeTransport(*answers, seen("r1"), DELETED, seen(None))
    held = FakeTransport(*answers, seen("r1", tags=("legal-hold",)))

    waiting = Session(taken, clock=clock, sleep=clock.sleep)
    assert delete_run(waiting, PATH, holds=holds, now=lambda: NOW).outcome == "hidden"
    assert clock.sleeps == [7.0]
    with pytest.raises(Held):
        delete_run(session(held), PATH, holds=holds)


def test_a_deletion_that_could_not_be_looked_up_is_said_to_have_been_sent(holds: HoldRegister) -> None:
    expired = error_reply("user is not logged in", status=401)
    transport = FakeTransport(seen("r1"), rights(), LOCAL, DELETED, expired)

    with pytest.raises(AuthenticationError) as caught:
        delete(transport, holds)

    assert caught.value.maybe_applied
    assert caught.value.__notes__ == [
        "the deletion of 'acme/vision/r1' was sent and may have been applied: the server acknowledged it; "
        "look before you repeat it"
    ]


def test_a_job_that_ends_after_a_deletion_was_sent_says_so(holds: HoldRegister) -> None:
    expired = error_reply("user is not logged in", status=401)
    transport = FakeTransport(seen("a"), rights(), LOCAL, DELETED, seen(None), seen("b"), DELETED, expired)

    with pytest.raises(PartialError, match="was sent and may have been applied") as caught:
        delete_many(transport, holds, "a", "b", "c")

    assert [one.outcome for one in caught.value.failed] == ["unknown", "not_tried"]


@pytest.mark.parametrize("answer", [seen("r2"), seen("r1", project="Vision"), seen(None, project="v2")])
def test_a_run_the_server_calls_otherwise_is_refused_so_that_no_hold_is_missed(
    holds: HoldRegister, answer: Any
) -> None:
    transport = FakeTransport(answer, rights())

    with pytest.raises(UsageError, match="the server resolved 'acme/vision/r1'"):
        delete(transport, holds)
    assert "DeleteRun" not in names(transport)


@pytest.mark.parametrize(
    "refusal",
    [
        error_reply("no", status=403),
        error_reply("no", status=200, code="PERMISSION_ERROR"),
        error_reply("who", status=401),
        Reply(status=429, headers={"retry-after": "3600"}),
        error_reply("bad input", status=400),
        Reply(status=302, text="", headers={"location": "https://login.example.com"}),
    ],
)
def test_a_refused_deletion_is_never_counted_as_done(holds: HoldRegister, refusal: Any) -> None:
    # What a proxy may have said is looked up patiently; the server's own words once.
    transport = FakeTransport(seen("r1"), rights(), LOCAL, refusal, *[seen("r1")] * 3)

    with pytest.raises(WbgqlError) as caught:
        delete(transport, holds)
    assert names(transport).count("DeleteRun") == 1
    assert not caught.value.maybe_applied


@pytest.mark.parametrize("status", [301, 403, 404, 409])
def test_a_deletion_that_was_done_although_the_answer_refuses_it_is_told_from_the_reads(
    holds: HoldRegister, status: int
) -> None:
    projects, page = searched("secret")
    transport = FakeTransport(
        seen("r1"), rights(), LOCAL, Reply(status=status, text=""), seen(None), projects, page
    )

    deletion = delete(transport, holds)

    assert (deletion.outcome, deletion.answered) == ("hidden", False)


def test_a_member_may_not_delete_what_another_created(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("r1", owner="grace"), rights(admin=False, role="member"))

    with pytest.raises(PermissionDenied, match="'grace' created it; nothing was done"):
        delete(transport, holds)
    assert "DeleteRun" not in names(transport)


def test_a_member_may_delete_a_run_of_their_own(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("r1"), rights(admin=False, role="member"), LOCAL, DELETED, seen(None))

    assert delete(transport, holds).outcome == "hidden"


def test_a_team_admin_may_delete_every_run(holds: HoldRegister) -> None:
    transport = FakeTransport(
        seen("r1", owner="grace"), rights(admin=False, role="admin"), LOCAL, DELETED, seen(None)
    )

    assert delete(transport, holds).outcome == "hidden"


def test_where_the_role_is_not_said_the_server_decides(holds: HoldRegister) -> None:
    transport = FakeTransport(
        seen("r1", owner="grace"),
        rights(admin=False),
        LOCAL,
        error_reply("permission denied", status=403),
        seen("r1"),
    )

    with pytest.raises(PermissionDenied):
        delete(transport, holds)


def test_a_read_only_project_is_refused(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("r1", read_only=True), rights())

    with pytest.raises(PermissionDenied, match="read-only"):
        delete(transport, holds)


def test_a_run_that_is_still_logged_is_refused_unless_forced(holds: HoldRegister) -> None:
    with pytest.raises(StillLogging):
        delete(FakeTransport(seen("r1", state="running"), rights()), holds)

    forced = FakeTransport(seen("r1", state="running"), rights(), LOCAL, DELETED, seen(None))
    assert delete(forced, holds, force=True).outcome == "hidden"


def test_a_hold_stops_it_before_anything_is_sent(holds: HoldRegister) -> None:
    holds.add("run", str(PATH), reason="CASE-1", added_by="ada", now=NOW)
    transport = FakeTransport(seen("r1"), rights())

    with pytest.raises(Held, match="CASE-1"):
        delete(transport, holds, force=True)
    assert "DeleteRun" not in names(transport)


def test_the_hold_tag_counts_as_the_server_gives_it_now(holds: HoldRegister) -> None:
    with pytest.raises(Held):
        delete(FakeTransport(seen("r1", tags=("legal-hold",)), rights()), holds)


def test_a_damaged_register_stops_everything(holds: HoldRegister) -> None:
    holds.path.write_text("{")

    with pytest.raises(Held, match="cannot be read"):
        delete(FakeTransport(seen("r1"), rights()), holds)


@pytest.mark.parametrize(
    ("answer", "would", "reason"),
    [
        (seen("r1"), "hide", None),
        (seen(None), "nothing", "not there"),
        (seen("r1", state="running"), "refuse", "running"),
        (seen("r1", tags=("legal-hold",)), "refuse", "legal-hold"),
        (seen("r1", read_only=True), "refuse", "read-only"),
    ],
)
def test_a_preview_says_what_would_happen_and_sends_no_mutation(
    holds: HoldRegister, answer: Any, would: str, reason: str | None
) -> None:
    project = answer["project"]
    places = {f"r{place}": project["run"] for place in range(25)}
    facts = {name: project[name] for name in ("name", "entityName", "readOnly")}
    transport = FakeTransport({"project": facts | places}, rights())

    preview = preview_delete(session(transport), PATH, holds=holds)

    assert preview.would == would
    assert (reason is None) == (preview.reason is None)
    assert reason is None or reason in str(preview.reason)
    assert set(names(transport)) <= {"LookUpManyRuns", "GetRights"}


def paths(*run_ids: str) -> list[RunPath]:
    return [RunPath("acme", "vision", run_id) for run_id in run_ids]


def delete_many(
    transport: FakeTransport, holds: HoldRegister, *run_ids: str, **options: Any
) -> list[Deletion]:
    return delete_runs(session(transport), paths(*run_ids), holds=holds, **options)


def test_many_runs_go_one_by_one_and_rights_are_asked_once(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("a"), rights(), LOCAL, DELETED, seen(None), seen("b"), DELETED, seen(None))
    told: list[str] = []

    done = delete_runs(
        session(transport),
        paths("a", "b"),
        holds=holds,
        on_result=lambda deletion: told.append(deletion.path),
    )

    assert [deletion.outcome for deletion in done] == ["hidden", "hidden"]
    assert told == ["acme/vision/a", "acme/vision/b"]


def test_a_held_run_is_left_out_and_the_others_go_on(holds: HoldRegister) -> None:
    holds.add("run", "acme/vision/a", reason="CASE-1", added_by="ada", now=NOW)
    transport = FakeTransport(seen("a"), rights(), seen("b"), LOCAL, DELETED, seen(None))

    with pytest.raises(PartialError, match="1 of 2 runs are done") as caught:
        delete_many(transport, holds, "a", "b")

    assert [deletion.path for deletion in caught.value.done] == ["acme/vision/b"]
    assert [(one.path, one.outcome) for one in caught.value.failed] == [("acme/vision/a", "held")]


def test_an_expired_key_stops_the_job_and_says_what_is_left(holds: HoldRegister) -> None:
    transport = FakeTransport(
        seen("a"), rights(), LOCAL, DELETED, seen(None), error_reply("user is not logged in", status=401)
    )

    with pytest.raises(PartialError) as caught:
        delete_many(transport, holds, "a", "b", "c")

    assert [(one.path, one.outcome) for one in caught.value.failed] == [
        ("acme/vision/b", "failed"),
        ("acme/vision/c", "not_tried"),
    ]


def test_where_nothing_at_all_was_done_the_first_error_stands_for_itself(holds: HoldRegister) -> None:
    holds.add("project", "acme/vision", reason="CASE-1", added_by="ada", now=NOW)

    with pytest.raises(Held) as caught:
        delete_many(FakeTransport(seen("a"), rights(), seen("b")), holds, "a", "b")

    assert "acme/vision/a" in str(caught.value)
    assert [note.partition(": ")[0] for note in caught.value.__notes__] == [
        "2 held (acme/vision/a, acme/vision/b)"
    ]


def test_a_run_on_which_the_server_fails_does_not_end_the_batch(holds: HoldRegister) -> None:
    broken = error_reply("An internal error occurred", status=500)
    hidden = [DELETED, seen(None)]
    answers = [seen("a"), rights(), LOCAL, *hidden, *[broken] * 3, seen("c"), *hidden, seen("a"), *hidden]
    transport = FakeTransport(*answers)

    outcomes = delete_many(transport, holds, "a", "b", "c", "a", check=False)

    assert [(one.path[-1], one.outcome) for one in outcomes] == [
        ("a", "hidden"), ("b", "failed"), ("c", "hidden"), ("a", "hidden"),
    ]  # fmt: skip
    assert names(transport).count("DeleteRun") == 2  # the run that was named twice is hidden once


def test_five_failures_in_a_row_end_the_batch(holds: HoldRegister) -> None:
    broken = error_reply("not implemented", status=501)  # not repeated, unlike a 500
    transport = FakeTransport(*[broken] * 5)

    outcomes = delete_many(transport, holds, *"abcdefg", check=False)

    assert [one.outcome for one in outcomes] == ["failed"] * 5 + ["not_tried"] * 2
    assert "failed 5 times in a row" in str(outcomes[-1].reason)


def test_what_the_gate_refuses_never_ends_the_batch(holds: HoldRegister) -> None:
    grace = [seen(name, owner="grace") for name in "abcdef"]
    transport = FakeTransport(grace[0], rights(admin=False, role="member"), *grace[1:], seen("g"), LOCAL, DELETED,
                              seen(None))  # fmt: skip

    outcomes = delete_many(transport, holds, *"abcdefg", check=False)

    assert [one.outcome for one in outcomes] == ["denied"] * 6 + ["hidden"]


def test_a_429_in_a_batch_is_waited_out_at_the_pace_of_the_server(holds: HoldRegister) -> None:
    clock = FakeClock()
    slow = Reply(status=429, headers={"retry-after": "7"})
    again = [seen("a"), DELETED, seen(None)]
    transport = FakeTransport(seen("a"), rights(), LOCAL, slow, *again, seen("b"), DELETED, seen(None))
    told: list[tuple[int, int | None]] = []

    class Told:
        def report(self, done: int, total: int | None) -> None:
            told.append((done, total))

    outcomes = delete_runs(
        Session(transport, clock=clock, sleep=clock.sleep), paths("a", "b"), holds=holds,
        limits=Limits(rate=2.0), progress=Told(),
    )  # fmt: skip

    assert [one.outcome for one in outcomes] == ["hidden", "hidden"]
    assert told == [(1, 2), (2, 2)]
    assert 7.0 in clock.sleeps
    assert clock.time >= 7.0 + (len(transport.sent) - 3) / 2.0


def test_runs_of_several_projects_and_entities_go_in_one_batch(holds: HoldRegister) -> None:
    def at(project: str, answer: dict[str, Any]) -> dict[str, Any]:
        return {"project": answer["project"] | {"name": project}}

    vision = [seen("a"), rights(), LOCAL, DELETED, seen(None)]
    audio = [at("audio", seen("a")), DELETED, at("audio", seen(None))]
    both = [*paths("a"), RunPath("acme", "audio", "a")]

    outcomes = delete_runs(Session(FakeTransport(*vision, *audio)), both, holds=holds)

    assert [(one.path, one.outcome) for one in outcomes] == [
        ("acme/vision/a", "hidden"), ("acme/audio/a", "hidden"),
    ]  # fmt: skip


def test_failures_are_grouped_by_reason_and_long_groups_are_cut() -> None:
    failed = [
        Deletion(path=f"acme/vision/{n}", outcome="not_tried", reason="not tried: slow") for n in range(12)
    ]

    (line,) = group_by_reason(failed)

    assert line.startswith("12 not tried (acme/vision/0, ")
    assert line.endswith("acme/vision/9 and 2 more): not tried: slow")


def ids(*run_ids: str) -> dict[str, Any]:
    return {"project": {"runs": page([{"id": f"S-{run_id}", "name": run_id} for run_id in run_ids])}}


RESTORED = {"undeleteRuns": {"clientMutationId": None}}


def test_undelete_names_its_ids_and_compares_the_population() -> None:
    after = ids("x", "a")
    transport = FakeTransport(ids("x"), RESTORED, after, RESTORED, RESTORED, after, after, after)
    waited: list[float] = []

    undeletion = undelete_runs(
        Session(transport, sleep=waited.append), ProjectPath("acme", "vision"), ["a", "b", "a", "c"]
    )

    assert (undeletion.restored, undeletion.not_restored) == (["a"], ["b", "c"])
    assert waited == [0.5, 2.5]
    named = {"entity": "acme", "project": "vision"}
    assert [sent for sent in transport.sent if sent[0] == "UndeleteRuns"] == [
        ("UndeleteRuns", {**named, "filters": f'{{"name":"{run_id}"}}'}) for run_id in ("a", "b", "c")
    ]


def test_an_undelete_that_ignores_its_filter_is_stopped_after_the_first_id() -> None:
    transport = FakeTransport(ids("x"), RESTORED, ids("x", "a", "stranger"))

    with pytest.raises(PartialError, match="no other mutation was sent"):
        undelete_runs(session(transport), ProjectPath("acme", "vision"), ["a", "b", "c"])

    assert names(transport).count("UndeleteRuns") == 1


def test_an_undelete_waits_for_a_replica_that_lags_before_it_compares() -> None:
    transport = FakeTransport(ids("x"), RESTORED, ids("x"), ids("x", "a", "stranger"))

    with pytest.raises(PartialError, match="stranger"):
        undelete_runs(session(transport), ProjectPath("acme", "vision"), ["a"])


def test_an_undelete_that_is_refused_half_way_says_what_is_done() -> None:
    refused = error_reply("no", status=403)
    transport = FakeTransport(ids("x"), RESTORED, ids("x", "a"), refused, ids("x", "a"))

    with pytest.raises(PartialError, match="1 of 3 ids were sent") as caught:
        undelete_runs(session(transport), ProjectPath("acme", "vision"), ["a", "b", "c"])

    assert (caught.value.done, caught.value.failed) == (("a",), ("b", "c"))


def test_an_undelete_that_ignores_its_filter_is_told_with_the_names() -> None:
    transport = FakeTransport(ids("x"), RESTORED, ids("x", "a", "stranger"))

    with pytest.raises(PartialError, match="stranger") as caught:
        undelete_runs(session(transport), ProjectPath("acme", "vision"), ["a"])

    assert caught.value.done == ("a",)
    assert caught.value.failed == ("stranger",)


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
def test_a_lost_answer_to_an_undelete_is_looked_up(lost: Any) -> None:
    path = ProjectPath("acme", "vision")
    applied = FakeTransport(ids("x"), lost, ids("x", "a"))
    assert undelete_runs(Session(applied), path, ["a"]).restored == ["a"]

    not_applied = FakeTransport(ids("x"), lost, ids("x"), ids("x"), ids("x"))
    with pytest.raises((ServerUnavailable, ResponseError, ResultError)):
        undelete_runs(session(not_applied), path, ["a"])
    assert names(not_applied) == ["ListRunIds", "UndeleteRuns", *["ListRunIds"] * 3]


@pytest.mark.parametrize("flagged", [True, False])
def test_an_operation_that_destroys_is_not_sent_past_the_gate(holds: HoldRegister, flagged: bool) -> None:
    transport = FakeTransport()
    client = Client(settings=Settings(api_key="k" * 40), session=session(transport), holds=holds)
    operation = DELETE_RUN if flagged else Operation("DeleteRun", DELETE_RUN.result)

    with pytest.raises(NotApproved, match="DeleteRun destroys"):
        client.execute(operation, id="S-r1")
    assert transport.sent == []


@pytest.mark.parametrize("call", ["delete_runs", "undelete_runs", "delete_files"])
def test_a_text_is_not_a_list_of_its_letters(holds: HoldRegister, call: str) -> None:
    transport = FakeTransport()
    settings = Settings(api_key="k" * 40, entity="acme", project="vision")
    client = Client(settings=settings, session=session(transport), holds=holds)
    arguments = {
        "delete_runs": ("r1",),
        "undelete_runs": ("acme/vision", "r1"),
        "delete_files": ("acme/vision/r1", "model.h5"),
    }

    with pytest.raises(UsageError, match="not the text"):
        getattr(client, call)(*arguments[call])
    assert transport.sent == []


@pytest.mark.parametrize(
    "url", ["https://wandb.ai/acme/vision/runs/r1", "http://127.0.0.1:8899/acme/vision/runs/r1"]
)
def test_the_url_of_a_run_on_another_server_is_refused(holds: HoldRegister, url: str) -> None:
    transport = FakeTransport()
    settings = Settings(api_key="k" * 40, base_url="http://127.0.0.1:9000")
    client = Client(settings=settings, session=session(transport), holds=holds)

    with pytest.raises(UsageError, match=r"base_url names '127\.0\.0\.1:9000'"):
        client.delete_run(url)
    assert transport.sent == []


def test_undelete_without_ids_sends_nothing() -> None:
    transport = FakeTransport()

    with pytest.raises(UsageError):
        undelete_runs(session(transport), ProjectPath("acme", "vision"), [])
    assert transport.sent == []


@pytest.mark.parametrize("fact", ["state", "tags", "user"])
def test_a_run_without_what_decides_over_its_deletion_is_not_deleted(fact: str, tmp_path: Path) -> None:
    answer = seen("r1")
    del answer["project"]["run"][fact]
    transport = FakeTransport(answer, rights())

    with pytest.raises(ResultError, match=fact):
        delete_run(session(transport), PATH, holds=HoldRegister(tmp_path / "holds.json"))
    assert "DeleteRun" not in [name for name, _ in transport.sent]
