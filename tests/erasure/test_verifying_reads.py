"""Null is absent only beside a control; lists and look-ups must agree."""

from __future__ import annotations

import itertools

from tests.caller import new_project
from tests.stored import World
from wbgql.client import Client
from wbgql.erasure.verifying.reads import Reads
from wbgql.paths import ProjectPath
from wbgql.server.operator import accounts as stores
from wbgql.settings import Settings

_DELETE = "mutation Delete($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"


def _reads(world: World, *claimed: str) -> tuple[Reads, ProjectPath]:
    project = ProjectPath("admin", world.project)
    numbers = itertools.count()
    return Reads(world.client.session, {project: set(claimed)}, lambda: f"nobody{next(numbers)}"), project


def test_hidden_runs_are_absent_and_live_ones_present(world):
    for name in ("gone", "live", "control"):
        world.run(name)
    world.delete_run("gone")
    reads, project = _reads(world, "gone", "live")

    assert reads.runs(project, ["gone", "live", "never"]) == {
        "gone": "absent",
        "live": "present",
        "never": "absent",
    }
    assert reads.control(project).run == "control"


def test_more_ids_than_one_request_holds(world):
    for number in range(30):
        world.run(f"r{number}")
    for number in range(29):
        world.delete_run(f"r{number}")
    names = [f"r{number}" for number in range(30)]
    reads, project = _reads(world, *names)

    answers = reads.runs(project, names)

    assert [name for name, answer in answers.items() if answer != "absent"] == ["r29"]
    # The control (three reads, for the only run left is a claimed one), a list, two look-ups and a mark.
    assert world.client.stats.requests <= 6


def test_an_empty_project_that_is_visible_proves_absence(world):
    world.run("only")
    world.delete_run("only")
    reads, project = _reads(world, "only")

    assert reads.runs(project, ["only"]) == {"only": "absent"}
    assert reads.control(project).empty


def test_a_project_that_is_not_visible_proves_nothing(world, local_server):
    run = world.run("secret")
    world.run("control")
    world.delete_run("secret")
    key = stores.add_user(local_server.data, "outsider")
    with Client(settings=Settings(base_url=local_server.base_url, api_key=key)) as outsider:
        world.client = outsider
        reads, project = _reads(world, "secret")

        assert reads.runs(project, [run.run_id]) == {"secret": "unknown"}
        assert not reads.control(project).holds


def test_failure_19_a_project_that_became_restricted_proves_nothing_to_a_member(local_server, caller):
    team, name = new_project(), new_project()
    key = stores.add_user(local_server.data, f"member-of-{team}")
    stores.add_team(local_server.data, team, member=f"member-of-{team}")
    for run in ("gone", "control"):
        caller.upsert(name, entityName=team, name=run)
    caller.ask(_DELETE, id=caller.run(name, "gone", entity=team)["id"])
    project = ProjectPath(team, name)
    with Client(settings=Settings(base_url=local_server.base_url, api_key=key)) as member:
        reads = Reads(member.session, {project: {"gone"}}, lambda: "nobody")
        assert reads.runs(project, ["gone"]) == {"gone": "absent"}

        stores.restrict_project(local_server.data, team, name)
        reads.renew_controls()

        assert reads.runs(project, ["gone"]) == {"gone": "unknown"}


def test_versions_are_absent_when_deleted_or_null_beside_a_control(world):
    world.run("control")
    kept, gone = world.log("model", {"a": b"1"}), world.log("model", {"a": b"2"})
    world.logger.delete(gone, aliases=True)
    reads, project = _reads(world)

    never = "QXJ0aWZhY3Q6OTk5OTk5OTk5"
    assert reads.versions(project, [kept, gone, never]) == {kept: "present", gone: "absent", never: "absent"}


def test_collections_are_found_by_name(world):
    world.run("control")
    world.log("model", {"a": b"1"})
    reads, project = _reads(world)

    found = reads.collections(project, ["model", "run-control-history"])

    assert found["model"] is not None
    assert found["model"].holds_something
    assert not found["model"].is_system
    assert found["run-control-history"] is None
