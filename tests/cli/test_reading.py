"""The commands that read, against a real server: runs, groups, histories, artifacts, files, storage."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.bulk import FIRST_INSTANT, BulkRun, load_runs, write_runs
from tests.cli.conftest import Outcome
from tests.stored import World
from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.client import Client
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer, start
from wbgql.settings import Settings

Run = Callable[..., Outcome]


def make_logged(number: int) -> BulkRun:
    """A run with rows, measurements and lines; `loss` is 20 at step 5 of run 2, NaN at step 7 of each."""
    values = [20.0 if (number, step) == (2, 5) else math.nan if step == 7 else 1.0 for step in range(10)]
    rows: list[dict[str, Any]] = [
        {"_step": step, "_timestamp": 1.7e9 + step, "loss": value} for step, value in enumerate(values)
    ]
    rows[4]["val/acc"] = 0.5
    return BulkRun(
        name=f"logged{number}",
        created_at=FIRST_INSTANT,
        summary={"_step": 9, "loss": 1.0, "val/acc": 0.5},
        history=rows,
        events=[{"_timestamp": 1.7e9, "_runtime": 1.0, "system.cpu": 5.0, "system.memory": 7.0}],
        console=["one\ttab", "two \x1b[31m", "three"],
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start(tmp_path_factory.mktemp("reading")) as running:
        load_runs(running.data, "vision", 60)
        load_runs(running.data, "speech", 5)
        write_runs(running.data, "logged", map(make_logged, range(3)))
        yield running


@pytest.fixture(scope="module")
def world(server: RunningServer) -> World:
    world = World(server)
    world.run("maker")
    world.run("user")
    world.store("maker", {"media/a.txt": b"aaaa", "b.txt": b"bb"})
    files = {"x.bin": b"xxxx", "y/z.bin": b"zz"}
    world.use(world.log("data", files, runName="maker", metadata={"rows": 3}), "user")
    return world


@pytest.fixture
def wbgql(server: RunningServer, tmp_path: Path) -> Run:
    """The command, in this process, against the server."""

    def run(*argv: str) -> Outcome:
        def make_client(**given: Any) -> Client:
            settings = Settings(**{"base_url": server.base_url, "api_key": server.api_key, **given})
            return Client(settings=settings, holds=HoldRegister(tmp_path / "holds.json"))

        with CliRunner().isolation() as (out, err, _):
            code = main(argv, App(make_client=make_client, environ={}))
            return Outcome(code, out.getvalue().decode(), err.getvalue().decode())

    return run


ACC = 'summary["acc"]'


def test_runs_of_several_projects_are_named_by_their_paths(wbgql: Run) -> None:
    ids = wbgql("runs", "list", "admin/vision", "admin/speech", "--format", "ids").out.split()
    every = wbgql("runs", "list", "admin/*", "--where", f"{ACC} >= 0", "--format", "ids").out.split()

    assert len(ids) == 65
    assert {path.rpartition("/")[0] for path in ids} == {"admin/vision", "admin/speech"}
    assert sorted(every) == sorted(ids)
    assert (
        wbgql("runs", "list", "admin/vision", "--limit", "1", "--format", "ids").out
        == "admin/vision/run000000\n"
    )


def test_runs_are_listed_alike_whichever_way_they_are_read(wbgql: Run) -> None:
    plain = wbgql("runs", "list", "admin/vision", "--format", "ids")
    stable = wbgql("runs", "list", "admin/vision", "--stable", "--format", "ids")
    client_side = wbgql(
        "runs", "list", "admin/vision", "--client-side", "--where", "state != None", "--format", "ids"
    )

    assert plain.out == stable.out == client_side.out
    assert (plain.code, stable.code, client_side.code) == (0, 0, 0)


def test_attributes_are_there_beside_selected_keys(wbgql: Run) -> None:
    (row,) = wbgql("runs", "list", "admin/vision", "--limit", "1", "--select", ACC, "--select", "host").rows

    assert (row["state"], row["user"], row["group"]) == ("finished", "admin", "group-0")
    assert (row["summary"], row["host"]) == ({"acc": 0.0}, "node-0")


def test_a_project_that_is_not_visible_is_told_and_exits_with_3(wbgql: Run) -> None:
    got = wbgql("runs", "list", "admin/speech", "admin/nope", "--format", "ids")
    alone = wbgql("runs", "list", "admin/nope", "--format", "ids")

    assert (got.code, len(got.out.split())) == (3, 5)
    assert "'admin/nope'" in got.err
    assert (alone.code, alone.out) == (13, "")


def test_a_selected_key_that_no_run_has_is_told_with_near_names(wbgql: Run) -> None:
    got = wbgql("runs", "list", "admin/vision", "--select", 'summary["ac"]', "--limit", "2")

    assert (got.code, len(got.rows)) == (0, 2)
    assert 'no run of \'admin/vision\' has summary["ac"]; did you mean summary["acc"]?' in got.err


def test_what_only_this_side_can_compare_needs_the_word(wbgql: Run) -> None:
    where = ("--where", 'config["a.b"] == 1')
    refused = wbgql("runs", "count", "admin/speech", *where)
    counted = wbgql("runs", "count", "admin/speech", *where, "--client-side")

    assert refused.code == 2
    assert "^" in refused.err
    assert "--client-side" in refused.err
    assert (counted.code, counted.out) == (0, "0\n")


def test_parquet_is_a_file_of_runs(wbgql: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "runs.parquet"
    got = wbgql("runs", "list", "admin/vision", "--select", ACC, "--format", "parquet", "-o", str(target))
    table = parquet.read_table(target)

    assert (got.code, got.out, table.num_rows) == (0, "", 60)
    assert {"id", "state", "summary.acc"} <= set(table.column_names)
    assert wbgql("runs", "list", "admin/vision", "--format", "parquet").code == 2


def test_an_export_goes_on_and_says_what_it_could_not_see(wbgql: Run, tmp_path: Path) -> None:
    asked = (
        "runs",
        "export",
        "admin/vision",
        "--select",
        ACC,
        "--format",
        "jsonl",
        "--to",
        str(tmp_path / "out"),
    )
    first, again = wbgql(*asked), wbgql(*asked)
    (part,) = first.out.split()
    other = wbgql("runs", "export", "admin/speech", "--format", "jsonl", "--to", str(tmp_path / "out"))
    partial = wbgql("runs", "export", "admin/speech", "admin/nope", "--to", str(tmp_path / "partial"))

    assert (first.code, again.code, again.out) == (0, 0, first.out)
    assert len(Path(part).read_text().splitlines()) == 60
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"] is True
    assert other.code == 2
    assert (partial.code, len(partial.out.split())) == (3, 1)
    assert "'admin/nope'" in partial.err


def test_a_misspelt_key_makes_no_export(wbgql: Run, tmp_path: Path) -> None:
    got = wbgql(
        "runs", "export", "admin/vision", "--where", 'summary["ac"] > 1', "--to", str(tmp_path / "out")
    )

    assert (got.code, got.out) == (2, "")
    assert not (tmp_path / "out").exists()


def test_explain_says_what_would_be_sent(wbgql: Run) -> None:
    asked = ("runs", "explain", "admin/vision", "--where", f"{ACC} > 0.5", "--order", f"-{ACC}")
    text = wbgql(*asked)
    told = json.loads(wbgql(*asked, "--format", "json").out)

    assert (text.code, told["filters"], told["order"]) == (
        0, {"summary_metrics.acc": {"$gt": 0.5}}, "-summary_metrics.acc",
    )  # fmt: skip
    assert '{"summary_metrics.acc":{"$gt":0.5}}' in text.out
    assert told["count"] == int(wbgql("runs", "count", *asked[2:5]).out) > 0


def test_the_best_of_each_group_is_the_best_of_its_list(wbgql: Run) -> None:
    rows = wbgql("runs", "best", "admin/vision", "--by", "group", "--metric", ACC).rows
    listed = wbgql("runs", "list", "admin/vision", "--select", ACC).rows

    assert len(rows) == 10
    for row in rows:
        group = [run for run in listed if run["group"] == row["group"]]
        assert row[ACC] == max(run["summary"]["acc"] for run in group)
        assert (row["runs"], row["measured"]) == (len(group), len(group))


def test_the_least_and_the_latest_and_groups_by_project(wbgql: Run) -> None:
    least = wbgql("runs", "best", "admin/vision", "--by", "job_type", "--metric", ACC, "--mode", "min").rows
    latest = wbgql("runs", "latest", "admin/*", "--by", "project").rows

    assert {row["job_type"] for row in least} == {"train", "eval"}
    assert {row["project"]: row["path"] for row in latest}["admin/vision"] == "admin/vision/run000059"


def test_a_group_without_the_metric_has_no_run_and_no_id(wbgql: Run) -> None:
    asked = ("runs", "best", "admin/*", "--by", "project", "--metric", ACC)
    rows = {row["project"]: row for row in wbgql(*asked).rows}

    assert (rows["admin/logged"]["path"], rows["admin/logged"]["measured"]) == (None, 0)
    assert len(wbgql(*asked, "--format", "ids").out.split()) == 2


@pytest.mark.parametrize(
    "argv",
    [
        ("best", "--by", "group", "--metric", 'summary["ac"]'),
        ("best", "--by", 'config["lrr"]', "--metric", ACC),
        ("latest", "--by", 'config["lrr"]'),
        ("stats", "--by", 'config["lrr"]'),
        ("stats", "--by", "group", "--of", 'summary["ac"]'),
    ],
)
def test_a_misspelt_key_of_a_group_is_an_error_with_near_names(wbgql: Run, argv: tuple[str, ...]) -> None:
    got = wbgql("runs", argv[0], "admin/vision", *argv[1:])

    assert (got.code, got.out) == (2, "")
    assert "did you mean" in got.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--by", "tags"), "holds lists"),
        (("--by", "state", "--of", "display_name"), "not numbers"),
        (("--by", "nope"), "no such run attribute"),
    ],
)
def test_what_cannot_be_grouped_or_summed_up_is_refused(wbgql: Run, argv: tuple[str, ...], said: str) -> None:
    got = wbgql("runs", "stats", "admin/vision", *argv)

    assert (got.code, got.out) == (2, "")
    assert said in got.err


def test_stats_are_those_of_the_listed_runs(wbgql: Run) -> None:
    rows = wbgql("runs", "stats", "admin/vision", "--by", "state", "--of", ACC, "--of", "duration_s").rows
    listed = wbgql("runs", "list", "admin/vision", "--select", ACC).rows

    for row in rows:
        values = [run["summary"]["acc"] for run in listed if run["state"] == row["state"]]
        assert (row["runs"], row["summary.acc.count"]) == (len(values), len(values))
        assert row["summary.acc.mean"] == pytest.approx(sum(values) / len(values))
        assert (row["summary.acc.min"], row["summary.acc.max"]) == (min(values), max(values))
    assert sum(row["runs"] for row in rows) == 60


def test_history_gives_the_union_of_the_rows_of_its_keys(wbgql: Run) -> None:
    path = "admin/logged/logged0"
    rows = wbgql("history", path, "--key", "loss", "--key", "val/acc").rows
    part = wbgql("history", path, "--key", "val/acc", "--min-step", "2", "--max-step", "6").rows

    assert len(rows) == 10
    assert rows[4] == {
        "project": "admin/logged",
        "run_id": "logged0",
        "_step": 4,
        "loss": 1.0,
        "val/acc": 0.5,
    }
    assert rows[7]["loss"] == "NaN"
    assert [row["_step"] for row in part] == [4]


def test_history_of_selected_runs_can_be_searched(wbgql: Run) -> None:
    asked = ("history", "admin/logged", "--where", 'state == "finished"', "--step-where", 'step["loss"] > 10')

    assert wbgql(*asked, "--format", "ids").out == "admin/logged/logged2\n"
    assert [row["_step"] for row in wbgql(*asked, "--key", "loss").rows] == [5]


def test_history_goes_to_files(wbgql: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table, page = tmp_path / "loss.parquet", tmp_path / "loss.html"
    asked = ("history", "admin/logged", "--all", "--key", "loss")
    rows = list(csv.DictReader(io.StringIO(wbgql(*asked, "--format", "csv").out)))

    assert wbgql(*asked, "--format", "parquet", "-o", str(table)).code == 0
    assert wbgql(*asked, "--samples", "5", "--html", str(page)).code == 0
    assert parquet.read_table(table).num_rows == len(rows) == 30
    assert "<html" in page.read_text(encoding="utf-8")[:200].lower()


def test_history_that_is_missing_is_told(wbgql: Run) -> None:
    alone = wbgql("history", "admin/logged/nope", "--key", "loss")
    beside = wbgql("history", "admin/logged/logged0", "admin/logged/nope", "--key", "val/acc")
    misspelt = wbgql("history", "admin/logged/logged0", "--key", "los")
    partly = wbgql("history", "admin/logged/logged0", "--key", "loss", "--key", "los")
    unknown = wbgql("history", "admin/logged/logged0", "--key", "qqqqqq")

    assert (alone.code, alone.out) == (13, "")
    assert (beside.code, len(beside.rows)) == (3, 1)
    assert "admin/logged/nope" in beside.err
    assert (misspelt.code, misspelt.out) == (2, "")
    assert misspelt.err == "error: no row has 'los'; did you mean 'loss'?\n"
    assert (partly.code, [row.get("loss") is not None for row in partly.rows][:1]) == (2, [True])
    assert (unknown.code, unknown.err) == (0, "warning: no row has 'qqqqqq'\n")


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("admin/logged/logged0", "--format", "ids"),
        ("admin/logged/logged0", "--format", "csv"),
        ("admin/logged/logged0", "--html", "x.html"),
        ("admin/logged/logged0", "--samples", "5"),
        ("admin/logged/logged0", "--key", "loss", "--format", "parquet"),
        ("admin/logged/logged0", "--step-where", 'summary["loss"] > 1'),
        ("admin/logged/logged0", "--step-where", 'step["loss"] >'),
        ("admin/logged/logged0", "--key", "loss", "--min-step", "5", "--max-step", "2"),
    ],
)
def test_history_refuses_what_cannot_be_meant(wbgql: Run, argv: tuple[str, ...]) -> None:
    got = wbgql("history", *argv)

    assert (got.code, got.out) == (2, "")


def test_logs_are_plain_text_that_drives_no_terminal(wbgql: Run) -> None:
    path = "admin/logged/logged0"

    assert wbgql("logs", path).out == "one\ttab\ntwo \\x1b[31m\nthree\n"
    assert wbgql("logs", path, "--last", "1").out == "three\n"
    assert [row["number"] for row in wbgql("logs", path, "--format", "jsonl").rows] == [0, 1, 2]
    assert wbgql("logs", "admin/logged/nope").code == 13


def test_system_metrics_keep_their_time(wbgql: Run) -> None:
    rows = wbgql("system", "admin/logged/logged0", "--key", "system.cpu").rows

    assert rows == [{"_timestamp": 1.7e9, "system.cpu": 5.0}]
    assert wbgql("system", "admin/logged/logged0", "--format", "csv").out.startswith("_timestamp,_runtime,")


def test_artifacts_are_listed_shown_and_followed(wbgql: Run, world: World) -> None:
    name = f"{world.path}/data:v0"
    shown = json.loads(wbgql("artifacts", "show", f"{world.path}/data:latest").out)
    edges = wbgql("artifacts", "lineage", name).rows
    mermaid = wbgql("artifacts", "lineage", "--run", f"{world.path}/user", "--format", "mermaid").out

    assert (
        wbgql("artifacts", "list", world.path, "--metadata", "rows=3", "--format", "ids").out == f"{name}\n"
    )
    assert wbgql("artifacts", "list", world.path, "--metadata", "rows=4", "--format", "ids").out == ""
    assert (shown["path"], shown["metadata"], shown["run"]) == (name, {"rows": 3}, f"{world.path}/maker")
    assert [(edge["edge"], edge["depth"]) for edge in edges] == [("logged", -1), ("used", 1)]
    assert mermaid.startswith("flowchart LR\n")
    assert [row["name"] for row in wbgql("artifacts", "files", name).rows] == ["x.bin", "y/z.bin"]


def test_artifacts_of_a_run_are_listed_without_conditions(wbgql: Run, world: World) -> None:
    used = wbgql("artifacts", "list", "--used-by", f"{world.path}/user").rows
    both = wbgql("artifacts", "list", "--used-by", "a/b/c", "--logged-by", "a/b/c")
    mixed = wbgql("artifacts", "list", world.path, "--used-by", "a/b/c")

    assert [row["name"] for row in used] == ["data:v0"]
    assert (both.code, mixed.code) == (2, 2)


def test_an_artifact_that_is_not_there_exits_with_13(wbgql: Run, world: World) -> None:
    assert wbgql("artifacts", "show", f"{world.path}/data:v9").code == 13
    assert wbgql("artifacts", "orphans", "admin/nope").code == 13
    assert wbgql("artifacts", "lineage").code == 2


def test_an_artifact_is_downloaded_once(wbgql: Run, world: World, tmp_path: Path) -> None:
    asked = ("artifacts", "download", f"{world.path}/data:v0", "--to", str(tmp_path / "data"))
    first, again = wbgql(*asked), wbgql(*asked)

    assert [row["state"] for row in first.rows] == ["downloaded", "downloaded"]
    assert [row["state"] for row in again.rows] == ["present", "present"]
    assert (tmp_path / "data" / "y" / "z.bin").read_bytes() == b"zz"


def test_files_of_runs_are_listed_and_downloaded(wbgql: Run, world: World, tmp_path: Path) -> None:
    listed = wbgql("files", "list", world.path, "--all").rows
    one = wbgql(
        "files", "download", f"{world.path}/maker", "--pattern", "media/%", "--to", str(tmp_path / "one")
    )
    every = wbgql("files", "download", world.path, "--all", "--to", str(tmp_path / "all"))

    assert {(row["run"], row["name"]) for row in listed} >= {
        (f"{world.path}/maker", "media/a.txt"),
        (f"{world.path}/maker", "b.txt"),
    }
    assert (one.code, (tmp_path / "one" / "media" / "a.txt").read_bytes()) == (0, b"aaaa")
    assert every.code == 0
    assert (tmp_path / "all" / world.path / "maker" / "b.txt").read_bytes() == b"bb"
    assert wbgql("files", "list").code == 2


def test_storage_counts_by_project_and_says_what_it_could_not_see(wbgql: Run, world: World) -> None:
    got = wbgql("storage", world.path, "admin/nope", "--by", "project")
    (row,) = got.rows

    assert (got.code, row["project"], row["run_file_bytes"], row["stored_bytes"]) == (3, world.path, 6, 6)
    assert "'admin/nope'" in got.err
    assert wbgql("storage", world.path).code == 0


def test_a_full_disk_leaves_no_half_file(wbgql: Run, tmp_path: Path) -> None:
    for argv in (
        ("runs", "list", "admin/vision", "--format", "parquet"),
        ("history", "admin/logged", "--all", "--key", "loss", "--format", "parquet"),
        ("history", "admin/logged", "--all", "--key", "loss"),
    ):
        got = wbgql(*argv, "-o", "/dev/full")
        folder = wbgql(*argv, "-o", str(tmp_path))

        assert (got.code, folder.code) == (14, 14), argv
    assert Path("/dev/full").is_char_device()
    assert list(tmp_path.iterdir()) == []


def test_stats_warn_once_of_a_key_without_near_names(wbgql: Run) -> None:
    for argv in (("--by", 'config["qqqqqqq"]'), ("--by", "group", "--of", 'summary["qqqqqqq"]')):
        got = wbgql("runs", "stats", "admin/vision", *argv)

        assert got.code == 0
        assert got.err.count("qqqqqqq") == 1, got.err
