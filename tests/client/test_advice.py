"""What an error tells you to write is accepted when you write it."""

from __future__ import annotations

import re
from typing import Any

import pytest

import wbgql as wb
from tests.fake_runs import RunsTransport, make_run
from tests.stored import World
from wbgql.cli.shared.spelling import for_command_line
from wbgql.errors import FilterError, UsageError
from wbgql.expressions import Expr, Field, FieldPath, Order, parse_expression, parse_field, parse_order
from wbgql.paths import ProjectPath
from wbgql.runs import RunSelection
from wbgql.wire.session import Session

# (what was written, what the error says to write instead). The error must hold the advice word for word.
CONDITIONS = [
    ("val/acc > 0.9", 'summary["val/acc"]'),
    ("0.9 < val/acc", 'summary["val/acc"]'),
    ("train/val/acc > 0.9", 'config["train/val/acc"]'),
    ("val-loss > 0.9", 'summary["val-loss"]'),
    ('state == "finished" and val/acc > 0.9', 'summary["val/acc"]'),
    ("loss > 0.9", 'summary["loss"]'),
    ("loss > 0.9", 'config["loss"]'),
    ("summary.loss > 0.9", 'summary["loss"]'),
    ("config.lr > 0.9", 'config["lr"]'),
    ('createdAt > ago("7d")', "created_at"),
    ('stat == "finished"', "state"),
    ('config["a.b"] == 1', 'config["a"]["b"]'),
    ('config["x"]["a.b"] == 1', 'config["x"]["a"]["b"]'),
    ('summary["metrics/mAP_0.5"] > 0.3', 'summary["metrics/mAP_0"]["5"]'),
    ('config["lr"].max > 0', 'config["lr"]["max"]'),
]
WHOLE = [
    ("ago(7d) > created_at", 'ago("7d")', "created_at > {}"),
    ('summary["loss"] > 1e999', '== "Infinity"', 'summary["loss"] {}'),
    ('summary["loss"] == NaN', ".is_nan()", 'summary["loss"]{}'),
    ('summary["loss"] == nan', ".is_nan()", 'summary["loss"]{}'),
    ('summary["ok"] == true', "True", 'summary["ok"] == {}'),
    ('summary["ok"] > True', "== True", 'summary["ok"] {}'),
    ('state == "done"', "finished", 'state == "{}"'),
    ('state == "Finished"', "'finished'", "state == {}"),
    ("state == finished", '"finished"', "state == {}"),
    ("state", "!= None", "state {}"),
    ('created_at > "2026-01-31" ', "Z", 'created_at > "2026-01-31T00:00:00{}"'),
    ("created_at > 5", '"2026-01-31T12:00:00Z"', "created_at > {}"),
    ("created_at > 5", 'ago("7d")', "created_at > {}"),
    ("display_name == 5", '"5"', "display_name == {}"),
    ('display_name.contain("x")', "contains", 'display_name.{}("x")'),
    ('tags == "x"', "tags.has(x)", "{}"),
    ('"x" in display_name', "display_name.contains(text)", "{}"),
    ('state in "finished"', "[a, b]", "state in {}"),
    ("created_at.exists()", "!= None", "created_at {}"),
    ('summary["a"] > 1 & summary["b"] < 2', "(a > 1) & (b < 2)", "{}"),
]


def refused(text: str) -> str:
    with pytest.raises(FilterError) as caught:
        parse_expression(text)
    return str(caught.value)


@pytest.mark.parametrize(("text", "advice"), CONDITIONS)
def test_a_field_that_an_error_names_is_accepted(text: str, advice: str) -> None:
    assert advice in refused(text)
    assert isinstance(parse_expression(f"{advice} != None"), Expr)
    assert isinstance(parse_field(advice), Field)


