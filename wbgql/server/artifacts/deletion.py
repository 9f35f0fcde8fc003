"""Deleting versions and collections: hidden at once, purged after the retention time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from wbgql.errors import UsageError
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts import protection as artifacts_protection
from wbgql.server.artifacts import system as system_artifacts
from wbgql.server.artifacts.changes import move_latest, remove_members, writable_collection
from wbgql.server.artifacts.logging import SYSTEM_TYPES
from wbgql.server.artifacts.nodes import PORTFOLIO, SEQUENCE, writing
from wbgql.server.artifacts.uploads import require_writer
from wbgql.server.backend import Context, make_subject
from wbgql.server.settings import Periods
from wbgql.server.store.database import Connection, Row, Store, rows
from wbgql.server.store.times import to_text

_BATCH = 100
_ABANDONED_S = 7 * 86400.0
"""An upload that was not committed for this long is taken for broken off."""

_VERSION_TABLES = (
    "artifact_members",
    "artifact_aliases",
    "artifact_manifests",
    "artifact_files",
    "artifact_runs",
    "artifact_client_ids",
)

_IS_SYSTEM = (
    "EXISTS (SELECT 1 FROM artifact_collections c JOIN artifact_types t ON t.id = c.type_id"  # noqa: S608
    f" WHERE c.id = artifacts.sequence_id AND t.name IN {SYSTEM_TYPES})"
)

_NAMED = """
SELECT artifacts.id AS pk, artifacts.sequence_id AS sequencePk, sequences.name AS sequence,
    projects.id AS projectPk, projects.name AS project, entities.name AS entity, members.version AS version
FROM artifacts JOIN artifact_collections AS sequences ON sequences.id = artifacts.sequence_id
    JOIN projects ON projects.id = sequences.project_id JOIN entities ON entities.id = projects.entity_id
    LEFT JOIN artifact_members AS members ON members.artifact_id = artifacts.id
        AND members.collection_id = artifacts.sequence_id
"""


def delete_version(context: Context, storage_id: str, *, delete_aliases: bool = False) -> Row:
    """Delete a version; it is still found by id, with state DELETED, until it is purged. Safe to repeat.

    Source: wandb SDK 0.31.0 `Artifact.delete`: a version with aliases needs `delete_aliases` (2026-11).

    Raises:
        NotFound, PermissionDenied: not visible or not writable, or it has a protected alias.
        UsageError: it has aliases, and `delete_aliases` is not set; or it is a system artifact.
    """
    with writing(context) as now:
        version = artifacts.find_version_by_id(now, storage_id)
        require_writer(now, version)
        system_artifacts.refuse_change(artifacts.collection_of_version(now, version), "deleting")
        artifacts_protection.refuse_protected(now.db, version["pk"])
        aliases = sorted({alias for _, alias, _ in version["aliasRows"]})
        if aliases and not delete_aliases:
            raise UsageError(f"artifact has aliases {aliases!r}: set deleteAliases, or remove them first")
        if version["state"] != "DELETED":
            _hide(now, [version["pk"]])
    return artifacts.find_version_by_id(context, storage_id)


def delete_collection(context: Context, storage_id: str, kind: str) -> Row:
    """Delete a sequence with all its versions, or a portfolio with all its links.

    Raises:
        NotFound, PermissionDenied: not visible or not writable, or a version has a protected alias.
        UsageError: a collection of the other kind, or one of system artifacts.
    """
    with writing(context) as now:
        collection = writable_collection(now, storage_id)
        if collection["__typename"] != kind:
            raise UsageError(f"artifact collection {collection['name']!r} is not an {kind}")
        if kind == SEQUENCE:
            system_artifacts.refuse_change(collection, "deleting")
        _check_members(now, collection)
        _hide_collection(now, collection["pk"], kind)
    return artifacts.find_collection_by_id(context, storage_id)


def _check_members(now: Context, collection: Row) -> None:
    if collection["__typename"] == PORTFOLIO:
        artifacts_protection.require_right_to_change(now, collection)
        return
    for pk in _column(now.db, "SELECT id FROM artifacts WHERE sequence_id = ?", (collection["pk"],)):
        artifacts_protection.refuse_protected(now.db, pk)


def _hide_collection(now: Context, pk: int, kind: str) -> None:
    if kind == PORTFOLIO:
        remove_members(now.db, pk)
    else:
        sql = "SELECT id FROM artifacts WHERE sequence_id = ? AND state <> 'DELETED'"
        _hide(now, _column(now.db, sql, (pk,)))
    now.db.execute("UPDATE artifact_collections SET deleted_at = ? WHERE id = ?", (now.backend.now(), pk))


def hide_outputs(context: Context, db: Connection, run_pks: Iterable[int]) -> None:
    """Delete what runs logged, after the runs were hidden. `db` is in a transaction.

    A version that another run logged too, and that is not deleted, stays: its content was the same.
    System artifacts stay too, and so does what has a protected alias.
    """
    sql = (
        "SELECT mine.artifact_id FROM artifact_runs AS mine JOIN artifacts ON artifacts.id = mine.artifact_id"  # noqa: S608
        f" WHERE NOT {_IS_SYSTEM} AND mine.run_id = ? AND mine.role = 'output' AND state <> 'DELETED'"
        " AND NOT EXISTS (SELECT 1 FROM artifact_runs AS other JOIN runs ON runs.id = other.run_id"
        " WHERE other.artifact_id = mine.artifact_id AND other.role = 'output' AND runs.deleted_at IS NULL)"
    )
    now = replace(context, db=db, memo={})
    for run_pk in run_pks:
        outputs = _column(db, sql, (run_pk,))
        _hide(now, [pk for pk in outputs if not artifacts_protection.is_protected(db, pk)])


def hide_project(context: Context, db: Connection, project: Row) -> None:
    """Delete every collection of a project. `db` is in a transaction.

    Raises:
        PermissionDenied: a version has a protected alias; or a link has one, and the viewer is not an admin.
    """
    now = replace(context, db=db, memo={})
    sql = "SELECT id, kind FROM artifact_collections WHERE project_id = ? AND deleted_at IS NULL"
    for found in rows(db, sql, (project["pk"],)):
        _check_members(now, {"pk": found["id"], "__typename": found["kind"]})
        _hide_collection(now, found["id"], found["kind"])


def _hide(now: Context, pks: list[int]) -> None:
    secret = now.store.keyring.subjects
    for pk in pks:
        _hide_version(now.db, pk, now.backend.now(), secret, now.viewer.username, "artifact:delete")


# Found by its digest, a content that was deleted would come back in another version, and outlive the purge.
_RETIRE = """
UPDATE artifact_contents SET digest = 'deleted:' || id
WHERE id IN (SELECT content_id FROM artifact_files WHERE artifact_id = ?) AND NOT EXISTS (
    SELECT 1 FROM artifact_files AS files JOIN artifacts ON artifacts.id = files.artifact_id
    WHERE files.content_id = artifact_contents.id AND artifacts.state <> 'DELETED')
