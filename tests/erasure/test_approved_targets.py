"""Nothing that was not approved is ever sent: ids that were swapped in a plan, rows changed in a ledger."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.erasure.plans import KEY, planned_artifact, planned_file
from tests.erasure.real_plans import real_artifact, real_files, real_run
from tests.erasure.stages import QUICK, Stage, outcomes
from wbgql.erasure.applying import Ask, preview
from wbgql.erasure.case.case import Case
from wbgql.erasure.ledger.records import action_row
from wbgql.erasure.records.actions import NewAction, RunTags
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.subjects import CaseKey
from wbgql.erasure.verifying.claims import read_claims
from wbgql.errors import PlanChanged, StoreError

MUTATIONS = {"DeleteRun", "DeleteArtifact", "DeleteFiles", "UnlinkArtifact", "StopRun"}


def _sent(stage: Stage) -> list[str]:
    return [name for name, _, _ in stage.proxy.mutations if name in MUTATIONS]


def _execute(case: Case, statement: str, **values: Any) -> None:
    with case.ledger.engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def _full_case(stage: Stage) -> Case:
    """A run with a version that is linked, and a file; a second run."""
    stage.make("a", "b", "held", "stays")
    stage.world.store("a", {"x.txt": b"1"})
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    shelf = stage.link(version)
    goes = real_artifact(stage.world, version, 1, decision="unlink", reason="linked", links=[shelf])
    run = real_run(stage.world, "a", artifacts=[goes], files=real_files(stage.world, "a"))
    return stage.case([run, "b"])


# --- plans whose ids are of something else: the server is asked


@pytest.mark.parametrize("field", ["storage_id", "created_at", "owner", "id"])
def test_a_run_that_the_server_describes_otherwise_stays(stage: Stage, field: str):
    stage.make("a", "held", "stays")
    other = real_run(stage.world, "held")
    swapped = {"created_at": "2020-01-01T00:00:00Z", "owner": "eve"}.get(field) or getattr(other, field)
    case = stage.case([real_run(stage.world, "a", **{field: swapped})])

    assert stage.apply(case).counts == {"run": {"changed": 1}}
    assert _sent(stage) == []
    assert stage.visible() == {"a", "held", "stays"}


def test_a_version_of_another_run_stays_and_so_does_the_run(stage: Stage):
    stage.make("a", "held", "stays")
    foreign = stage.world.log("foreign", {"f": b"1"}, runName="held")
    case = stage.case([real_run(stage.world, "a", artifacts=[real_artifact(stage.world, foreign, 1)])])
    ask = Ask(digest=case.plan.digest)

    assert [row.would for row in preview(case, stage.client, ask, options=QUICK)] == ["changed", "skipped"]
    assert stage.apply(case).counts == {"run": {"changed": 1}, "artifact": {"skipped": 1}}
    assert _sent(stage) == []
    assert stage.state_of(foreign) == "COMMITTED"


def test_a_version_that_the_planned_run_only_logged_too_stays(stage: Stage):
    """The run that made it is held, and the plan says nothing of it."""
    stage.make("a", "held", "stays")
    version = stage.world.log("net", {"f": b"1"}, runName="held")
    assert stage.world.log("net", {"f": b"1"}, runName="a") == version
    case = stage.case([real_run(stage.world, "a", artifacts=[real_artifact(stage.world, version, 1)])])

    stage.apply(case)

    assert outcomes(case)[0] == ("run", "changed", "made_by_another")
    assert _sent(stage) == []


def test_a_file_of_another_run_stays(stage: Stage):
    stage.make("a", "held", "stays")
    stage.world.store("held", {"x.txt": b"1"})
    case = stage.case([real_run(stage.world, "a", files=real_files(stage.world, "held"))])

    stage.apply(case)

    assert outcomes(case) == [("run", "changed", "files"), ("file", "skipped", "run_not_hidden")]
    assert _sent(stage) == []


def test_a_version_of_a_run_that_was_gone_before_goes_only_if_no_hold_can_cover_it(stage: Stage):
    stage.make("a", "held", "stays")
    foreign = stage.world.log("foreign", {"f": b"1"}, runName="held")
    run = real_run(stage.world, "a", artifacts=[real_artifact(stage.world, foreign, 1)])
    stage.world.delete_run("a")
    case = stage.case([run])

    stage.apply(case)

    assert outcomes(case)[1][:2] == ("artifact", "kept")
    assert _sent(stage) == []


def test_what_hung_on_a_run_that_this_job_never_read_stays(stage: Stage):
    """The server does not name its maker any more, and the run may have carried the tag `legal-hold`."""
    stage.make("a", "stays")
    stage.world.store("a", {"x.txt": b"1"})
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    artifacts, files = [real_artifact(stage.world, version, 1)], real_files(stage.world, "a")
    run = real_run(stage.world, "a", artifacts=artifacts, files=files)
    stage.world.delete_run("a")
    case = stage.case([run])

    stage.apply(case)

    assert outcomes(case)[0][:2] == ("run", "erased_by_other")
    assert outcomes(case)[1:] == [("artifact", "kept", "not_decidable"), ("file", "kept", "not_decidable")]
    assert _sent(stage) == []
    assert stage.state_of(version) == "COMMITTED"


# --- tags in the ledger: holds by tag decide over what hung on a hidden run


@pytest.mark.parametrize("whose", ["other", "legacy", "unread"])
def test_tags_that_this_job_did_not_write_free_nothing(stage: Stage, whose: str):
    """The ledger is altered once the run is hidden, and a hold on its tag comes in the same moment."""
    stage.make("a", "stays", tags=["case-7"])
    stage.world.store("a", {"x.txt": b"1"})
    version = stage.world.log("net", {"f": b"1"}, runName="a")
    artifacts, files = [real_artifact(stage.world, version, 1)], real_files(stage.world, "a")
    case = stage.case([real_run(stage.world, "a", artifacts=artifacts, files=files)])
    path = case.plan.runs[0].path
    forged = {
        "other": encode(RunTags.of([], CaseKey(b"x" * 32), KEY.run(stage.proxy.base_url, path))).decode(),
        "legacy": "[]",
        "unread": None,
    }[whose]

    def alter(action: Any, _ending: Any) -> None:
        if action.kind == "run":
            stage.hold("tag", "case-7")
            _execute(case, "UPDATE actions SET tags = :tags WHERE action_no = 0", tags=forged)

    if whose == "other":
        with pytest.raises(StoreError, match="tags"):
            stage.apply(case, on_result=alter)
    else:
        stage.apply(case, on_result=alter)
        assert {row[1:] for row in outcomes(case)[1:]} == {("kept", "not_decidable")}
    assert _sent(stage) == ["DeleteRun"]
    assert stage.state_of(version) == "COMMITTED"
    with pytest.raises(StoreError):
        stage.apply(case)


# --- rows of the ledger that are not what the plan says


def _row_of(stage: Stage, kind: str) -> Any:
    """Another thing of the same kind, which nobody approved."""
    if kind == "run":
        return real_run(stage.world, "held")
    if kind == "artifact":
        return real_artifact(stage.world, stage.world.log("foreign", {"f": b"2"}, runName="held"), 1)
    stage.world.store("held", {"y.txt": b"2"})
    return real_files(stage.world, "held")[0]


@pytest.mark.parametrize("kind", ["run", "artifact", "file"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_row_with_another_target_is_never_acted_on(stage: Stage, kind: str, whole: bool):
    """Each field of a target is altered in turn; `whole` swaps the target for a real one."""
    case = _full_case(stage)
    _create_job(stage, case)
    planned = next(action.target for action in case.ledger.actions(case.job) if action.kind == kind)
    targets = [_row_of(stage, kind)] if whole else list(_mutations(planned))
    for target in targets:
        _set_target(case, kind, target)
        with pytest.raises(PlanChanged):
            stage.apply(case)
        ask = Ask(digest=case.plan.digest)
        with pytest.raises(PlanChanged):
            list(preview(case, stage.client, ask, options=QUICK))
    assert _sent(stage) == []
    assert len(targets) == 1 or len(targets) == len(planned.__struct_fields__)

    _set_target(case, kind, planned)
    assert stage.apply(case).state == "applied"


def test_a_row_that_is_changed_after_the_start_is_not_acted_on(stage: Stage):
    """On the way: the first run's outcome comes, and the second row is altered then."""
    stage.make("a", "b", "held", "stays")
    case = stage.case(["a", "b"])
    held = real_run(stage.world, "held")

    def alter(action: Any, _ending: Any) -> None:
        sql = "UPDATE actions SET target = :target WHERE run_no = 1"
        _execute(case, sql, target=encode(held).decode())

    stage.apply(case, on_result=alter)

    assert stage.visible() == {"held", "stays"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE actions SET kind = 'file' WHERE kind = 'artifact'",
        "UPDATE actions SET number = 100 + number",
        "UPDATE actions SET number = 3 - number",
        "UPDATE actions SET run_no = 5 WHERE run_no = 1",
        "UPDATE actions SET action_no = 9 WHERE kind = 'file'",
        "UPDATE actions SET action_no = 'x' WHERE kind = 'file'",
        "UPDATE actions SET run_no = 'x' WHERE run_no = 1",
        "UPDATE actions SET attempts = 'x'",
        "UPDATE actions SET outcome = 'x'",
        "UPDATE actions SET tags = '1'",
        "UPDATE actions SET tags = '[1]'",
        "DELETE FROM actions WHERE run_no = 1",
    ],
)
def test_rows_that_are_moved_doubled_or_missing_are_not_acted_on(stage: Stage, statement: str):
    case = _full_case(stage)
    _create_job(stage, case)
    _execute(case, statement)

    with pytest.raises((PlanChanged, StoreError)):
        stage.apply(case)

    assert _sent(stage) == []


