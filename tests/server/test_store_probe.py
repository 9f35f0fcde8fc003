"""What is left in a store folder: rows, contents and bytes, before and after the purge."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests.stored import World
from wbgql.errors import StoreError
from wbgql.server import purge, start
from wbgql.server.operator.probe import open_probe
from wbgql.server.store.times import utc_now

CANARY = "canary-config-77e1"
LOG_CANARY = b"canary-log-45ab"


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, World, str]:
    """A store before the purge, the same after it, and the version that was deleted."""
    folder = tmp_path_factory.mktemp("probe")
    data = folder / "data"
    with start(data) as server:
        world = World(server)
        run = world.run("doomed99")
        world.run("control1")
        world.caller.upsert(
            world.project,
            id=world.caller.run(world.project, "doomed99")["id"],
            config={"k": {"value": CANARY}},
        )
        world.store(run.run_id, {"output.log": LOG_CANARY * 10})
        world.store("control1", {"output.log": b"other"})
        gone = world.log("net", {"weights": b"canary-artifact-91cd" * 9})
        world.log("data", {"x": b"kept"})
        world.delete_run("doomed99")
        world.logger.delete(gone, aliases=True)
        world.client.close()
    before = folder / "before"
    shutil.copytree(data, before)
    purge(data, now=utc_now() + timedelta(days=30))
    return before, data, world, gone


def test_before_the_purge_everything_is_there(erased):
    before, _, world, gone = erased
    with open_probe(before) as probe:
        run = probe.run("admin", world.project, "doomed99")
        version = probe.version(gone)

        assert run.was_here
        assert set(run.places) >= {"runs", "files", "run_texts", "contents"}
        assert version.was_here
        assert set(version.places) >= {"artifacts", "artifact_manifests", "artifact_files", "contents"}
        needles = [b"doomed99", CANARY.encode(), LOG_CANARY, b"canary-artifact-91cd", b"nowhere-at-all"]
        assert probe.find_bytes(needles) == set(needles[:-1])


def test_after_the_purge_nothing_is_left_and_the_store_knows_that_it_was_there(erased):
    _, after, world, gone = erased
    with open_probe(after) as probe:
        run, version = probe.run("admin", world.project, "doomed99"), probe.version(gone)

        assert (run.places, run.was_here) == ((), True)
        assert (version.places, version.was_here) == ((), True)
        assert probe.find_bytes([b"doomed99", CANARY.encode(), LOG_CANARY, b"canary-artifact-91cd"]) == set()
        assert probe.count_strays() == 0
        assert "runs" in probe.run("admin", world.project, "control1").places
        assert not probe.is_id_elsewhere("admin", world.project, "control1")
        assert probe.is_id_elsewhere("admin", "another", "control1")
        assert not probe.is_id_elsewhere("admin", "another", "doomed99")


def test_what_was_never_there_is_told_from_what_is_gone(erased):
    _, after, world, _ = erased
    with open_probe(after) as probe:
        assert not probe.run("admin", world.project, "never").was_here
        assert not probe.run("admin", "no-project", "doomed99").was_here
        assert not probe.version("QXJ0aWZhY3Q6OTk5OTk=").was_here
        assert not probe.version("no id").was_here


def test_a_content_that_nobody_knows_is_counted(erased, tmp_path):
    _, after, *_ = erased
    copy = tmp_path / "copy"
    shutil.copytree(after, copy)
    (copy / "blobs" / "ab").mkdir(exist_ok=True)
    (copy / "blobs" / "ab" / ("ab" * 16)).write_bytes(LOG_CANARY)
    with open_probe(copy) as probe:
        assert probe.count_strays() == 1
        assert probe.find_bytes([LOG_CANARY]) == {LOG_CANARY}


def test_needles_over_the_seam_of_two_pieces_and_within_each_other(tmp_path, erased):
    _, after, *_ = erased
    copy = tmp_path / "copy"
    shutil.copytree(after, copy)
    (copy / "huge").write_bytes(b"." * ((1 << 22) - 5) + b"needle-abcdef" + b"." * 100)
    with open_probe(copy) as probe:
        assert probe.find_bytes([b"needle-abcdef", b"needle-abc", b"-abcdef", b"short"]) == {
            b"needle-abcdef",
            b"needle-abc",
            b"-abcdef",
        }


def test_a_copy_is_read_without_a_trace(erased, tmp_path):
    before, _, world, _ = erased
    copy = tmp_path / "copy"
    shutil.copytree(before, copy)
    listed = sorted(path.relative_to(copy) for path in copy.rglob("*"))
    with open_probe(copy) as probe:
        probe.run("admin", world.project, "doomed99")
        probe.count_strays()

    assert sorted(path.relative_to(copy) for path in copy.rglob("*")) == listed


def test_a_running_server_may_be_looked_into(local_server, world):
    world.run("live1")
    with open_probe(local_server.data) as probe:
        assert "runs" in probe.run("admin", world.project, "live1").places


def test_no_store_and_what_is_none_are_told(tmp_path):
    with pytest.raises(StoreError, match="no store"), open_probe(tmp_path):
        pass
    (tmp_path / "wbgql.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="not a store"), open_probe(tmp_path):
        pass
