"""Run rows: reading them as GraphQL nodes, creating and changing them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec

from wbgql.errors import NotFound, ResponseError, UsageError
from wbgql.scalars import make_run_storage_id, parse_run_storage_id
from wbgql.server import accounts
from wbgql.server.backend import Context
from wbgql.server.projects import rows as projects
from wbgql.server.runs import forks, lines
from wbgql.server.runs import values as run_values
from wbgql.server.store.database import Connection, Row, row
from wbgql.server.store.times import to_text

MAX_NAME = 128
ALIVE = ("running", "preempting")

_COLUMNS = {
    "pk": "id",
    "projectPk": "project_id",
    "name": "name",
    "displayName": "display_name",
    "state": "state",
    "tags": "tags",
    "createdAt": "created_at",
    "heartbeatAt": "heartbeat_at",
    "updatedAt": "updated_at",
    "deletedAt": "deleted_at",
    "group": "run_group",
    "jobType": "job_type",
    "userPk": "user_id",
    "sweepName": "sweep_name",
    "host": "host",
    "duration": "duration",
    "notes": "notes",
    "description": "description",
    "commit": "commit_sha",
    "jobProgram": "program",
    "github": "repo",
    "exitcode": "exitcode",
    "stopped": "stop_requested",
    "historyLineCount": "history_lines",
    "eventsLineCount": "events_lines",
    "logLineCount": "log_lines",
    "storageBytes": "storage_bytes",
}
NODE_NAMES = tuple(_COLUMNS)
NODE_KEYS = ("pk", "projectPk", "name", "userPk")
"""What every node has, whatever is asked of it."""


LINE_COUNTS = {
    lines.HISTORY: "historyLineCount",
    lines.EVENTS: "eventsLineCount",
    lines.CONSOLE: "logLineCount",
}


def node_sql(names: Iterable[str] = NODE_NAMES) -> str:
    """The select list of these parts of a node."""
    return ", ".join(f'runs.{_COLUMNS[name]} AS "{name}"' for name in names)


NODE_SQL = node_sql()

INPUT_COLUMNS = {
    "displayName": "display_name",
    "notes": "notes",
    "description": "description",
    "groupName": "run_group",
    "jobType": "job_type",
    "host": "host",
    "commit": "commit_sha",
    "jobProgram": "program",
    "jobRepo": "repo",
    "sweep": "sweep_name",
    "state": "state",
}
"""Texts of an `UpsertBucketInput`, and the column of each."""

# An empty text takes these away, so that a filter for null finds the run. What W&B stores is not published.
_CLEARABLE = frozenset({"groupName", "jobType", "notes", "description", "sweep"})


def to_node(values: Row, project: Row, users: dict[int, Row]) -> Row:
    """Complete a row read with `node_sql`: ids, tags, and what is beside it."""
    user = users[values["userPk"]]
    values["id"] = make_run_storage_id(project["entityName"], project["name"], values["name"])
    values["projectId"] = str(values["projectPk"])
    if "tags" in values:
        values["tags"] = msgspec.json.decode(values["tags"])
    if "stopped" in values:
        values["stopped"] = bool(values["stopped"])
    values["__typename"] = "Run"
    values["user"] = user
    values["username"] = user["username"]
    values["project"] = project
    return values


def find_run(context: Context, project: Row, name: str, *, deleted: bool = False) -> Row | None:
    """The node of one run, or None if it is missing or deleted. `deleted` finds only deleted ones."""
    values = row(
        context.db,
        f"SELECT {NODE_SQL} FROM runs WHERE project_id = ? AND name = ?",  # noqa: S608
        (project["pk"], name),
    )
    if values is None or (values["deletedAt"] is not None) != deleted:
        return None
    return to_node(values, project, context.users)


def find_run_by_path(context: Context, entity: str | None, project: str | None, name: str) -> Row:
    """The node of a run that must be there, for writing beside it.

    Raises:
        NotFound: missing or not visible.
        ResponseError: deleted (status 410).
        PermissionDenied: the viewer may not write there.
    """
    found = projects.find_project(context, entity, project)
    if found is None:
        raise NotFound(f"project {entity}/{project} not found", status=404)
    accounts.require_writer(context.db, context.viewer, found["entityPk"])
    run = find_run(context, found, name)
    if run is None:
        refuse_deleted(context, context.db, found, name)
        path = f"{found['entityName']}/{found['name']}/{name}"
        raise NotFound(f"run {path} not found", status=404)
    return run


def find_run_by_id(context: Context, storage_id: str) -> Row:
    """The node of a run by storage id, deleted runs included.

    Raises:
        NotFound: no such run, or not visible.
        ResponseError: purged (status 410).
    """
    path = parse_run_storage_id(storage_id)
    project = projects.find_project(context, path[0], path[1]) if path else None
    if path is None or project is None:
        raise NotFound(f"run {storage_id!r} not found", status=404)
    run = find_run(context, project, path[2]) or find_run(context, project, path[2], deleted=True)
    if run is not None:
        return run
    refuse_deleted(context, context.db, project, path[2])
    raise NotFound(f"run {'/'.join(path)} not found", status=404)


def refuse_deleted(context: Context, db: Connection, project: Row, name: str) -> None:
    """Refuse an id that was deleted, before the purge and for ever after.

    The answer is 410, unless `ServerSettings.deleted_ids` says 409: the SDK retries 409 until `init_timeout`
    (wandb SDK 0.31.0 `core/internal/clients/retry_policy.go`, 2026-11).

    Raises:
        ResponseError: with status 410 or 409.
    """
    gone = db.execute(
        "SELECT 1 FROM runs WHERE project_id = ? AND name = ? AND deleted_at IS NOT NULL",
        (project["pk"], name),
    ).get
    subject = context.backend.subject(project["pk"], name)
    if gone or db.execute("SELECT 1 FROM tombstones WHERE subject = ?", (subject,)).get:
        path = f"{project['entityName']}/{project['name']}/{name}"
        message = f"run {path} was previously created and deleted; try a new run name"
        raise ResponseError(message, status=context.backend.settings.deleted_ids)


def upsert(context: Context, fields: dict[str, Any]) -> tuple[Row, bool]:
    """Create or change a run from an `UpsertBucketInput`; return its node and whether it is new.

    A null field is left as it is; config and tags are always complete and replace the old. History is never
    deleted. If the sender may be a new process that begins the run again, the node counts the lines from
    where it would begin, since the SDK continues at that count (wandb SDK 0.31.0, seen 2026-11).

    Raises:
        NotFound, PermissionDenied, UsageError: see `find_run_by_id`, `projects.find_or_create`; also where
            the run is a fork of one that is missing or has not come to the step.
        ResponseError: the run, or the one it is a fork of, was deleted (status 410).
        PermissionDenied: the run is another's, and keys of its config or summary would be lost.
    """
    restart: dict[str, int] = {}
    with context.store.write() as db:
        if fields.get("id"):
            run = find_run_by_id(context, fields["id"])
            project, pk, inserted = run["project"], run["pk"], False
            accounts.require_writer(db, context.viewer, project["entityPk"])
            refuse_deleted(context, db, project, run["name"])
        else:
            project, _ = projects.find_or_create(
                context, db, fields.get("entityName"), fields.get("modelName")
            )
            pk, inserted = _find_or_insert(context, db, project, fields)
            if not inserted and fields.get("jobProgram") is not None and not context.shared:
                restart = _expect_restart(context, db, pk, fields)
        _apply(context, db, pk, fields)
        db.execute("UPDATE projects SET updated_at = ? WHERE id = ?", (context.backend.now(), project["pk"]))
    context.__dict__.pop("users", None)
    values = row(context.db, f"SELECT {NODE_SQL} FROM runs WHERE id = ?", (pk,))  # noqa: S608
    assert values is not None
    node = to_node(values, project, context.users)
    return node | {LINE_COUNTS[stream]: line for stream, line in restart.items()}, inserted


def _find_or_insert(
    context: Context, db: Connection, project: Row, fields: dict[str, Any]
) -> tuple[int, bool]:
    name = fields.get("name") or secrets.token_hex(4)
    refuse_deleted(context, db, project, name)
    found = db.execute("SELECT id FROM runs WHERE project_id = ? AND name = ?", (project["pk"], name)).get
    if found is not None:
        return int(found), False
    if len(name) > MAX_NAME or set(name) & set("/\\") or not projects.is_path_part(name):
        raise UsageError(
            f"not a run id: {name!r}, use up to {MAX_NAME} printable characters without / and \\"
        )
    now = context.backend.now()
    viewer = context.viewer
    db.execute(
        "INSERT INTO runs (project_id, name, display_name, state, created_at, heartbeat_at, updated_at,"
        " user_id, username) VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?)",
        (project["pk"], name, name, now, now, now, viewer.user_id, viewer.username),
    )
    pk = db.last_insert_rowid()
    db.execute("INSERT INTO run_texts (run_id) VALUES (?)", (pk,))
    _inherit(context, db, project, pk, name, fields)
    return pk, True


def _inherit(
    context: Context, db: Connection, project: Row, pk: int, name: str, fields: dict[str, Any]
) -> None:
    """Begin a fork with what it shares; one whose source is not there would begin with a hole."""
    if not fields.get("config"):
        return
    point = forks.branch_point(run_values.parse_object(fields["config"], "config"), name)
    if point is None:
        return
    refuse_deleted(context, db, project, point.run)
    sql = "SELECT id FROM runs WHERE project_id = ? AND name = ?"
    source = db.execute(sql, (project["pk"], point.run)).get
    if source is None:
        path = f"{project['entityName']}/{project['name']}/{point.run}"
        raise NotFound(f"run {path} not found, so it cannot be forked", status=404)
    forks.inherit(db, source, pk, point)


def _expect_restart(context: Context, db: Connection, pk: int, fields: dict[str, Any]) -> dict[str, int]:
    """Note and return, by stream, the line from which a new process would begin the run again.

    Nothing is deleted here: SDK 0.18.0 to 0.19.11 sends the same fields when a running script changes its
    tags, name or notes (seen 2026-11). The offset of the next chunk tells the two apart; see `start_over`.
    A fork begins behind the rows that it shares with its source.
    """
    if not context.may_destroy(db, pk):
        return {}
    shared = 0
    config = run_values.parse_object(fields.get("config") or "{}", "config")
    point = forks.branch_point(config, fields.get("name") or "")
    if point is not None:
        sql = "SELECT count(*) FROM history WHERE run_id = ? AND writer = 0 AND step <= ?"
        shared = db.execute(sql, (pk, min(point.step, lines.MAX_STEP))).get
    expected = {lines.HISTORY: shared, lines.EVENTS: 0, lines.CONSOLE: 0}
    db.execute("UPDATE runs SET restart = ? WHERE id = ?", (json.dumps(expected), pk))
    db.execute(
        "UPDATE runs SET state = 'running', heartbeat_at = ?, exitcode = NULL, stop_requested = 0"
        " WHERE id = ? AND state NOT IN ('running', 'preempting')",
        (context.backend.now(), pk),
    )
    return expected


def start_over(db: Connection, pk: int, stream: str, offset: int) -> bool:
    """Drop a stream's old lines if a chunk at `offset` shows that a new process begins it; return whether.

    Does nothing unless an upsert said that this may come; a chunk at another line shows that it did not.
    """
    text = db.execute("SELECT restart FROM runs WHERE id = ?", (pk,)).get
    if text is None:
        return False
    expected = json.loads(text)
    begins = expected.pop(stream, None)
    db.execute("UPDATE runs SET restart = ? WHERE id = ?", (json.dumps(expected) if expected else None, pk))
    if begins != offset:
        return False
    lines.cut(db, pk, stream, offset)
    if stream == lines.HISTORY:
        db.execute("UPDATE run_texts SET history_keys = NULL WHERE run_id = ?", (pk,))
    elif stream == lines.EVENTS:
        db.execute("UPDATE run_texts SET system_metrics = NULL WHERE run_id = ?", (pk,))
    return True


def _apply(context: Context, db: Connection, pk: int, fields: dict[str, Any]) -> None:
    changes: Row = {"updated_at": context.backend.now()}
    for name, column in INPUT_COLUMNS.items():
        if fields.get(name) is not None:
            changes[column] = None if fields[name] == "" and name in _CLEARABLE else fields[name]
    if fields.get("tags") is not None:
        changes["tags"] = json.dumps([tag for tag in fields["tags"] if tag is not None], ensure_ascii=False)
    assignments = ", ".join(f"{column} = ?" for column in changes)
    db.execute(f"UPDATE runs SET {assignments} WHERE id = ?", (*changes.values(), pk))  # noqa: S608
    keeps = not context.may_destroy(db, pk)
    if fields.get("config") is not None:
        set_config(db, pk, _kept(context, db, pk, "config", fields["config"]) if keeps else fields["config"])
    if fields.get("summaryMetrics") is not None:
        text = fields["summaryMetrics"]
        set_summary(db, pk, _kept(context, db, pk, "summary", text) if keeps else text)


def _kept(context: Context, db: Connection, pk: int, column: str, text: str) -> str:
    """The config or summary that a sender makes of a run that is not theirs: none of its keys is lost.

    A writer in shared mode knows its own keys alone, so the others stay.

    Raises:
        PermissionDenied: keys are missing or null, and the sender does not write in shared mode.
    """
    old_text = db.execute(f"SELECT {column} FROM run_texts WHERE run_id = ?", (pk,)).get  # noqa: S608
    old, new = lines.parse_row(old_text or "{}"), run_values.parse_object(text, column)
    if not run_values.loses_keys(old, new):
        return text
    if not context.shared:
        context.require_owner(db, pk)
    return json.dumps(run_values.merge(old, new))


def set_config(db: Connection, pk: int, text: str) -> None:
    """Replace a run's config: the text as sent, and the values filters read."""
    values = run_values.config_values(run_values.parse_object(text, "config"))
    db.execute("UPDATE runs SET config_values = jsonb(?) WHERE id = ?", (values, pk))
    db.execute("UPDATE run_texts SET config = ? WHERE run_id = ?", (text, pk))


