"""Conditions that only the client can decide: how they are written, read back, parted and decided."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wbgql as wb
from wbgql.errors import FilterError
from wbgql.expressions import Expr, compile_filter, compile_order, matches, parse_expression, split_filter

NOW = datetime(2026, 3, 8, tzinfo=UTC)
DOTTED = wb.config("a.b", client_side=True)
LAYERS = wb.config("layers", client_side=True)
PLAIN = wb.summary["acc"] > 0.5

keys = st.text(min_size=1, max_size=8).filter(lambda key: key.isprintable())
scalars = st.one_of(st.booleans(), st.integers(-9, 9), st.text(max_size=5).filter(str.isprintable))


@st.composite
def conditions(draw: st.DrawFn) -> Expr:
    section = draw(st.sampled_from([wb.config, wb.summary]))
    field = section(draw(keys), client_side=True)
    if draw(st.booleans()):
        field = field[draw(keys)]
    kind = draw(st.sampled_from(["==", "list", "has", "exists", "in"]))
    if kind == "list":
        return field == draw(st.lists(scalars, max_size=3))
    if kind == "has":
        return field.has(draw(scalars))
    if kind == "in":
        return field.in_(draw(st.lists(scalars, max_size=3)))
    return field.exists() if kind == "exists" else field == draw(scalars)


expressions = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        inner.map(lambda one: ~one),
        st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
    ),
    max_leaves=6,
)


@given(expressions)
def test_text_reads_back_to_the_same_expression(expr: Expr) -> None:
    assert parse_expression(str(expr), client_side=True) == expr


@given(expressions)
def test_both_parts_together_ask_what_the_whole_asks(expr: Expr) -> None:
    served, left = split_filter(expr)
    document = {"config": {"a": {"b": 1}, "layers": [1, 2], "x": True}, "summary_metrics": {"a.b": "x"}}

    both = matches(served, document, now=NOW) and matches(left, document, now=NOW)

    assert both == matches(expr, document, now=NOW)
    compile_filter(served, now=NOW)


@pytest.mark.parametrize(
    ("expr", "served", "left"),
    [
        (PLAIN, PLAIN, None),
        (DOTTED == 1, None, DOTTED == 1),
        (PLAIN & (DOTTED == 1), PLAIN, DOTTED == 1),
        (PLAIN | (DOTTED == 1), None, PLAIN | (DOTTED == 1)),
        (~(PLAIN | (DOTTED == 1)), ~PLAIN, ~(DOTTED == 1)),
        (~(PLAIN & LAYERS.has(1)), None, ~(PLAIN & LAYERS.has(1))),
    ],
)
def test_whole_terms_of_the_outermost_and_are_parted(
    expr: Expr, served: Expr | None, left: Expr | None
) -> None:
    assert split_filter(expr) == (served, left)


@pytest.mark.parametrize(
    ("expr", "config", "holds"),
    [
        (DOTTED == 1, {"a.b": 1}, True),
        (DOTTED == 1, {"a": {"b": 1}}, False),
        (DOTTED == True, {"a.b": 1}, False),  # noqa: E712  # builds a condition
        (DOTTED == None, {}, True),  # noqa: E711  # builds a condition
        (LAYERS == [1, 2], {"layers": [1, 2]}, True),
        (LAYERS == [1, 2], {"layers": [1, 2, 3]}, False),
        (LAYERS == [1, 2], {"layers": [[1, 2]]}, False),
        (LAYERS == [1], {"layers": [True]}, False),
        (LAYERS == [], {"layers": []}, True),
        (LAYERS == [], {}, False),
        (LAYERS != [1], {"layers": 1}, True),
        (LAYERS != [1], {}, False),
        (LAYERS.has(2), {"layers": [1, 2.0]}, True),
        (LAYERS.has(2), {"layers": 2}, False),
        (LAYERS["deep"].has("x"), {"layers": {"deep": ["x"]}}, True),
        (wb.config("lr", client_side=True) > 0.1, {"lr": 0.2}, True),
    ],
)
def test_what_holds(expr: Expr, config: dict[str, Any], holds: bool) -> None:
    assert matches(expr, {"config": config}, now=NOW) is holds


def test_the_compiler_refuses_what_only_the_client_can_decide() -> None:
    for expr in (DOTTED == 1, LAYERS.has(1), PLAIN & (LAYERS == [1])):
        with pytest.raises(FilterError, match="client_side=True"):
            compile_filter(expr, now=NOW)


def test_what_the_server_can_decide_of_such_a_field_it_does() -> None:
    assert compile_filter(wb.config("lr", client_side=True) > 0.1, now=NOW) == {
        "config.lr.value": {"$gt": 0.1}
    }


def test_text_needs_leave_for_dots_and_lists() -> None:
    for text in ('config["a.b"] == 1', 'config["layers"] == [1]', 'config["layers"].has(1)'):
        assert parse_expression(text, client_side=True).conditions()
        with pytest.raises(FilterError, match="client_side=True") as caught:
            parse_expression(text)
        assert caught.value.column is not None


def test_such_a_key_is_sorted_by_on_the_client_alone() -> None:
    order = -DOTTED

    assert str(order) == '-config["a.b"]'
    with pytest.raises(FilterError, match="nesting"):
        compile_order(order)


def test_lists_of_what_cannot_be_in_a_list_are_refused() -> None:
    with pytest.raises(FilterError):
        LAYERS == [[1], [2]]  # noqa: B015  # builds a condition
    with pytest.raises(FilterError):
        LAYERS.has(None)
