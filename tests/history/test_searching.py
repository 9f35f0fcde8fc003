"""Conditions on steps: their text form, what they look at, what holds."""

from __future__ import annotations

import math
from typing import Any

import pytest

import wbgql as wb
from wbgql.errors import FilterError
from wbgql.expressions import Expr, parse_expression
from wbgql.history.searching import RowFilter

CONDITIONS = [
    wb.step["loss"] > 10,
    wb.step["val/acc"].between(0.1, 0.9) & ~(wb.step["_step"] < 5),
    wb.step["note"].contains("nan") | wb.step["deep"]["k"].exists(),
    wb.step["a.b"].is_nan(),
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_the_text_form_reads_back(condition: Expr) -> None:
    assert parse_expression(str(condition)) == condition


@pytest.mark.parametrize(
    ("condition", "row", "holds"),
    [
        ('step["loss"] > 10', {"loss": 11}, True),
        ('step["loss"] > 10', {"loss": math.inf}, True),
        ('step["loss"] < 10', {"loss": -math.inf}, True),
        ('step["loss"] > 10', {"loss": math.nan}, False),
        ('step["loss"] > 10', {"loss": "11"}, False),
        ('step["loss"] > 10', {}, False),
        ('not (step["loss"] > 10)', {}, True),
        ('step["loss"].is_nan()', {"loss": math.nan}, True),
        ('step["deep"]["k"] == 1', {"deep": {"k": 1}}, True),
        ('step["deep"]["k"] == 1', {"deep.k": 1}, True),
        ('step["deep.k"] == 1', {"deep": {"k": 1}}, True),
        ('step["deep"].exists() and step["deep"]["k"] == 1', {"deep": {"k": 1}}, True),
        ('step["deep"].exists() and step["deep"]["k"] == 1', {"deep": 3}, False),
        ('step["ok"] == True', {"ok": True}, True),
    ],
)
def test_a_condition_holds_for_the_rows_it_describes(
    condition: str, row: dict[str, Any], holds: bool
) -> None:
    assert bool(RowFilter.of(condition).apply([row], None)) is holds


def test_the_keys_a_condition_looks_at_are_read_too_and_cut_again() -> None:
    condition = RowFilter.of('step["loss"] > 1 and step["deep"]["k"] == 2')

    assert condition.widen(["acc", "loss"]) == ("acc", "loss", "deep.k")
    assert condition.widen(None) is None
    rows = [{"_step": 0, "loss": 2, "deep.k": 2, "acc": 0.5}, {"_step": 1, "loss": 0, "deep.k": 2}]
    assert condition.apply(rows, ["acc"]) == [{"_step": 0, "acc": 0.5}]


@pytest.mark.parametrize("condition", ["state == 'finished'", "step > 1", 'step["x"]', 5])
def test_what_is_no_condition_on_steps_is_refused(condition: Any) -> None:
    with pytest.raises(FilterError):
        RowFilter.of(condition)


def test_runs_hold_no_steps() -> None:
    client = wb.Client(api_key="0" * 40, entity="acme")

    for selected in (wb.step["loss"], 'step["loss"]'):
        with pytest.raises(FilterError, match=r"client\.history"):
            client.runs("vision", select=[selected])
