"""Keys that no run has: said where it is sure, in every way out, and never concluded from a list that was cut."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import wbgql as wb
from tests.fake_runs import RunsTransport, make_run
from tests.stored import World
from wbgql.errors import FilterWarning, UnknownKeyWarning
from wbgql.exports import export_runs
from wbgql.expressions.nodes import FieldPath
from wbgql.paths import ProjectPath
from wbgql.projects import iter_fields
from wbgql.runs import RunSelection
from wbgql.runs.keys import nearest
from wbgql.wire.session import Session

VISION = ProjectPath("acme", "vision")
FIELDS = {"config.lr.value": "number", "summary_metrics.loss": "number", "config.model.value.depth": "number"}
# What the SDK leaves in the config of about 900 runs, listed before any key of the runs' own.
INTERNAL = {
    f"config._wandb.value.e.{number:05}.{name}": "string" for number in range(1000) for name in "abcdefghijk"
}


def select(transport: RunsTransport, **asked: Any) -> RunSelection:
    return RunSelection(Session(transport), VISION, **asked)


def project(fields: Mapping[str, str] = FIELDS, **habits: Any) -> RunsTransport:
    run = make_run(1, config={"lr": 0.1, "model": {"depth": 2}}, summary={"loss": 0.5})
    return RunsTransport(run, fields=fields, **{"reads_patterns": True, **habits})


def told(use: Callable[[], object]) -> list[str]:
    """What is said of keys while something is used."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use()
    return [str(one.message) for one in caught if issubclass(one.category, FilterWarning)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"where": wb.config["lrr"] > 0}, 'has config["lrr"]; did you mean config["lr"]?'),
        ({"filters": {"config.lrr": 0.1}}, "has config.lrr; did you mean config.lr?"),
        ({"filters": {"config.lrr.value": 0.1}}, "has config.lrr; did you mean config.lr?"),
        (
            {"filters": {"$and": [{"state": "finished"}, {"summary_metrics.los": {"$gt": 0}}]}},
            "has summary_metrics.los; did you mean summary_metrics.loss?",
        ),
        (
            {"filters": {"config.model.dept": 2}},
            "has config.model.dept; did you mean config.model.depth?",
        ),
        ({"where": wb.config["model"] == 3}, 'config["model"]: the runs of'),
        ({"filters": {"config.model": 3}}, "config.model: the runs of"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "use",
    [
        list,
        lambda selection: selection.count(),
        lambda selection: selection.first(),
        lambda selection: list(selection.verified()),
        lambda selection: selection.to_arrow(),
        lambda selection: selection.stats(by=wb.run.group),
        lambda selection: selection.best(by=wb.run.group, metric=wb.summary["loss"]),
    ],
    ids=["list", "count", "first", "verified", "arrow", "stats", "best"],
)
def test_an_unknown_key_is_told_wherever_nothing_matches(
    asked: dict[str, Any], said: str, use: Callable[[RunSelection], object]
) -> None:
    (found,) = told(lambda: use(select(project(), **asked)))

    assert said in found


@pytest.mark.parametrize(
    "asked", [{"where": wb.config["lrr"] > 0}, {"filters": {"config.lrr": {"$gt": 0}}}], ids=str
)
def test_explain_names_the_keys_of_either_kind_of_filter(asked: dict[str, Any]) -> None:
    found = select(project(), **asked).explain()

    assert any("did you mean" in warning for warning in found.warnings)
    assert [(field.field, field.types, field.used) for field in found.fields] == [
        ('config["lrr"]', (), ("where",))
    ]


@pytest.mark.parametrize("filters", [{"config.model": {"$exists": False}}, {"config.model": None}], ids=str)
def test_an_object_will_do_where_presence_is_asked_for(filters: dict[str, Any]) -> None:
    assert not any("did you mean" in one for one in told(lambda: select(project(), filters=filters).count()))


@pytest.mark.parametrize(
    "use",
    [
        list,
        lambda selection: selection.to_arrow(),
        lambda selection: list(selection.iter_batches()),
    ],
    ids=["list", "arrow", "batches"],
)
def test_a_selected_key_that_no_run_has_is_told(use: Callable[[RunSelection], object]) -> None:
    (said,) = told(lambda: use(select(project(), select=[wb.config["lr"], wb.summary["los"]])))

    assert said.endswith('has summary["los"]; did you mean summary["loss"]?')


def test_an_export_tells_of_a_selected_key_that_no_run_has(tmp_path: Any) -> None:
    transport = project()
    selection = select(transport, select=[wb.summary["los"]])

    (said,) = told(lambda: export_runs(Session(transport), selection, tmp_path / "out"))

    assert said.endswith('has summary["los"]; did you mean summary["loss"]?')


def test_selected_keys_that_runs_have_cost_no_request() -> None:
    transport = project()

    list(select(transport, select=[wb.config["lr"]]))

    assert transport.names_sent() == ["ListRuns"]


