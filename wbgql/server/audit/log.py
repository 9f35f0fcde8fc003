"""Who asked for what: each request to change or delete what is there, noted before it is done.

The changes themselves stand in the table `audit`, one row for each run or version, under a keyed hash; here
is one row for each mutation received, as W&B's audit log has it, without a field for the run.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from wbgql.errors import UsageError
from wbgql.scalars import parse_run_storage_id
from wbgql.server.audit.actions import NOTED, only_adds
from wbgql.server.backend import Context
from wbgql.server.http.statuses import status_of
from wbgql.server.likeness.switches import LINES, PAGED
from wbgql.server.projects import rows as projects
from wbgql.server.projects.rows import id_parts, make_id, parse_id
from wbgql.server.relay import MAX_PAGE, offset_after, to_cursor
from wbgql.server.store.database import Connection, Row, Store, row, rows
from wbgql.server.store.times import to_text

_MAX_NAME = 256
"""No name is longer; a text that is none takes no more room than this."""


@dataclass(frozen=True)
class Target:
    """What a request is about, as far as it can be told from its input."""

    entity: str | None = None
    project: str | None = None
    artifact_pk: int | None = None
    digest: str | None = None


@contextlib.contextmanager
def noted(context: Context, mutation: str, given: Row) -> Iterator[None]:
    """Note a mutation before the block runs it, and its status after. Those not in `NOTED` have no row.

    One that only adds to a run has a row only if it is refused. A request whose row has no status was cut
    short by the death of the server.
    """
    if mutation not in NOTED:
        yield
        return
    pk = None if only_adds(context, mutation, given) else _insert(context, mutation, given)
    try:
        yield
    except Exception as error:
        pk = _insert(context, mutation, given) if pk is None else pk
        _set_code(context.store, pk, status_of(error))
        raise
    if pk is not None:
        _set_code(context.store, pk, 200)


def _insert(context: Context, mutation: str, given: Row) -> int:
    target = _target(context, given)
    with context.store.write() as db:
        db.execute(
            "INSERT INTO audit_requests (at, user_id, mutation, entity, project, artifact_id, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                context.backend.now(),
                context.viewer.user_id,
                mutation,
                target.entity and target.entity[:_MAX_NAME],
                target.project and target.project[:_MAX_NAME],
                target.artifact_pk,
                target.digest,
            ),
        )
        return int(db.last_insert_rowid())


def _set_code(store: Store, pk: int, code: int) -> None:
    with store.write() as db:
        db.execute("UPDATE audit_requests SET code = ? WHERE id = ?", (code, pk))


# ---- what a request is about ----

_ARTIFACT = """
SELECT entities.name AS entity, projects.name AS project, artifacts.id AS artifact_pk, digest
FROM artifacts JOIN artifact_collections ON artifact_collections.id = sequence_id
    JOIN projects ON projects.id = project_id JOIN entities ON entities.id = entity_id
WHERE artifacts.id = ?
"""
_COLLECTION = """
SELECT entities.name AS entity, projects.name AS project
FROM artifact_collections JOIN projects ON projects.id = project_id JOIN entities ON entities.id = entity_id
WHERE artifact_collections.id = ?
"""
_FILE = """
SELECT entities.name AS entity, projects.name AS project
FROM files JOIN runs ON runs.id = run_id JOIN projects ON projects.id = project_id
    JOIN entities ON entities.id = entity_id
