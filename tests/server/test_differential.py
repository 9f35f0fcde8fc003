"""Three readings of one expression select the same runs: its own evaluator, its compiled filter, the server's SQL.

The second pair is held to each other in tests/expressions/test_expressions_properties.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import apsw
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.expressions.test_expressions_properties import DOCUMENTS, EXPRESSIONS, NOW, compiled
from tests.server.filter_tables import open_database, select, store_runs
from tests.server.test_where import COLUMN_OF_KEY
from wbgql.expressions import Expr, fields_of, matches
from wbgql.scalars import to_safe_json
from wbgql.server.filters.compile import RUN_FIELDS
from wbgql.server.filters.fields import instant_text


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    with open_database() as connection:
        yield connection


def as_row(document: dict[str, Any]) -> dict[str, Any]:
    """The columns the server keeps for a run that holds `document`."""
    row: dict[str, Any] = {"config_values": {}, "summary_values": {}}
    for name, value in document.items():
        if name == "config":
            row["config_values"] = to_safe_json(value)
        elif name == "summary_metrics":
            row["summary_values"] = to_safe_json(value if value is not None else {})
        elif name in ("createdAt", "heartbeatAt"):
            row[COLUMN_OF_KEY[name]] = None if value in (None, "not a date") else instant_text(value)
        else:
            row[COLUMN_OF_KEY.get(name, name)] = value
    return row


def nests_over_a_list(expr: Expr, documents: list[dict[str, Any]]) -> bool:
    """MongoDB and SQL differ below a list without objects, and W&B cannot filter lists (wandb/wandb#10900)."""
    deep = any(len(path.parts) > 1 for path in fields_of(expr))
    return deep and any("[" in repr((item["config"], item.get("summary_metrics"))) for item in documents)


@pytest.mark.parametrize("nulls", ["mongo", "sql"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(expr=EXPRESSIONS, documents=st.lists(DOCUMENTS, min_size=3, max_size=3))
def test_the_servers_sql_selects_what_the_expression_means(
    database: apsw.Connection, nulls: Literal["mongo", "sql"], expr: Expr, documents: list[dict[str, Any]]
) -> None:
    assume(not nests_over_a_list(expr, documents))
    for document in documents:
        if document.get("heartbeatAt") == "not a date":
            document["heartbeatAt"] = None
    store_runs(database, *map(as_row, documents))

    assert select(database, compiled(expr), RUN_FIELDS, nulls=nulls) == [
        number for number, document in enumerate(documents) if matches(expr, document, now=NOW)
    ]
