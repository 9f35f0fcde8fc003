"""The JSON texts of runs: of one node, and as columns of a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from wbgql.server.api.run_edges import Column, Computed
from wbgql.server.backend import Context
from wbgql.server.runs import history
from wbgql.server.runs import values as run_values
from wbgql.server.runs.pages import TEXTS, Projection, RunPage, key_column, text_column
from wbgql.server.store.database import Row


def find_text(context: Context, run: Row, name: str) -> str | None:
    """A whole JSON text of a run by its GraphQL name: out of its page, or read now."""
    key = text_column(name)
    if key not in run:
        run[key] = context.db.execute(
            f"SELECT {TEXTS[name]} FROM run_texts WHERE run_id = ?",  # noqa: S608
            (run["pk"],),
        ).get
    text: str | None = run[key]
    return text


def find_json(context: Context, run: Row, name: str, keys: list[str] | None) -> str:
    """A run's config or summary as text, whole or cut to `keys`; "{}" if there is none."""
    if keys is None:
        return find_text(context, run, name) or "{}"
    texts = [_find_key(context, run, name, key) for key in keys]
    return _joiner(name, keys)([texts])[0]


def _find_key(context: Context, run: Row, name: str, key: str) -> str | None:
    column = key_column(name, key)
    if column not in run:
        projection = Projection(keys=frozenset({(name, key)}))
        sql = f"SELECT id{projection.sql()} FROM runs WHERE id = ?"  # noqa: S608
        run[column] = context.db.execute(sql, (run["pk"],)).get[1]
    text: str | None = run[column]
    return text


def _joiner(name: str, keys: Sequence[str]) -> Callable[[Iterable[Sequence[str | None]]], list[str]]:
    """A function from rows of JSON texts at `keys` to objects; a missing text leaves its key out."""
    head, tail = ('{"value":', "}") if name == "config" else ("", "")
    starts = [f"{json.dumps(key)}:{head}" for key in keys]

    def join(rows: Iterable[Sequence[str | None]]) -> list[str]:
        pairs = (zip(starts, row, strict=True) for row in rows)
        return [f"{{{','.join([a + b + tail for a, b in row if b is not None])}}}" for row in pairs]

    def wrap(rows: Iterable[Sequence[str | None]]) -> list[str]:
        start, end = "{" + starts[0], tail + "}"
        return ["{}" if text is None else start + text + end for (text,) in rows]

    return wrap if len(starts) == 1 else join


def find_history_keys(context: Context, run: Row) -> msgspec.Raw | None:
    """The value of a run's `historyKeys` as JSON; None where nothing is logged."""
    return _history_keys(context, run["pk"], run["historyLineCount"], find_text(context, run, "historyKeys"))


def _history_keys(context: Context, pk: int, rows: int, kept: str | None) -> msgspec.Raw | None:
    if not rows:
        return None
    if kept is not None:
        return msgspec.Raw(history.kept_answer(kept).encode())
    counted = history.count_keys(context.db, pk)
    # By the standard library: a key may hold half a surrogate pair, and a page is encoded by msgspec.
    return None if counted is None else msgspec.Raw(json.dumps(counted).encode())


def computed_columns(context: Context) -> Computed:
    """Columns of the fields that are JSON."""
    return {
        "config": lambda keys: _json_column("config", keys),
        "summaryMetrics": lambda keys: _json_column("summaryMetrics", keys),
        "systemMetrics": lambda _: _json_column("systemMetrics", None),
        "wandbConfig": _wandb_config_column,
        "historyKeys": lambda _: lambda page: _history_keys_column(context, page),
    }


def _json_column(name: str, keys: list[str] | None) -> Column:
    if keys is None:
        return lambda page: [text or "{}" for text in page.column(text_column(name))]
    join = _joiner(name, keys)
    names = [key_column(name, key) for key in keys]
    if not names:
        return lambda page: ["{}"] * len(page.rows)
    return lambda page: join(zip(*[page.column(one) for one in names], strict=True))


def _wandb_config_column(keys: list[str] | None) -> Column:
    return lambda page: [run_values.wandb_config(text, keys) for text in page.column(text_column("config"))]


def _history_keys_column(context: Context, page: RunPage) -> Iterable[Any]:
    columns = (page.column(name) for name in ("pk", "historyLineCount", text_column("historyKeys")))
    return [_history_keys(context, *values) for values in zip(*columns, strict=True)]
