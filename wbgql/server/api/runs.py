"""Resolvers for projects and for what is read of runs."""

from __future__ import annotations

import json
import sys
from typing import Any

from wbgql.errors import UsageError
from wbgql.scalars import parse_json
from wbgql.server.api import run_edges as run_plans
from wbgql.server.api import run_texts
from wbgql.server.api.registry import Info, Resolvers
from wbgql.server.api.roots import entity_node
from wbgql.server.api.selection import list_argument, select
from wbgql.server.backend import Context
from wbgql.server.likeness.switches import SEGMENTS
from wbgql.server.relay import offset_after, page_size, slice_connection, to_connection, to_page_info
from wbgql.server.runs import console, forks, history, lines, project_fields
from wbgql.server.runs import pages as run_pages
from wbgql.server.runs import rows as runs
from wbgql.server.runs import values as run_values
from wbgql.server.runs.pages import Projection, RunPage
from wbgql.server.store.database import Row, row

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
    connection: Row = {"totalCount": lambda _info: run_pages.count(context, project, filters)}
    if select(info, "edges") or select(info, "pageInfo"):
        page = run_pages.page(
            context,
            project,
            filters=filters,
            order=order,
            size=size,
            offset=offset,
            names=names,
            projection=_projection(info),
        )
        connection["edges"] = lambda inner: _edges(inner, page)
        connection["pageInfo"] = to_page_info(len(page.rows), offset, has_next=page.more)
    return connection


def _edges(info: Info, page: RunPage) -> list[Row]:
    context: Context = info.context
    make = run_plans.compile_edges(
        info,
        {
            **run_texts.computed_columns(context),
            "readOnly": lambda _: lambda page: [project_read_only(page.project, info)] * len(page.rows),
        },
    )
    if make is None:
        return [
            {"node": node, "cursor": cursor}
            for node, cursor in zip(page.nodes(), page.cursors(), strict=True)
        ]
    context.prebuilt.append((info.path.as_list(), make(page)))
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
        wanted = list_argument(info, node, "keys")
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
    return min(float(info.context.db.execute(sql, (project["pk"],)).get), sys.float_info.max)


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


@field("Run", "config", "summaryMetrics")
def run_json(run: Row, info: Info, keys: list[str] | None = None, **_: Any) -> str:
    return run_texts.find_json(info.context, run, info.field_name, keys)


@field("Run", "systemMetrics")
def run_system_metrics(run: Row, info: Info) -> str:
    return run_texts.find_json(info.context, run, "systemMetrics", None)


@field("Run", "wandbConfig")
def run_wandb_config(run: Row, info: Info, keys: list[str] | None = None) -> str | None:
    return run_values.wandb_config(run_texts.find_text(info.context, run, "config"), keys)


@field("Run", "branchPoint")
def run_branch_point(run: Row, info: Info) -> Row | None:
    """Where a fork left its source; null if the source is gone. This server keeps no original of a rewind."""
    config = parse_json(run_texts.find_text(info.context, run, "config") or "{}")
    point = forks.branch_point(config, run["name"])
    source = None if point is None else runs.find_run(info.context, run["project"], point.run)
    return None if point is None or source is None else {"run": source, "step": point.step}


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
    context = info.context
    branch = None
    if context.backend.settings.fork_samples == SEGMENTS:
        config = parse_json(run_texts.find_text(context, run, "config") or "{}")
        point = forks.branch_point(config, run["name"])
        branch = None if point is None else point.step
    return [history.sample(context.db, run["pk"], _spec(text), branch=branch) for text in specs]


MAX_NUMBER = 2**63 - 1


def _spec(text: str) -> dict[str, Any]:
    try:
        spec = parse_json(text)
    except ValueError as error:
        raise UsageError(f"a spec of sampledHistory is not JSON: {error}") from error
    keys = spec.get("keys") if isinstance(spec, dict) else None
    named = keys is None or (isinstance(keys, list) and all(isinstance(key, str) for key in keys))
    if not isinstance(spec, dict) or not named:
        raise UsageError(f"a spec of sampledHistory is not an object with keys: {text[:80]!r}")
    for name in ("minStep", "maxStep", "samples"):
        number = spec.get(name)
        if not (number is None or (run_values.is_finite(number) and abs(number) < MAX_NUMBER)):
            raise UsageError(f"{name} of a spec of sampledHistory is not a number of 64 bits: {number!r:.40}")
    return spec


@field("Run", "historyKeys")
def run_history_keys(run: Row, info: Info, **_: Any) -> Any:
    return run_texts.find_history_keys(info.context, run)


@field("Run", "parquetHistory")
def run_parquet_history(run: Row, info: Info, liveKeys: list[str]) -> Row:  # noqa: N803
    """Nothing is exported here, so every row is live.

    Source: `scan_history` of SDK 0.27.2 reads no page if `liveData` is empty (seen 2026-11).
    """
    return {"parquetUrls": [], "liveData": history.live_rows(info.context.db, run["pk"], liveKeys)}


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
    return int(max(0, min(run["duration"] or 0, run_values.MAX_RUNTIME_S)))


@field("Run", "readOnly")
def run_read_only(run: Row, info: Info) -> bool:
    return project_read_only(run["project"], info)


@field("Run", "model")
def run_model(run: Row, _info: Info) -> Row:
    model: Row = run["project"]
    return model
