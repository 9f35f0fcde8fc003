"""What is uploaded for a version of an artifact: declaring files and manifests, storing and serving them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from wbgql.errors import NotFound, ResponseError, UsageError
from wbgql.server import accounts
from wbgql.server.artifacts import digests
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts.manifests import check_path
from wbgql.server.artifacts.nodes import writing
from wbgql.server.backend import Backend, Context
from wbgql.server.projects import rows as projects
from wbgql.server.projects.rows import make_id, parse_id
from wbgql.server.store import blobs
from wbgql.server.store.blobs import Blob
from wbgql.server.store.database import Connection, Row, row, rows

CONTENT, MANIFEST = "artifact-file", "artifact-manifest"
"""Kinds of the URLs through which contents and manifests come and go."""


def find_pending(now: Context, storage_id: str) -> Row:
    """A version that is still being logged, for the one who may write it.

    Raises:
        NotFound, PermissionDenied: not visible, or only to look at.
        ResponseError: the version, or the run that logs it, was deleted (status 410).
        UsageError: it is committed.
    """
    version = artifacts.find_version_by_id(now, storage_id)
    require_writer(now, version)
    if version["state"] == "COMMITTED":
        raise UsageError(f"artifact {storage_id!r} is committed, log a new version instead")
    sql = "SELECT 1 FROM runs WHERE id = ? AND deleted_at IS NULL"
    run_gone = version["runPk"] is not None and now.db.execute(sql, (version["runPk"],)).get is None
    if version["state"] == "DELETED" or run_gone:
        raise ResponseError(f"artifact {storage_id!r} or its run was deleted", status=410)
    return version


def require_writer(now: Context, version: Row) -> Row:
    """The project of a version, if the viewer may write there.

    Raises:
        NotFound, PermissionDenied: not visible, or only to look at.
    """
    project = artifacts.project_of(now, artifacts.collection_of_version(now, version)["projectPk"])
    if project is None:
        raise NotFound(f"artifact {version['id']!r} not found", status=404)
    accounts.require_writer(now.db, now.viewer, project["entityPk"])
    return project


def create_manifest(context: Context, fields: dict[str, Any]) -> Row:
    """Declare the manifest of a pending version; said again, it changes that one. Patches add up.

    Raises:
        As `find_pending`.
    """
    with writing(context) as now:
        version = find_pending(now, fields["artifactID"])
        sql = "SELECT max(id) FROM artifact_manifests WHERE artifact_id = ? AND type = ?"
        found = now.db.execute(sql, (version["pk"], fields["type"])).get
        if found is None or fields["type"] == "PATCH":
            now.db.execute(
                "INSERT INTO artifact_manifests (artifact_id, type, name, digest, created_at)"
                " VALUES (?, ?, ?, '', ?)",
                (version["pk"], fields["type"], fields["name"], now.backend.now()),
            )
            found = now.db.last_insert_rowid()
        _describe_manifest(now.db, found, fields)
        manifest = find_manifest(now, found)
    assert manifest is not None
    return manifest


def update_manifest(context: Context, fields: dict[str, Any]) -> Row:
    """Set the digest and base of a manifest that was declared.

    Raises:
        As `find_pending`.
    """
    with writing(context) as now:
        pk = parse_id("ArtifactManifest", fields["artifactManifestID"])
        manifest = find_manifest(now, pk)
        if manifest is None:
            raise NotFound(f"artifact manifest {fields['artifactManifestID']!r} not found", status=404)
        find_pending(now, make_id("Artifact", manifest["artifactPk"]))
        _describe_manifest(now.db, pk, fields)
        manifest = find_manifest(now, pk)
    assert manifest is not None
    return manifest


def _describe_manifest(db: Connection, pk: int, fields: dict[str, Any]) -> None:
    base_pk = parse_id("Artifact", fields.get("baseArtifactID"))
    db.execute(
        "UPDATE artifact_manifests SET digest = coalesce(?, digest), base_id = coalesce(?, base_id)"
        " WHERE id = ?",
        (fields.get("digest"), base_pk if base_pk >= 0 else None, pk),
    )


def find_manifest(context: Context, pk: int) -> Row | None:
    """A manifest by row number."""
    return row(
        context.db,
        "SELECT id AS pk, artifact_id AS artifactPk, type, name, digest, base_id AS basePk, blob,"
        " created_at AS createdAt FROM artifact_manifests WHERE id = ?",
        (pk,),
    )


def create_files(context: Context, specs: list[dict[str, Any]], algorithm: str | None = None) -> list[Row]:
    """Declare files of pending versions, in order: (name, digest, content row, its blob or None, version).

    `algorithm` is that of their digests; None is MD5, as with SDKs before 0.31.

    A content the project holds already needs no upload. One transaction for the batch.

    Raises:
        UsageError: not a digest or not a path. Otherwise as `find_pending`.
    """
    with writing(context) as now:
        pending = {
            storage_id: find_pending(now, storage_id) for storage_id in {spec["artifactID"] for spec in specs}
        }
        owners = {key: artifacts.collection_of_version(now, one)["projectPk"] for key, one in pending.items()}
        at = now.backend.now()
        files = []
        for spec in specs:
            version, project_pk = pending[spec["artifactID"]], owners[spec["artifactID"]]
            digest = digests.check_digest(spec.get("digest") or spec["md5"])
            content_pk, blob = _content(now.db, project_pk, digests.content_key(digest, algorithm), at)
            check_path(spec["name"])
            now.db.execute(
                "INSERT OR REPLACE INTO artifact_files VALUES (?, ?, ?, 0, ?, NULL)",
                (version["pk"], spec["name"], digest, content_pk),
            )
            files.append(
                {
                    "name": spec["name"],
                    "digest": digest,
                    "md5": spec["md5"],
                    "contentPk": content_pk,
                    "blob": blob,
                    "version": version,
                }
            )
    return files


def _content(db: Connection, project_pk: int, key: str, at: str) -> tuple[int, str | None]:
    sql = "SELECT id, blob FROM artifact_contents WHERE project_id = ? AND digest = ?"
    found = next(db.execute(sql, (project_pk, key)), None)
    if found is not None:
        return int(found[0]), found[1]
    db.execute(
        "INSERT INTO artifact_contents (project_id, digest, created_at) VALUES (?, ?, ?)",
        (project_pk, key, at),
    )
    return db.last_insert_rowid(), None


def storage_path(digest: str) -> str:
    """Where a content is said to be: content-addressed, as in storage layout V2."""
    return f"wandb_artifacts/{base64.b64decode(digest).hex()}"


def store_content(backend: Backend, content_pk: int, blob: Blob) -> None:
    """Make an upload the content that was declared; a second upload of the same is dropped.

    Raises:
        UsageError: the bytes do not have the declared digest.
        ResponseError: the version was deleted and purged meanwhile (status 410).
    """
    with backend.store.read() as db:
        sql = "SELECT digest FROM artifact_contents WHERE id = ? AND digest NOT LIKE 'deleted:%'"
        key = db.execute(sql, (content_pk,)).get
    _check_digest(backend, blob, key)
    with backend.store.write() as db:
        db.execute(
            "UPDATE artifact_contents SET blob = ? WHERE id = ? AND blob IS NULL", (blob.id, content_pk)
        )
        taken = db.changes() > 0
        if taken:
            blobs.register(db, blob, backend.now())
        known = db.execute("SELECT 1 FROM artifact_contents WHERE id = ?", (content_pk,)).get
    if not taken:
        backend.blobs.remove([blob.id])
    if not known:
        raise _gone()


def store_manifest(backend: Backend, manifest_pk: int, blob: Blob) -> None:
    """Make an upload the content of a manifest, in place of an older one.

    Raises:
        UsageError: the bytes do not have the declared MD5, or the version is committed.
        ResponseError: the version was deleted and purged meanwhile (status 410).
    """
    sql = (
        "SELECT artifact_manifests.digest, blob, state"
        " FROM artifact_manifests JOIN artifacts ON artifacts.id = artifact_id"
        " WHERE artifact_manifests.id = ?"
    )
    with backend.store.read() as db:
        manifest = row(db, sql, (manifest_pk,))
    _check_digest(backend, blob, None if manifest is None else manifest["digest"] or blob.md5)
    with backend.store.write() as db:
        manifest = row(db, sql, (manifest_pk,))
        pending = manifest is not None and manifest["state"] == "PENDING"
        if manifest is not None and pending:
            blobs.register(db, blob, backend.now())
            db.execute("UPDATE artifact_manifests SET blob = ? WHERE id = ?", (blob.id, manifest_pk))
            blobs.forget(db, [manifest["blob"]] if manifest["blob"] else [])
    if manifest is None or not pending:
        backend.blobs.remove([blob.id])
        raise (
            _gone()
            if manifest is None
            else UsageError("the artifact is committed, its manifest cannot change")
        )
    if manifest["blob"]:
        backend.blobs.remove([manifest["blob"]])


def _check_digest(backend: Backend, blob: Blob, key: str | None) -> None:
    if key is not None and digests.is_of(key, backend.blobs.path(blob.id), blob.md5):
        return
    backend.blobs.remove([blob.id])
    if key is None:
        raise _gone()
    raise UsageError(f"the upload has MD5 {blob.md5!r}, but {key!r} was declared")


def _gone() -> ResponseError:
    return ResponseError("the artifact was deleted", status=410)


_DOWNLOAD = """
SELECT blobs.id AS blob, blobs.size_bytes AS sizeBytes, blobs.md5 AS md5, files.name AS name
FROM artifact_files AS files JOIN artifacts ON artifacts.id = files.artifact_id
    JOIN artifact_contents AS contents ON contents.id = files.content_id
    JOIN blobs ON blobs.id = contents.blob
