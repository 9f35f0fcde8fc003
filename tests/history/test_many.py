"""Histories of many runs: order, bounded work, what was not there, searching, frames."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wbgql as wb
from tests.caller import Caller, new_project
from tests.fakes import FakeTransport, error_reply, page
from wbgql.errors import FilterError, PartialError, ServerUnavailable, UsageError
from wbgql.expressions import Expr
from wbgql.frames import FrameWarning
from wbgql.history import HistorySelection
from wbgql.paths import RunPath
from wbgql.wire.retry import RetryPolicy
from wbgql.wire.session import Session

COLUMNS = ["project", "run_id", "_step", "_timestamp", "loss", "acc"]


@pytest.fixture
def runs(caller: Caller) -> list[str]:
    """Five runs of a project: run n logs n + 1 rows, run 3 diverges at its last step."""
    project = new_project()
    for number in range(5):
        caller.upsert(project, name=f"r{number}")
        rows = [
            {"_step": step, "_timestamp": 1000.5 + step, "loss": step + number / 10} for step in range(number)
        ]
        last = {"_step": number, "loss": 99.0 if number == 3 else 0.5, "acc": 0.1 * number}
        caller.log(project, f"r{number}", *rows, last)
    return [f"admin/{project}/r{number}" for number in range(5)]


def test_rows_come_run_by_run_in_the_order_given(client: wb.Client, runs: list[str]) -> None:
    asked = [runs[4], runs[0], runs[2]]

    found = [(str(run), row["_step"]) for run, row in client.history(asked, keys=["loss"])]

    assert found == [
        (run, step) for run, count in zip(asked, (5, 1, 3), strict=True) for step in range(count)
    ]


def test_a_selection_of_runs_is_followed(client: wb.Client, runs: list[str]) -> None:
    selection = client.runs(runs[0].rpartition("/")[0], order=+wb.run.created_at)
    history = client.history(selection, keys=["acc"])

    assert [run.run_id for run, _ in history] == ["r0", "r1", "r2", "r3", "r4"]
    assert [entry.complete for entry in history.coverage] == [True] * 5


def test_a_run_that_is_gone_is_told_of_and_not_dropped_in_silence(client: wb.Client, runs: list[str]) -> None:
    gone = runs[0].replace("/r0", "/gone")
    history = client.history([runs[0], gone, "admin/no-such-project/r1", runs[1]], keys=["loss"])

    assert {run.run_id for run, _ in history} == {"r0", "r1"}
    assert [str(entry.run) for entry in history.missing] == [gone, "admin/no-such-project/r1"]
    with pytest.raises(PartialError) as caught:
        history.check()
    assert [str(run) for run in caught.value.done] == [runs[0], runs[1]]


def test_a_run_that_vanishes_in_the_middle_keeps_its_rows_and_is_told_of() -> None:
    bounds = {"project": {"run": {"historyLineCount": 2000, "summaryMetrics": '{"_step": 1999}'}}}
    rows = {"project": {"run": {"history": [json.dumps({"_step": step}) for step in range(1000)]}}}
    transport = FakeTransport(bounds, rows, {"project": {"run": None}})
    history = HistorySelection(Session(transport), [RunPath("a", "b", "c")], workers=1)

    assert len(list(history)) == 1000
    (entry,) = history.missing
    assert entry.rows == 1000
    assert "no run" in (entry.note or "")


def test_a_server_that_fails_is_an_error_and_no_gap() -> None:
    transport = FakeTransport(error_reply("down", status=503))
    session = Session(transport, policy=RetryPolicy(attempts=1))

    with pytest.raises(ServerUnavailable):
        list(HistorySelection(session, [RunPath("a", "b", "c")]))


def test_samples_of_many_runs_come_in_one_request_in_the_order_given(
    client: wb.Client, runs: list[str]
) -> None:
    gone = runs[0].replace("/r0", "/gone")
    asked = [runs[4], gone, runs[1]]
    history = client.history(asked, keys=["loss", "acc"], samples=100)
    before = client.stats.requests

    found = [(run.run_id, row) for run, row in history]

    assert client.stats.requests - before == 1
    assert [run for run, _ in found] == ["r4"] * 5 + ["r1"] * 2
    assert found[-1][1] == {"_step": 1, "loss": 0.5, "acc": 0.1}
    assert [str(entry.run) for entry in history.missing] == [gone]


def test_samples_are_asked_for_in_groups_that_one_answer_can_hold() -> None:
    paths = [RunPath("a", "b", f"r{n}") for n in range(5)]
    pages = [
        {"project": {"runs": page([{"name": path.run_id, "sampledHistory": [[]]} for path in group])}}
        for group in (paths[:2], paths[2:4], paths[4:])
    ]
    transport = FakeTransport(*pages)

    assert list(HistorySelection(Session(transport), paths, keys=["x"], samples=50_000, workers=1)) == []
    named = [json.loads(sent["filters"]) for _, sent in transport.sent]
    assert named[0] == {"name": {"$in": ["r0", "r1"]}}
    assert len(named) == 3


def counts(*nodes: tuple[str, int | None]) -> dict[str, Any]:
    return {"project": {"runs": page([{"name": name, "historyLineCount": count} for name, count in nodes])}}


def histories(*nodes: tuple[str, int, list[int]]) -> dict[str, Any]:
    found = [
        {"name": name, "historyLineCount": count, "history": [json.dumps({"_step": step}) for step in steps]}
        for name, count, steps in nodes
    ]
    return {"project": {"runs": page(found)}}


def one(count: int, steps: list[int]) -> list[dict[str, Any]]:
    summary = json.dumps({"_step": steps[-1]})
    rows = [json.dumps({"_step": step}) for step in steps]
    return [
        {"project": {"run": {"historyLineCount": count, "summaryMetrics": summary}}},
        {"project": {"run": {"history": rows}}},
    ]


PATHS = [RunPath("a", "b", name) for name in ("r0", "r1", "r2")]


def test_small_histories_are_read_together(client: wb.Client, runs: list[str]) -> None:
    before = client.stats.requests
    by_key = client.history(runs, keys=["loss", "acc"])
    whole = client.history(runs)

    assert [row for _, row in by_key][-1] == {"_step": 4, "loss": 0.5, "acc": 0.4}
    assert client.stats.requests - before == 2
    assert [(run, row["_step"]) for run, row in whole] == [(run, row["_step"]) for run, row in by_key]
    assert all(entry.complete for entry in (*by_key.coverage, *whole.coverage))
    assert [row["_step"] for _, row in client.history(runs, min_step=1, max_step=3)] == [1, 1, 2, 1, 2, 1, 2]


def test_wide_rows_of_many_runs_are_read_key_by_key_after_the_first_group(
    client: wb.Client, caller: Caller
) -> None:
    project = new_project()
    wide = {f"metric/{n}": n for n in range(40)}
    for number in range(130):
        caller.upsert(project, name=f"r{number}")
        caller.log(project, f"r{number}", {"_step": 0, **wide}, {"_step": 1, "loss": math.nan, **wide})
    history = client.history([f"{project}/r{number}" for number in range(130)], keys=["loss"], workers=1)
    before = client.stats.bytes_received

    found = list(history)

    assert [run.run_id for run, _ in found] == [f"r{number}" for number in range(130)]
    assert all(row["_step"] == 1 and math.isnan(row["loss"]) for _, row in found)
    assert all(entry.complete and entry.rows == 2 for entry in history.coverage)
    projected = client.stats.bytes_received - before
    list(client.history([f"{project}/r{number}" for number in range(130)], workers=1))
    assert projected < (client.stats.bytes_received - before - projected) * 0.9


def test_long_histories_are_read_by_themselves_in_the_order_of_the_runs() -> None:
    transport = FakeTransport(
        counts(("r0", 1), ("r1", 1500), ("r2", 1)),
        histories(("r0", 1, [7])),
        *one(2, [8, 9]),
        histories(("r2", 1, [10])),
    )
    history = HistorySelection(Session(transport), PATHS, workers=1)

    assert [row["_step"] for _, row in history] == [7, 8, 9, 10]
    assert [entry.complete for entry in history.coverage] == [True] * 3


@pytest.mark.parametrize("steps", [[], [0, 2], list(range(1001))], ids=["none", "too few", "grown"])
def test_a_small_history_that_does_not_come_whole_is_read_by_itself(steps: list[int]) -> None:
    transport = FakeTransport(
        counts(("r0", 1), ("r1", 3)), histories(("r0", 1, [7]), ("r1", 3, steps)), *one(3, [0, 1, 2])
    )
    history = HistorySelection(Session(transport), PATHS[:2], workers=1)

    assert [row["_step"] for _, row in history] == [7, 0, 1, 2]
    assert [entry.complete for entry in history.coverage] == [True, True]


def test_a_run_that_vanishes_after_it_was_counted_is_told_of() -> None:
    transport = FakeTransport(
        counts(("r0", 1), ("r1", 1)), histories(("r0", 1, [7])), {"project": {"run": None}}
    )
    history = HistorySelection(Session(transport), PATHS[:2], workers=1)

    assert len(list(history)) == 1
    assert [entry.run.run_id for entry in history.missing] == ["r1"]


def test_any_step_where_a_condition_holds(client: wb.Client, runs: list[str]) -> None:
    history = client.history(runs, keys=["acc"]).where(wb.step["loss"] > 10)

    assert [(run.run_id, row) for run, row in history] == [("r3", {"_step": 3, "acc": pytest.approx(0.3)})]
    assert [run.run_id for run in history.matching_runs()] == ["r3"]
    assert [run.run_id for run in client.history(runs).where('step["acc"] >= 0.2').matching_runs()] == [
        "r2",
        "r3",
        "r4",
    ]


def test_conditions_are_joined_and_an_infinity_is_greater_than_ten(
    client: wb.Client, caller: Caller, project: str
) -> None:
    caller.log(project, "r1", {"_step": 0, "loss": math.inf}, {"_step": 1, "loss": math.nan}, {"_step": 2})
    history = client.history(f"{project}/r1")

    def steps(condition: Expr) -> list[int]:
        return [row["_step"] for _, row in history.where(condition)]

    assert steps(wb.step["loss"] > 10) == [0]
    assert steps(wb.step["loss"].is_nan()) == [1]
    assert steps(wb.step["loss"].missing()) == [2]
    assert [row["_step"] for _, row in history.where(wb.step["loss"] > 10).where(wb.step["_step"] > 0)] == []


def test_a_condition_on_anything_but_steps_is_refused(client: wb.Client) -> None:
    with pytest.raises(FilterError, match=r'step\["key"\]'):
        client.history("p/r1").where(wb.summary["loss"] > 1)
    with pytest.raises(FilterError, match=r"client\.history"):
        client.runs("p", where=wb.step["loss"] > 1)


def test_a_search_needs_a_condition_and_every_row(client: wb.Client) -> None:
    with pytest.raises(UsageError, match="what to look for"):
        next(client.history("p/r1").matching_runs())
    with pytest.raises(UsageError, match="samples"):
        client.history("p/r1", keys=["loss"], samples=10).where(wb.step["loss"] > 1)
    with pytest.raises(UsageError, match="name the keys"):
        client.history("p/r1", samples=10)


def test_a_frame_has_one_schema_whatever_comes_back(client: wb.Client, runs: list[str], project: str) -> None:
    full = client.history(runs, keys=["loss", "acc"]).to_arrow()
    empty = client.history(f"{project}/r1", keys=["loss", "acc"]).to_arrow()

    assert full.schema.names == COLUMNS
    assert full.schema.equals(empty.schema)
    assert full.schema.types == [pa.string(), pa.string(), pa.int64(), *[pa.float64()] * 3]
    assert (full.num_rows, empty.num_rows) == (15, 0)
    assert full.column("_timestamp").null_count == 5


def test_what_is_no_number_is_null_and_told_of_or_a_text(
    client: wb.Client, caller: Caller, project: str
) -> None:
    caller.log(project, "r1", {"_step": 0, "v": 1}, {"_step": 1, "v": "x"}, {"_step": 2, "v": {"a": [1]}})
    history = client.history(f"{project}/r1", keys=["v"])

    with pytest.warns(FrameWarning, match=r"'v' \(2\)"):
        assert history.to_arrow().column("v").to_pylist() == [1.0, None, None]
    assert history.to_arrow(text=["v"]).column("v").to_pylist() == ["1", "x", '{"a":[1]}']


def test_numbers_that_are_not_finite_and_truth_values_are_floats(
    client: wb.Client, caller: Caller, project: str
) -> None:
    values = [math.nan, math.inf, True, 10**400, "-Infinity"]
    caller.log(project, "r1", *({"_step": step, "v": value} for step, value in enumerate(values)))

    found = client.history(f"{project}/r1", keys=["v"]).to_arrow().column("v").to_pylist()

    assert math.isnan(found[0])
    assert found[1:] == [math.inf, 1.0, math.inf, -math.inf]


def test_polars_and_pandas_frames_hold_the_same(client: wb.Client, runs: list[str]) -> None:
    history = client.history(runs, keys=["loss", "acc"])

    assert history.to_polars().columns == list(history.to_pandas().columns) == COLUMNS
    assert history.to_polars()["loss"].to_list() == history.to_pandas()["loss"].tolist()


def test_rows_are_written_as_parquet_csv_and_json_lines(
    client: wb.Client, runs: list[str], tmp_path: Path
) -> None:
    history = client.history(runs, keys=["loss", "acc"])
    counts = [
        history.write(tmp_path / f"h.{format}", format=format) for format in ("parquet", "csv", "jsonl")
    ]

    assert counts == [15, 15, 15]
    assert pq.read_table(tmp_path / "h.parquet").equals(history.to_arrow())
    assert (tmp_path / "h.csv").read_text().splitlines()[0] == ",".join(f'"{name}"' for name in COLUMNS)
    assert len((tmp_path / "h.jsonl").read_text().splitlines()) == 15


def test_without_keys_json_lines_hold_whatever_was_logged(
    client: wb.Client, caller: Caller, project: str, tmp_path: Path
) -> None:
    caller.log(project, "r1", {"_step": 0, "a": math.nan, "deep": {"x": [1]}})
    history = client.history(f"{project}/r1")

    assert history.write(tmp_path / "h.jsonl", format="jsonl") == 1
    (line,) = (tmp_path / "h.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "project": f"admin/{project}",
        "run_id": "r1",
        "_step": 0,
        "a": "NaN",
        "deep": {"x": [1]},
    }
    with pytest.raises(UsageError, match="name the keys"):
        history.to_arrow()


@pytest.mark.parametrize(("keys", "text"), [(["run_id"], []), (["loss"], ["acc"])])
def test_a_table_that_cannot_be_made_is_refused(client: wb.Client, keys: list[str], text: list[str]) -> None:
    with pytest.raises(UsageError):
        client.history("p/r1", keys=keys).batches(text=text)


@pytest.mark.parametrize("runs", [[7], [object()], [["p/r1"]]])
def test_what_is_no_run_is_refused(client: wb.Client, runs: list[Any]) -> None:
    with pytest.raises(UsageError, match="histories are of runs"):
        list(client.history(runs))