def test_a_row_with_another_target_is_not_verified_either(stage: Stage):
    stage.make("a", "held", "stays")
    case = stage.case(["a"])
    stage.apply(case)
    _set_target(case, "run", real_run(stage.world, "held"))

    with pytest.raises(PlanChanged):
        read_claims(case)


def test_a_row_that_the_plan_does_not_have_is_not_acted_on(stage: Stage):
    case = _full_case(stage)
    _create_job(stage, case)
    held = real_run(stage.world, "held")
    row = action_row(case.job, NewAction(number=4, run_no=2, action_no=0, kind="run", target=held))
    columns = ", ".join(row)
    _execute(case, f"INSERT INTO actions ({columns}) VALUES ({', '.join(f':{name}' for name in row)})", **row)

    with pytest.raises(PlanChanged):
        stage.apply(case)

    assert _sent(stage) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE actions SET outcome = 'hidden', detail = NULL WHERE run_no = 0 AND action_no = 0",
        "UPDATE actions SET attempts = 1 WHERE run_no = 0",
        "UPDATE jobs SET round = 2",
        "UPDATE journal SET body = '{}' WHERE seq = 1",
        "DELETE FROM journal",
    ],
)
def test_a_ledger_that_contradicts_its_journal_is_not_acted_on(stage: Stage, statement: str):
    """A run that only looks hidden would let its versions go."""
    case = _full_case(stage)
    _create_job(stage, case)
    _execute(case, statement)

    with pytest.raises((StoreError, PlanChanged)):
        stage.apply(case)

    assert _sent(stage) == []