@pytest.mark.parametrize(("text", "advice", "place"), WHOLE)
def test_a_form_that_an_error_names_is_accepted(text: str, advice: str, place: str) -> None:
    assert advice in refused(text)
    written = place.format(advice)
    for name, value in (("(x)", '("x")'), ("(text)", '("x")'), ("[a, b]", '["failed"]')):
        written = written.replace(name, value)
    written = re.sub(r"\b([ab]) ([<>])", r'summary["\1"] \2', written)
    assert isinstance(parse_expression(written), Expr)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("-val/acc", '-summary["val/acc"]'),
        ("val/acc", 'summary["val/acc"]'),
        ("-metrics/mAP_0", '-summary["metrics/mAP_0"]'),
        ("state", "created_at"),
        ('-summary["a.b"]', 'summary["a"]["b"]'),
    ],
)
def test_an_order_that_an_error_names_is_accepted(text: str, advice: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_order(text)

    assert advice in str(caught.value)
    assert isinstance(parse_order(advice), Order)


def test_a_select_without_its_quotes_names_the_field() -> None:
    with pytest.raises(FilterError, match=re.escape('summary["metrics/mAP_0.5"]')):
        parse_field("metrics/mAP_0.5")
    assert parse_field('summary["metrics/mAP_0.5"]').path == FieldPath("summary", ("metrics/mAP_0.5",))


def yolo(**asked: Any) -> list[str]:
    values = [0.3, 0.9, None, 0.5, "NaN", 0.1]
    runs = [
        make_run(n, summary={} if value is None else {"metrics/mAP_0.5": value})
        for n, value in enumerate(values)
    ]
    return RunSelection(Session(RunsTransport(*runs)), ProjectPath("acme", "vision"), **asked).ids()


def test_the_advice_for_an_order_by_a_key_with_a_dot_works() -> None:
    with pytest.raises(FilterError) as caught:
        -wb.summary["metrics/mAP_0.5"]  # a sign makes an order
    (written,) = re.findall(r'summary\("[^"]+", client_side=True\)', str(caught.value))
    field = eval(written, {"summary": wb.summary})  # what the error says

    assert "client_side=True in the call" in str(caught.value)
    assert yolo(order=-field, limit=2, client_side=True) == ["r1", "r3"]
    assert yolo(order=+field, client_side=True) == ["r5", "r0", "r3", "r1", "r2", "r4"]
    assert yolo(order='-summary["metrics/mAP_0.5"]', limit=2, client_side=True) == ["r1", "r3"]
    assert yolo(order=-field, where=field > 0.2, client_side=True) == ["r1", "r3", "r0"]
    with pytest.raises(FilterError, match="client_side=True in the call"):
        yolo(order=-field)


def test_an_order_on_the_client_takes_one_run_and_several_projects() -> None:
    projects = {
        name: [make_run(n + 3 * at, config={"a.b": n + 3 * at}) for n in range(3)]
        for at, name in enumerate("pq")
    }
    paths = [ProjectPath("acme", name) for name in projects]
    order = -wb.config("a.b", client_side=True)
    selection = RunSelection(Session(RunsTransport(projects=projects)), paths, order=order, client_side=True)

    assert selection.ids() == ["r5", "r4", "r3", "r2", "r1", "r0"]
    first = selection.first()
    assert first is not None
    assert first.id == "r5"


def test_an_order_on_the_client_is_explained_with_what_it_reads() -> None:
    runs = [make_run(n, config={"a.b": n}) for n in range(30)]
    selection = RunSelection(
        Session(RunsTransport(*runs, fields={})),
        ProjectPath("acme", "vision"),
        order='-config["a.b"]',
        limit=2,
        client_side=True,
    )

    told = selection.explain()

    assert (told.order, told.reads) == ('-config["a.b"] by the client', 30)


def test_a_stable_reading_in_an_order_of_the_client_is_refused() -> None:
    with pytest.raises(UsageError, match="leave out order"):
        yolo(order=wb.config("a.b", client_side=True), client_side=True, stable=True)


@pytest.mark.parametrize(
    ("python", "command"),
    [
        (
            'write summary("a.b", client_side=True), with client_side=True in the call, which',
            'write summary["a.b"], with --client-side, which',
        ),
        ("some may be missing; stable=True reads", "some may be missing; --stable reads"),
        ("a field such as wb.run.group or", "a field such as run.group or"),
    ],
)
def test_advice_is_spelt_as_the_command_line_takes_it(python: str, command: str) -> None:
    assert for_command_line(python) == command


def test_what_the_caller_wrote_is_repeated_as_it_was() -> None:
    assert for_command_line("stable=True\n  stable=True") == "--stable\n  stable=True"


def test_the_fields_of_a_project_are_written_as_expressions_take_them(world: World) -> None:
    config = {"lr": {"value": 0.1}, "model": {"value": {"depth": 2}}}
    world.caller.upsert(world.project, name="a", config=config, summaryMetrics={"val/acc": 0.5, 'a "b"': 1})

    fields = [field.field for field in world.client.fields(world.path)]

    assert sorted(fields) == [
        'config["lr"]',
        'config["model"]["depth"]',
        'summary["a \\"b\\""]',
        'summary["val/acc"]',
    ]
    assert all(world.client.runs(world.path, where=f"{field} != None").count() == 1 for field in fields)