"""


def _hide_version(db: Connection, pk: int, at: str, secret: bytes, actor: str, action: str) -> None:
    for named in rows(db, f"{_NAMED} WHERE artifacts.id = ?", (pk,)):
        _audit(db, at, actor, action, named, make_subject(secret, named["projectPk"], _subject(named)))
    db.execute("UPDATE artifacts SET state = 'DELETED', deleted_at = ? WHERE id = ?", (at, pk))
    db.execute("DELETE FROM artifact_aliases WHERE artifact_id = ?", (pk,))
    db.execute(_RETIRE, (pk,))
    move_latest(db, _column(db, "SELECT collection_id FROM artifact_members WHERE artifact_id = ?", (pk,)))


def _subject(named: Row) -> str:
    return f"{named['sequence']}:v{named['version']}"


def _audit(db: Connection, at: str, actor: str, action: str, named: Row, subject: bytes) -> None:
    db.execute(
        "INSERT INTO audit (at, actor, action, entity, project, subject) VALUES (?, ?, ?, ?, ?, ?)",
        (at, actor, action, named["entity"], named["project"], subject.hex()),
    )


def _column(db: Connection, sql: str, params: tuple[Any, ...]) -> list[int]:
    return [int(value) for (value,) in db.execute(sql, params)]


# ---- purge ----


def purge(store: Store, *, now: datetime, periods: Periods) -> int:
    """Destroy the rows of versions that were deleted long enough ago, and of uploads that broke off.

    Versions past their time to live are deleted first. Contents that no other version uses lose their
    owner, and empty collections without description or tags go too. Returns how many versions.
    """
    retention_s = periods.artifacts_s
    # Without collection nothing is old enough: times are text, and nothing comes before "".
    cutoff = "" if retention_s is None else to_text(now - timedelta(seconds=retention_s))
    abandoned = to_text(now - timedelta(seconds=max(retention_s or 0.0, _ABANDONED_S)))
    _expire(store, to_text(now))
    count = 0
    conditions = [_DELETED, *([_ORPHANED] if periods.system_artifacts else [])]
    for batch in _batches(store, " OR ".join(conditions), {"cutoff": cutoff, "abandoned": abandoned}):
        _purge_versions(store, batch, to_text(now))
        count += len(batch)
    if _has_deleted_collection(store, cutoff) or count:
        _purge_left_over(store, cutoff)
    return count


def _expire(store: Store, at: str) -> None:
    """Delete what outlived its `ttlDurationSeconds`, counted from creation.

    Source: W&B docs, artifact TTL: linked versions and those W&B makes itself do not expire (2026-11).
    Links count as `artifacts.links_at_home` says. Nor do those with a protected alias expire: anyone who may
    write may set a time to live.
    """
    sql = (
        "SELECT artifacts.id FROM artifacts JOIN artifact_collections c ON c.id = sequence_id"
        " JOIN artifact_types t ON t.id = c.type_id WHERE ttl_s > 0 AND state = 'COMMITTED'"
        " AND unixepoch(artifacts.created_at) + ttl_s <= unixepoch(?)"
        " AND t.name NOT IN ('run_table', 'code', 'job') AND t.name NOT LIKE 'wandb-%'"
    )
    with store.read() as db:
        if not any(_may_expire(db, pk) for pk in _column(db, sql, (at,))):
            return
    with store.write() as db:
        for pk in _column(db, sql, (at,)):
            if _may_expire(db, pk):
                _hide_version(db, pk, at, store.keyring.subjects, "retention", "artifact:expire")


def _may_expire(db: Connection, pk: int) -> bool:
    return len(artifacts.links_at_home(db, pk)) == 1 and not artifacts_protection.is_protected(db, pk)


_DELETED = (
    "artifacts.deleted_at <= :cutoff OR (artifacts.state = 'PENDING' AND artifacts.created_at <= :abandoned)"
)
# Row numbers of runs are never used again, so one that is missing belonged to a run that was purged.
_ORPHANED = (
    f"({_IS_SYSTEM} AND artifacts.run_id NOT IN (SELECT id FROM runs) AND NOT EXISTS ("  # noqa: S608
    "SELECT 1 FROM artifact_aliases AS held JOIN artifact_collections AS c ON c.id = held.collection_id"
    " JOIN projects AS p ON p.id = c.project_id JOIN protected_aliases USING (entity_id, alias)"
    " WHERE held.artifact_id = artifacts.id))"
)


def _batches(store: Store, where: str, params: Row) -> Iterator[list[Row]]:
    while True:
        with store.read() as db:
            batch = rows(db, f"{_NAMED} WHERE {where} LIMIT :batch", params | {"batch": _BATCH})
        if not batch:
            return
        yield batch


def _purge_versions(store: Store, batch: list[Row], at: str) -> None:
    secret = store.keyring.subjects
    with store.write() as db:
        # Left behind by a crash before the file is rewritten, it makes the next purge finish the work.
        db.execute("INSERT OR REPLACE INTO settings VALUES ('purge_unfinished', 1)")
        for named in batch:
            for table in _VERSION_TABLES:
                db.execute(f"DELETE FROM {table} WHERE artifact_id = ?", (named["pk"],))  # noqa: S608
            db.execute("DELETE FROM artifacts WHERE id = ?", (named["pk"],))
            subject = make_subject(secret, named["projectPk"], _subject(named))
            _audit(db, at, "retention", "artifact:purge", named, subject)


def _has_deleted_collection(store: Store, cutoff: str) -> bool:
    with store.read() as db:
        return bool(
            _column(db, "SELECT 1 FROM artifact_collections WHERE deleted_at <= ? LIMIT 1", (cutoff,))
        )


def _purge_left_over(store: Store, cutoff: str) -> None:
    with store.write() as db:
        db.execute(
            "DELETE FROM artifact_contents WHERE NOT EXISTS"
            " (SELECT 1 FROM artifact_files WHERE content_id = artifact_contents.id)"
        )
        types = _column(
            db,
            "DELETE FROM artifact_collections WHERE id NOT IN (SELECT sequence_id FROM artifacts)"
            " AND id NOT IN (SELECT collection_id FROM artifact_members)"
            " AND (deleted_at <= ? OR (deleted_at IS NULL AND kind = ? AND next_version > 0"
            " AND description IS NULL AND tags = '[]')) RETURNING type_id",
            (cutoff, SEQUENCE),
        )
        for pk in set(types):
            db.execute(
                "DELETE FROM artifact_types WHERE id = ? AND description IS NULL"
                " AND id NOT IN (SELECT type_id FROM artifact_collections)",
                (pk,),
            )
        db.execute(
            "DELETE FROM artifact_client_ids WHERE sequence_id IS NOT NULL"
            " AND sequence_id NOT IN (SELECT id FROM artifact_collections)"
        )
