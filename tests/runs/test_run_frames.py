"""Selections of runs as tables and files, from a local server."""

from __future__ import annotations

import csv
import gc
import io
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.bulk import BulkRun, load_runs, write_runs
from tests.fakes import WithoutField
from wbgql import Client, config, run, summary
from wbgql.errors import CoverageWarning, StoreError, UsageError
from wbgql.frames import write_file
from wbgql.server import RunningServer
from wbgql.wire.session import Session

_START = datetime(2026, 3, 1, tzinfo=UTC)

MIXED = [
    BulkRun(
        "a", state="finished", tags=("x", "y"), config={"lr": "auto", "m": {"d": 3}}, summary={"acc": 0.5}
    ),
    BulkRun("b", state="crashed", config={"lr": 0.1}, summary={"acc": math.nan, "note": "=HYPERLINK(1)"}),
    BulkRun("c", state="finished", config={}, summary={"acc": 1, "note": 'say "hi", ok'}, created_at=_START),
]


@pytest.fixture(scope="module")
def client(local_server: RunningServer) -> Iterator[Client]:
    write_runs(local_server.data, "frames", MIXED)
    load_runs(local_server.data, "frames-many", 2500)
    with Client(base_url=local_server.base_url, api_key=local_server.api_key, entity="admin") as found:
        yield found


def test_a_frame_has_the_runs_attributes_unless_something_is_selected(client: Client) -> None:
    table = client.runs("frames").to_arrow()

    assert table.column_names == [
        "project", "id", "display_name", "state", "tags", "group", "job_type", "sweep", "user",
        "created_at", "heartbeat_at",
    ]  # fmt: skip
    rows = {row["id"]: row for row in table.to_pylist()}
    assert rows["a"]["tags"] == ["x", "y"]
    assert rows["a"]["project"] == "admin/frames"
    assert rows["c"]["created_at"] == _START


@pytest.mark.parametrize("field", ["computeSeconds", "host", "updatedAt"])
def test_an_attribute_that_the_server_lacks_is_null(client: Client, field: str) -> None:
    transport = WithoutField(client.settings)
    transport.field = field
    column = {"computeSeconds": "duration_s", "host": "host", "updatedAt": "updated_at"}[field]

    with (
        Client(settings=client.settings, session=Session(transport)) as older,
        pytest.warns(CoverageWarning, match=f"^{column}: not known, because .* has no Run\\.{field}$"),
    ):
        table = older.runs("frames", select="*").to_arrow()

    assert table.column(column).null_count == len(MIXED)
    assert sorted(table.column("id").to_pylist()) == ["a", "b", "c"]


def test_selected_fields_are_the_columns_in_every_form(client: Client) -> None:
    runs = client.runs("frames", select=[run.state, config["lr"], summary["acc"]])

    names = ["project", "id", "state", "config.lr", "config.lr:string", "summary.acc", "summary.acc:string"]
    assert runs.to_arrow().column_names == names
    assert runs.to_polars().columns == names
    assert list(runs.to_pandas().columns) == names
    assert runs.to_polars().filter(pl.col("id") == "a")["config.lr:string"].to_list() == ["auto"]


def test_the_schema_does_not_depend_on_which_runs_match(client: Client) -> None:
    select = [config["lr"], config["m"]["d"], summary["acc"], summary["note"]]

    everything = client.runs("frames", select=select).to_arrow()
    one = client.runs("frames", where=run.id == "c", select=select).to_arrow()
    none = client.runs("frames", where=run.id == "nobody", select=select).to_arrow()

    assert everything.schema == one.schema == none.schema
    assert (one.num_rows, none.num_rows) == (1, 0)
    assert everything.sort_by("id")["config.m.d"].to_pylist() == [3.0, None, None]


def test_only_what_is_selected_travels(client: Client) -> None:
    before = client.stats.bytes_received
    client.runs("frames-many", select=[summary["acc"]]).to_arrow()
    lean = client.stats.bytes_received - before
    client.runs("frames-many", select=[summary["acc"], run.state]).to_arrow()
    usual = client.stats.bytes_received - before - lean

    assert lean < usual / 1.5


def test_types_fix_a_column_and_name_only_what_is_selected(client: Client) -> None:
    runs = client.runs("frames-many", select=[config["seed"]], limit=3)

    assert runs.to_polars(types={"config.seed": "integer"})["config.seed"].to_list() == [0, 1, 2]
    with pytest.raises(UsageError, match=r"no key 'config\.sed' is selected"):
        runs.to_arrow(types={"config.sed": "integer"})


def test_an_attribute_that_only_filters_know_is_refused(client: Client) -> None:
    assert client.runs("frames", select=[run.duration_s, run.host]).to_arrow().column_names[2:] == [
        "duration_s",
        "host",
    ]
    with pytest.raises(UsageError, match="no such type"):
        client.runs("frames", select=[config["lr"]]).to_arrow(types={"config.lr": "text"})  # type: ignore[dict-item]


def test_batches_come_page_by_page_with_one_schema(client: Client) -> None:
    runs = client.runs("frames-many", select=[summary["acc"]], page_size=1000)

    sizes = [batch.num_rows for batch in runs.iter_batches()]

    assert sizes == [1000, 1000, 500]


