"""SQLite tables of documents and of runs, filled and filtered as the server does it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from wbgql.server.filters.compile import DocumentFields, Fields, compile_where, register_functions

DOCUMENTS = DocumentFields()
NULLS = ("mongo", "sql")
RUN_COLUMNS = (
    "name TEXT, display_name TEXT, state TEXT, tags TEXT, created_at TEXT, heartbeat_at TEXT, updated_at TEXT, "
    "run_group TEXT, job_type TEXT, username TEXT, sweep_name TEXT, host TEXT, duration REAL, notes TEXT, "
    "deleted_at TEXT, config_values BLOB, summary_values BLOB"
)


@contextmanager
def open_database() -> Iterator[apsw.Connection]:
    """An empty database with the tables `documents` and `runs`."""
    connection = apsw.Connection(":memory:")
    register_functions(connection)
    connection.execute("CREATE TABLE documents(id INTEGER PRIMARY KEY, doc BLOB)")
    connection.execute(f"CREATE TABLE runs(id INTEGER PRIMARY KEY, project_id INTEGER, {RUN_COLUMNS})")
    yield connection
    connection.close()


def store_documents(database: apsw.Connection, documents: list[Any]) -> None:
    database.execute("DELETE FROM documents")
    rows = [(number, to_text(document)) for number, document in enumerate(documents)]
    database.executemany("INSERT INTO documents VALUES (?, jsonb(?))", rows)


def to_text(value: Any) -> str:
    """JSON text in which infinities are 9e999, which SQLite reads as such."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{to_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_text, value)) + "]"
    if isinstance(value, float) and math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    return json.dumps(value)


def from_ejson(value: Any) -> Any:
    """Decode `$numberDouble`; NaN becomes the string W&B stores, as JSON has none."""
    if isinstance(value, dict):
        if value.keys() == {"$numberDouble"}:
            return "NaN" if value["$numberDouble"] == "NaN" else float(value["$numberDouble"])
        return {key: from_ejson(item) for key, item in value.items()}
    return [from_ejson(item) for item in value] if isinstance(value, list) else value


def select(
    database: apsw.Connection, filter_: Any, fields: Fields = DOCUMENTS, nulls: Any = "mongo"
) -> list[int]:
    where = compile_where(filter_, fields, nulls=nulls)
    table = fields.tie_break.partition(".")[0]
    query = f"SELECT id FROM {table} WHERE {where.sql} ORDER BY id"
    return [row[0] for row in database.execute(query, where.params)]


def store_runs(database: apsw.Connection, *runs: dict[str, Any], project_id: int = 1) -> None:
    """Store runs given by column; `config_values` and `summary_values` as Python objects."""
    database.execute("DELETE FROM runs")
    for number, run in enumerate(runs):
        values = dict(run)
        for column in ("config_values", "summary_values", "tags"):
            if values.get(column) is not None:
                values[column] = to_text(values[column])
        marks = ["jsonb(?)" if column.endswith("_values") else "?" for column in values]
        database.execute(
            f"INSERT INTO runs(id, project_id{''.join(', ' + column for column in values)}) "
            f"VALUES (?, ?{''.join(', ' + mark for mark in marks)})",
            (number, project_id, *values.values()),
        )
