"""Columns that names alone do not settle: dots in keys, metrics that are never finite."""

from __future__ import annotations

import csv
import io
import json
import math
import warnings
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import wbgql as wb
from tests.fake_runs import RunsTransport, make_run
from tests.stored import World
from wbgql.errors import FilterWarning
from wbgql.paths import ProjectPath
from wbgql.runs import RunSelection
from wbgql.wire.session import Session

LOSS = wb.summary["loss"]


@pytest.fixture
def dotted(world: World) -> World:
    config = {"flat.key": {"value": 1}, "model": {"value": {"depth": 2}}}
    world.caller.upsert(
        world.project, name="a", config=config, summaryMetrics={"metrics/mAP_0.5": 0.3, "loss": 1}
    )
    world.caller.upsert(world.project, name="b", config={"lr": {"value": 0.1}}, summaryMetrics={"loss": 2})
    return world


KEYS = ["config.flat.key", "config.lr", "config.model", "summary.loss", "summary.metrics/mAP_0.5"]


@pytest.mark.parametrize("where", [None, wb.run.id == "a", wb.run.id == "b", wb.run.id == "none"], ids=str)
def test_a_flat_key_with_a_dot_is_a_column_whatever_matches(dotted: World, where: Any) -> None:
    selection = dotted.client.runs(dotted.path, where=where, select="*")

    table = selection.to_arrow()
    batches = dotted.client.runs(dotted.path, where=where, select="*").batches()

    assert [name for name in table.column_names if "." in name] == KEYS
    assert batches.schema == table.schema
    assert [str(table.schema.field(name).type) for name in KEYS] == [
        "double",
        "double",
        "string",
        "double",
        "double",
    ]
    if where is None:
        assert table["summary.metrics/mAP_0.5"].to_pylist() == [0.3, None]
        assert table["config.model"].to_pylist() == ['{"depth":2}', None]


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_an_export_of_everything_keeps_flat_keys_with_a_dot(
    dotted: World, tmp_path: Path, format: Any
) -> None:
    done = dotted.client.export_runs(dotted.path, to=tmp_path / "out", select="*", format=format)
    (part,) = done.files

    if format == "parquet":
        names = pq.read_schema(part).names
    else:
        names = next(csv.reader(io.StringIO(part.read_text("utf-8"))))
    assert [name for name in names if "." in name] == KEYS


def losses(world: World, *values: Any) -> None:
    for number, value in enumerate(values):
        world.caller.upsert(world.project, name=f"r{number}", summaryMetrics={"loss": value})


@pytest.mark.parametrize("values", [["NaN", "Infinity", "-Infinity"], [0.5, "NaN", "-Infinity"]], ids=str)
def test_numbers_that_are_not_finite_are_the_same_in_every_way_out(
    world: World, tmp_path: Path, values: list[Any]
) -> None:
    losses(world, *values)
    texts = [value if isinstance(value, str) else str(value) for value in values]
    wanted = [float(text) for text in texts]

    def runs() -> RunSelection:
        return world.client.runs(world.path, select=[LOSS])

    def same(found: Any) -> bool:
        return len(found) == len(wanted) and all(
            isinstance(one, float) and (one == two or (math.isnan(one) and math.isnan(two)))
            for one, two in zip(found, wanted, strict=True)
        )

    runs().to_parquet(tmp_path / "runs.parquet")
    runs().to_csv(tmp_path / "runs.csv")
    runs().to_jsonl(tmp_path / "runs.jsonl")
    rows = list(csv.DictReader((tmp_path / "runs.csv").open(encoding="utf-8", newline="")))
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text("utf-8").splitlines()]

    assert same([run[LOSS] for run in runs()])
    assert same([run.summary["loss"] for run in runs()])
    assert same(runs().to_arrow()["summary.loss"].to_pylist())
    assert same(runs().to_polars()["summary.loss"].to_list())
    assert same(list(runs().to_pandas()["summary.loss"]))
    assert same(pq.read_table(tmp_path / "runs.parquet")["summary.loss"].to_pylist())
    assert [row["summary.loss"] for row in rows] == texts
    assert [str(line["summary.loss"]) for line in lines] == texts
    assert runs().stats(by="project", of=LOSS)["summary.loss.count"].to_pylist() == [
        sum(not math.isnan(value) for value in wanted)
    ]


def test_a_key_of_real_text_stays_text(world: World) -> None:
    losses(world, "NaN", "diverged")

    table = world.client.runs(world.path, where=wb.run.id == "r0", select=[LOSS]).to_arrow()

    assert str(table.schema.field("summary.loss").type) == "string"


def test_csv_with_numbers_that_are_not_finite_is_like_other_csv(world: World) -> None:
    losses(world, "NaN", 0.1, 1e21, 3)
    names = [wb.run.id, wb.run.tags, wb.run.display_name, LOSS]

    def lines(**asked: Any) -> list[str]:
        out = io.BytesIO()
        world.client.runs(world.path, select=names, **asked).to_csv(out)
        return out.getvalue().decode().splitlines()

    header, nan, *others = lines()
    assert [header, *others] == lines(where=wb.run.id != "r0")
    assert nan == '"' + f'{world.path}","r0","[]","r0",NaN,'


@pytest.mark.parametrize(
    ("order", "values", "said"),
    [
        (-LOSS, ["NaN", 0.5], 'not summary["loss"].is_nan()'),
        (-LOSS, ["-Infinity", 0.5], 'summary["loss"] != "-Infinity"'),
        (+LOSS, [0.5, "-Infinity"], 'summary["loss"] != "-Infinity"'),
    ],
    ids=str,
)
def test_an_order_that_nan_upsets_is_told_with_a_filter_that_helps(
    world: World, order: Any, values: list[Any], said: str
) -> None:
    losses(world, *values)

    with pytest.warns(FilterWarning) as caught:
        assert len(world.client.runs(world.path, order=order).ids()) == 2

    (message,) = [str(one.message) for one in caught]
    assert repr(said) in message
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(world.client.runs(world.path, order=order, where=said).ids()) == 1


@pytest.mark.parametrize("order", [-LOSS, +LOSS], ids=str)
def test_an_order_of_numbers_is_not_questioned(world: World, order: Any) -> None:
    losses(world, 0.5, "Infinity" if order.descending else 1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world.client.runs(world.path, order=order).ids()


def test_columns_that_the_first_runs_settle_cost_no_count() -> None:
    runs = [make_run(n, config={"model": {"depth": n}}, summary={"note": "x"}) for n in range(3)]
    fields = {"config.model.value.depth": "number", "summary_metrics.note": "string"}
    transport = RunsTransport(*runs, fields=fields)

    RunSelection(Session(transport), ProjectPath("acme", "vision"), select="*").to_arrow()

    assert sorted(transport.names_sent()) == ["ListFields", "ListRuns"]
