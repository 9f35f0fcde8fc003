"""Loops that change what they list, against the local server: each thing comes once, and nothing is left over."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import pytest

import wbgql as wb
from tests.stored import World
from wbgql.artifacts import iter_logged_artifacts, iter_used_artifacts
from wbgql.files import iter_files_of_runs
from wbgql.runs import Run

T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` items, each taken when it is asked for."""
    found = iter(items)
    while batch := list(islice(found, size)):
        yield batch


def _runs(world: World, count: int) -> None:
    for number in range(count):
        world.client.upsert_run(f"{world.path}/r{number:02}", config={"n": number}, state="finished")


def _ids(runs: Iterable[Run]) -> list[str]:
    return [run.id for run in runs]


@pytest.mark.parametrize("stable", [False, True])
def test_runs_that_are_deleted_while_they_are_listed(world: World, stable: bool) -> None:
    _runs(world, 23)

    deleted = []
    for run in world.client.runs(world.path, page_size=5, stable=stable):
        world.client.delete_run(run.path)
        deleted.append(run.id)

    assert deleted == [f"r{number:02}" for number in range(23)]
    assert world.client.runs(world.path).count() == 0


def test_the_first_runs_in_an_order_are_deleted_up_to_the_limit(world: World) -> None:
    _runs(world, 15)

    for run in world.client.runs(world.path, order=-wb.config["n"], limit=8, page_size=3):
        world.client.delete_run(run.path)

    assert _ids(world.client.runs(world.path)) == [f"r{number:02}" for number in range(7)]


def test_runs_that_get_the_tag_which_the_filter_leaves_out(world: World) -> None:
    _runs(world, 12)

    tagged = []
    for run in world.client.runs(world.path, where=~wb.run.tags.has("seen"), page_size=3):
        world.client.add_tags(run.path, "seen")
        tagged.append(run.id)

    assert tagged == [f"r{number:02}" for number in range(12)]


def test_runs_whose_place_in_the_order_changes_with_them(world: World) -> None:
    _runs(world, 12)

    changed = []
    for run in world.client.runs(world.path, order=wb.config["n"], page_size=3):
        world.client.set_config(run.path, {"n": 100 - len(changed)})
        changed.append(run.id)

    assert sorted(changed) == [f"r{number:02}" for number in range(12)]


def test_copies_of_runs_are_not_copied_again(world: World) -> None:
    _runs(world, 9)

    for run in world.client.runs(world.path, order=-wb.run.created_at, page_size=4):
        world.client.upsert_run(f"{world.path}/{run.id}-copy", state="finished")

    assert world.client.runs(world.path).count() == 18


def test_files_that_are_deleted_while_they_are_listed(world: World) -> None:
    path = world.run("r")
    world.store("r", {f"f{number:03}": None for number in range(700)})

    for files in batched(world.client.files(path), 50):
        world.client.delete_files(path, [file.name for file in files], force=True)

    assert list(world.client.files(path)) == []


def test_files_of_runs_that_are_deleted_while_they_are_listed(world: World) -> None:
    paths = [world.run("r"), world.run("s")]
    for path in paths:
        world.store(path.run_id, {f"f{number:03}": None for number in range(120)})

    found = iter_files_of_runs(world.client.session, paths)
    for files in batched(found, 40):
        for path in paths:
            world.client.delete_files(path, [file.name for of, file in files if of == path], force=True)

    assert [list(world.client.files(path)) for path in paths] == [[], []]


@pytest.mark.parametrize("how", ["collection", "type", "project", "logged", "used"])
def test_versions_that_are_deleted_while_they_are_listed(world: World, how: str) -> None:
    run = world.run("r")
    count = 105 if how == "collection" else 60
    for number in range(count):
        version = world.log("ck", {"a": b"%d" % number}, artifactTypeName="model", runName="r")
        if how == "used":
            world.use(version, "r")
    client = world.client
    found = {
        "collection": lambda: client.artifacts(world.path, collection="ck"),
        "type": lambda: client.artifacts(world.path, type="model"),
        "project": lambda: client.artifacts(world.path),
        "logged": lambda: iter_logged_artifacts(client.session, run, page_size=25),
        "used": lambda: iter_used_artifacts(client.session, run, page_size=25),
    }[how]

    for version in found():
        client.delete_artifact(version.id, delete_aliases=True)

    assert [version for version in found() if version.state != "DELETED"] == []