def test_parquet_holds_every_row_and_its_types(client: Client, tmp_path: Path) -> None:
    runs = client.runs("frames-many", select=[run.created_at, summary["acc"]])

    assert runs.to_parquet(tmp_path / "runs.parquet") == 2500

    found = pq.read_table(tmp_path / "runs.parquet")
    assert found.equals(runs.to_arrow())


def test_partitions_are_folders_by_value(client: Client, tmp_path: Path) -> None:
    runs = client.runs("frames", select=[run.state])

    assert runs.to_parquet(tmp_path / "out", partition_by="state") == 3

    assert {path.name for path in (tmp_path / "out").iterdir()} == {"state=finished", "state=crashed"}
    assert pl.read_parquet(tmp_path / "out/**/*.parquet")["id"].sort().to_list() == ["a", "b", "c"]
    with pytest.raises(UsageError, match="folder is not empty"):
        runs.to_parquet(tmp_path / "out", partition_by="state")
    with pytest.raises(UsageError, match="no column 'stat'"):
        runs.to_parquet(tmp_path / "other", partition_by="stat")


def test_partitions_of_no_runs_are_a_file_of_all_columns(client: Client, tmp_path: Path) -> None:
    runs = client.runs("frames", select=[run.state, summary["acc"]], where=summary["acc"] > 2)

    assert runs.to_parquet(tmp_path / "out", partition_by="state") == 0

    written = pq.read_table(tmp_path / "out")
    assert written.schema == runs.to_arrow().schema
    assert written.num_rows == 0
    assert written.schema.names[:4] == ["project", "id", "state", "summary.acc"]


def test_json_lines_are_one_object_a_run(client: Client, tmp_path: Path) -> None:
    runs = client.runs("frames", select=[run.tags, config["m"], summary["acc"]])

    assert runs.to_jsonl(tmp_path / "runs.jsonl") == 3

    rows = {row["id"]: row for row in map(json.loads, (tmp_path / "runs.jsonl").read_text().splitlines())}
    assert rows["a"]["config.m"] == {"d": 3}
    assert rows["a"]["tags"] == ["x", "y"]
    assert [rows[name]["summary.acc"] for name in "abc"] == [0.5, "NaN", 1.0]


def test_csv_cannot_carry_a_formula(client: Client) -> None:
    written = io.BytesIO()

    client.runs("frames", select=[run.created_at, run.tags, summary["note"]]).to_csv(written)

    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(written.getvalue().decode()))}
    assert rows["b"]["summary.note"] == "'=HYPERLINK(1)"
    assert rows["c"]["summary.note"] == 'say "hi", ok'
    assert rows["a"]["summary.note"] == ""
    assert rows["a"]["tags"] == '["x","y"]'
    assert rows["c"]["created_at"] == "2026-03-01T00:00:00.000000Z"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_every_beginning_of_a_formula_is_guarded(
    client: Client, local_server: RunningServer, text: str
) -> None:
    name = f"frames-{ord(text[0])}"
    write_runs(local_server.data, name, [BulkRun("a", display_name=text)])
    written = io.BytesIO()

    client.runs(name, select=[run.display_name]).to_csv(written)

    assert f"'{text}".encode() in written.getvalue()


@pytest.mark.parametrize("format", ["parquet", "jsonl", "csv"])
def test_a_full_disk_leaves_nothing_behind(client: Client, tmp_path: Path, format: str) -> None:
    batches = client.runs("frames-many", select=[summary["acc"]]).batches()

    with pytest.raises(StoreError, match="disk is full"):
        write_file(tmp_path / "out", batches, format, opener=lambda path: FullDisk(path, room=2000))  # type: ignore[arg-type]

    assert list(tmp_path.iterdir()) == []


def test_several_projects_are_told_apart(client: Client) -> None:
    table = client.runs(["frames", "frames-many"], select=[summary["acc"]]).to_arrow()

    counts = {row["values"]: row["counts"] for row in table["project"].value_counts().to_pylist()}
    assert counts == {"admin/frames": 3, "admin/frames-many": 2500}


def test_one_day_of_runs_is_the_same_as_asking_for_it(client: Client) -> None:
    runs = client.runs("frames-many", select=[run.created_at, summary["acc"]])
    frame = runs.to_polars()

    late = frame.filter(pl.col("created_at") >= datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=2000))

    assert late.height == 500


def test_a_frame_does_not_import_pandas(client: Client, local_server: RunningServer) -> None:
    code = """
import sys, wbgql
url, key = sys.argv[1:]
assert "pyarrow" not in sys.modules
wbgql.Client(base_url=url, api_key=key).runs("admin/frames", select="*").to_polars()
assert "pyarrow" in sys.modules and "pandas" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code, local_server.base_url, local_server.api_key],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_answers_are_let_go_without_waiting_for_a_collection(client: Client) -> None:
    from requests import Response

    gc.collect()
    gc.disable()
    try:
        client.runs("frames-many", select=[summary["acc"]], page_size=100).to_arrow()
        left = sum(isinstance(thing, Response) for thing in gc.get_objects())
    finally:
        gc.enable()

    assert left <= 1


class FullDisk(io.FileIO):
    """A file on a disk with `room` bytes left."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path, "xb")
        self._room = room

    def write(self, data: object, /) -> int:
        written = bytes(memoryview(data))  # type: ignore[arg-type]
        self._room -= len(written)
        if self._room < 0:
            raise OSError(28, "No space left on device")
        return super().write(written)
