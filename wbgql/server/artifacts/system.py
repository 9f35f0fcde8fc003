"""Artifacts that the server makes by itself: the history of a finished run, which outlives the run.

Source: wandb/wandb issues 6237, 10459 and 12814: `run-<id>-history` of type `wandb-history` is made by the
server, cannot be deleted by users, and was still there months after its run was deleted (2026-11).
"""

from __future__ import annotations

import base64
import binascii
import secrets

from wbgql.errors import UsageError
from wbgql.server.artifacts.aliases import point_alias
from wbgql.server.artifacts.commit import add_member
from wbgql.server.artifacts.logging import (
    OUTPUT,
    SYSTEM_TYPES,
    find_or_create_type,
    record,
)
from wbgql.server.artifacts.manifests import dump_manifest
from wbgql.server.artifacts.nodes import LATEST, SEQUENCE, writing
from wbgql.server.backend import Context
from wbgql.server.likeness.switches import OFF
from wbgql.server.runs import history
from wbgql.server.store import blobs
from wbgql.server.store.blobs import Blob
from wbgql.server.store.database import Row

HISTORY_TYPE = "wandb-history"
HISTORY_FILE = "0000.jsonl"
"""The one file of a version: rows as they were sent. W&B writes Parquet, named `0000.parquet`."""


def collection_name(run: str) -> str:
    """The name of the collection that holds a run's history."""
    return f"run-{run}-history"


def refuse_change(collection: Row, what: str) -> None:
    """Refuse to delete or rename a system artifact, or to give it another type or a time to live.

    Which status W&B gives is not known.

    Raises:
        UsageError: the collection is one of theirs.
    """
    if collection["defaultArtifactType"]["name"] in SYSTEM_TYPES:
        raise UsageError(f"{what} {collection['name']!r} is not allowed: the artifact belongs to the server")


def export_history(context: Context, run: Row) -> None:
    """Make the history of a finished run a version of its own; nothing where that was done already.

    Reads all rows of the run. A run that is resumed and finishes again gets one version more.
    """
    if context.backend.settings.system_artifacts == OFF:
        return
    rows = history.texts(context.db, run["pk"])
    if not rows:
        return
    content = context.backend.blobs.put("".join(f"{row}\n" for row in rows).encode())
    with writing(context) as now:
        taken = _add_version(now, run, content)
    if not taken:
        context.backend.blobs.remove([content.id])


def _add_version(now: Context, run: Row, content: Blob) -> bool:
    """Whether `content` was taken into the store."""
    sequence_pk = _sequence(now, run)
    digest = binascii.hexlify(base64.b64decode(content.md5)).decode()
    sql = "SELECT 1 FROM artifacts WHERE sequence_id = ? AND digest = ? AND state = 'COMMITTED'"
    if sequence_pk is None or now.db.execute(sql, (sequence_pk, digest)).get:
        return False
    at = now.backend.now()
    now.db.execute(
        "INSERT INTO artifacts (sequence_id, state, digest, commit_hash, run_id, user_id, size_bytes,"
        " file_count, created_at, updated_at) VALUES (?, 'COMMITTED', ?, ?, ?, ?, ?, 1, ?, ?)",
        (sequence_pk, digest, secrets.token_hex(10), run["pk"], run["userPk"], content.size_bytes, at, at),
    )
    pk = now.db.last_insert_rowid()
    taken = _add_content(now, run["projectPk"], pk, content)
    _add_manifest(now, pk, content)
    add_member(now, sequence_pk, pk)
    point_alias(now.db, sequence_pk, pk, LATEST)
    record(now, pk, run["pk"], OUTPUT)
    return taken


def _sequence(now: Context, run: Row) -> int | None:
    """The collection to write to, made if it is new; None if a user's collection has the name."""
    name, at = collection_name(run["name"]), now.backend.now()
    type_pk = find_or_create_type(now, {"pk": run["projectPk"]}, HISTORY_TYPE)
    now.db.execute(
        "INSERT INTO artifact_collections (project_id, type_id, kind, name, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (run["projectPk"], type_pk, SEQUENCE, name, at, at),
    )
    sql = (
        "SELECT id FROM artifact_collections"
        " WHERE project_id = ? AND name = ? AND type_id = ? AND kind = ? AND deleted_at IS NULL"
    )
    found: int | None = now.db.execute(sql, (run["projectPk"], name, type_pk, SEQUENCE)).get
    return found


def _add_content(now: Context, project_pk: int, pk: int, content: Blob) -> bool:
    at = now.backend.now()
    now.db.execute(
        "INSERT INTO artifact_contents (project_id, digest, created_at) VALUES (?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (project_pk, content.md5, at),
    )
    key = (project_pk, content.md5)
    now.db.execute(
        "UPDATE artifact_contents SET blob = ? WHERE project_id = ? AND digest = ? AND blob IS NULL",
        (content.id, *key),
    )
    taken = now.db.changes() > 0
    if taken:
        blobs.register(now.db, content, at)
    now.db.execute(
        "INSERT INTO artifact_files SELECT ?, ?, digest, ?, id, NULL FROM artifact_contents"
        " WHERE project_id = ? AND digest = ?",
        (pk, HISTORY_FILE, content.size_bytes, *key),
    )
    return taken


def _add_manifest(now: Context, pk: int, content: Blob) -> None:
    entry = {"digest": content.md5, "size": content.size_bytes}
    manifest = now.backend.blobs.put(
        dump_manifest(
            {
                "version": 1,
                "storagePolicy": "wandb-storage-policy-v1",
                "storagePolicyConfig": {"storageLayout": "V2"},
                "contents": {HISTORY_FILE: entry},
            }
        )
    )
    at = now.backend.now()
    blobs.register(now.db, manifest, at)
    now.db.execute(
        "INSERT INTO artifact_manifests (artifact_id, type, name, digest, blob, created_at)"
        " VALUES (?, 'FULL', 'wandb_manifest.json', ?, ?, ?)",
        (pk, manifest.md5, manifest.id, at),
    )
