"""Committing a version: its manifest becomes files, it gets its number and its aliases."""

from __future__ import annotations

import json

from wbgql.errors import NotFound, UsageError
from wbgql.server.api.scalars import MAX_INT64
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts.aliases import advance_latest, check_alias, set_alias
from wbgql.server.artifacts.manifests import (
    Entry,
    Manifest,
    dump_manifest,
    merge,
    parse_entries,
    parse_manifest,
)
from wbgql.server.artifacts.nodes import LATEST, writing
from wbgql.server.artifacts.uploads import find_pending
from wbgql.server.backend import Context
from wbgql.server.projects.rows import make_id
from wbgql.server.store import blobs
from wbgql.server.store.database import Row, row, rows

_MANIFEST = (
    "SELECT id AS pk, artifact_id AS artifactPk, type, name, digest, base_id AS basePk, blob,"
    " created_at AS createdAt FROM artifact_manifests WHERE artifact_id = ? AND blob IS NOT NULL"
)


def commit(context: Context, storage_id: str) -> Row:
    """Commit a version; safe to repeat, the number and `latest` move only once.

    Raises:
        UsageError: no manifest, or the content of a file was never uploaded.
        Otherwise as `artifacts_uploads.find_pending`.
    """
    version = artifacts.find_version_by_id(context, storage_id)
    if version["state"] != "COMMITTED":
        with writing(context) as now:
            version = artifacts.find_version_by_id(now, storage_id)
            if version["state"] != "COMMITTED":
                _commit(now, find_pending(now, storage_id))
    return artifacts.find_version_by_id(context, storage_id)


def _commit(now: Context, version: Row) -> None:
    manifest = _final_manifest(now, version)
    entries = parse_entries(manifest)
    _place_files(now, version, entries)
    sequence_pk = version["sequencePk"]
    number = add_member(now, sequence_pk, version["pk"])
    size_bytes = min(sum(entry.size_bytes for entry in entries), MAX_INT64)
    now.db.execute(
        "UPDATE artifacts SET state = 'COMMITTED', size_bytes = ?, file_count = ?, updated_at = ?"
        " WHERE id = ?",
        (
            size_bytes,
            len(entries),
            now.backend.now(),
            version["pk"],
        ),
    )
    waiting = now.db.execute("SELECT wanted_aliases FROM artifacts WHERE id = ?", (version["pk"],)).get
    for alias in set(json.loads(waiting)) - {f"v{number}", LATEST}:
        set_alias(now, sequence_pk, version["pk"], check_alias(alias))
    advance_latest(now, sequence_pk, version["pk"])


def add_member(now: Context, collection_pk: int, pk: int) -> int:
    """Give a version the next number of a collection. `now` is in a transaction."""
    at = now.backend.now()
    number = int(
        now.db.execute(
            "UPDATE artifact_collections SET next_version = next_version + 1, updated_at = ? WHERE id = ?"
            " RETURNING next_version - 1",
            (at, collection_pk),
        ).get
    )
    now.db.execute(
        "INSERT INTO artifact_members (collection_id, artifact_id, version, created_at) VALUES (?, ?, ?, ?)",
        (collection_pk, pk, number, at),
    )
    return number


def find_current_manifest(context: Context, version: Row) -> Row | None:
    """The manifest that lists the whole version, once it is uploaded."""
    return row(context.db, f"{_MANIFEST} AND type = 'FULL' ORDER BY id DESC LIMIT 1", (version["pk"],))


def _final_manifest(now: Context, version: Row) -> Manifest:
    full = find_current_manifest(now, version)
    if full is not None:
        return _read(now, full)
    changes = rows(now.db, f"{_MANIFEST} ORDER BY id", (version["pk"],))
    if not changes:
        raise UsageError(f"artifact {version['id']!r} has no manifest, upload it and commit again")
    base = next((_base(now, change["basePk"]) for change in changes if change["basePk"] is not None), None)
    manifest = merge(base, [_read(now, change) for change in changes])
    blob = now.backend.blobs.put(dump_manifest(manifest))
    blobs.register(now.db, blob, now.backend.now())
    now.db.execute(
        "INSERT INTO artifact_manifests (artifact_id, type, name, digest, blob, created_at)"
        " VALUES (?, 'FULL', 'wandb_manifest.json', ?, ?, ?)",
        (version["pk"], blob.md5, blob.id, now.backend.now()),
    )
    return manifest


def _base(now: Context, pk: int) -> Manifest | None:
    manifest = find_current_manifest(now, artifacts.find_version_by_id(now, make_id("Artifact", pk)))
    return None if manifest is None else _read(now, manifest)


def _read(now: Context, manifest: Row) -> Manifest:
    return parse_manifest(now.backend.blobs.path(manifest["blob"]).read_bytes())


def _place_files(now: Context, version: Row, entries: list[Entry]) -> None:
    project_pk = artifacts.collection_of_version(now, version)["projectPk"]
    now.db.execute("DELETE FROM artifact_files WHERE artifact_id = ?", (version["pk"],))
    now.db.executemany(
        "INSERT INTO artifact_files SELECT ?, ?, ?, ?, iif(?6 IS NULL, (SELECT id FROM artifact_contents"
        " WHERE project_id = ?5 AND digest = ?7 AND blob IS NOT NULL), NULL), ?6",
        [
            (version["pk"], one.name, one.digest, one.size_bytes, project_pk, one.ref, one.content_key)
            for one in entries
        ],
    )
    sql = "SELECT name FROM artifact_files WHERE artifact_id = ? AND ref IS NULL AND content_id IS NULL"
    missing = {name for (name,) in now.db.execute(sql, (version["pk"],)).fetchall()}
    for entry in entries:
        if entry.name in missing:
            _borrow(now, version, entry)


def _borrow(now: Context, version: Row, entry: Entry) -> None:
    """Take a content from the version that first had it, which may be in another project."""
    try:
        birth = artifacts.find_version_by_id(now, entry.birth_id)
    except NotFound as error:
        raise _not_uploaded(entry) from error
    if birth["state"] != "COMMITTED":
        raise _not_uploaded(entry)
    now.db.execute(
        "UPDATE artifact_files SET content_id = (SELECT content_id FROM artifact_files WHERE artifact_id = ?"
        " AND digest = ? AND content_id IS NOT NULL LIMIT 1) WHERE artifact_id = ? AND name = ?",
        (birth["pk"], entry.digest, version["pk"], entry.name),
    )
    sql = "SELECT content_id FROM artifact_files WHERE artifact_id = ? AND name = ?"
    if now.db.execute(sql, (version["pk"], entry.name)).get is None:
        raise _not_uploaded(entry)


def _not_uploaded(entry: Entry) -> UsageError:
    return UsageError(
        f"content of {entry.name!r} was never uploaded: digest {entry.digest!r}, upload it and commit again"
    )
