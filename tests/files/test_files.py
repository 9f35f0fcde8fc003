"""Files of runs: listed over many runs with few requests, downloaded checked."""

from __future__ import annotations

import pytest

from wbgql.downloads import Downloader
from wbgql.errors import NotFound, UsageError
from wbgql.files import download_files, iter_files_of_runs
from wbgql.paths import RunPath


def test_files_of_many_runs_take_one_request_for_fifty(world):
    runs = [world.run(f"r{number:03}") for number in range(60)]
    for number in (0, 59):
        world.store(f"r{number:03}", {"output.log": b"text"})
    before = world.client.stats.requests

    found = list(iter_files_of_runs(world.client.session, runs))

    assert [(path.run_id, file.name) for path, file in found] == [
        ("r000", "output.log"),
        ("r059", "output.log"),
    ]
    assert world.client.stats.requests - before == 2


def test_a_run_with_more_files_than_came_along_is_read_on(world):
    run = world.run("r1")
    world.store("r1", {f"media/{number:03}.txt": str(number).encode() for number in range(120)})

    found = [file.name for _, file in iter_files_of_runs(world.client.session, [run])]

    assert found == [f"media/{number:03}.txt" for number in range(120)]


def test_a_pattern_is_the_servers(world):
    run = world.run("r1")
    world.store("r1", {"media/a.png": b"1", "output.log": b"2"})

    found = [file.name for _, file in iter_files_of_runs(world.client.session, [run], pattern="media/%")]

    assert found == ["media/a.png"]


def test_a_run_that_is_not_there_is_an_error(world):
    run = world.run("r1")

    with pytest.raises(NotFound, match="nope"):
        list(iter_files_of_runs(world.client.session, [run, RunPath("admin", world.project, "nope")]))


def test_one_runs_files_go_into_the_folder_itself(world, tmp_path):
    world.run("r1")
    files = {"media/a.png": b"picture", "output.log": b""}
    world.store("r1", files)

    done = world.client.download_files(f"{world.path}/r1", tmp_path)

    assert {name: (tmp_path / name).read_bytes() for name in files} == files
    assert {file.checked for file in done.files} == {"md5"}


def test_files_of_a_selection_go_into_a_folder_for_each_run(world, tmp_path):
    for name in ("r1", "r2"):
        world.run(name)
        world.store(name, {"output.log": name.encode()})

    done = world.client.download_files(world.client.runs(world.path), tmp_path, pattern="output%")

    assert (tmp_path / world.path / "r2" / "output.log").read_bytes() == b"r2"
    assert str(done) == "2 downloaded"
    assert str(world.client.download_files(world.client.runs(world.path), tmp_path)) == "2 present"


def test_a_name_that_was_only_registered_breaks_nothing(world, tmp_path):
    world.run("r1")
    world.store("r1", {"never": None, "there": b"x"})

    done = world.client.download_files(f"{world.path}/r1", tmp_path)

    assert not done.failed
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_flat_is_refused_for_several_runs(world, tmp_path):
    runs = [world.run("r1"), world.run("r2")]
    for name in ("r1", "r2"):
        world.store(name, {"f": b"1"})

    with pytest.raises(UsageError, match="files of one run"):
        download_files(
            world.client.session, Downloader(fetcher=world.client.fetcher), runs, tmp_path, flat=True
        )
