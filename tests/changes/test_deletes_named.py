"""A deletion that is given an object acts on that one, not on another that its path or id names by now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.stored import World
from wbgql.client import Client
from wbgql.deletes import Deletion
from wbgql.errors import UsageError
from wbgql.runs import Run
from wbgql.safety.holds import HoldRegister
from wbgql.settings import Settings

_RENAME = "mutation R($input: RenameProjectInput!) { renameProject(input: $input) { clientMutationId } }"


@pytest.fixture
def client(local_server: Any, tmp_path: Path) -> Client:
    settings = Settings(base_url=local_server.base_url, api_key=local_server.api_key)
    return Client(settings=settings, holds=HoldRegister(tmp_path / "holds.json"))


def finished(world: World, name: str) -> None:
    world.run(name)
    world.store(name, {"a.txt": b"1"})
    assert world.caller.stream(world.project, name, complete=True, exitcode=0).status_code == 200


@pytest.fixture
def replaced(world: World, client: Client) -> Run:
    """A run whose project was renamed since it was read; at its path stands another of the same id."""
    finished(world, "r1")
    run = client.run(f"{world.path}/r1")
    names = {"entityName": "admin", "oldProjectName": world.project, "newProjectName": f"{world.project}-old"}
    world.caller.ask(_RENAME, input=names)
    finished(world, "r1")
    return run


@pytest.mark.parametrize(
    "delete",
    [
        lambda client, run: client.delete_run(run),
        lambda client, run: client.delete_runs([run]),
        lambda client, run: client.delete_runs([run], with_artifacts=True),
        lambda client, run: client.delete_files(run, ["a.txt"]),
    ],
    ids=["run", "runs", "with artifacts", "files"],
)
def test_a_run_that_was_replaced_since_it_was_read_is_not_deleted(
    client: Client, replaced: Run, delete: Callable[[Client, Run], object]
) -> None:
    with pytest.raises(UsageError, match="is of another server, or was replaced; nothing was done"):
        delete(client, replaced)

    assert [file.name for file in client.files(replaced.path)] == ["a.txt"]
    previews = [client.preview_delete(replaced), *client.preview_deletes([replaced])]
    assert [preview.would for preview in previews] == ["refuse", "refuse"]


def test_a_path_names_the_run_that_stands_there_now(client: Client, replaced: Run) -> None:
    assert client.delete_run(replaced.path).outcome == "hidden"


def test_a_run_as_it_was_read_is_deleted(world: World, client: Client) -> None:
    for name in ("r1", "r2"):
        finished(world, name)
    listed = list(client.runs(world.path))

    assert client.delete_files(listed[0], ["a.txt"]).gone == ["a.txt"]
    hidden: list[Deletion] = [client.delete_run(listed[0]), *client.delete_runs(listed[1:])]
    assert [one.outcome for one in hidden] == ["hidden", "hidden"]


def test_a_version_of_another_server_does_not_lend_its_number(world: World, client: Client) -> None:
    world.run("r1")
    first, second = (world.log(name, {"a": b"1"}, runName="r1") for name in ("net", "data"))
    foreign = msgspec.structs.replace(client.artifact(f"{world.path}/net:v0"), id=second)

    for delete in (client.delete_artifact, lambda version: client.delete_artifacts([version])):
        with pytest.raises(UsageError, match="is of another server; nothing was done"):
            delete(foreign)

    assert {version.id for version in client.artifacts(world.path)} >= {first, second}
    assert client.delete_artifacts(list(client.artifacts(world.path, collection="net")))[0].id == first
