"""Deleting in two steps: hidden at once, restorable for a while, then purged to the last byte."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from wbgql.errors import ResponseError
from wbgql.scalars import parse_datetime
from wbgql.server.artifacts import deletion as artifacts_deletion
from wbgql.server.backend import Context, make_subject
from wbgql.server.runs import indexes as run_indexes
from wbgql.server.settings import Periods
from wbgql.server.store import blobs, tables
from wbgql.server.store.blobs import Blobs
from wbgql.server.store.database import Connection, Row, Store, rows
from wbgql.server.store.times import to_text

_BATCH = 100
_UPLOAD_GRACE_S = 3600.0


@dataclass(frozen=True)
class PurgeReport:
    """What one purge did. `size_bytes` is by how much the store shrank on disk.

    `complete` is False if another program was reading all the while, so that old pages are
    still in the WAL: purge again.
    """

    runs: int = 0
    files: int = 0
    size_bytes: int = 0
    complete: bool = True
    artifacts: int = 0


@dataclass(frozen=True)
class Finding:
    """A needle found in a file of the store, first at byte `offset`."""

    needle: bytes
    file: Path
    offset: int


def hide(
    context: Context, db: Connection, project: Row, found: Sequence[Row], *, artifacts: bool = False
) -> None:
    """Delete runs softly: no read finds them any more, and their ids are refused.

    With `artifacts` the versions they logged are deleted too; `restore` does not bring those back.

    Raises:
        PermissionDenied: one of them is neither the viewer's nor is the viewer an admin; then none is hidden.
    """
    now = context.backend.now()
    for run in found:
        context.require_owner(db, run["pk"])
        db.execute("UPDATE runs SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL", (now, run["pk"]))
        audit(context, db, "run:delete", project, run["name"])
    if artifacts:
        artifacts_deletion.hide_outputs(context, db, [run["pk"] for run in found])


def restorable_scope(context: Context, project: Row) -> tuple[str, tuple[Any, ...]] | None:
    """The SQL condition on `runs`, with its values, of the deleted runs that the viewer may restore.

    An admin of the entity may restore all, a member own ones; None: the viewer may restore none at all.
    """
    role = context.role(project["entityPk"])
    if role not in ("admin", "member"):
        return None
    # The plus keeps SQLite from walking all runs of the project instead of the few that are deleted.
    where, params = "+runs.project_id = ? AND runs.deleted_at IS NOT NULL", (project["pk"],)
    return (
        (where, params)
        if role == "admin"
        else (f"{where} AND runs.user_id = ?", (*params, context.viewer.user_id))
    )


def list_restorable(context: Context, project: Row) -> list[Row]:
    """The deleted runs that the viewer may restore now, latest first: `name`, `deletedAt` and `undoUntil`."""
    scope = restorable_scope(context, project)
    if scope is None:
        return []
    where, params = scope
    kept_for = timedelta(seconds=context.backend.settings.retention_s)
    cutoff = to_text(context.backend.clock.confirmed() - kept_for)
    sql = f"SELECT name, deleted_at FROM runs WHERE {where} AND deleted_at > ?"  # noqa: S608
    return [
        {"name": name, "deletedAt": at, "undoUntil": to_text(parse_datetime(at) + kept_for)}
        for name, at in context.db.execute(f"{sql} ORDER BY deleted_at DESC, id DESC", (*params, cutoff))
    ]


def restore(context: Context, db: Connection, project: Row, found: Sequence[Row]) -> None:
    """Undo `hide` for runs whose retention has not passed: a purge may remove the others at any moment.

    Raises:
        PermissionDenied: as in `hide`; then none is restored.
        ResponseError: the retention of all of them has passed (status 410).
    """
    kept_for = timedelta(seconds=context.backend.settings.retention_s)
    cutoff = to_text(context.backend.clock.confirmed() - kept_for)
    still_kept = [
        run
        for run in found
        if db.execute("SELECT deleted_at > ? FROM runs WHERE id = ?", (cutoff, run["pk"])).get
    ]
    if found and not still_kept:
        raise ResponseError(
            f"the retention of {len(found)} deleted runs has passed: they cannot be restored", status=410
        )
    for run in still_kept:
        context.require_owner(db, run["pk"])
        db.execute("UPDATE runs SET deleted_at = NULL WHERE id = ?", (run["pk"],))
        audit(context, db, "run:undelete", project, run["name"])


def audit(context: Context, db: Connection, action: str, project: Row, run: str) -> None:
    """Note who did what to which run.

    The run is named by a keyed hash, so that nothing of it is left after a purge.
    """
    subject = context.backend.subject(project["pk"], run)
    _audit(db, context.backend.now(), context.viewer.username, action, project, subject)


def _audit(db: Connection, at: str, actor: str, action: str, project: Row, subject: bytes) -> None:
    db.execute(
        "INSERT INTO audit (at, actor, action, entity, project, subject) VALUES (?, ?, ?, ?, ?, ?)",
        (at, actor, action, project["entityName"], project["name"], subject.hex()),
    )


def purge(store: Store, contents: Blobs, *, now: datetime, periods: Periods) -> PurgeReport:
    """Destroy the runs and artifacts that were deleted long enough ago.

    Rows and contents go, indexes that may name their keys are dropped, the file is rewritten
    and the WAL emptied, so that no byte of them is left; a keyed hash keeps each id refused.
    What they logged as artifacts stays, and so do their system artifacts unless `periods` names them.
    Takes time in proportion to the store if there is anything to purge; safe to repeat after a crash.
    """
    before = _size(store.data)
    cutoff = to_text(now - timedelta(seconds=periods.runs_s))
    count = sum(_purge_batch(store, batch, to_text(now)) for batch in _expired(store, cutoff))
    versions = artifacts_deletion.purge(store, now=now, periods=periods)
    files, left_over = _remove_orphans(store, contents)
    blanked = _blank_projects(store, cutoff)
    if not (count or versions or left_over or blanked):
        return PurgeReport()
    with store.write() as db:
        run_indexes.drop_field_indexes(db)
        db.execute("DELETE FROM settings WHERE key = 'purge_unfinished'")
    complete = store.compact()
    return PurgeReport(count, files, max(0, before - _size(store.data)), complete, versions)


def _blank_projects(store: Store, cutoff: str) -> bool:
    """Remove what deleted projects said of themselves; return whether there was anything."""
    with store.write() as db:
        db.execute(
            "UPDATE projects SET description = NULL, views = NULL"
            " WHERE deleted_at <= ? AND (description IS NOT NULL OR views IS NOT NULL)",
            (cutoff,),
        )
        return db.changes() > 0


def _expired(store: Store, cutoff: str) -> Iterator[list[Row]]:
    while True:
        with store.read() as db:
            batch = rows(
                db,
                "SELECT runs.id AS pk, runs.name AS name, project_id AS projectPk, projects.name AS project,"
                " entities.name AS entity FROM runs JOIN projects ON projects.id = project_id"
                " JOIN entities ON entities.id = entity_id WHERE runs.deleted_at <= ? LIMIT ?",
                (cutoff, _BATCH),
            )
        if not batch:
            return
        yield batch


def _purge_batch(store: Store, batch: list[Row], now: str) -> int:
    secret = store.keyring.subjects
    with store.write() as db:
        # Left behind by a crash before the file is rewritten, it makes the next purge finish the work.
        db.execute("INSERT OR REPLACE INTO settings VALUES ('purge_unfinished', 1)")
        for run in batch:
            for table in tables.RUN_TABLES:
                db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run["pk"],))  # noqa: S608
            db.execute("DELETE FROM runs WHERE id = ?", (run["pk"],))
            subject = make_subject(secret, run["projectPk"], run["name"])
            db.execute("INSERT OR IGNORE INTO tombstones VALUES (?, ?)", (subject, now))
            project = {"entityName": run["entity"], "name": run["project"]}
            _audit(db, now, "retention", "run:purge", project, subject)
    return len(batch)


def _remove_orphans(store: Store, contents: Blobs) -> tuple[int, bool]:
    """Delete contents that nothing owns; return how many, and whether the file must be rewritten."""
    with store.write() as db:
        gone = blobs.orphans(db)
        blobs.forget(db, gone)
    contents.remove(gone)
    with store.read() as db:
        known = {blob_id for (blob_id,) in db.execute("SELECT id FROM blobs")}
        unfinished = db.execute("SELECT 1 FROM settings WHERE key = 'purge_unfinished'").get
    # A content without a row may be an upload that is just being registered, so only old ones go.
    limit = time.time() - _UPLOAD_GRACE_S
    stray = [one for one in contents.ids() if one not in known and contents.path(one).stat().st_mtime < limit]
    contents.remove(stray)
    contents.clear_incoming(limit)
    return len(gone) + len(stray), bool(gone or unfinished)


def _size(data: Path) -> int:
    return sum(path.stat().st_size for path in data.rglob("*") if path.is_file())


def audit_rows(store: Store) -> list[Row]:
    """The audit log, oldest first: `at`, `actor`, `action`, `entity`, `project`, `subject`.

    `subject` is a keyed hash of the run; see `subject_of`.
    """
    with store.read() as db:
        return rows(db, "SELECT at, actor, action, entity, project, subject FROM audit ORDER BY id")


def subject_of(store: Store, entity: str, project: str, run: str) -> str | None:
    """The audit log's name for a run, or None if there is no such project."""
    with store.read() as db:
        pk = db.execute(
            "SELECT projects.id FROM projects JOIN entities ON entities.id = entity_id"
            " WHERE entities.name = ? AND projects.name = ?",
            (entity, project),
        ).get
    return None if pk is None else make_subject(store.keyring.subjects, pk, run).hex()


def scan(data: Path, needles: Sequence[bytes]) -> list[Finding]:
    """Search every file of a store for byte strings: the database, its WAL, and all contents.

    Reads the store whole. SQLite may break a long value over two pages: use needles of some tens of bytes,
    and more than one place for each.
    """
    found = []
    for path in sorted(data.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            places = ((needle, content.find(needle)) for needle in needles)
            found += [Finding(needle, path, offset) for needle, offset in places if offset >= 0]
            found += [Finding(needle, path, -1) for needle in needles if needle in path.name.encode()]
    return found
