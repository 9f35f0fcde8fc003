"""wbgql's own record of hidden runs, and what `deleted_runs` makes of it and of the local server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.changes.test_deletes_parts import finished
from tests.cli.answers import DELETED, RIGHTS, UNDELETED, ids, run, seen, seen_many
from tests.fakes import FakeTransport
from tests.stored import World
from wbgql.client import Client
from wbgql.deletes import DeletionRecord, RecordedDeletion, make_record
from wbgql.errors import StoreError, UsageError
from wbgql.safety.holds import HoldRegister
from wbgql.settings import Settings
from wbgql.wire.session import Session

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "api.wandb.ai"
# A server that says nothing of its retention, as W&B's own do.
SILENT: dict[str, Any] = {"serverInfo": None}


@pytest.fixture
def record(tmp_path: Path) -> DeletionRecord:
    return DeletionRecord(tmp_path / "state" / "deletions.jsonl")


def entry(name: str, *, at: datetime = NOW, window: timedelta | None = None) -> RecordedDeletion:
    return make_record(
        HOST, f"acme/vision/{name}", now=at, undo_until=None if window is None else at + window
    )


def file_of(record: DeletionRecord) -> Path:
    assert record.path is not None
    return record.path


# ---- the file ----


def test_only_its_user_can_read_it(record: DeletionRecord) -> None:
    record.add(entry("a"), now=NOW)
    file_of(record).chmod(0o644)
    record.add(entry("b"), now=NOW)

    assert [one.path for one in record.read()] == ["acme/vision/a", "acme/vision/b"]
    assert file_of(record).stat().st_mode & 0o777 == 0o600
    assert file_of(record).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("window", "days"), [(timedelta(days=7), 37), (None, 90)], ids=["window known", "window unknown"]
)
def test_entries_are_dropped_in_time(record: DeletionRecord, window: timedelta | None, days: int) -> None:
    record.add(entry("old", window=window), now=NOW)

    record.add(entry("b"), now=NOW + timedelta(days=days - 1))
    kept = [one.path for one in record.read()]
    record.add(entry("c"), now=NOW + timedelta(days=days))

    assert kept == ["acme/vision/old", "acme/vision/b"]
    assert "acme/vision/old" not in [one.path for one in record.read()]


def test_a_run_hidden_again_is_there_once_and_a_restored_one_no_more(record: DeletionRecord) -> None:
    for at in (NOW, NOW + timedelta(days=1)):
        record.add(entry("a", at=at), now=at)
    record.add(entry("b"), now=NOW)

    assert [one.deleted_at[:10] for one in record.read() if one.path.endswith("/a")] == ["2026-01-02"]
    record.forget("other.example", {"acme/vision/a"})
    record.forget(HOST, {"acme/vision/a"})
    assert [one.path for one in record.read()] == ["acme/vision/b"]


def test_a_line_that_was_cut_off_costs_no_other(record: DeletionRecord) -> None:
    record.add(entry("a"), now=NOW)
    with file_of(record).open("ab") as file:
        file.write(b'{"deployment":"api.wan')
    record.add(entry("b"), now=NOW)

    assert [one.path for one in record.read()] == ["acme/vision/a", "acme/vision/b"]


def test_many_writers_lose_nothing(record: DeletionRecord) -> None:
    names = [f"r{number:02}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: DeletionRecord(record.path).add(entry(name), now=NOW), names))

    assert sorted(one.path for one in record.read()) == [f"acme/vision/{name}" for name in names]


def test_the_environment_names_it_or_turns_it_off(tmp_path: Path) -> None:
    named = DeletionRecord.from_environ({"WBGQL_DELETIONS": str(tmp_path / "mine")})
    off = DeletionRecord.from_environ({"WBGQL_DELETIONS": "off"})
    default = DeletionRecord.from_environ({})

    off.add(entry("a"), now=NOW)
    off.forget(HOST, {"acme/vision/a"})
    assert (off.path, off.read()) == (None, [])
    assert named.path == tmp_path / "mine"
    assert default.path is not None
    assert default.path.parts[-2:] == ("wbgql", "deletions.jsonl")


def test_a_folder_in_its_place_is_an_error(record: DeletionRecord) -> None:
    file_of(record).mkdir(parents=True)

    with pytest.raises(StoreError):
        record.read()
    with pytest.raises(StoreError):
        record.add(entry("a"), now=NOW)


# ---- through the client ----


@pytest.fixture
def make_client(record: DeletionRecord, tmp_path: Path) -> Callable[..., Client]:
    def make(*answers: Any, base_url: str = f"https://{HOST}") -> Client:
        return Client(
            settings=Settings(base_url=base_url, api_key="k" * 40),
            session=Session(FakeTransport(*answers)),
            holds=HoldRegister(tmp_path / "holds.json"),
            deletions=record,
        )

    return make


HIDING = [seen(run(), "c"), RIGHTS, SILENT, DELETED, seen(None, "c")]


def test_what_was_hidden_is_listed_where_the_server_lists_nothing(
    make_client, record: DeletionRecord
) -> None:
    make_client(*HIDING).delete_runs(["acme/vision/r1"])
    record.add(entry("back"), now=NOW)
    record.add(make_record("other.example", "acme/vision/x", now=NOW, undo_until=None), now=NOW)

    looked = seen_many(None, run("back"))
    found = make_client(SILENT, looked, base_url="https://api.forge.coreweave.com").deleted_runs()

    assert not found.listed
    assert [(one.path, one.known_from, one.now) for one in found.runs] == [
        ("acme/vision/r1", "record", "absent"), ("acme/vision/back", "record", "visible"),
    ]  # fmt: skip


def test_a_restored_run_leaves_the_record(make_client, record: DeletionRecord) -> None:
    make_client(*HIDING).delete_run("acme/vision/r1")
    assert [one.path for one in record.read()] == ["acme/vision/r1"]

    make_client(ids("x"), UNDELETED, ids("x", "r1")).undelete_runs("acme/vision", ["r1"])
    assert record.read() == []


def test_a_record_that_cannot_be_written_is_told_and_undoes_nothing(
    make_client, record: DeletionRecord
) -> None:
    file_of(record).mkdir(parents=True)

    with pytest.warns(RuntimeWarning, match="is hidden, and could not be recorded"):
        assert make_client(*HIDING).delete_run("acme/vision/r1").outcome == "hidden"


def test_the_local_server_lists_what_may_be_restored(world: World, record: DeletionRecord) -> None:
    path = finished(world)
    client = Client(settings=world.client.settings, deletions=record)
    client.delete_run(path)

    found = client.deleted_runs(world.path)
    with pytest.raises(UsageError, match="name at least one project"):
        client.deleted_runs()
    client.undelete_runs(world.path, ["r1"])

    (one,) = found.runs
    assert found.listed
    assert (one.path, one.known_from, one.now) == (str(path), "server", "deleted")
    assert one.undo_until is not None
    assert one.undo_until > one.deleted_at
    assert client.deleted_runs(world.path).runs == []
