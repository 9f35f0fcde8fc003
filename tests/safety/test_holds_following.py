"""A legal hold keeps its run when the run is moved, or its project renamed: on the local server, every way."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.caller import new_project
from tests.erasure.planner import plan_runs
from tests.stored import World
from wbgql.client import Client
from wbgql.deletes.held import find_held, iter_lost
from wbgql.errors import Held, NotFound, PartialError
from wbgql.paths import parse_run_path
from wbgql.safety.holds import HoldRegister

NOW = datetime(2026, 1, 1, tzinfo=UTC)

_MOVE = "mutation M($input: MoveRunsInput!) { moveRuns(input: $input) { task { state } } }"
_RENAME = "mutation R($input: RenameProjectInput!) { renameProject(input: $input) { clientMutationId } }"


class Scene:
    """Runs a and b in a project, a version and a file of a, and a hold register that the client reads."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.register = HoldRegister(folder / "holds.json")
        self.client = Client(settings=world.client.settings, holds=self.register)
        self.other = new_project()
        for name in ("a", "b"):
            world.run(name)
            world.caller.upsert(world.project, name=name, state="finished")
        world.store("a", {"x": b"1"})
        self.version = world.log("net", {"f": b"1"}, runName="a")
        world.caller.upsert(self.other, name="stays", state="finished")

    def hold(self, kind: str, value: str) -> None:
        found = find_held(self.client.session, kind, value)
        self.register.add(
            kind,
            value,
            reason="CASE-1",
            added_by="x",
            now=NOW,
            created_at=found.created_at,
            project_id=found.project_id,
        )

    def move(self, name: str) -> str:
        """Move a run to the other project; return its new path."""
        given = {
            "sourceEntityName": "admin",
            "sourceProjectName": self.world.project,
            "destinationEntityName": "admin",
            "destinationProjectName": self.other,
            "filters": json.dumps({"name": name}),
        }
        self.world.caller.ask(_MOVE, input=given)
        return f"admin/{self.other}/{name}"

    def rename(self) -> str:
        """Rename the project; return its new path."""
        name = new_project()
        given = {"entityName": "admin", "oldProjectName": self.world.project, "newProjectName": name}
        self.world.caller.ask(_RENAME, input=given)
        return f"admin/{name}"


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Scene:
    return Scene(world, tmp_path)


def test_a_run_that_was_moved_is_still_held(scene: Scene, tmp_path: Path) -> None:
    scene.hold("run", f"{scene.world.path}/a")
    path = scene.move("a")

    with pytest.raises(Held, match="H1"):
        scene.client.delete_run(path)
    with pytest.raises(Held, match="H1"):
        scene.client.delete_files(path, ["x"])
    with pytest.raises((Held, PartialError), match="H1"):
        scene.client.delete_artifact(scene.version, delete_aliases=True)
    with pytest.raises(Held, match="H1"):
        plan_runs(scene.client, ids=[parse_run_path(path)], register=scene.register.path)
    assert scene.client.run(path).id == "a"


def test_a_project_that_was_renamed_is_still_held(scene: Scene) -> None:
    scene.hold("project", scene.world.path)
    renamed = scene.rename()

    with pytest.raises(Held, match="H1"):
        scene.client.delete_run(f"{renamed}/b")
    with pytest.raises((Held, PartialError), match="H1"):
        scene.client.delete_artifact(scene.version, delete_aliases=True)
    with pytest.raises(Held, match="H1"):
        plan_runs(scene.client, ids=[parse_run_path(f"{renamed}/b")], register=scene.register.path)


def test_another_project_is_not_held_by_it(scene: Scene) -> None:
    scene.hold("project", scene.world.path)

    assert scene.client.delete_run(f"admin/{scene.other}/stays").outcome == "hidden"


def test_a_list_says_where_a_held_run_is_now(scene: Scene) -> None:
    scene.hold("run", f"{scene.world.path}/a")
    scene.hold("run", f"{scene.world.path}/b")
    scene.hold("project", f"admin/{scene.other}")
    assert list(iter_lost(scene.client.session, scene.register.read())) == []

    moved = scene.move("a")
    scene.world.delete_run("b")
    told = {hold.id: lost for hold, lost in iter_lost(scene.client.session, scene.register.read())}

    assert told.keys() == {"H1", "H2"}
    assert f"is {moved} now" in told["H1"]
    assert "does not answer" in told["H2"]


def test_a_list_says_that_a_held_project_does_not_answer(scene: Scene) -> None:
    scene.hold("project", scene.world.path)
    scene.rename()

    ((hold, lost),) = iter_lost(scene.client.session, scene.register.read())

    assert f"project no. {hold.project_id}" in lost


def test_what_is_not_there_is_not_found(scene: Scene) -> None:
    for kind, value in (("run", f"{scene.world.path}/nowhere"), ("project", "admin/nowhere")):
        with pytest.raises(NotFound):
            find_held(scene.client.session, kind, value)
