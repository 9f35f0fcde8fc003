"""The best run of each group; counts, sums, means, least and greatest of columns per group."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wbgql as wb
from wbgql.errors import UsageError
from wbgql.runs.groups import best_of_each, group_keys, iter_rows, summarize

pa = pytest.importorskip("pyarrow")

GROUP, LOSS = wb.run.group, wb.summary["loss"]


class Values:
    """Stands for a run: values under the texts of their fields."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def __getitem__(self, field: Any) -> Any:
        return self.values.get(field.path.parts[-1])


def best(*runs: Values, by: Any = GROUP, mode: Any = "max") -> list[tuple[Any, Any, int, int]]:
    found = best_of_each(runs, group_keys(by), LOSS, mode=mode)
    return [(item.group[0], item.value, item.runs, item.measured) for item in found]


def test_the_best_of_each_group_is_its_greatest_or_least() -> None:
    runs = [Values(group=name, loss=loss) for name, loss in [("a", 1), ("b", 5.0), ("a", 3), ("b", 4.0)]]

    assert best(*runs) == [("a", 3, 2, 2), ("b", 5.0, 2, 2)]
    assert best(*runs, mode="min") == [("a", 1, 2, 2), ("b", 4.0, 2, 2)]


def test_of_equals_the_first_is_taken() -> None:
    first, second = Values(group="a", loss=1), Values(group="a", loss=1.0)

    assert best_of_each([first, second], group_keys(GROUP), LOSS)[0].run is first


@pytest.mark.parametrize("value", [None, math.nan, "NaN", "low", True, [1], {"x": 1}])
def test_what_is_no_number_is_no_measure_but_counts_as_a_run(value: Any) -> None:
    assert best(Values(group="a", loss=value)) == [("a", None, 1, 0)]
    assert best(Values(group="a", loss=value), Values(group="a", loss=-1)) == [("a", -1, 2, 1)]


def test_infinity_is_greater_also_as_the_text_the_server_stores() -> None:
    assert best(Values(group="a", loss=1.0), Values(group="a", loss="Infinity"))[0][1] == math.inf


def test_runs_without_a_group_are_a_group() -> None:
    assert best(Values(loss=1), Values(group="", loss=2)) == [(None, 1, 1, 1), ("", 2, 1, 1)]


def test_groups_are_apart_by_type_and_together_by_value() -> None:
    values = [1, 1.0, "1", True, [1, 2], {"a": 1, "b": 2}, {"b": 2, "a": 1.0}]
    got = best(*(Values(lr=value, loss=0) for value in values), by=wb.config["lr"])

    assert [group for group, *_ in got] == [1, "1", True, [1, 2], {"a": 1, "b": 2}]


def test_the_latest_is_the_best_by_an_instant() -> None:
    early, late = (Values(group="a", created_at=datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2))
    (found,) = best_of_each([early, late], group_keys(GROUP), wb.run.created_at)

    assert found.run is late


def test_several_fields_group_together() -> None:
    runs = [Values(group="a", lr=lr, loss=lr) for lr in (1, 2, 1)]
    found = best_of_each(runs, group_keys(["group", wb.config["lr"]]), LOSS)

    assert [(item.group, item.runs) for item in found] == [(("a", 1), 2), (("a", 2), 1)]


def test_grouping_by_nothing_or_by_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        group_keys([])
    with pytest.raises(UsageError, match="'max' or 'min'"):
        best_of_each([], group_keys(GROUP), LOSS, mode="best")  # type: ignore[arg-type]  # what is tested


def table(**columns: Any) -> Any:
    return pa.table(columns)


def test_numbers_are_summed_up_per_group() -> None:
    rows = table(g=["a", "b", None, "a"], x=[1.0, math.nan, 3.0, None], n=[1, 2, 3, 4])
    got = {row["g"]: row for row in iter_rows(summarize([rows], ["g"], ["x", "n"]))}

    assert [got[g]["runs"] for g in ("a", "b", None)] == [2, 1, 1]
    assert [got[g]["x.count"] for g in ("a", "b", None)] == [1, 0, 1]
    assert (got["a"]["n.sum"], got["a"]["n.mean"], got["a"]["n.min"], got["a"]["n.max"]) == (5, 2.5, 1, 4)
    assert (got["b"]["x.sum"], got["b"]["x.mean"], got["b"]["x.min"]) == (None, None, None)


def test_nothing_gives_the_same_columns() -> None:
    some = summarize([table(g=["a"], x=[1.0])], ["g"], ["x"])
    none = summarize([], ["g"], ["x"])

    assert none.schema == some.schema
    assert none.num_rows == 0


@pytest.mark.parametrize(
    ("by", "column", "said"),
    [("g", "t", "holds string, not numbers"), ("l", "x", "holds lists"), ("g", "y", "no column 'y'")],
)
def test_columns_that_cannot_be_summed_up_are_refused(by: str, column: str, said: str) -> None:
    rows = table(g=["a"], x=[1.0], t=["text"], l=[["tag"]])

    with pytest.raises(UsageError, match=said):
        summarize([rows], [by], [column])


ROW = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.one_of(st.none(), st.just(math.nan), st.integers(-1000, 1000).map(float)),
)


@given(st.lists(st.lists(ROW, max_size=5), max_size=150))
def test_summing_up_batch_by_batch_is_summing_up_at_once(batches: list[list[tuple[Any, Any]]]) -> None:
    schema = pa.schema([("g", pa.string()), ("x", pa.float64())])
    tables = [
        pa.table({"g": [g for g, _ in rows], "x": [x for _, x in rows]}, schema=schema) for rows in batches
    ]
    expected: dict[Any, list[float]] = defaultdict(list)
    for rows in batches:
        for g, x in rows:
            expected[g] += [] if x is None or math.isnan(x) else [x]

    got = list(iter_rows(summarize(tables, ["g"], ["x"])))

    assert [row["g"] for row in got] == list(expected)
    assert [row["x.count"] for row in got] == [len(values) for values in expected.values()]
    assert [row["x.sum"] or 0 for row in got] == [sum(values) for values in expected.values()]
    assert [row["x.max"] for row in got] == [max(values, default=None) for values in expected.values()]
