"""Applying a plan on the local server: what goes, what stays, and what is recorded.

Numbers such as `d4_9` are the failure modes of the design's table D4.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.caller import new_project
from tests.erasure.fault_proxy import Fault, always, on
from tests.erasure.plans import KEY
from tests.erasure.real_plans import real_artifact, real_case, real_files, real_run
from tests.erasure.stages import QUICK, Stage, kinds, outcomes
from tests.server.artifact_logger import DELETE
from wbgql.client import Client
from wbgql.erasure.applying import Ask, Options, apply, preview, standing
from wbgql.erasure.case.case import open_case
from wbgql.errors import Held, NotApproved, NotVisible, Paused, PermissionDenied, PlanChanged
from wbgql.limiting import Limits
from wbgql.paths import RunPath
from wbgql.settings import Settings

HIDDEN = ("run", "hidden", None)


def test_exactly_the_planned_runs_are_hidden_and_each_step_is_recorded(stage: Stage):
    stage.make("a", "b", "c", "stays")
    case = stage.case(["a", "b", "c"])

    done = stage.apply(case)

    assert done.counts == {"run": {"hidden": 3}}
    assert done.state == "applied"
    assert stage.visible() == {"stays"}
    found = kinds(case)
    assert (found[0], found[1], found[-1]) == ("job_created", "started", "applied")
    assert found.count("intent") == found.count("outcome") == 3
    assert [name for name, _, _ in stage.proxy.mutations] == ["DeleteRun"] * 3
    assert all(given.keys() == {"id"} for _, given, _ in stage.proxy.mutations)


def test_the_same_call_again_changes_nothing(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    first = stage.apply(case)
    head = case.ledger.head(case.job)

    assert stage.apply(case) == first
    assert case.ledger.head(case.job) == head
    assert len(stage.proxy.mutations) == 1


def test_after_the_ledger_was_lost_nothing_is_claimed_and_nothing_stays_open(stage: Stage):
    stage.make("a", "stays")
    first = stage.case(["a"])
    stage.apply(first)
    first.close()
    for file in stage.folder.glob("erasure.sqlite*"):
        file.unlink()

    with closing(open_case(first.path, environ={"WBGQL_STATE": str(stage.folder)})) as again:
        assert stage.apply(again).counts == {"run": {"erased_by_other": 1}}


def test_the_only_run_of_a_project_can_be_hidden(stage: Stage):
    stage.make("a")
    case = stage.case(["a"])

    assert stage.apply(case).counts == {"run": {"hidden": 1}}


def test_versions_go_after_all_runs_are_hidden_dependents_first(stage: Stage):
    stage.make("a", "b", "stays")
    base = stage.world.log("base", {"f": b"1"}, runName="a")
    tuned = stage.world.log("tuned", {"f": b"2"}, runName="b")
    stage.world.use(base, "b")
    run_b = real_run(stage.world, "b", artifacts=[real_artifact(stage.world, tuned, 1)])
    users = [run_b.storage_id]
    base_goes = real_artifact(stage.world, base, 2, users=users, with_runs=[1])
    run_a = real_run(stage.world, "a", artifacts=[base_goes])
    case = stage.case([run_a, run_b])

    done = stage.apply(case)

    assert done.counts == {"run": {"hidden": 2}, "artifact": {"deleted": 2}}
    assert [given["id"] for name, given, _ in stage.proxy.mutations if name == "DeleteArtifact"] == [
        tuned,
        base,
    ]
    assert [name for name, _, _ in stage.proxy.mutations] == ["DeleteRun"] * 2 + ["DeleteArtifact"] * 2
    assert stage.state_of(base) == stage.state_of(tuned) == "DELETED"


def test_a_version_is_unlinked_first_where_the_plan_says_so(stage: Stage):
    stage.make("a", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    portfolio = stage.link(version)
    goes = real_artifact(stage.world, version, 1, decision="unlink", reason="linked", links=[portfolio])
    case = stage.case([real_run(stage.world, "a", artifacts=[goes])])

    stage.apply(case)

    assert [name for name, _, _ in stage.proxy.mutations] == ["DeleteRun", "UnlinkArtifact", "DeleteArtifact"]
    assert outcomes(case) == [HIDDEN, ("artifact", "deleted", None)]


def test_files_go_by_their_frozen_ids(stage: Stage):
    stage.make("a", "stays")
    stage.world.store("a", {"x.txt": b"1", "y.txt": b"2"})
    files = real_files(stage.world, "a")
    case = stage.case([real_run(stage.world, "a", files=files)])

    stage.apply(case)

    assert outcomes(case) == [HIDDEN, *[("file", "deleted", "acknowledged")] * 2]
    sent = [given["files"] for name, given, _ in stage.proxy.mutations if name == "DeleteFiles"]
    assert sorted(sent) == sorted([file.id] for file in files)


def test_a_clock_that_jumps_is_noticed_before_the_next_run(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    late = Fault(headers={"Date": "Thu, 01 Jan 2037 00:00:00 GMT"})
    stage.proxy.choose = lambda _: late if stage.proxy.applied("DeleteRun") else None

    with pytest.raises(NotApproved, match="set the clock"):
        stage.apply(case, Options(limits=QUICK.limits, workers=1))

    assert stage.proxy.applied("DeleteRun") == 1


@pytest.mark.parametrize("success", ["false", "null"])
def test_a_file_is_not_deleted_where_the_server_does_not_say_so(stage: Stage, success: str):
    stage.make("a", "stays")
    stage.world.store("a", {"x.txt": b"1"})
    case = stage.case([real_run(stage.world, "a", files=real_files(stage.world, "a"))])
    answer = f'{{"data": {{"deleteFiles": {{"success": {success}}}}}}}'.encode()
    stage.proxy.choose = on("DeleteFiles", Fault(forward=False, status=200, body=answer))

    assert stage.apply(case).state == "partial"
    assert outcomes(case) == [HIDDEN, ("file", "failed", "not_confirmed")]


def test_a_run_that_is_logging_is_told_to_stop_once_and_hidden_when_it_has(stage: Stage):
    stage.make("stays")
    stage.world.run("a")
    case = stage.case(["a"])
    stage.proxy.choose = on("StopRun", Fault(after=lambda: stage.finish("a")))

    done = stage.apply(case, Options(limits=QUICK.limits, quiet_budget_s=20))

    assert done.counts == {"run": {"hidden": 1}}
    assert stage.proxy.applied("StopRun") == 1
    assert kinds(case).count("stop") == 1


def test_d4_13_a_run_that_never_stops_stays_open_and_is_not_told_twice(stage: Stage):
    stage.make("stays", "b")
    stage.world.run("a")
    case = stage.case(["a", "b"])

    done = stage.apply(case)
    again = stage.apply(case)

    assert done.counts == again.counts == {"run": {"hidden": 1, "open": 1}}
    assert done.state == "applying"
    assert stage.visible() == {"stays", "a"}
    assert stage.proxy.applied("StopRun") == 1


def test_d4_13_a_heartbeat_from_the_future_is_no_silence(stage: Stage):
    stage.make("stays")
    stage.world.run("a")
    case = stage.case(["a"])

    def ahead(answer):
        run = (answer["data"]["project"] or {}).get("run")
        if run and "heartbeatAt" in run:
            run["heartbeatAt"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return answer

    stage.proxy.choose = always("GetRunFacts", Fault(change=ahead))
    done = stage.apply(case, Options(limits=QUICK.limits, quiet_budget_s=1, quiet_after_s=0.001))

    assert done.open == 1
    assert "a" in stage.visible()


def test_a_silent_run_counts_as_ended_whatever_its_state_says(stage: Stage):
    stage.make("stays")
    stage.world.run("a")
    case = stage.case(["a"])
    time.sleep(0.2)

    done = stage.apply(case, Options(limits=QUICK.limits, quiet_after_s=0.1))

    assert done.counts == {"run": {"hidden": 1}}
    assert stage.proxy.applied("StopRun") == 0


@pytest.mark.parametrize(
    "change",
    [{"displayName": "other"}, {"tags": ["new"]}, {"groupName": "other"}, {"state": "running"}],
    ids=["renamed", "tagged", "grouped", "resumed"],
)
def test_d4_9_a_run_that_somebody_worked_on_is_changed_and_stays(stage: Stage, change):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    stage.world.caller.upsert(stage.world.project, name="a", **change)

    done = stage.apply(case)

    assert outcomes(case) == [("run", "changed", "fingerprint"), HIDDEN]
    assert done.state == "partial"
    assert stage.visible() == {"a", "stays"}
    assert stage.proxy.applied("StopRun") == 0


@pytest.mark.parametrize(("same", "word"), [(True, "moved"), (False, "erased_by_other")])
def test_d4_9_a_moved_run_is_found_and_not_booked_as_erased(stage: Stage, same, word):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    elsewhere = new_project()
    stage.world.caller.upsert(elsewhere, name="a")
    stage.world.delete_run("a")

    def as_moved(answer):
        # A move keeps the instant at which a run was made; a new run of the same id has its own.
        project = answer["data"]["project"]
        if same and project["name"] == elsewhere:
            project["runs"]["edges"][0]["node"]["createdAt"] = case.plan.runs[0].created_at
        return answer

    stage.proxy.choose = always("FindRuns", Fault(change=as_moved))
    stage.apply(case)

    assert [outcome for _, outcome, _ in outcomes(case)] == [word, "hidden"]
    assert stage.world.caller.run(elsewhere, "a") is not None


def test_d4_10_a_new_version_of_a_run_is_a_change(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stage.world.log("late", {"f": b"1"}, runName="a")

    stage.apply(case)

    assert outcomes(case) == [("run", "changed", "fingerprint")]


def test_a_version_that_a_run_that_stays_logs_meanwhile_is_kept(stage: Stage):
    stage.make("a", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    case = stage.case([real_run(stage.world, "a", artifacts=[real_artifact(stage.world, version, 1)])])
    assert stage.world.log("net", {"f": b"1"}, runName="stays") == version

    would = [row.would for row in preview(case, stage.client, Ask(digest=case.plan.digest), options=QUICK)]
    stage.apply(case)

    assert would == ["hidden", "kept"]
    assert outcomes(case) == [HIDDEN, ("artifact", "kept", "logged_elsewhere")]
    assert stage.state_of(version) == "COMMITTED"


def test_nothing_is_deleted_where_nobody_can_say_who_else_logged_it(stage: Stage):
    stage.make("a", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    case = stage.case([real_run(stage.world, "a", artifacts=[real_artifact(stage.world, version, 1)])])
    stage.proxy.choose = always("ListSurroundings", Fault(change=lambda _answer: {"data": {"project": None}}))

    with pytest.raises(NotVisible, match="who else logged"):
        stage.apply(case)

    assert outcomes(case) == [HIDDEN, ("artifact", None, None)]
    assert stage.proxy.applied("DeleteArtifact") == 0


def test_a_hold_on_one_of_two_runs_that_logged_a_version_keeps_it(stage: Stage):
    stage.make("a", "b", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    assert stage.world.log("net", {"f": b"1"}, runName="b") == version
    shared = real_artifact(stage.world, version, 1, with_runs=[1])
    case = stage.case([real_run(stage.world, "a", artifacts=[shared]), "b"])
    held = Fault(after=lambda: stage.hold("run", f"admin/{stage.world.project}/b"))
    stage.proxy.choose = on("DeleteRun", None, held)

    stage.apply(case)

    assert outcomes(case) == [HIDDEN, HIDDEN, ("artifact", "held", "hold")]
    assert stage.state_of(version) == "COMMITTED"


@pytest.mark.parametrize("how", ["used", "linked", "aliased"])
def test_d4_10_d4_12_a_version_that_is_not_the_run_s_alone_any_more_is_kept(stage: Stage, how):
    stage.make("a", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    case = stage.case([real_run(stage.world, "a", artifacts=[real_artifact(stage.world, version, 1)])])
    if how == "used":
        stage.world.use(version, "stays")
    elif how == "linked":
        stage.link(version)
    else:
        add_alias(stage, version, "prod")

    stage.apply(case)

    assert outcomes(case) == [HIDDEN, ("artifact", "kept", "not_exclusive")]
    assert stage.state_of(version) == "COMMITTED"


_ALIAS = "mutation A($input: AddAliasesInput!) { addAliases(input: $input) { success } }"


def add_alias(stage: Stage, version: str, alias: str) -> None:
    given = {
        "entityName": "admin",
        "projectName": stage.world.project,
        "artifactCollectionName": "net",
        "alias": alias,
    }
    stage.world.caller.ask(_ALIAS, input={"artifactID": version, "aliases": [given]})


def test_d4_26_what_a_colleague_hid_meanwhile_is_not_claimed_as_ours(stage: Stage):
    stage.make("a", "b", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="b")
    run_b = real_run(stage.world, "b", artifacts=[real_artifact(stage.world, version, 1)])
    case = stage.case(["a", run_b])
    stage.world.delete_run("a")

    def colleague(action, _ending):
        if action.number == 1:
            stage.world.caller.ask(DELETE, id=version, aliases=True)

    stage.apply(case, on_result=colleague)

    assert outcomes(case) == [("run", "erased_by_other", None), HIDDEN, ("artifact", "gone_before", None)]
    assert [name for name, _, _ in stage.proxy.mutations] == ["DeleteRun"]


def test_d4_11_a_held_run_stops_everything_before_anything_is_sent(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    stage.hold("run", f"admin/{stage.world.project}/b")

    with pytest.raises(Held, match=r"1 of 2 runs that are to go are held \(numbers 2;"):
        stage.apply(case)

    assert stage.proxy.mutations == []
    assert not case.ledger.has(case.job)


def test_d4_11_the_others_go_where_the_operator_says_so(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    stage.hold("run", f"admin/{stage.world.project}/b")

    done = stage.apply(case, replace(QUICK, skip_held=True))

    assert outcomes(case) == [HIDDEN, ("run", "held", "hold")]
    assert done.state == "partial"


@pytest.mark.parametrize("kind", ["tag", "user"])
def test_d4_11_a_hold_that_comes_between_two_runs_holds_the_second(stage: Stage, kind):
    stage.make("a", "b", "stays", tags=["subject:1"])
    case = stage.case(["a", "b"])
    value = "subject:1" if kind == "tag" else "admin"

    stage.apply(
        case,
        Options(limits=QUICK.limits, workers=1),
        on_result=lambda action, _: stage.hold(kind, value) if action.number == 0 else None,
    )

    assert outcomes(case) == [HIDDEN, ("run", "held", "hold")]
    assert len(stage.proxy.mutations) == 1


def test_d4_11_a_hold_by_tag_that_comes_after_the_run_was_hidden_keeps_its_versions(stage: Stage):
    stage.make("a", "stays", tags=["subject:1"])
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    case = stage.case([real_run(stage.world, "a", artifacts=[real_artifact(stage.world, version, 1)])])

    stage.apply(
        case,
        on_result=lambda action, _: stage.hold("tag", "subject:1") if action.kind == "run" else None,
    )

    assert outcomes(case) == [HIDDEN, ("artifact", "held", "hold")]
    assert stage.state_of(version) == "COMMITTED"


def test_d4_11_an_unreadable_register_stops_the_job_and_marks_nothing_as_held(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])

    with pytest.raises(Held, match="damaged"):
        stage.apply(
            case,
            Options(limits=QUICK.limits, workers=1),
            on_result=lambda _action, _ending: stage.holds.path.write_text("{"),
        )

    assert outcomes(case) == [HIDDEN, ("run", None, None)]
    assert kinds(case)[-1] == "paused"


def test_a_released_hold_lets_a_retry_go_on(stage: Stage):
    stage.make("a", "b", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="b")
    run_b = real_run(stage.world, "b", artifacts=[real_artifact(stage.world, version, 1)])
    case = stage.case(["a", run_b])
    stage.hold("run", f"admin/{stage.world.project}/b")
    stage.apply(case, replace(QUICK, skip_held=True))
    assert outcomes(case) == [HIDDEN, ("run", "held", "hold"), ("artifact", "skipped", "run_not_hidden")]
    stage.holds.release("H1")

    done = stage.apply(case, retry=True)

    assert done.counts == {"run": {"hidden": 2}, "artifact": {"deleted": 1}}
    assert done.state == "applied"
    assert stage.proxy.applied("DeleteRun") == 2


def test_runs_of_others_stop_a_member_before_anything_is_sent(stage: Stage):
    stage.make("a", "stays")
    case = stage.case([real_run(stage.world, "a", owner="boss", entity="admin")])
    member = {"username": "ann", "role": "member", "admin": False}

    def as_member(answer):
        answer["data"]["viewer"] |= {"username": "ann", "admin": False}
        answer["data"]["entity"] = {"name": "admin", "isTeam": True, "members": [member]}
        return answer

    stage.proxy.choose = always("GetRights", Fault(change=as_member))

    with pytest.raises(PermissionDenied, match="may not delete 1 of the planned runs"):
        stage.apply(case)
    assert stage.proxy.mutations == []


def test_another_digest_an_expired_plan_and_another_server_are_refused(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    other = "sha256:" + "1" * 64

    with pytest.raises(PlanChanged, match="not sha256:1111"):
        apply(case, stage.client, Ask(digest=other))
    with pytest.raises(PlanChanged, match="expired"):
        stage.apply(stage.case(["a"], expires_at="2026-01-01T00:00:00Z"))
    with pytest.raises(NotApproved, match="was made against"):
        apply(case, stage.world.client, Ask(digest=case.plan.digest))
    assert stage.proxy.mutations == []


def test_a_plan_outlives_a_change_of_the_name_of_its_deployment(stage: Stage):
    stage.make("a", "stays")
    plan = stage.plan(["a"])
    planned = msgspec.structs.replace(plan.server, base_url="https://api.wandb.ai")
    case = real_case(stage.folder, msgspec.structs.replace(plan, server=planned))
    settings = Settings(base_url="https://api.forge.coreweave.com", api_key="k" * 40)
    named = Client(settings=settings, session=stage.client.session, holds=stage.holds)

    done = apply(case, named, Ask(digest=case.plan.digest), options=QUICK, now=lambda: datetime.now(UTC))

    assert done.counts == {"run": {"hidden": 1}}
    with pytest.raises(NotApproved, match=r"made against 'https://api.wandb.ai', but this would reach"):
        apply(case, stage.client, Ask(digest=case.plan.digest))


def test_a_plan_that_denies_the_test_server_or_tells_other_totals_is_refused(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    replaced = msgspec.structs.replace
    stamped = replaced(case.plan.server, deployment=None, is_test=False)

    with pytest.raises(NotApproved, match="calls itself None"):
        stage.apply(stage.case(["a"], server=stamped))
    with pytest.raises(NotApproved, match="was edited"):
        stage.apply(stage.case(["a"], server=replaced(case.plan.server, is_test=False)))
    with pytest.raises(PlanChanged, match="totals"):
        stage.apply(stage.case(["a"], totals=replaced(case.plan.totals, matched=40)))
    assert stage.proxy.mutations == []


def test_a_plan_that_expires_while_it_is_applied_ends_between_two_batches(stage: Stage):
    stage.make("a", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    case = stage.case([real_run(stage.world, "a", artifacts=[real_artifact(stage.world, version, 1)])])
    later = datetime(2100, 1, 1, tzinfo=UTC)

    with pytest.raises(PlanChanged, match="expired"):
        apply(
            case,
            stage.client,
            Ask(digest=case.plan.digest),
            options=QUICK,
            now=lambda: later if stage.proxy.applied("DeleteRun") else datetime.now(UTC),
        )

    assert outcomes(case) == [HIDDEN, ("artifact", None, None)]


def test_a_missing_canary_stops_before_anything_is_sent(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"], canaries=[f"admin/{stage.world.project}/gone", "tag:keep"])

    with pytest.raises(NotVisible, match="canary 1"):
        stage.apply(case)
    assert stage.proxy.mutations == []


def test_a_stop_ends_it_after_the_items_in_work_and_the_same_call_goes_on(stage: Stage):
    stage.make("a", "b", "c", "stays")
    case = stage.case(["a", "b", "c"])
    stopping = threading.Event()

    with pytest.raises(Paused, match="go on with the same command"):
        stage.apply(
            case,
            Options(limits=QUICK.limits, workers=1),
            stopping=stopping,
            on_result=lambda _action, _ending: stopping.set(),
        )
    assert standing(case).counts == {"run": {"hidden": 1, "open": 2}}
    assert kinds(case)[-1] == "paused"

    assert stage.apply(case).counts == {"run": {"hidden": 3}}
    assert stage.proxy.applied("DeleteRun") == 3


def test_time_that_is_used_up_ends_it(stage: Stage):
    stage.make("a", "b", "c", "stays")
    case = stage.case(["a", "b", "c"])
    slow = Options(limits=Limits(rate=2.0), max_duration_s=2.0)

    with pytest.raises(Paused, match="time is used up"):
        stage.apply(case, slow)

    assert stage.apply(case).counts == {"run": {"hidden": 3}}
    assert stage.proxy.applied("DeleteRun") == 3


def test_a_request_to_stop_in_the_ledger_reaches_the_worker(stage: Stage):
    names = [f"r{number}" for number in range(30)]
    stage.make(*names, "stays")
    case = stage.case(names)

    def ask_to_stop(action, _ending):
        if action.number == 0:
            case.ledger.request_stop(case.job)

    with pytest.raises(Paused, match="erase stop"):
        stage.apply(case, Options(limits=Limits(rate=20.0), workers=1), on_result=ask_to_stop)

    assert 0 < standing(case).open < 30


def test_a_preview_sends_no_mutation_and_says_how_each_would_end(stage: Stage):
    stage.make("a", "b", "c", "stays")
    stage.world.run("d")
    version = stage.world.log("net", {"f": b"1"}, runName="b")
    kept = stage.world.log("used", {"f": b"2"}, runName="a")
    run_b = real_run(stage.world, "b", artifacts=[real_artifact(stage.world, version, 2)])
    run_a = real_run(stage.world, "a", artifacts=[real_artifact(stage.world, kept, 1)])
    case = stage.case([run_a, run_b, "c", "d"])
    stage.world.use(kept, "stays")
    stage.hold("run", f"admin/{stage.world.project}/b")
    stage.world.caller.upsert(stage.world.project, name="c", displayName="other")

    rows = list(preview(case, stage.client, Ask(digest=case.plan.digest), options=QUICK))

    assert [(row.kind, row.run, row.would) for row in rows] == [
        ("run", 0, "hidden"),
        ("run", 1, "held"),
        ("run", 2, "changed"),
        ("run", 3, "hidden"),
        ("artifact", 0, "kept"),
        ("artifact", 1, "skipped"),
    ]
    assert rows[3].detail == "after_stop"
    assert stage.proxy.mutations == []
    assert not case.ledger.has(case.job)


def test_runs_that_came_back_are_hidden_again_in_a_round_of_their_own(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    stage.apply(case)
    stage.world.client.undelete_runs(stage.world.path, ["a"])
    case.ledger.reopen(case.job, [0], {"subjects": [KEY.run(stage.proxy.base_url, case.plan.runs[0].path)]})

    done = stage.apply(case)

    assert done.counts == {"run": {"hidden": 2}}
    assert stage.visible() == {"stays"}
    assert stage.proxy.applied("DeleteRun") == 3


def test_d4_24_nothing_personal_stands_in_the_journal_or_in_an_error(stage: Stage, capfd):
    canary = "canary-7731"
    stage.make(f"run-{canary}", "stays", displayName=canary, tags=[canary], notes=canary)
    stage.world.log(f"net-{canary}", {canary: canary.encode()}, runName=f"run-{canary}")
    case = stage.case([f"run-{canary}"])
    stage.hold("tag", canary)
    said = []

    stage.apply(case, on_result=lambda action, ending: said.append((action.run_no, ending)))
    stage.hold("run", f"admin/{stage.world.project}/run-{canary}")
    with pytest.raises(Held) as held:
        stage.apply(case, retry=True)

    journal = [msgspec.json.encode(entry) for entry in case.ledger.entries(case.job)]
    assert outcomes(case) == [("run", None, None)]
    assert canary not in str(held.value)
    assert canary.encode() not in b"".join(journal)
    assert stage.world.project.encode() not in b"".join(journal).replace(case.job.encode(), b"")
    assert canary not in "".join(capfd.readouterr())


def test_a_run_path_is_asked_for_as_it_stands_in_the_plan(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stage.apply(case)

    asked = {
        RunPath(r.variables["entity"], r.variables["project"], r.variables["run"])
        for r in stage.proxy.requests
        if r.operation == "GetRunFacts"
    }
    assert asked == {RunPath("admin", stage.world.project, "a")}
