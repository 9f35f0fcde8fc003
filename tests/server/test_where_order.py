"""Orders as SQL, and the indexes that filters and orders use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from tests.server.filter_tables import open_database, select, store_runs
from wbgql.server.filters.compile import (
    RUN_FIELDS,
    FilterRefused,
    IndexPath,
    RunFields,
    compile_order,
    compile_where,
    index_sql,
)


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    with open_database() as connection:
        yield connection


def ordered(database: apsw.Connection, order: str | None) -> list[int]:
    by = compile_order(order, RUN_FIELDS)
    return [row[0] for row in database.execute(f"SELECT id FROM runs ORDER BY {by.sql}")]


def test_order_puts_missing_values_last_and_breaks_ties_by_row(database: apsw.Connection) -> None:
    metrics = [{"acc": 0.5}, {}, {"acc": 0.9}, {"acc": 0.5}, {"acc": None}]
    store_runs(database, *[{"summary_values": metric, "name": "same"} for metric in metrics])

    assert ordered(database, "+summary_metrics.acc") == [0, 3, 2, 1, 4]
    assert ordered(database, "-summary_metrics.acc") == [2, 3, 0, 4, 1]
    assert ordered(database, "summary_metrics.acc") == [2, 3, 0, 4, 1]
    assert ordered(database, "+name") == [0, 1, 2, 3, 4]
    assert ordered(database, "-name") == [4, 3, 2, 1, 0]
    assert ordered(database, "+summary_metrics.nothing") == [0, 1, 2, 3, 4]
    assert ordered(database, "-id") == [4, 3, 2, 1, 0]


def test_an_order_by_a_key_that_holds_nul_is_refused() -> None:
    with pytest.raises(FilterRefused, match="NUL"):
        compile_order("+summary_metrics.a\0b", RUN_FIELDS)


def test_no_order_is_oldest_first(database: apsw.Connection) -> None:
    store_runs(database, {"created_at": "2026-01-02"}, {"created_at": "2026-01-01"}, {"created_at": None})

    assert ordered(database, None) == ordered(database, "") == ordered(database, "+createdAt") == [1, 0, 2]
    assert ordered(database, "-created_at") == [0, 1, 2]


def plan(database: apsw.Connection, filter_: Any, order: str) -> str:
    fields = RunFields(project_id=1)
    where, by = compile_where(filter_, fields), compile_order(order, fields)
    query = f"SELECT id FROM runs WHERE project_id = ? AND {where.sql} ORDER BY {by.sql} LIMIT 100"
    return "\n".join(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {query}", (1, *where.params)))


@pytest.fixture(scope="module")
def indexed() -> Iterator[apsw.Connection]:
    """A project large enough, with statistics, for the planner to prefer an index to a scan."""
    with open_database() as connection:
        rows = [{"acc": n / 10, "loss": {"min": n}, "lr": n, "a": {"b": n}} for n in range(1000)]
        store_runs(
            connection, *[{"summary_values": row, "config_values": row, "state": row["acc"]} for row in rows]
        )
        for key in ("summary_metrics.acc", "summary_metrics.loss.min", "config.lr", "config.a.b"):
            for path in compile_where({key: 1}, RUN_FIELDS).index_paths:
                connection.execute(index_sql(path))
        connection.execute("CREATE INDEX runs_state ON runs(project_id, state)")
        connection.execute("ANALYZE")
        yield connection


@pytest.mark.parametrize("operator", ["$gt", "$gte", "$lt", "$lte"])
@pytest.mark.parametrize("sign", "+-")
def test_a_metric_range_in_its_own_order_is_one_index_range(
    indexed: apsw.Connection, operator: str, sign: str
) -> None:
    steps = plan(indexed, {"summary_metrics.acc": {operator: 0.5}}, f"{sign}summary_metrics.acc")

    assert "SEARCH runs USING COVERING INDEX runs_summary_values" in steps, "no row is read for an id"
    assert "<expr>" in steps
    assert "TEMP B-TREE" not in steps


def test_an_order_alone_uses_the_index(indexed: apsw.Connection) -> None:
    for order in ("+summary_metrics.acc", "-summary_metrics.acc"):
        assert "TEMP B-TREE" not in plan(indexed, {}, order)


@pytest.mark.parametrize(
    "condition",
    [0.5, "x", True, {"$in": [1, 2]}, {"$in": list(range(100))}, {"$gt": "x"}, {"$lt": "x"}, [1], {"a": 1}],
)
@pytest.mark.parametrize("key", ["config.lr", "summary_metrics.loss.min", "config.a.value.b"])
def test_a_comparison_on_a_json_key_searches_the_index(
    indexed: apsw.Connection, key: str, condition: Any
) -> None:
    steps = plan(indexed, {key: condition}, "+name")

    assert "SCAN runs" not in steps
    assert "<expr>" in steps


@pytest.mark.parametrize("operator", ["$gt", "$gte", "$lt", "$lte", "$eq", "$in"])
@pytest.mark.parametrize("key", ["config.lr", "summary_metrics.acc"])
def test_a_count_by_a_key_reads_no_row_even_where_one_project_is_all_there_is(
    indexed: apsw.Connection, key: str, operator: str
) -> None:
    filter_ = {key: {operator: [5, 6] if operator == "$in" else 5}}
    paths = compile_where(filter_, RunFields(project_id=1)).index_paths
    where = compile_where(filter_, RunFields(project_id=1, arrayless=paths))
    query = f"SELECT count(*) FROM runs WHERE project_id = 1 AND deleted_at IS NULL AND {where.sql}"
    steps = [row[3] for row in indexed.execute(f"EXPLAIN QUERY PLAN {query}", where.params)]

    assert any("SEARCH runs USING COVERING INDEX runs_" in step for step in steps), steps


def test_state_equality_uses_a_plain_index(indexed: apsw.Connection) -> None:
    assert "runs_state (project_id=? AND state=?)" in plan(indexed, {"state": "finished"}, "+name")
    assert "runs_state (project_id=? AND state=?)" in plan(indexed, {"state": {"$in": ["a", "b"]}}, "+name")


def test_no_index_is_wished_for_on_a_whole_column() -> None:
    assert compile_where({"summary_metrics": {"a": 1}}, RUN_FIELDS).index_paths == frozenset()
    assert compile_order("+config", RUN_FIELDS).index_paths == frozenset()
    assert compile_order("+config.a.value", RUN_FIELDS).index_paths == {IndexPath("config_values", ("a",))}


def test_index_names_follow_the_path() -> None:
    one, other = IndexPath("summary_values", ("acc",)), IndexPath("summary_values", ("loss",))

    assert index_sql(one) == index_sql(IndexPath("summary_values", ("acc",)))
    assert index_sql(one) != index_sql(other) != index_sql(IndexPath("summary_values", ("loss",), "type"))


def test_an_array_in_one_project_does_not_hide_runs_below_a_bound(database: apsw.Connection) -> None:
    store_runs(
        database,
        {"summary_values": {"x": [0.1]}},
        {"summary_values": {"x": 0.2}},
        {"summary_values": {"x": 9}},
    )
    filter_ = {"summary_metrics.x": {"$lt": 1}}

    assert select(database, filter_, RunFields(project_id=1)) == [0, 1]
    assert select(database, filter_, RunFields(project_id=2)) == [1]
    assert select(database, filter_, RUN_FIELDS) == [0, 1]