WHERE artifacts.state = 'COMMITTED' AND
"""


def find_content(backend: Backend, pks: Sequence[int]) -> Row:
    """The blob behind a download URL made for a (version, content): `blob`, `sizeBytes`, `md5`, `name`.

    Raises:
        NotFound: the version is deleted, or not committed.
    """
    with backend.store.read() as db:
        sql = f"{_DOWNLOAD} files.artifact_id = ? AND files.content_id = ? LIMIT 1"
        return _found(row(db, sql, (pks[0], pks[1])))


def find_manifest_content(backend: Backend, manifest_pk: int) -> Row:
    """The blob behind a manifest's download URL: `blob`, `sizeBytes`, `md5`, `name`.

    Raises:
        NotFound: the version is deleted, or nothing was uploaded.
    """
    sql = (
        "SELECT blobs.id AS blob, blobs.size_bytes AS sizeBytes, blobs.md5 AS md5, name"
        " FROM artifact_manifests JOIN artifacts ON artifacts.id = artifact_id JOIN blobs ON blobs.id = blob"
        " WHERE artifact_manifests.id = ? AND state <> 'DELETED'"
    )
    with backend.store.read() as db:
        return _found(row(db, sql, (manifest_pk,)))


def find_content_by_path(
    context: Context, entity: str, project: str, collection: str, hex_digest: str
) -> Row:
    """The blob behind `/artifactsV2/.../<collection>/.../<hex digest>/...`, if a version there has it.

    Source: wandb SDK 0.31.0 `sdk/artifacts/storage_policies/wandb_storage_policy.py` (2026-11).

    Raises:
        NotFound: nothing of that digest in a version of the collection, or not visible.
    """
    owner = projects.find_project(context, entity, project)
    found = owner and artifacts.find_collection(context, owner, collection)
    try:
        digest = base64.b64encode(bytes.fromhex(hex_digest)).decode()
    except ValueError:
        digest = ""
    sql = (
        "SELECT DISTINCT members.artifact_id FROM artifact_members AS members JOIN artifact_files AS files"
        " ON files.artifact_id = members.artifact_id WHERE collection_id = ? AND files.digest = ?"
    )
    holders = rows(context.db, sql, (found["pk"] if found else -1, digest))
    seen = (one["artifact_id"] for one in holders if _is_visible(context, one["artifact_id"]))
    here = "files.artifact_id = ? AND files.digest = ? LIMIT 1"
    return _found(row(context.db, f"{_DOWNLOAD} {here}", (next(seen, -1), digest)))


def _is_visible(context: Context, pk: int) -> bool:
    version = artifacts.find_version(context, pk)
    return version is not None and artifacts.is_version_visible(context, version)


def _found(content: Row | None) -> Row:
    if content is None:
        raise NotFound("artifact file not found", status=404)
    return content