def set_summary(db: Connection, pk: int, text: str) -> None:
    """Replace a run's summary: the text as sent, and the values filters read."""
    summary = run_values.parse_object(text, "summary")
    db.execute(
        "UPDATE runs SET summary_values = jsonb(?), duration = coalesce(?, duration) WHERE id = ?",
        (run_values.summary_values(summary), run_values.runtime_s(summary), pk),
    )
    db.execute("UPDATE run_texts SET summary = ? WHERE run_id = ?", (text, pk))


def rewind(db: Connection, pk: int, name: str, step: int) -> None:
    """Cut the history behind `step`, and empty what is logged again from there.

    Raises:
        UsageError: the run has not come to that step.

    Source: W&B docs, "Rewind a run": logs are reset, system metrics are only logged again, and the summary
    comes from what is logged after the rewind (2026-11). wandb-core starts those at line 0 again.
    """
    forks.check_step(db, pk, name, step)
    db.execute("DELETE FROM history WHERE run_id = ? AND step > ?", (pk, step))
    db.execute("DELETE FROM lines WHERE run_id = ?", (pk,))
    db.execute(
        "UPDATE run_texts SET summary = NULL, system_metrics = NULL, history_keys = NULL WHERE run_id = ?",
        (pk,),
    )
    db.execute(
        "UPDATE runs SET events_lines = 0, log_lines = 0, summary_values = NULL, duration = NULL,"
        " exitcode = NULL, stop_requested = 0, history_lines ="
        " (SELECT coalesce(max(number) + 1, 0) FROM history WHERE run_id = runs.id) WHERE id = ?",
        (pk,),
    )


def mark_silent(context: Context) -> None:
    """Write down which runs have crashed: running, but nothing heard for the heartbeat time-out.

    Done before reading, so that filters on `state` see it. Counted from the start of this server
    for runs that were logging before it, since they could not reach it.
    """
    backend = context.backend
    cutoff = to_text(backend.clock() - timedelta(seconds=backend.settings.heartbeat_timeout_s))
    if backend.started_at > cutoff:
        return
    silent = "state IN ('running', 'preempting') AND heartbeat_at < ?"
    if not context.db.execute(f"SELECT 1 FROM runs WHERE {silent} LIMIT 1", (cutoff,)).get:  # noqa: S608
        return
    with context.store.write() as db:
        db.execute(
            "UPDATE runs SET state = CASE state WHEN 'preempting' THEN 'preempted' ELSE 'crashed' END"  # noqa: S608
            f" WHERE {silent}",
            (cutoff,),
        )