@pytest.mark.parametrize("order", ["loss", "other"])
def test_a_metric_kept_as_an_object_offers_what_is_inside(order: str) -> None:
    key = "summary_metrics.loss"
    run = make_run(1, summary={"loss": {"max": 0.9, "min": 0.1}})
    transport = RunsTransport(run, fields={f"{key}.max": "number", f"{key}.min": "number"})
    asked: dict[str, Any] = {"where": wb.summary["loss"] > 0.5}
    if order == "loss":
        asked = {"order": -wb.summary["loss"]}

    with pytest.warns(UnknownKeyWarning) as caught:
        select(transport, **asked).ids()

    (warning,) = [one.message for one in caught]
    assert isinstance(warning, UnknownKeyWarning)
    assert warning.near == ('summary["loss"]["max"]', 'summary["loss"]["min"]')
    assert select(transport, where=f"{warning.near[0]} > 0.5").ids() == ["r1"]


def test_best_by_a_metric_kept_as_an_object_offers_what_is_inside() -> None:
    run = make_run(1, summary={"loss": {"max": 0.9}})
    transport = RunsTransport(run, fields={"summary_metrics.loss.max": "number"})

    with pytest.warns(UnknownKeyWarning, match=r'did you mean summary\["loss"\]\["max"\]'):
        select(transport).best(by=wb.run.group, metric=wb.summary["loss"])


def test_keys_of_the_sdk_are_no_fields_unless_asked_for() -> None:
    transport = project({**INTERNAL, **FIELDS})

    assert [field.path for field in iter_fields(Session(transport), VISION)] == list(FIELDS)
    assert len(list(iter_fields(Session(transport), VISION, pattern="_wandb"))) == len(INTERNAL)


@pytest.mark.parametrize("reads_patterns", [True, False])
def test_a_key_behind_those_of_the_sdk_is_found(reads_patterns: bool) -> None:
    transport = project({**INTERNAL, **FIELDS}, reads_patterns=reads_patterns)

    said = told(lambda: select(transport, where=wb.config["lr"] > 5).count())

    assert not any("no run" in one for one in said)


def test_a_misspelt_key_among_very_many_is_told_with_its_near_names() -> None:
    fields = {**INTERNAL, **FIELDS, "config.learning_rate.value": "number"}

    (said,) = told(lambda: select(project(fields), filters={"config.learning_rat": 5}).count())

    assert said == "no run of 'acme/vision' has config.learning_rat; did you mean config.learning_rate?"


def test_a_list_that_was_cut_proves_no_absence() -> None:
    transport = project({**INTERNAL, **FIELDS}, reads_patterns=False)

    (said,) = told(lambda: select(transport, where=wb.config["zzzz"] > 5).count())

    assert said.startswith("whether a run of 'acme/vision' has config[\"zzzz\"] is not known")
    assert len(transport.sent) < 25


def test_a_long_list_read_to_its_end_proves_it() -> None:
    fields = {f"summary_metrics.metric{number}": "number" for number in range(3000)}

    (said,) = told(lambda: select(project(fields), where=wb.config["zzzz"] > 5).count())

    assert said == "no run of 'acme/vision' has config[\"zzzz\"]"


def test_of_many_projects_it_is_said_which_were_looked_at() -> None:
    projects = {f"p{number:02}": [make_run(number)] for number in range(12)}
    transport = RunsTransport(projects=projects, fields=FIELDS)
    paths = [ProjectPath("acme", name) for name in projects]

    (said,) = told(lambda: RunSelection(Session(transport), paths, where=wb.config["lrr"] > 5).count())

    assert said.startswith("no run of the first 10 of 12 projects of 'acme/p00, acme/p01")
    assert said.endswith('has config["lrr"]; did you mean config["lr"]?')


def test_types_of_selected_keys_are_found_behind_those_of_the_sdk() -> None:
    many = {f"config._wandb.value.e.{number}": "string" for number in range(25_000)}
    transport = project({**many, "config.seed.value": "string", **FIELDS})

    table = select(transport, select=[wb.config["seed"], wb.config["lr"]]).to_arrow()

    assert [str(table.schema.field(name).type) for name in ("config.seed", "config.lr")] == [
        "string",
        "double",
    ]


def test_keys_are_looked_up_in_the_lists_of_a_real_server(world: World) -> None:
    config = {"_wandb": {"value": {"e": {f"id{n}": {"os": "x"} for n in range(1200)}}}, "lr": {"value": 0.1}}
    world.caller.upsert(world.project, name="a", config=config, summaryMetrics={"loss": {"max": 1.0}})

    assert [field.path for field in world.client.fields(world.path)] == [
        "config.lr.value",
        "summary_metrics.loss.max",
    ]
    assert told(lambda: world.client.runs(world.path, where=wb.config["lr"] > 5).count()) == []
    assert told(lambda: world.client.runs(world.path, filters={"config.lrr": 5}).count()) == [
        f"no run of '{world.path}' has config.lrr; did you mean config.lr?"
    ]
    (said,) = told(lambda: world.client.runs(world.path, where=wb.summary["loss"] > 5).count())
    assert said.endswith('did you mean summary["loss"]["max"]?')


def test_a_misspelt_metric_that_is_kept_as_an_object_names_what_is_inside() -> None:
    path = FieldPath("summary", ("lss",))

    assert nearest(path, ["summary_metrics.loss.max", "summary_metrics.acc"]) == ['summary["loss"]["max"]']
