"""Exports: parts, manifest, going on after a kill or a full disk, the same result as in one go."""

from __future__ import annotations

import hashlib
import io
import json
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq
import pytest

from tests.bulk import FIRST_INSTANT, BulkRun, load_runs, make_run, write_runs
from wbgql import Client, config, run, summary
from wbgql.errors import NotFound, StoreError, UsageError
from wbgql.exports import MANIFEST, Export, export_runs, read_manifest
from wbgql.frames import open_new
from wbgql.server import RunningServer

COUNT = 4300
CLOCK = lambda: datetime(2026, 5, 1, tzinfo=UTC)  # noqa: E731


@pytest.fixture(scope="module")
def server(local_server: RunningServer) -> RunningServer:
    def tied(number: int) -> BulkRun:
        made = make_run(number)
        made.created_at = FIRST_INSTANT + timedelta(seconds=number // 7)  # seven runs share each instant
        return made

    load_runs(local_server.data, "exports", COUNT, make=tied)
    load_runs(local_server.data, "exports-other", 120)
    return local_server


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(base_url=server.base_url, api_key=server.api_key, entity="admin") as found:
        yield found


def export(client: Client, to: Path, *, rows_per_part: int = 1000, **options: Any) -> Export:
    runs = client.runs("exports", select=[run.created_at, config["lr"], summary["acc"]], page_size=300)
    return export_runs(client.session, runs, to, rows_per_part=rows_per_part, clock=CLOCK, **options)


def digests(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.name != ".lock"
    }


def test_an_export_is_parts_and_a_manifest_of_what_they_hold(client: Client, tmp_path: Path) -> None:
    done = export(client, tmp_path / "out")

    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert [part["rows"] for part in manifest["parts"]] == [1000, 1000, 1000, 1000, 300]
    assert done.rows == manifest["rows"] == COUNT
    assert manifest["complete"] is True
    assert manifest["asked"]["select"] == ["created_at", 'config["lr"]', 'summary["acc"]']
    assert manifest["columns"]["summary.acc"] == "double"
    assert manifest["parts"][0]["sha256"] == digests(tmp_path / "out")["part-00001.parquet"]
    ids = pq.read_table(list(done.files))["id"].to_pylist()
    assert sorted(ids) == [f"run{number:06d}" for number in range(COUNT)]


def test_a_complete_export_is_left_as_it_is(client: Client, tmp_path: Path) -> None:
    export(client, tmp_path)
    before, requests = digests(tmp_path), client.stats.requests

    again = export(client, tmp_path)

    assert (digests(tmp_path), again.rows) == (before, COUNT)
    assert client.stats.requests == requests


@pytest.mark.parametrize("format", ["parquet", "jsonl", "csv"])
def test_interrupted_anywhere_it_ends_with_the_same_files(
    client: Client, tmp_path: Path, format: str
) -> None:
    export(client, tmp_path / "whole", format=format)
    chance = random.Random(7)

    for _ in range(20):
        try:
            export(client, tmp_path / "torn", format=format, opener=Torn(chance))
            break
        except Interrupted:
            continue
    else:
        export(client, tmp_path / "torn", format=format)

    assert _without_texts(digests(tmp_path / "torn")) == _without_texts(digests(tmp_path / "whole"))
    assert read_manifest(tmp_path / "torn").parts == read_manifest(tmp_path / "whole").parts


_CHILD = """
import sys
from pathlib import Path
from wbgql import Client, config, run, summary
from wbgql.exports import export_runs
url, key, to = sys.argv[1:]
client = Client(base_url=url, api_key=key, entity="admin")
runs = client.runs("exports", select=[run.created_at, config["lr"], summary["acc"]], page_size=300)
print("ready", flush=True)
export_runs(client.session, runs, Path(to), rows_per_part=1000)
"""


def test_killed_at_random_moments_it_ends_with_the_same_files(
    client: Client, server: RunningServer, tmp_path: Path
) -> None:
    export(client, tmp_path / "whole")
    chance = random.Random(11)
    arguments = [server.base_url, server.api_key, str(tmp_path / "torn")]

    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_CHILD), *arguments], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.3, 1.0))
        child.send_signal(signal.SIGKILL)
        child.communicate()
    export(client, tmp_path / "torn")

    assert _without_texts(digests(tmp_path / "torn")) == _without_texts(digests(tmp_path / "whole"))


def test_a_full_disk_leaves_whole_parts_and_room_lets_it_go_on(client: Client, tmp_path: Path) -> None:
    disk = Disk(room=60_000)
    with pytest.raises(StoreError, match="disk is full"):
        export(client, tmp_path, opener=disk.open)
    manifest = read_manifest(tmp_path)

    assert not manifest.complete
    assert [part.file for part in manifest.parts] == [
        name for name in digests(tmp_path) if name.startswith("part-")
    ]
    assert not list(tmp_path.glob(".*.part"))
    assert export(client, tmp_path).rows == COUNT


