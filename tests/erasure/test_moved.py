"""A run that was moved to another project is there, and not gone: apply, verify and watch search for it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.erasure.applied import AppliedJob, Time, in_time
from tests.erasure.fault_proxy import Fault, on
from tests.erasure.plans import KEY
from tests.erasure.stages import outcomes
from tests.stored import World
from wbgql.deletes import search_elsewhere
from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.standing import read_standing
from wbgql.erasure.records.verification import Verification
from wbgql.erasure.verifying.job import Care, Reader, verify
from wbgql.erasure.verifying.watching import Watched, watch_once
from wbgql.errors import AuthenticationError
from wbgql.paths import ProjectPath, RunPath

_MOVE = "mutation M($input: MoveRunsInput!) { moveRuns(input: $input) { task { state } } }"
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


@pytest.fixture
def other(local_server: Any) -> World:
    """A second project, with a run that stays."""
    made = World(local_server)
    made.run("other-control")
    return made


def move(world: World, run: str, to: World) -> None:
    names = {"entityName": "admin", "projectName": world.project}
    given = {f"source{name[0].upper()}{name[1:]}": value for name, value in names.items()}
    given |= {"destinationEntityName": "admin", "destinationProjectName": to.project}
    world.caller.ask(_MOVE, input=given | {"filters": f'{{"name": "{run}"}}'})


def undelete(world: World, run: str) -> None:
    world.caller.ask(_UNDELETE, project=world.project, filters=f'{{"name": "{run}"}}')


def given(time: Time) -> dict[str, Any]:
    numbers = itertools.count()
    return {
        "care": Care(patience_s=1.0),
        "now": time,
        "new_id": lambda: f"nobody{next(numbers)}",
    }


def verified(case: Case, time: Time, world: World) -> Verification:
    return verify(case, in_time(Reader(session=world.client.session), time), **given(time))


def watched(case: Case, time: Time, world: World) -> Watched:
    return watch_once(case, in_time(Reader(session=world.client.session), time), **given(time))


def subject(case: Case, world: World, run: str) -> str:
    return KEY.run(case.plan.server.base_url, RunPath("admin", world.project, run))


@pytest.mark.parametrize("arrives", [True, False], ids=["refused", "lost"])
def test_a_run_that_is_moved_between_read_and_deletion_is_not_booked_as_hidden(stage, other, arrives):
    stage.make("a", "stays")
    case = stage.case(["a"])
    moved = Fault(
        before=lambda: move(stage.world, "a", other), forward=arrives, cut=None if arrives else "reset"
    )
    stage.proxy.choose = on("DeleteRun", moved)

    done = stage.apply(case)

    assert outcomes(case) == [("run", "moved", "other_project")]
    assert done.state == "partial"
    assert {run.id for run in other.client.runs(other.path)} == {"a", "other-control"}


def test_a_run_that_was_moved_while_the_job_was_down_is_not_booked_as_hidden(stage, other):
    """The job ended with a deletion on its way; when it goes on, null in the old project proves nothing."""
    stage.make("a", "stays")
    case = stage.case(["a"])
    stage.proxy.choose = on("DeleteRun", Fault(forward=False, status=401))
    with pytest.raises(AuthenticationError):
        stage.apply(case)
    move(stage.world, "a", other)

    stage.apply(case)

    assert outcomes(case) == [("run", "moved", "other_project")]


def test_absent_runs_of_a_batch_are_searched_for_together(stage, other):
    stage.make("a", "b", "c", "stays")
    case = stage.case(["a", "b", "c"])
    for name in ("a", "b"):
        stage.world.delete_run(name)
    move(stage.world, "c", other)

    stage.apply(case)

    assert [outcome for _, outcome, _ in outcomes(case)] == ["erased_by_other", "erased_by_other", "moved"]
    searches = [one for one in stage.proxy.requests if one.operation == "FindRuns"]
    assert len(searches) == len({one.variables["project"] for one in searches})


def test_a_run_that_came_back_and_was_moved_is_not_hidden(job, world, other, time):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1")
    case = job.open()
    assert verified(case, time, world).verdict == "hidden"
    undelete(world, "r1")
    move(world, "r1", other)

    made = verified(case, time, world)

    assert made.verdict == "not_hidden"
    assert [(one.run, one.state, one.subject) for one in made.findings] == [
        (0, "visible", subject(case, world, "r1"))
    ]
    assert "1 runs were not in their project and stand in another one of their entity" in made.limits
    assert KEY.project(case.plan.server.base_url, ProjectPath("admin", other.project)) in made.searched
    assert made.counts["projects_searched"] == len(made.searched)
    assert case.ledger.job(case.job).state == "applied"
    assert read_standing(case, time.now).reached.stage is None


def test_watch_names_a_run_that_was_moved_and_opens_it_again(job, world, other, time):
    for name in ("r1", "r2", "control"):
        world.run(name)
    job.add("r1")
    job.add("r2")
    case = job.open()
    undelete(world, "r2")
    move(world, "r2", other)

    seen = watched(case, time, world)

    assert seen.verdict == "came_back"
    assert [(back.run, back.is_elsewhere) for back in seen.came_back] == [(1, True)]
    assert case.ledger.job(case.job).state == "reopened"


def test_another_run_of_the_same_id_elsewhere_is_another_run(job, world, other, time):
    for name in ("r1", "control"):
        world.run(name)
    job.add("r1", created_at="2025-05-05T00:00:00Z")
    case = job.open()
    other.run("r1")

    assert verified(case, time, world).verdict == "hidden"


@pytest.mark.parametrize("look", [verified, watched])
def test_a_run_of_one_project_comes_back_while_the_others_have_settled(job, world, other, time, look):
    for name in ("r1", "control"):
        world.run(name)
    other.run("r2")
    job.add("r1")
    job.add("r2", world=other)
    case = job.open()
    undelete(other, "r2")

    seen = look(case, time, world)

    assert seen.verdict in ("came_back", "not_hidden")
    assert (seen.controls.positive, seen.controls.failed) == (2, 0)


def test_a_search_names_what_it_searched_and_finds_runs_of_several_projects(world: World, other: World):
    for name in ("sought1", "sought2", "control"):
        world.run(name)
    move(world, "sought1", other)
    paths = {one: ProjectPath("admin", one.project) for one in (world, other)}

    found = search_elsewhere(
        world.client.session, {paths[world]: ["sought1", "nobody"], paths[other]: ["sought2"]}
    )

    assert set(paths.values()) <= set(found.searched)
    assert (found.unread, found.unlisted) == ([], [])
    at = {
        run: found.of(RunPath("admin", project.project, run))
        for run, project in [("sought1", world), ("nobody", world), ("sought2", other)]
    }
    assert at == {
        "sought1": RunPath("admin", other.project, "sought1"),
        "nobody": None,
        "sought2": RunPath("admin", world.project, "sought2"),
    }
