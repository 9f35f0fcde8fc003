"""Hiding runs: what is proved, what is refused, and that nothing is sent twice or to the wrong run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeTransport, error_reply, page
from wbgql.client import Client
from wbgql.deletes import Deletion, delete_run, delete_runs, preview_delete, undelete_runs
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
from wbgql.holds import HoldRegister
from wbgql.paths import ProjectPath, RunPath
from wbgql.session import Session
from wbgql.settings import Settings
from wbgql.transport import Reply

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


@pytest.fixture
def holds(tmp_path: Path) -> HoldRegister:
    return HoldRegister(tmp_path / "holds.json")


def delete(transport: FakeTransport, holds: HoldRegister, **options: Any) -> Deletion:
    return delete_run(Session(transport), PATH, holds=holds, now=lambda: NOW, sleep=lambda _: None, **options)


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


def test_the_undo_date_is_unknown_where_the_unit_is(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("r1"), rights(), UNKNOWN, DELETED, seen(None))

    assert delete(transport, holds).undo_until is None


def test_the_undo_date_is_unknown_where_the_server_lacks_the_field(holds: HoldRegister) -> None:
    refused = error_reply('Cannot query field "deploymentId" on type "ServerInfo".', status=400)
    transport = FakeTransport(seen("r1"), rights(), refused, DELETED, seen(None))

    assert delete(transport, holds).undo_until is None


def test_null_before_with_a_control_was_not_there(holds: HoldRegister) -> None:
    transport = FakeTransport(seen(None, controls=("r2",)))

    assert delete(transport, holds) == Deletion(path="acme/vision/r1", outcome="absent_before", control="r2")
    assert names(transport) == ["LookUpRun"]


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
    transport = FakeTransport(seen("r1"), rights(), LOCAL, lost, seen(None))

    deletion = delete(transport, holds)

    assert (deletion.outcome, deletion.answered) == ("hidden", False)
    assert names(transport).count("DeleteRun") == 1


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
def test_a_lost_answer_to_a_deletion_that_was_not_applied_is_that_error(
    holds: HoldRegister, lost: Any
) -> None:
    transport = FakeTransport(seen("r1"), rights(), LOCAL, lost, seen("r1"), seen("r1"), seen("r1"))

    with pytest.raises((ServerUnavailable, ResponseError, ResultError)) as caught:
        delete(transport, holds)
    assert names(transport).count("DeleteRun") == 1
    assert not hasattr(caught.value, "__notes__")


def test_a_deletion_that_could_not_be_looked_up_is_said_to_have_been_sent(holds: HoldRegister) -> None:
    expired = error_reply("user is not logged in", status=401)
    transport = FakeTransport(seen("r1"), rights(), LOCAL, DELETED, expired)

    with pytest.raises(AuthenticationError) as caught:
        delete(transport, holds)

    assert caught.value.__notes__ == ["the deletion of 'acme/vision/r1' was sent and may have been applied"]


def test_a_job_that_ends_after_a_deletion_was_sent_says_so(holds: HoldRegister) -> None:
    expired = error_reply("user is not logged in", status=401)
    transport = FakeTransport(seen("a"), rights(), LOCAL, DELETED, seen(None), seen("b"), DELETED, expired)

    with pytest.raises(PartialError, match="'acme/vision/b' was sent and may have been applied"):
        delete_runs(Session(transport), paths("a", "b", "c"), holds=holds)


@pytest.mark.parametrize("answer", [seen("r2"), seen("r1", project="Vision"), seen(None, project="v2")])
def test_a_run_the_server_calls_otherwise_is_refused_so_that_no_hold_is_missed(
    holds: HoldRegister, answer: Any
) -> None:
    transport = FakeTransport(answer, rights())

    with pytest.raises(UsageError, match="the server calls 'acme/vision/r1'"):
        delete(transport, holds)
    assert "DeleteRun" not in names(transport)


@pytest.mark.parametrize(
    "refusal",
    [
        error_reply("no", status=403),
        error_reply("no", status=200, code="PERMISSION_ERROR"),
        error_reply("who", status=401),
        error_reply("slow down", status=429),
        error_reply("bad input", status=400),
        Reply(status=302, text="", headers={"location": "https://login.example.com"}),
    ],
)
def test_a_refused_deletion_is_never_counted_as_done(holds: HoldRegister, refusal: Any) -> None:
    transport = FakeTransport(seen("r1"), rights(), LOCAL, refusal)

    with pytest.raises(WbgqlError):
        delete(transport, holds)


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
        seen("r1", owner="grace"), rights(admin=False), LOCAL, error_reply("permission denied", status=403)
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
    transport = FakeTransport(answer, rights())

    preview = preview_delete(Session(transport), PATH, holds=holds)

    assert preview.would == would
    assert (reason is None) == (preview.reason is None)
    assert reason is None or reason in str(preview.reason)
    assert set(names(transport)) <= {"LookUpRun", "GetRights"}


def paths(*run_ids: str) -> list[RunPath]:
    return [RunPath("acme", "vision", run_id) for run_id in run_ids]


def test_many_runs_go_one_by_one_and_rights_are_asked_once(holds: HoldRegister) -> None:
    transport = FakeTransport(seen("a"), rights(), LOCAL, DELETED, seen(None), seen("b"), DELETED, seen(None))
    told: list[str] = []

    done = delete_runs(
        Session(transport),
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
        delete_runs(Session(transport), paths("a", "b"), holds=holds)

    assert [deletion.path for deletion in caught.value.done] == ["acme/vision/b"]
    assert [path for path, _ in caught.value.failed] == ["acme/vision/a"]


def test_an_expired_key_stops_the_job_and_says_what_is_left(holds: HoldRegister) -> None:
    transport = FakeTransport(
        seen("a"), rights(), LOCAL, DELETED, seen(None), error_reply("user is not logged in", status=401)
    )

    with pytest.raises(PartialError) as caught:
        delete_runs(Session(transport), paths("a", "b", "c"), holds=holds)

    assert [path for path, _ in caught.value.failed] == ["acme/vision/b", "acme/vision/c"]


def test_where_nothing_at_all_was_done_the_first_error_stands_for_itself(holds: HoldRegister) -> None:
    holds.add("project", "acme/vision", reason="CASE-1", added_by="ada", now=NOW)

    with pytest.raises(Held) as caught:
        delete_runs(Session(FakeTransport(seen("a"), rights(), seen("b"))), paths("a", "b"), holds=holds)

    assert "acme/vision/a" in str(caught.value)
    assert [note.partition(": ")[0] for note in caught.value.__notes__] == ["acme/vision/b"]


def ids(*run_ids: str) -> dict[str, Any]:
    return {"project": {"runs": page([{"id": f"S-{run_id}", "name": run_id} for run_id in run_ids])}}


RESTORED = {"undeleteRuns": {"clientMutationId": None}}


def test_undelete_names_its_ids_and_compares_the_population() -> None:
    transport = FakeTransport(ids("x"), RESTORED, ids("x", "a"))

    undeletion = undelete_runs(Session(transport), ProjectPath("acme", "vision"), ["a", "b", "a"])

    assert (undeletion.restored, undeletion.not_restored) == (["a"], ["b"])
    assert transport.sent[1] == (
        "UndeleteRuns",
        {"entity": "acme", "project": "vision", "filters": '{"name":{"$in":["a","b"]}}'},
    )


def test_an_undelete_that_ignores_its_filter_is_told_with_the_names() -> None:
    transport = FakeTransport(ids("x"), RESTORED, ids("x", "a", "stranger"))

    with pytest.raises(PartialError, match="stranger") as caught:
        undelete_runs(Session(transport), ProjectPath("acme", "vision"), ["a"])

    assert caught.value.done == ("a",)
    assert caught.value.failed == ("stranger",)


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
def test_a_lost_answer_to_an_undelete_is_looked_up(lost: Any) -> None:
    path = ProjectPath("acme", "vision")
    applied = FakeTransport(ids("x"), lost, ids("x", "a"))
    assert undelete_runs(Session(applied), path, ["a"]).restored == ["a"]

    not_applied = FakeTransport(ids("x"), lost, ids("x"))
    with pytest.raises((ServerUnavailable, ResponseError, ResultError)):
        undelete_runs(Session(not_applied), path, ["a"])
    assert names(not_applied) == ["ListRunIds", "UndeleteRuns", "ListRunIds"]


@pytest.mark.parametrize("flagged", [True, False])
def test_an_operation_that_destroys_is_not_sent_past_the_gate(holds: HoldRegister, flagged: bool) -> None:
    transport = FakeTransport()
    client = Client(settings=Settings(api_key="k" * 40), session=Session(transport), holds=holds)
    operation = DELETE_RUN if flagged else Operation("DeleteRun", DELETE_RUN.result)

    with pytest.raises(NotApproved, match="DeleteRun destroys"):
        client.execute(operation, id="S-r1")
    assert transport.sent == []


@pytest.mark.parametrize("call", ["delete_runs", "undelete_runs", "delete_files"])
def test_a_text_is_not_a_list_of_its_letters(holds: HoldRegister, call: str) -> None:
    transport = FakeTransport()
    settings = Settings(api_key="k" * 40, entity="acme", project="vision")
    client = Client(settings=settings, session=Session(transport), holds=holds)
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
    client = Client(settings=settings, session=Session(transport), holds=holds)

    with pytest.raises(UsageError, match=r"base_url names '127\.0\.0\.1:9000'"):
        client.delete_run(url)
    assert transport.sent == []


def test_undelete_without_ids_sends_nothing() -> None:
    transport = FakeTransport()

    with pytest.raises(UsageError):
        undelete_runs(Session(transport), ProjectPath("acme", "vision"), [])
    assert transport.sent == []