def test_a_folder_with_something_else_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="folder is not empty"):
        export(client, tmp_path)

    export(client, tmp_path / "out")
    with pytest.raises(UsageError, match=r"asked for something else \(format\)"):
        export(client, tmp_path / "out", format="csv")
    with pytest.raises(UsageError, match="folder holds an export"):
        export(client, tmp_path / "out", resume=False)


def test_a_part_that_was_changed_is_noticed_before_going_on(client: Client, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        export(client, tmp_path, opener=Disk(room=60_000).open)
    with (tmp_path / "part-00001.parquet").open("ab") as file:
        file.write(b"x")

    with pytest.raises(StoreError, match="part is missing or was changed"):
        export(client, tmp_path)


def test_order_limit_and_client_side_conditions_are_refused(client: Client, tmp_path: Path) -> None:
    for runs in (client.runs("exports", limit=3), client.runs("exports", order=-summary["acc"])):
        with pytest.raises(UsageError, match="leave out order and limit"):
            export_runs(client.session, runs, tmp_path / "out")


def test_several_projects_share_the_columns_and_a_missing_one_is_told(client: Client, tmp_path: Path) -> None:
    done = client.export_runs(
        ["exports-other", "nowhere", "exports"],
        to=tmp_path,
        select=[summary["acc"]],
        where=summary["acc"] > 0.5,
    )

    assert [missing.project for missing in done.unread] == ["admin/nowhere"]
    assert {file.name for file in done.files} == {"part-00001.parquet", "part-00002.parquet"}
    table = pq.read_table(list(done.files))
    assert set(table["project"].to_pylist()) == {"admin/exports-other", "admin/exports"}
    assert min(table["summary.acc"].to_pylist()) > 0.5


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_where_no_run_matches_a_part_without_rows_has_the_columns(
    client: Client, tmp_path: Path, format: Any
) -> None:
    def export_where(least: float, folder: str) -> Export:
        return client.export_runs(
            ["exports", "exports-other"],
            to=tmp_path / folder,
            select=[run.tags, config["lr"], summary["acc"]],
            where=summary["acc"] > least,
            format=format,
        )

    none, some = export_where(2.0, "none"), export_where(0.9, "some")

    assert (none.rows, [file.name for file in none.files]) == (0, [f"part-00001.{format}"])
    assert read_manifest(none.folder).columns == read_manifest(some.folder).columns
    assert read_manifest(none.folder).complete
    empty, full = none.files[0].read_bytes(), some.files[0].read_bytes()
    if format == "parquet":
        assert pq.read_schema(none.files[0]) == pq.read_schema(some.files[0])
        assert pq.read_table(none.files[0]).num_rows == 0
    else:
        assert empty == (full.splitlines(keepends=True)[0] if format == "csv" else b"")
    assert export_where(2.0, "none").files == none.files


def test_a_single_project_that_is_missing_is_an_error(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        client.export_runs("nowhere", to=tmp_path)


def test_runs_that_appear_after_an_interruption_are_exported_too(
    client: Client, server: RunningServer, tmp_path: Path
) -> None:
    load_runs(server.data, "exports-growing", 250)
    runs = client.runs("exports-growing", select=[summary["acc"]])
    with pytest.raises(Interrupted):
        export_runs(client.session, runs, tmp_path, rows_per_part=100, opener=Torn(random.Random(1), after=4))
    write_runs(server.data, "exports-growing", [make_run(1000)])

    done = export_runs(client.session, runs, tmp_path, rows_per_part=100)

    assert done.rows == 251
    assert done.moved == ()


def _without_texts(found: dict[str, str]) -> dict[str, str]:
    """All but the manifest, which says when."""
    return {name: digest for name, digest in found.items() if name != MANIFEST}


class Interrupted(BaseException):
    """As a kill: nothing but the operating system gets to clean up."""


class Torn:
    """Opens files until chance, or a number of them, says stop."""

    def __init__(self, chance: random.Random, after: int | None = None) -> None:
        self._chance = chance
        self._after = after
        self._opened = 0

    def __call__(self, path: Path) -> IO[bytes]:
        self._opened += 1
        if self._opened == self._after or (self._after is None and self._chance.random() < 0.2):
            raise Interrupted
        return open_new(path)


class Disk:
    """A disk with `room` bytes left."""

    def __init__(self, room: int) -> None:
        self.room = room

    def open(self, path: Path) -> IO[bytes]:
        return _OnDisk(path, self)


class _OnDisk(io.FileIO):
    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__(path, "xb")
        self._disk = disk

    def write(self, data: Any, /) -> int:
        written = bytes(memoryview(data))
        self._disk.room -= len(written)
        if self._disk.room < 0:
            raise OSError(28, "No space left on device")
        return super().write(written)
