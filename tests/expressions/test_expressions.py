"""The filter algebra: what it compiles to, what it holds for, and the mistakes it refuses."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from itertools import pairwise

import pytest

from wbgql.errors import FilterError
from wbgql.expressions import (
    Expr,
    FieldPath,
    ago,
    compile_filter,
    compile_order,
    config,
    fields_of,
    matches,
    run,
    summary,
)
from wbgql.filters import filter_matches

NOW = datetime(2026, 1, 31, 12, 0, 0, 654321, tzinfo=UTC)
NOTHING = {"$and": [{"name": None}, {"name": {"$ne": None}}]}


def compiled(expr: Expr | None) -> dict[str, object]:
    return compile_filter(expr, now=NOW)


@pytest.mark.parametrize(
    ("expr", "filters"),
    [
        (None, {}),
        (summary["val/acc"] > 0.9, {"summary_metrics.val/acc": {"$gt": 0.9}}),
        (summary["loss"].min <= 3, {"summary_metrics.loss.min": {"$lte": 3}}),
        (config["lr"].in_([0.1, 0.2]), {"config.lr.value": {"$in": [0.1, 0.2]}}),
        (config["a"]["b"] == "x", {"config.a.value.b": "x"}),
        (config["a"]["value"] == "x", {"config.a.value.value": "x"}),
        (run.id == "abc", {"name": "abc"}),
        (run.user == "ada", {"username": "ada"}),
        (run.duration_s >= 60, {"duration": {"$gte": 60}}),
        (run.tags.has("keep"), {"tags": "keep"}),
        (run.tags.has_any(["a", "b"]), {"tags": {"$in": ["a", "b"]}}),
        (run.tags.has_all(["a", "b"]), {"$and": [{"tags": "a"}, {"tags": "b"}]}),
        (run.tags.has_none(["a", "b"]), {"$or": [{"tags": None}, {"tags": {"$nin": ["a", "b"]}}]}),
        (~run.tags.has("x"), {"$or": [{"tags": None}, {"tags": {"$ne": "x"}}]}),
        (run.created_at > ago("7d"), {"createdAt": {"$gt": "2026-01-24T12:00:00Z"}}),
        (run.display_name.contains("resnet"), {"displayName": {"$contains": "resnet"}}),
        (run.display_name.matches("^base"), {"displayName": {"$regex": "^base"}}),
        (run.group == None, {"group": None}),  # noqa: E711
        (run.group != None, {"group": {"$ne": None}}),  # noqa: E711
        (config["x"] == None, {"$or": [{"config.x.value": None}, {"config.x.value": {"$exists": False}}]}),  # noqa: E711
        (summary["x"].exists(), {"summary_metrics.x": {"$exists": True}}),
        (summary["x"].missing(), {"summary_metrics.x": {"$exists": False}}),
        (~summary["x"].missing(), {"summary_metrics.x": {"$exists": True}}),
        (summary["x"].is_nan(), {"summary_metrics.x": "NaN"}),
        (summary["x"] == math.inf, {"summary_metrics.x": "Infinity"}),
        (summary["x"].between(1, 2), {"summary_metrics.x": {"$gte": 1, "$lte": 2}}),
        (run.host != "a", {"$and": [{"host": {"$ne": None}}, {"host": {"$ne": "a"}}]}),
        (run.host.not_in(["a"]), {"$and": [{"host": {"$ne": None}}, {"host": {"$nin": ["a"]}}]}),
        (run.host.not_in([]), {"host": {"$ne": None}}),
        (run.host.is_not("a"), {"$or": [{"host": None}, {"host": {"$ne": "a"}}]}),
        (~(run.host != "a"), {"$or": [{"host": None}, {"host": "a"}]}),
        (
            ~(config["lr"] == 1),
            {
                "$or": [
                    {"config.lr.value": None},
                    {"config.lr.value": {"$ne": 1}},
                    {"config.lr.value": {"$exists": False}},
                ]
            },
        ),
        (
            ~(summary["x"] > 1),
            {"$or": [{"summary_metrics.x": None}, {"$nor": [{"summary_metrics.x": {"$gt": 1}}]}]},
        ),
        (run.state.in_([]), NOTHING),
        (~run.state.in_([]), {}),
        (run.state.in_([]) | (run.host == "a"), {"host": "a"}),
        (run.state.in_([]) & (run.host == "a"), NOTHING),
    ],
    ids=lambda value: str(value) if isinstance(value, Expr) else "",
)
def test_compile_filter(expr, filters):
    assert compiled(expr) == filters
    assert list(map(str, compiled(expr))) == list(map(str, filters))


def test_compile_filter_joins_conditions_without_needless_and():
    expr = (run.state == "finished") & (summary["a"] > 1) & ((summary["a"] < 2) & (run.host == "h"))

    assert compiled(expr) == {"state": "finished", "summary_metrics.a": {"$gt": 1, "$lt": 2}, "host": "h"}


def test_compile_filter_keeps_two_equalities_of_one_key_apart():
    expr = (summary["a"] == 1) & (summary["a"] == True)  # noqa: E712

    assert compiled(expr) == {"$and": [{"summary_metrics.a": 1}, {"summary_metrics.a": True}]}
    assert json.dumps(compiled(expr)).count("true") == 1


def test_compile_filter_moves_negation_to_the_leaves():
    expr = ~((run.host == None) | (summary["a"].exists() & ~(summary["b"].exists())))  # noqa: E711

    assert compiled(expr) == {
        "host": {"$ne": None},
        "$or": [{"summary_metrics.a": {"$exists": False}}, {"summary_metrics.b": {"$exists": True}}],
    } or compiled(expr) == {
        "$and": [
            {"host": {"$ne": None}},
            {"$or": [{"summary_metrics.a": {"$exists": False}}, {"summary_metrics.b": {"$exists": True}}]},
        ]
    }


def test_compile_filter_writes_dates_in_utc_with_z():
    east = timezone(timedelta(hours=2))
    expected = {"createdAt": {"$gt": "2026-01-31T10:00:00Z"}}

    assert compiled(run.created_at > datetime(2026, 1, 31, 12, tzinfo=east)) == expected
    assert compiled(run.created_at > "2026-01-31T12:00:00+02:00") == expected


@pytest.mark.parametrize("value", [True, "state", {"state": "x"}, summary["a"], -summary["a"]])
def test_compile_filter_refuses_what_is_no_condition(value):
    with pytest.raises(FilterError, match="not a condition"):
        compiled(value)


def test_compile_filter_needs_a_zone():
    with pytest.raises(FilterError, match="no time zone"):
        compile_filter(run.created_at > ago("1d"), now=datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (-summary["val/acc"], "-summary_metrics.val/acc"),
        (+summary["loss"].min, "+summary_metrics.loss.min"),
        (-config["lr"], "-config.lr.value"),
        (+run.created_at, "+created_at"),
        (-run.heartbeat_at, "-heartbeat_at"),
        (-run.updated_at, "-updatedAt"),
    ],
)
def test_compile_order_always_signs(order, text):
    assert compile_order(order) == text


@pytest.mark.parametrize(
    ("mistake", "advice"),
    [
        (lambda: (summary["a"] > 1) and (config["b"] > 2), "& | ~"),
        (lambda: (summary["a"] > 1) or (config["b"] > 2), "& | ~"),
        (lambda: not (summary["a"] > 1), "& | ~"),
        (lambda: 0 < summary["a"] < 1, "between"),
        (lambda: summary["a"] > 1 & config["b"] < 2, "(a > 1) & (b < 2)"),
        (lambda: summary["a"] > 1 | config["b"] < 2, "(a > 1) & (b < 2)"),
        (lambda: (summary["a"] > 1) & config["b"], "(a > 1) & (b < 2)"),
        (lambda: 1 & (summary["a"] > 1), "(a > 1) & (b < 2)"),
        (lambda: "x" in run.tags, ".has("),
        (lambda: "lr" in config, ".in_("),
        (lambda: list(run.tags), "iterated"),
        (lambda: list(config), "iterated"),
        (lambda: len(summary["a"]), "length"),
        (lambda: bool(summary["a"]), "truth value"),
        (lambda: bool(-summary["a"]), "truth value"),
        (lambda: ~summary["a"], "(a > 1) & (b < 2)"),
        (lambda: summary["a"] + 1 > 2, "does not calculate"),
        (lambda: -summary["a"] > 1, "leave out the sign"),
        (lambda: (-summary["a"]) & (summary["a"] > 1), "leave out the sign"),
        (lambda: ~(-summary["a"]), "leave out the sign"),
        (lambda: summary > 1, "name one of its values"),
        (lambda: run.name, "run.display_name"),
        (lambda: run.stat, "state"),
        (lambda: run.createdAt, "write created_at"),
        (lambda: run.loss, 'summary["loss"]'),
        (lambda: run.state.exists, "!= None"),
        (lambda: run.state.contain("a"), "contains"),
        (lambda: run.tags.foo, "has_any"),
        (lambda: summary.loss, 'summary["loss"]'),
        (lambda: summary["a"].foo, 'summary["a"]["foo"]'),
        (lambda: config["a"].min, "only summary"),
        (lambda: config["a"].has("x"), "only tags"),
        (lambda: summary[""], "not empty"),
        (lambda: summary[0], "not empty"),
        (lambda: summary["a\ud800"], "Unicode"),
        (lambda: summary["a"] == "\ud800", "Unicode"),
        (lambda: config["a.b"] > 1, '["a"]["b"]'),
        (lambda: -summary["a.b"], "nesting"),
        (lambda: run.created_at > datetime(2026, 1, 1), "no time zone"),
        (lambda: run.created_at > "2026-01-01T00:00:00", "add Z"),
        (lambda: run.created_at > "yesterday", "ISO-8601"),
        (lambda: run.created_at > date(2026, 1, 1), "ambiguous"),
        (lambda: run.created_at > 1704067200, "datetime"),
        (lambda: run.created_at > None, "null has no order"),
        (
            lambda: run.created_at > datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
            "years 1 to 9999",
        ),
        (lambda: summary["a"].is_not(math.nan), ".is_nan()"),
        (lambda: summary["a"] < math.inf, "infinities"),
        (lambda: summary["a"].in_([math.nan]), ".is_nan()"),
        (lambda: summary["a"] > True, "no order"),
        (lambda: summary["a"] > None, "no order"),
        (lambda: summary["a"] > [1], "in_"),
        (lambda: summary["a"] == [1], "in_"),
        (lambda: summary["a"] == {"b": 1}, '["key"]'),
        (lambda: summary["a"] == summary["b"], "not with a field"),
        (lambda: summary["a"] > ago("7d"), "_timestamp"),
        (lambda: summary["a"] == object(), "no JSON form"),
        (lambda: summary["a"] > 2**64, "64 bits"),
        (lambda: summary["a"].in_("abc"), "list"),
        (lambda: summary["a"].in_([None]), "f == None"),
        (lambda: run.tags == "x", "tags.has"),
        (lambda: run.tags == ["x"], "tags.has"),
        (lambda: run.tags.in_(["x"]), "tags.has"),
        (lambda: run.tags.has(""), "not empty"),
        (lambda: run.tags.has_any("keep"), "list of tags"),
        (lambda: run.tags.has_all([]), "every run"),
        (lambda: run.tags.has_none([]), "every run"),
        (lambda: run.state == "Finished", "'finished'"),
        (lambda: run.state == "finishd", "'finished'"),
        (lambda: run.state.in_(["zzz"]), "known are"),
        (lambda: run.state > "finished", "no order"),
        (lambda: run.group == 5, 'write "5"'),
        (lambda: run.duration_s > "5", "seconds"),
        (lambda: run.display_name.contains(""), "not empty"),
        (lambda: run.display_name.matches("("), "regular expression"),
        (lambda: -run.state, "cannot sort"),
        (lambda: ago("7"), 'ago("7d")'),
        (lambda: ago("999999w"), "century"),
        (lambda: compile_order("-created_at"), "-field"),
    ],
)
def test_mistakes_say_what_to_write(mistake, advice):
    with pytest.raises(FilterError) as caught:
        mistake()

    assert advice in str(caught.value)
    assert str(caught.value)[-1] != "."


def test_unknown_attributes_do_not_break_inspecting_tools():
    assert not hasattr(run, "stat")
    assert not hasattr(run.state, "foo")
    assert copy.deepcopy(run.state).path == run.state.path
    assert repr(run.state) == "<TextField state>"


def test_expressions_are_values():
    expr = (run.state == "finished") & ~(summary["a"] > 1)

    assert expr == (run.state == "finished") & ~(summary["a"] > 1)
    assert expr != (run.state == "finished")
    assert (summary["a"] == 1).identity() != (summary["a"] == True).identity()  # noqa: E712
    assert len({expr, pickle.loads(pickle.dumps(expr))}) == 1
    assert (expr == "text") is False
    assert ~~expr == expr
    assert repr(expr) == '<Expr state == "finished" and not (summary["a"] > 1)>'


def test_operands_become_plain_values():
    class State(StrEnum):
        FINISHED = "finished"

    assert compiled(run.state == State.FINISHED) == {"state": "finished"}
    assert type(compiled(run.state == State.FINISHED)["state"]) is str


def test_fields_of_names_every_path_once():
    expr = (run.state == "finished") & ~((summary["a"]["b"] > 1) | (summary["a"]["b"] < 0))

    assert fields_of(expr) == {FieldPath("run", ("state",)), FieldPath("summary", ("a", "b"))}


@pytest.mark.parametrize(
    ("expr", "word"),
    [
        (run.host.matches("a"), "reads? every run"),
        (run.host.matches("a(?!b)"), "RE2"),
        (run.host.contains("50%"), "wildcards"),
        (config["a"]["b"]["c"]["d"]["e"] > 1, "4 levels"),
        (summary["a"]["b"]["c"]["d"]["e"]["f"] > 1, "5 levels"),
    ],
)
def test_warnings_name_what_is_slow_or_not_found(expr, word):
    assert any(re.search(word, text) for text in (~expr & (run.host == "a")).warnings())


def test_no_warnings_at_the_indexed_depth():
    assert ((config["a"]["b"]["c"]["d"] > 1) & (summary["a"]["b"]["c"]["d"]["e"] > 1)).warnings() == []


def test_deep_expressions_are_refused_when_built():
    def nest(expr, levels):
        return ~nest(expr, levels - 1) & (run.host == "b") if levels else expr

    assert nest(run.host == "a", 30).depth > 30
    with pytest.raises(FilterError, match="nested deeper"):
        nest(run.host == "a", 200)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"x": 2}, {">", "!=", "exists", "!= None"}),
        ({"x": 1.0}, {"==", "exists", "!= None"}),
        ({"x": True}, {"!=", "exists", "!= None"}),
        ({"x": "2"}, {"!=", "exists", "!= None"}),
        ({"x": None}, {"exists"}),
        ({"x": math.nan}, {"!=", "exists", "!= None", "is_nan"}),
        ({"x": "NaN"}, {"!=", "exists", "!= None", "is_nan"}),
        ({"x": [1, 5]}, {"==", ">", "exists", "!= None"}),
        ({}, set()),
    ],
)
def test_matches_compares_present_values_of_one_type(document, expected):
    x = summary["x"]
    tests = {
        "==": x == 1,
        "!=": x != 1,
        ">": x > 1,
        "exists": x.exists(),
        "!= None": x != None,  # noqa: E711
        "is_nan": x.is_nan(),
    }

    got = {name for name, expr in tests.items() if matches(expr, {"summary_metrics": document}, now=NOW)}

    assert got == expected


def test_matches_walks_into_lists_as_the_compiled_filter_does():
    document = {"config": {"layers": [{"size": 8}, {"size": 16}], "dims": [3, 5]}}

    for expr in (
        config["layers"]["1"]["size"] == 16,
        config["layers"]["size"] == 8,
        config["dims"]["0"] == 3,
    ):
        assert matches(expr, document, now=NOW)
        assert filter_matches(compiled(expr), document)
    assert not matches(config["layers"]["0"]["size"] == 16, document, now=NOW)


def test_matches_compares_dates_as_instants():
    document = {"createdAt": "2026-01-24T12:00:00"}

    assert matches(run.created_at >= ago("7d"), document, now=NOW)
    assert not matches(run.created_at > ago("7d"), document, now=NOW)
    assert not matches(run.heartbeat_at < ago("7d"), document, now=NOW)
    assert matches(None, document, now=NOW)


def test_comparisons_of_instants_are_consistent():
    instants = sorted(datetime(2026, 1, day, tzinfo=UTC) for day in (1, 15, 31))

    for low, high in pairwise(instants):
        document = {"createdAt": low.isoformat()}
        assert matches(run.created_at < high, document, now=NOW)
        assert not matches(run.created_at >= high, document, now=NOW)