def test_a_round_for_runs_that_came_back_is_compared_too(stage: Stage):
    stage.make("a", "held", "stays")
    case = stage.case(["a"])
    stage.apply(case)
    stage.world.client.undelete_runs(stage.world.path, ["a"])
    path = case.plan.runs[0].path
    case.ledger.reopen(case.job, [0], {"subjects": [KEY.run(stage.proxy.base_url, path)]})
    _execute(
        case, "UPDATE actions SET target = :target", target=encode(real_run(stage.world, "held")).decode()
    )

    with pytest.raises(PlanChanged):
        stage.apply(case)

    assert "held" in stage.visible()


def _create_job(stage: Stage, case: Case) -> None:
    case.ledger.create(case.plan, target="t", body={"plan": case.plan.digest})


def _set_target(case: Case, kind: str, target: Any) -> None:
    which = "UPDATE actions SET target = :target WHERE run_no = 0 AND kind = :kind"
    _execute(case, which, target=encode(target).decode(), kind=kind)


def _mutations(target: Any) -> Any:
    """Yield the target with each field altered in turn."""
    for name in target.__struct_fields__:
        value = getattr(target, name)
        other: Any
        match value:
            case bool() | int():
                other = value + 1
            case str():
                other = {"decision": "erase", "reason": "exclusive"}.get(name, value + "x")
            case list():
                other = {"with_runs": [1], "artifacts": [], "files": []}.get(name, [*value, "x"])
            case None:
                other = 7 if name.endswith(("lines", "count", "bytes")) else "x"
        if name in ("artifacts", "files"):  # an action's run has none
            other = [planned_artifact("1", 1)] if name == "artifacts" else [planned_file("1")]
        yield msgspec.structs.replace(target, **{name: other})