WHERE files.id = ?
"""


def _target(context: Context, given: Row) -> Target:
    for keys, read in _READERS:
        found = given.get(keys[-1])
        if isinstance(found, (str, list)) and found:
            target = read(context, given, *keys)
            if target.artifact_pk is None and given.get("artifactID"):
                linked = _by_artifact(context, given, "artifactID")
                target = replace(target, artifact_pk=linked.artifact_pk, digest=linked.digest)
            return target
    return Target()


def _named(context: Context, given: Row, entity: str, project: str | None = None) -> Target:
    name = given.get(entity)
    if not name:
        owner = projects.find_entity(context.db, None, context.viewer.default_entity_id)
        name = owner["name"] if owner else None
    return Target(name, given[project] if project else None)


def _in_entity(context: Context, given: Row, entity: str) -> Target:
    return _named(context, given, entity)


def _by_artifact(context: Context, given: Row, key: str) -> Target:
    return _looked_up(context.db, _ARTIFACT, parse_id("Artifact", given[key]))


def _by_collection(context: Context, given: Row, key: str) -> Target:
    return _looked_up(context.db, _COLLECTION, parse_id("ArtifactCollection", given[key]))


def _by_file(context: Context, given: Row, key: str) -> Target:
    return _looked_up(context.db, _FILE, parse_id("File", given[key][0]))


def _by_id(_context: Context, given: Row, key: str) -> Target:
    path = parse_run_storage_id(given[key])
    if path is not None:
        return Target(path[0], path[1])
    parts = id_parts(given[key])
    return Target(parts[3], parts[2]) if parts[:2] == ["Project", "v1"] and len(parts) == 4 else Target()


def _looked_up(db: Connection, sql: str, pk: int) -> Target:
    found = row(db, sql, (pk,))
    return Target() if found is None else Target(**found)


_READERS: tuple[tuple[tuple[str, ...], Callable[..., Target]], ...] = (
    (("entityName", "projectName"), _named),
    (("sourceEntityName", "sourceProjectName"), _named),
    (("entityName", "oldProjectName"), _named),
    (("artifactID",), _by_artifact),
    (("artifactSequenceID",), _by_collection),
    (("artifactPortfolioID",), _by_collection),
    (("files",), _by_file),
    (("id",), _by_id),
    (("projectId",), _by_id),
    (("entityName", "modelName"), _named),
    (("entityName", "name"), _named),
    (("entityName",), _in_entity),
    (("teamName",), _in_entity),
    (("defaultEntity",), _in_entity),
)
"""The field of an input that tells, tried in order."""


# ---- reading ----


def list_requests(store: Store) -> list[Row]:
    """Every mutation noted, oldest first.

    `at`, `actor`, `mutation`, `action` (W&B's word or None), `entity`, `project`, `digest` and `code`, the
    HTTP status, which is None for one that was cut short.
    """
    with store.read() as db:
        found = rows(
            db,
            "SELECT at, username AS actor, mutation, entity, project, code, digest FROM audit_requests"
            " JOIN users ON users.id = user_id ORDER BY audit_requests.id",
        )
    return [one | {"action": NOTED[one["mutation"]]} for one in found]


def read_days(
    text: str | None, num_days: str | None, today: date, *, end: str | None = None
) -> tuple[date, date]:
    """The first day and the day after the last, of `startDate` and `numDays` or `endDate`; else today alone.

    Raises:
        UsageError: not a date, or not a number of days.
    """
    try:
        days = int(num_days or 1)
        start = date.fromisoformat(text) if text else today - timedelta(days=days - 1)
        after = date.fromisoformat(end) + timedelta(days=1) if end else start + timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise _not_days(text, num_days) from error
    if after <= start:
        raise _not_days(text, num_days)
    return start, after


def _not_days(text: str | None, num_days: str | None) -> UsageError:
    return UsageError(
        f"not days: startDate={text!r} numDays={num_days!r}, write a date such as 2026-01-31 and a number"
    )


PATHS = {LINES: "/admin/audit_logs", PAGED: "/audit_logs"}
"""Where the log is, by its form.

Source: W&B docs, audit logging: self-managed and dedicated servers, and the multi-tenant cloud (2026-11).
"""
_PARAMETERS = {"startDate", "endDate", "numDays", "anonymize", "limit", "cursor"}
_MAX_CLOUD_DAYS = 7
_PAGE = 100
"""Entries of a page without a `limit`; W&B's number is not public."""


def answer(context: Context, given: dict[str, str]) -> list[Row] | Row:
    """The entries that a request asks for: all of them, or a page with its cursor.

    A page comes from a server whose log is paged, and from any where `limit`, `cursor` or `endDate` is given.

    Raises:
        UsageError: a parameter that no server knows, or that is no day, number or cursor.
    """
    if not given.keys() <= _PARAMETERS:
        raise UsageError(f"the audit log knows {', '.join(sorted(_PARAMETERS))}")
    is_cloud = context.backend.settings.audit_log == PAGED
    today = context.backend.clock().date()
    start, end = read_days(given.get("startDate"), given.get("numDays"), today, end=given.get("endDate"))
    if is_cloud and (end - start).days > _MAX_CLOUD_DAYS:
        raise UsageError(f"{(end - start).days} days, the audit log gives up to {_MAX_CLOUD_DAYS} at a time")
    entries = wandb_entries(context.db, start, end, anonymize=given.get("anonymize") == "true")
    if not is_cloud and not given.keys() & {"limit", "cursor", "endDate"}:
        return entries
    limit = given.get("limit", str(_PAGE))
    if not re.fullmatch("[0-9]{1,9}", limit) or not 1 <= int(limit) <= MAX_PAGE:
        raise UsageError(f"limit is {limit!r}, give 1 to {MAX_PAGE}")
    offset = offset_after(given.get("cursor"))
    page = entries[offset : offset + int(limit)]
    behind = offset + len(page)
    return {
        "audit_logs": page,
        "range_start_time": _midnight(start),
        "range_end_time": _midnight(end),
        "count": len(page),
        "next_cursor": to_cursor(behind - 1) if behind < len(entries) else None,
    }


def wandb_entries(db: Connection, start: date, end: date, *, anonymize: bool) -> list[Row]:
    """Entries as W&B's log has them, oldest first, of whole days in UTC; `end` is not included."""
    found = rows(
        db,
        "SELECT at, mutation, entity, project, code, digest, artifact_id, user_id, email,"
        " (SELECT id FROM entities WHERE name = entity) AS entity_pk,"
        " (SELECT projects.id FROM projects JOIN entities ON entities.id = entity_id"
        " WHERE entities.name = entity AND projects.name = project) AS project_pk"
        " FROM audit_requests JOIN users ON users.id = user_id"
        " WHERE at >= ? AND at < ? AND code IS NOT NULL ORDER BY audit_requests.id",
        (_midnight(start), _midnight(end)),
    )
    return [_entry(one, anonymize) for one in found if NOTED[one["mutation"]] is not None]


def _midnight(day: date) -> str:
    return to_text(datetime.combine(day, time(), UTC))


def _entry(found: Row, anonymize: bool) -> Row:
    entry: dict[str, Any] = {
        "timestamp": found["at"],
        "action": NOTED[found["mutation"]],
        "actor_user_id": found["user_id"],
        "actor_email": None if anonymize else found["email"],
        "response_code": found["code"],
        "entity_asset": found["entity_pk"],
        "entity_name": found["entity"],
        "project_asset": found["project_pk"],
        "project_name": found["project"],
    }
    if found["artifact_id"] is not None:
        entry |= {
            "artifact_asset": make_id("Artifact", found["artifact_id"]),
            "artifact_digest": found["digest"],
        }
    return {key: value for key, value in entry.items() if value is not None}
