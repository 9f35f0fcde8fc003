"""What networks and servers do to a job: each mutation is applied at most once, and nothing is made up.

Numbers such as `d4_2` are the failure modes of the design's table D4.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate

import pytest

from tests.erasure.fault_proxy import Fault, Request, always, on
from tests.erasure.real_plans import real_artifact, real_run
from tests.erasure.stages import QUICK, Stage, kinds, outcomes
from wbgql.erasure.applying import Options, standing
from wbgql.errors import (
    AuthenticationError,
    NotApproved,
    NotVisible,
    PartialError,
    Paused,
    RateLimited,
    StoreError,
    WbgqlError,
)
from wbgql.limiting import Limits

LOST = {
    "reset": Fault(cut="reset"),
    "half": Fault(cut="half"),
    "502": Fault(status=502, body=b"<html><title>Bad gateway</title></html>"),
    "504": Fault(status=504, body=b""),
    "html": Fault(body=b"<html>hello</html>"),
    "no data": Fault(body=b'{"data":null}'),
    "errors": Fault(body=b'{"data":null,"errors":[{"message":"context deadline exceeded"}]}'),
    "500": Fault(status=500, body=b'{"errors":[{"message":"internal"}]}'),
    "429": Fault(status=429, body=b"slow down", headers={"Retry-After": "0"}),
}


@pytest.mark.parametrize("how", LOST)
def test_d4_2_d4_4_a_deletion_that_was_applied_and_whose_answer_was_lost_is_not_sent_again(stage: Stage, how):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    stage.proxy.choose = on("DeleteRun", LOST[how])

    done = stage.apply(case)

    assert outcomes(case) == [("run", "gone_after_attempt", "answer_lost"), ("run", "hidden", None)]
    assert done.state == "applied"
    assert stage.proxy.applied("DeleteRun") == 2
    assert stage.visible() == {"stays"}


@pytest.mark.parametrize("how", ["reset", "504", "errors", "429"])
def test_d4_3_a_deletion_that_was_not_applied_is_sent_once_more(stage: Stage, how):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stage.proxy.choose = on("DeleteRun", replace(LOST[how], forward=False))

    stage.apply(case)

    assert outcomes(case) == [("run", "hidden", None)]
    assert stage.proxy.applied("DeleteRun") == 1
    assert kinds(case).count("intent") == 2


def test_d4_3_a_deletion_that_is_never_applied_is_given_up(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stage.proxy.choose = always("DeleteRun", Fault(forward=False, cut="reset"))

    done = stage.apply(case)

    assert outcomes(case) == [("run", "failed", "not_applied")]
    assert done.state == "partial"
    assert stage.visible() == {"a", "stays"}
    assert kinds(case).count("intent") == 2


def test_d4_4_an_acknowledgement_is_not_believed(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    good = b'{"data":{"deleteRun":{"clientMutationId":null}}}'
    stage.proxy.choose = always("DeleteRun", Fault(forward=False, status=200, body=good))

    stage.apply(case)

    assert outcomes(case) == [("run", "failed", "acknowledged_but_there")]


def test_d4_4_a_key_that_is_revoked_mid_job_stops_it_and_the_item_stays_open(stage: Stage):
    stage.make("a", "b", "c", "stays")
    case = stage.case(["a", "b", "c"])
    revoked = Fault(forward=False, status=401, body=b'{"errors":[{"message":"user is not logged in"}]}')
    stage.proxy.choose = lambda request: revoked if stage.proxy.applied("DeleteRun") else None

    with pytest.raises(AuthenticationError):
        stage.apply(case, replace(QUICK, workers=1))
    assert outcomes(case) == [("run", None, None)] * 3
    stage.proxy.choose = lambda _request: None

    stage.apply(case)
    assert outcomes(case)[0] == ("run", "gone_after_attempt", "found_on_resume")
    assert stage.proxy.applied("DeleteRun") == 3


def test_a_refusal_of_the_server_is_denied_and_not_sent_again(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    refused = b'{"errors":[{"message":"permission denied","extensions":{"code":"PERMISSION_ERROR"}}]}'
    stage.proxy.choose = always("DeleteRun", Fault(forward=False, status=403, body=refused))

    stage.apply(case)

    assert outcomes(case) == [("run", "denied", "refused")]
    assert kinds(case).count("intent") == 1


@pytest.mark.parametrize("operation", ["DeleteArtifact", "UnlinkArtifact"])
@pytest.mark.parametrize("how", ["reset", "html"])
def test_d4_2_lost_answers_over_versions_are_looked_up(stage: Stage, operation, how):
    stage.make("a", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    links = [stage.link(version)]
    goes = real_artifact(stage.world, version, 1, decision="unlink", reason="linked", links=links)
    case = stage.case([real_run(stage.world, "a", artifacts=[goes])])
    stage.proxy.choose = on(operation, LOST[how])

    stage.apply(case)

    lost = operation == "DeleteArtifact"
    assert outcomes(case)[1][1:] == (("gone_after_attempt", "answer_lost") if lost else ("deleted", None))
    assert stage.proxy.applied(operation) == 1


@pytest.mark.parametrize("after", [None, "0", "-3", "nonsense", "0.3", formatdate(0, usegmt=True)])
def test_d4_5_reads_that_are_refused_with_429_are_waited_out(stage: Stage, after):
    stage.make("a", "stays")
    case = stage.case(["a"])
    headers = {} if after is None else {"Retry-After": after}
    busy = Fault(forward=False, status=429, body=b"busy", headers=headers)
    stage.proxy.choose = on("GetRunFacts", busy, busy)

    stage.apply(case)

    assert outcomes(case) == [("run", "hidden", None)]


def test_d4_5_a_storm_of_429_ends_the_job_and_the_same_call_goes_on(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    busy = Fault(forward=False, status=429, body=b"busy")
    stage.proxy.choose = lambda request: busy if stage.proxy.mutations else None

    with pytest.raises((Paused, RateLimited)):
        stage.apply(case, replace(QUICK, workers=1))
    asked = len(stage.proxy.requests)
    stage.proxy.choose = lambda _request: None

    assert stage.apply(case).counts == {"run": {"hidden": 1, "gone_after_attempt": 1}}
    assert stage.proxy.applied("DeleteRun") == 2
    assert asked < 40


def test_d4_5_a_wait_of_a_day_is_not_waited(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stage.proxy.choose = always(
        "GetRunFacts", Fault(forward=False, status=429, headers={"Retry-After": "86400"}, body=b"")
    )

    with pytest.raises((Paused, RateLimited), match="86400"):
        stage.apply(case)
    assert outcomes(case) == [("run", None, None)]


def test_d4_6_a_page_of_outputs_that_repeats_itself_is_not_taken_for_all(stage: Stage):
    stage.make("a", "stays")
    stage.world.log("net", {"f": b"1"}, runName="a")
    case = stage.case(["a"])

    def lying(answer):
        run = answer["data"]["project"]["run"]
        if run:
            run["outputs"]["pageInfo"] = {"hasNextPage": True, "endCursor": "same"}
        return answer

    stage.proxy.choose = always("GetRunFacts", Fault(change=lying))

    with pytest.raises(WbgqlError):
        stage.apply(case)
    assert stage.proxy.mutations == []


def test_d4_7_runs_that_appear_while_the_job_works_are_left_alone(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])

    stage.apply(case, on_result=lambda action, _: stage.make(f"new{action.number}"))

    assert stage.visible() == {"stays", "new0", "new1"}


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_d4_17_a_clock_that_is_an_hour_off_is_refused_before_anything_is_sent(stage: Stage, seconds):
    stage.make("a", "stays")
    case = stage.case(["a"])
    date = formatdate(time.time() + seconds, usegmt=True)
    stage.proxy.choose = lambda _request: Fault(headers={"Date": date})

    with pytest.raises(NotApproved, match="apart"):
        stage.apply(case)
    assert stage.proxy.mutations == []


def _still_there(stage: Stage, name: str):
    """The answer of a look-up as it was before the run was hidden."""
    found = stage.world.caller.ask(
        """query Q($e: String!, $p: String!, $r: String!) { project(entityName: $e, name: $p) { runCount
        run(name: $r) { id name createdAt displayName state tags group jobType sweepName heartbeatAt
        user { username } } } }""",
        e="admin",
        p=stage.world.project,
        r=name,
    )["project"]

    def change(answer):
        answer["data"]["project"]["run"] = found["run"]
        answer["data"]["project"]["runCount"] = found["runCount"]
        return answer

    return change


def test_d4_18_a_replica_that_lags_is_asked_again(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stage.proxy.choose = on("LookUpRun", Fault(change=_still_there(stage, "a")))

    stage.apply(case)

    assert outcomes(case) == [("run", "hidden", None)]
    assert stage.proxy.applied("DeleteRun") == 1


def test_d4_18_a_replica_that_lags_longer_than_the_patience_is_no_deletion(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stale = Fault(change=_still_there(stage, "a"))
    stage.proxy.choose = on("LookUpRun", stale, stale, stale)

    stage.apply(case, replace(QUICK, patience_s=0.0))
    assert outcomes(case) == [("run", "failed", "acknowledged_but_there")]

    stage.apply(case, retry=True)
    assert outcomes(case) == [("run", "gone_after_attempt", "earlier_round")]
    assert stage.proxy.applied("DeleteRun") == 1


def test_d4_18_a_lost_answer_and_a_lagging_replica_do_not_send_twice(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stale = Fault(change=_still_there(stage, "a"))
    lost, late = on("DeleteRun", LOST["reset"]), on("LookUpRun", stale, stale)
    stage.proxy.choose = lambda request: lost(request) or late(request)

    stage.apply(case)

    assert outcomes(case) == [("run", "gone_after_attempt", "answer_lost")]
    assert stage.proxy.applied("DeleteRun") == 1


def test_d4_19_rights_lost_after_the_deletion_was_sent_leave_it_open(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    blind = Fault(status=200, body=b'{"data":{"project":null}}')
    stage.proxy.choose = lambda request: (
        blind if request.operation == "LookUpRun" and stage.proxy.mutations else None
    )

    with pytest.raises(NotVisible, match="proves nothing"):
        stage.apply(case, replace(QUICK, workers=1))
    assert outcomes(case) == [("run", None, None)] * 2
    stage.proxy.choose = lambda _request: None

    stage.apply(case)
    assert outcomes(case) == [("run", "gone_after_attempt", "found_on_resume"), ("run", "hidden", None)]
    assert stage.proxy.applied("DeleteRun") == 2


def test_d4_19_a_project_that_is_invisible_proves_nothing_of_its_runs(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stage.proxy.choose = lambda request: (
        Fault(body=b'{"data":{"project":null}}')
        if request.operation in ("GetRunFacts", "LookUpRun")
        else None
    )

    stage.apply(case)

    assert outcomes(case) == [("run", "not_visible", "project")]


def test_d4_19_null_without_any_control_is_not_taken_for_hidden(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])

    def empty(answer):
        project = answer["data"]["project"]
        project["run"], project["controls"] = None, {"edges": []}
        return answer

    stage.proxy.choose = lambda request: (
        Fault(change=empty) if request.operation == "LookUpRun" and stage.proxy.mutations else None
    )

    with pytest.raises(NotVisible):
        stage.apply(case)
    assert outcomes(case) == [("run", None, None)]


def test_the_brake_stops_a_job_in_which_too_much_fails(stage: Stage):
    names = [f"r{number:02}" for number in range(20)]
    stage.make(*names, "stays")
    case = stage.case(names)

    def every_second(request: Request):
        odd = request.operation == "DeleteRun" and request.variables["id"] in odd_ids
        return (
            Fault(forward=False, status=400, body=b'{"errors":[{"message":"Bad Request"}]}') if odd else None
        )

    odd_ids = {run.storage_id for run in case.plan.runs[::2]}
    stage.proxy.choose = every_second

    with pytest.raises(PartialError, match="actions failed"):
        stage.apply(case, replace(QUICK, workers=1))
    assert standing(case).open > 5


def test_the_brake_stops_where_runs_vanish_that_nobody_told_us_of(stage: Stage):
    names = [f"r{number:02}" for number in range(6)]
    stage.make(*names, *(f"other{number}" for number in range(8)))
    case = stage.case(names)

    def colleague(action, _ending):
        if action.number == 1:
            for number in range(6):
                stage.world.delete_run(f"other{number}")

    with pytest.raises(PartialError, match="lost 6 runs more than this job hid"):
        stage.apply(case, replace(QUICK, workers=1), on_result=colleague)
    assert standing(case).open >= 3


def test_the_brake_stops_where_a_canary_vanishes(stage: Stage):
    names = [f"r{number:02}" for number in range(40)]
    stage.make(*names, "canary", "stays")
    case = stage.case(names, canaries=[f"admin/{stage.world.project}/canary"])

    def colleague(action, _ending):
        if action.number == 3:
            stage.world.delete_run("canary")

    with pytest.raises(PartialError, match="canary 1 of 1"):
        stage.apply(case, replace(QUICK, workers=1), on_result=colleague)
    assert standing(case).open >= 10


def test_d4_23_nothing_is_sent_where_the_intent_cannot_be_written(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    stage.proxy.choose = on("GetRunFacts", Fault(after=lambda: _fill_up(case)))

    with pytest.raises(StoreError, match="full"):
        stage.apply(case, replace(QUICK, workers=1))
    assert stage.proxy.mutations == []


def _fill_up(case) -> None:
    """Let the ledger's file grow no more, in every connection that comes from now on: a full disk."""
    import sqlalchemy as sa

    case.ledger.engine.dispose()
    with case.ledger.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    case.ledger.engine.dispose()
    sa.event.listen(
        case.ledger.engine, "connect", lambda raw, _record: raw.execute(f"PRAGMA max_page_count={pages}")
    )
    with suppress(StoreError):
        while True:
            case.ledger.note(case.job, "note", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to what is read-only")
def test_d4_23_a_read_only_ledger_is_refused_before_anything_is_sent(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    case.ledger.close()
    (stage.folder / "erasure.sqlite").chmod(0o400)
    stage.folder.chmod(0o500)

    try:
        with pytest.raises(StoreError):
            stage.apply(case)
    finally:
        stage.folder.chmod(0o700)
    assert stage.proxy.mutations == []


def test_a_slow_server_times_out_and_is_looked_up(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    stage.proxy.choose = on("DeleteRun", Fault(delay_s=6.0))

    stage.apply(case)

    assert outcomes(case) == [("run", "gone_after_attempt", "answer_lost")]
    assert stage.proxy.applied("DeleteRun") == 1


def test_an_unreachable_server_ends_the_job_and_nothing_is_made_up(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    down = Fault(forward=False, cut="reset")
    stage.proxy.choose = lambda request: down if request.operation == "GetRunFacts" else None

    with pytest.raises(WbgqlError):
        stage.apply(case, Options(limits=Limits(rate=1000.0, min_wait_s=0.01, failures=3)))
    assert outcomes(case) == [("run", None, None)]


# --- who did it: nothing is claimed of a request that may never have arrived, nor denied of one that may have


def test_a_request_that_never_arrived_is_not_claimed(stage: Stage):
    """The intent is on disk, the server is unreachable, and a colleague deletes the run meanwhile."""
    stage.make("a", "stays")
    case = stage.case(["a"])
    asked = []

    def away(request: Request) -> Fault | None:
        asked.append(request.operation)
        return Fault(forward=False, status=503, body=b"away") if "DeleteRun" in asked else None

    stage.proxy.choose = away
    with pytest.raises(WbgqlError):
        stage.apply(case, replace(QUICK, workers=1))
    stage.proxy.choose = lambda _request: None
    stage.world.delete_run("a")

    stage.apply(case)

    assert outcomes(case) == [("run", "gone_after_attempt", "found_on_resume")]
    assert stage.proxy.applied("DeleteRun") == 0


def test_a_deletion_that_is_applied_late_is_not_denied_by_a_later_round(stage: Stage):
    """The first round ended as failed; its request is applied afterwards."""
    stage.make("a", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    case = stage.case([real_run(stage.world, "a", artifacts=[real_artifact(stage.world, version, 1)])])
    stage.proxy.choose = always("DeleteRun", Fault(forward=False, status=500, body=b"{}"))
    stage.apply(case)
    assert outcomes(case)[0] == ("run", "failed", "not_applied")
    stage.proxy.choose = lambda _request: None
    stage.world.delete_run("a")

    stage.apply(case, retry=True)

    assert outcomes(case)[0] == ("run", "gone_after_attempt", "earlier_round")
    assert outcomes(case)[1] == ("artifact", "deleted", None)


def test_what_is_gone_before_any_round_sent_anything_is_not_claimed(stage: Stage):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    stage.hold("run", f"{stage.world.path}/b")
    stage.apply(case, replace(QUICK, skip_held=True))
    stage.holds.release("H1")
    stage.world.delete_run("b")

    stage.apply(case, retry=True)

    assert outcomes(case)[-1] == ("run", "erased_by_other", None)
