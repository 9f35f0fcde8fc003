"""Resolvers for projects and for what is read of runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from wbgql.errors import UsageError
from wbgql.scalars import parse_json
from wbgql.server import console, history, lines, project_fields, run_pages, run_plans, run_values, runs
from wbgql.server.backend import Context
from wbgql.server.connections import offset_after, page_size, slice_connection, to_connection
from wbgql.server.registry import Info, Resolvers
from wbgql.server.resolvers_roots import entity_node
from wbgql.server.run_pages import Projection, key_column
from wbgql.server.selection import argument, select
from wbgql.server.store import Row, row

resolvers = Resolvers()
field = resolvers.field


@field("Project", "runs", "buckets")
def project_runs(
    project: Row,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    first: int | None = None,
    after: str | None = None,
    names: list[str] | None = None,
    **_: Any,
) -> Row:
    context: Context = info.context
    offset, size = offset_after(after), page_size(first)
    found: list[Row] = []
    if select(info, "edges") or select(info, "pageInfo"):
        found = run_pages.page(
            context,
            project,
            filters=filters,
            order=order,
            limit=size + 1,
            offset=offset,
            names=names,
            projection=_projection(info),
        )
    connection = to_connection(found[:size], offset, has_next=len(found) > size)
    edges = connection["edges"]
    connection["edges"] = lambda inner: _edges(inner, edges)
    connection["totalCount"] = lambda _info: run_pages.count(context, project, filters)
    return connection


def _edges(info: Info, edges: list[Row]) -> list[Row]:
    context = info.context
    make = run_plans.compile_edges(
        info,
        {
            "config": lambda keys: _text_getter(context, "config", keys),
            "summaryMetrics": lambda keys: _text_getter(context, "summaryMetrics", keys),
            "systemMetrics": lambda _: _text_getter(context, "systemMetrics", None),
            "historyKeys": lambda _: lambda run: run_history_keys(run, info),
            "readOnly": lambda _: lambda run: run_read_only(run, info),
        },
    )
    if make is None:
        return edges
    context.prebuilt.append((info.path.as_list(), make(edges)))
    return []


_PLAIN = run_plans.RUN_FIELDS | set(run_pages.TEXTS) | {"user", "project", "readOnly", "wandbConfig"}
"""Fields that need no column but their own; `historyKeys` that of its lines."""


def _projection(info: Info) -> Projection:
    texts: set[str] = set()
    keys: set[tuple[str, str]] = set()
    asked: set[str] = {"historyLineCount"}
    for node in select(info, "edges", "node"):
        name = node.name.value
        asked.add(name)
        if name == "wandbConfig":
            texts.add("config")
        if name not in run_pages.TEXTS:
            continue
        wanted = argument(info, node, "keys")
        if wanted is None:
            texts.add(name)
        else:
            keys |= {(name, key) for key in wanted}
    return Projection(frozenset(texts), frozenset(keys), frozenset(asked) if asked <= _PLAIN else None)


@field("Project", "run", "bucket")
def project_run(project: Row, info: Info, name: str, **_: Any) -> Row | None:
    return runs.find_run(info.context, project, name)


@field("Project", "runCount")
def project_run_count(project: Row, info: Info, filters: str | None = None) -> int:
    return run_pages.count(info.context, project, filters)


@field("Project", "runActiveCount")
def project_active_count(project: Row, info: Info, filters: str | None = None) -> int:
    running = json.dumps({"$and": [run_pages.parse_filters(filters), {"state": "running"}]})
    return run_pages.count(info.context, project, running)


@field("Project", "totalRuns", "bucketCount")
def project_total_runs(project: Row, info: Info) -> int:
    return run_pages.count(info.context, project, None)


@field("Project", "entity")
def project_entity(project: Row, info: Info) -> Row:
    found = row(info.context.db, "SELECT * FROM entities WHERE id = ?", (project["entityPk"],))
    assert found is not None
    return entity_node(found)


@field("Project", "user")
def project_user(project: Row, info: Info) -> Row | None:
    context: Context = info.context
    return context.users.get(project["userPk"])


@field("Project", "readOnly")
def project_read_only(project: Row, info: Info) -> bool:
    return info.context.role(project["entityPk"]) not in ("admin", "member")


@field("Project", "lastActive")
def project_last_active(project: Row, info: Info) -> str | None:
    sql = "SELECT max(heartbeat_at) FROM runs WHERE project_id = ? AND deleted_at IS NULL"
    found: str | None = info.context.db.execute(sql, (project["pk"],)).get
    return found


@field("Project", "storageBytes")
def project_storage(project: Row, info: Info) -> int:
    sql = "SELECT coalesce(sum(storage_bytes), 0) FROM runs WHERE project_id = ? AND deleted_at IS NULL"
    return int(info.context.db.execute(sql, (project["pk"],)).get)


@field("Project", "computeHours", "totalRunTime")
def project_run_time(project: Row, info: Info) -> float:
    sql = "SELECT coalesce(sum(duration), 0) FROM runs WHERE project_id = ? AND deleted_at IS NULL"
    return float(info.context.db.execute(sql, (project["pk"],)).get)


@field("Project", "fields")
def fields_of_project(
    project: Row,
    info: Info,
    columns: list[str] | None = None,
    pattern: str | None = None,
    types: list[str] | None = None,
    first: int | None = None,
    after: str | None = None,
    **_: Any,
) -> Row:
    found = project_fields.list_fields(info.context, project, columns=columns, pattern=pattern, types=types)
    return slice_connection(found, first, after)


@field("Project", "tagCounts")
def project_tag_counts(project: Row, info: Info, filters: str | None = None) -> list[Row]:
    return project_fields.count_tags(info.context, project, filters)


@field("Project", "runKeySuggestions")
def project_suggestions(project: Row, info: Info, keyPath: str, filters: str | None = None) -> list[Row]:  # noqa: N803
    return project_fields.count_values(info.context, project, keyPath, filters)


@field("Project", "sweeps", "allViews")
def no_connection(_project: Row, _info: Info, **_: Any) -> Row:
    return slice_connection([], None, None)


# ---- one run ----


def _text(context: Context, run: Row, name: str) -> str | None:
    """A JSON text of a run: out of its page, or read now."""
    key = run_pages.text_column(name)
    if key not in run:
        run[key] = context.db.execute(
            f"SELECT {run_pages.TEXTS[name]} FROM run_texts WHERE run_id = ?",  # noqa: S608
            (run["pk"],),
        ).get
    text: str | None = run[key]
    return text


@field("Run", "config", "summaryMetrics")
def run_json(run: Row, info: Info, keys: list[str] | None = None, **_: Any) -> str:
    return _json_text(info.context, run, info.field_name, keys)


def _json_text(context: Context, run: Row, name: str, keys: list[str] | None) -> str:
    return _text_getter(context, name, keys)(run)


def _text_getter(context: Context, name: str, keys: list[str] | None) -> Callable[[Row], str]:
    """A function from a run to its config or summary as text, whole or cut to `keys`."""
    if keys is None:
        return lambda run: _text(context, run, name) or "{}"
    head, tail = ('{"value":', "}") if name == "config" else ("", "")
    parts = [(key, key_column(name, key), f"{json.dumps(key)}:{head}") for key in keys]

    def cut(run: Row) -> str:
        found = []
        for key, column, start in parts:
            text = run[column] if column in run else _key_text(context, run, name, key)
            if text is not None:
                found.append(f"{start}{text}{tail}")
        return "{" + ",".join(found) + "}"

    return cut


def _key_text(context: Context, run: Row, name: str, key: str) -> str | None:
    projection = Projection(keys=frozenset({(name, key)}))
    sql = f"SELECT id{projection.sql()} FROM runs WHERE id = ?"  # noqa: S608
    text: str | None = context.db.execute(sql, (run["pk"],)).get[1]
    return text


@field("Run", "systemMetrics")
def run_system_metrics(run: Row, info: Info) -> str:
    return _json_text(info.context, run, "systemMetrics", None)


@field("Run", "wandbConfig")
def run_wandb_config(run: Row, info: Info, keys: list[str] | None = None) -> str | None:
    return run_values.wandb_config(_text(info.context, run, "config"), keys)


@field("Run", "history")
def run_history(
    run: Row,
    info: Info,
    samples: int | None = None,
    minStep: int | None = None,  # noqa: N803
    maxStep: int | None = None,  # noqa: N803
) -> list[str]:
    found = history.texts(info.context.db, run["pk"], minStep, maxStep)
    default = len(found) if minStep is not None or maxStep is not None else history.DEFAULT_SAMPLES
    return history.pick(found, default if samples is None else samples)


@field("Run", "sampledHistory")
def run_sampled_history(run: Row, info: Info, specs: list[str], **_: Any) -> list[Any]:
    return [history.sample(info.context.db, run["pk"], _spec(text)) for text in specs]


def _spec(text: str) -> dict[str, Any]:
    try:
        spec = parse_json(text)
    except ValueError as error:
        raise UsageError(f"a spec of sampledHistory is not JSON: {error}") from error
    if not isinstance(spec, dict) or not isinstance(spec.get("keys", []), list):
        raise UsageError(f"a spec of sampledHistory is not an object with keys: {text[:80]!r}")
    return spec


@field("Run", "historyKeys")
def run_history_keys(run: Row, info: Info, **_: Any) -> Any:
    if not run["historyLineCount"]:
        return None
    kept = _text(info.context, run, "historyKeys")
    return (
        history.count_keys(info.context.db, run["pk"])
        if kept is None
        else history.Keys.from_json(kept).answer()
    )


@field("Run", "parquetHistory")
def run_parquet_history(_run: Row, _info: Info, **_: Any) -> Row:
    return {"parquetUrls": [], "liveData": []}


@field("Run", "events")
def run_events(run: Row, info: Info, samples: int | None = None) -> list[str]:
    found = [line for _, line in lines.read(info.context.db, run["pk"], lines.EVENTS)]
    return history.pick(found, history.DEFAULT_SAMPLES if samples is None else samples)


@field("Run", "historyTail")
def run_history_tail(run: Row, info: Info) -> str:
    return json.dumps(lines.tail(info.context.db, run["pk"], lines.HISTORY))


@field("Run", "eventsTail")
def run_events_tail(run: Row, info: Info) -> str:
    return json.dumps(lines.tail(info.context.db, run["pk"], lines.EVENTS))


@field("Run", "logLines")
def run_log_lines(
    run: Row,
    info: Info,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    **_: Any,
) -> Row:
    db, pk = info.context.db, run["pk"]
    if last is not None:
        start = max(0, lines.count(db, pk, lines.CONSOLE) - last)
        found = console.read(db, pk, start, last)
        return to_connection(found, start, has_next=False)
    offset, size = offset_after(after), page_size(first, default=1000)
    found = console.read(db, pk, offset, size + 1)
    return to_connection(found[:size], offset, has_next=len(found) > size)


@field("Run", "running")
def run_running(run: Row, _info: Info) -> bool:
    return run["state"] in runs.ALIVE


@field("Run", "failed")
def run_failed(run: Row, _info: Info) -> bool:
    return bool(run["state"] == "failed")


@field("Run", "shouldStop")
def run_should_stop(run: Row, _info: Info) -> bool:
    return bool(run["stopped"])


@field("Run", "computeSeconds")
def run_compute_seconds(run: Row, _info: Info) -> int:
    return int(run["duration"] or 0)


@field("Run", "readOnly")
def run_read_only(run: Row, info: Info) -> bool:
    return project_read_only(run["project"], info)


@field("Run", "model")
def run_model(run: Row, _info: Info) -> Row:
    model: Row = run["project"]
    return model
