"""Files of runs: names, where their content is, uploads and downloads."""

from __future__ import annotations

import mimetypes
from typing import Any

from wbgql.errors import NotFound, ResponseError, UsageError
from wbgql.server.backend import Backend, Context
from wbgql.server.projects.rows import make_id
from wbgql.server.store import blobs
from wbgql.server.store.blobs import Blob
from wbgql.server.store.database import Connection, Row, row, rows

UPLOAD = "run-file"
MAX_NAME = 1024
MISSING_PK = 0
"""Stands for a file that is not there; rows are numbered from 1."""
MISSING_MD5 = "0"
"""By this the SDK's `restore` knows that a file is missing (wandb SDK 0.31.0 `sdk/wandb_run.py`, 2026-11)."""

_SELECT = """
SELECT files.id AS pk, files.run_id AS runPk, files.name AS name, files.blob AS blob,
    files.created_at AS createdAt, files.updated_at AS updatedAt,
    blobs.size_bytes AS sizeBytes, blobs.md5 AS md5
FROM files LEFT JOIN blobs ON blobs.id = files.blob
"""


def register_files(db: Connection, run_pk: int, names: list[str], now: str) -> list[Row]:
    """Rows for `names`, in that order, made where they are missing; they are empty until the upload.

    Raises:
        UsageError: not a file name.
    """
    for name in names:
        check_name(name)
        db.execute(
            "INSERT OR IGNORE INTO files (run_id, name, created_at, updated_at) VALUES (?, ?, ?, ?)",
            (run_pk, name, now, now),
        )
    return [_require(db, run_pk, name) for name in names]


def check_name(name: str) -> None:
    """Refuse what cannot be a file's path inside a run.

    Raises:
        UsageError: with the name.
    """
    parts = name.split("/")
    if not name or len(name) > MAX_NAME or "\0" in name or name.startswith("/") or ".." in parts:
        raise UsageError(f"not a file name: {name!r}, use a relative path without '..'")


def _require(db: Connection, run_pk: int, name: str) -> Row:
    found = row(db, f"{_SELECT} WHERE run_id = ? AND name = ?", (run_pk, name))
    assert found is not None
    return found


def find_file(db: Connection, run_pk: int, name: str) -> Row | None:
    """A file by name, uploaded or not."""
    return row(db, f"{_SELECT} WHERE run_id = ? AND name = ?", (run_pk, name))


def list_files(
    db: Connection, run_pk: int, *, pattern: str | None = None, limit: int = -1, offset: int = 0
) -> list[Row]:
    """Uploaded files by name. `pattern` is SQL LIKE."""
    where, params = _matching(run_pk, pattern)
    return rows(db, f"{_SELECT} WHERE {where} ORDER BY files.name LIMIT ? OFFSET ?", (*params, limit, offset))


def count_files(db: Connection, run_pk: int, *, pattern: str | None = None) -> int:
    """How many uploaded files there are."""
    where, params = _matching(run_pk, pattern)
    return int(db.execute(f"SELECT count(*) FROM files WHERE {where}", params).get)  # noqa: S608


def _matching(run_pk: int, pattern: str | None) -> tuple[str, list[Any]]:
    where = "run_id = ? AND blob IS NOT NULL"
    return (f"{where} AND files.name LIKE ?", [run_pk, pattern]) if pattern else (where, [run_pk])


def find_files(db: Connection, run_pk: int, names: list[str]) -> list[Row]:
    """One row for each of `names`, in that order, also for what is not there or was never uploaded.

    Such a row has no bytes, no times, and `MISSING_MD5`; its download answers 404.

    Source: W&B's server, by what its clients met: github.com/wandb/client-ng/pull/187 (2020-09), wandb/wandb
    pull/2277 (2021-06) and issues/5912 (2023-07).
    """
    # `wandb verify` of SDK 0.31.0 asks for "./name" (2026-11).
    asked = [name.removeprefix("./") for name in names]
    places = ",".join("?" * len(asked))
    found = rows(
        db,
        f"{_SELECT} WHERE run_id = ? AND blob IS NOT NULL AND files.name IN ({places})",
        (run_pk, *asked),
    )
    by_name = {file["name"]: file for file in found}
    return [by_name.get(name) or _missing(run_pk, name) for name in asked]


def _missing(run_pk: int, name: str) -> Row:
    return {
        "pk": MISSING_PK,
        "runPk": run_pk,
        "name": name,
        "blob": None,
        "createdAt": None,
        "updatedAt": None,
        "sizeBytes": 0,
        "md5": MISSING_MD5,
    }


def to_node(context: Context, file: Row, *, may_upload: bool) -> Row:
    """Complete a file's row with ids and URLs.

    The content is only read and replaced through a URL made here: who may not write gets none to upload to.
    """
    name = file["name"]
    upload_url = context.sign("PUT", UPLOAD, file["pk"], name=name) if may_upload else None
    download_url = context.sign("GET", UPLOAD, file["pk"], name=name)
    return file | {
        "id": make_id("File", file["pk"]),
        "displayName": name,
        "sizeBytes": file["sizeBytes"] or 0,
        "mimetype": mimetypes.guess_type(name)[0],
        "exists": file["blob"] is not None,
        "isReference": False,
        "uploadUrl": upload_url,
        "uploadHeaders": [],
        "directUrl": download_url,
    }


def store_upload(backend: Backend, file_pk: int, blob: Blob) -> None:
    """Make an upload the content of a file, in place of an older one.

    Raises:
        ResponseError: the file or its run was deleted meanwhile (status 410); the content is dropped.
    """
    now = backend.now()
    with backend.store.write() as db:
        file = row(
            db,
            "SELECT files.blob, files.run_id, runs.deleted_at FROM files JOIN runs ON runs.id = run_id"
            " WHERE files.id = ?",
            (file_pk,),
        )
        alive = file is not None and file["deleted_at"] is None
        if file is not None and alive:
            blobs.register(db, blob, now)
            db.execute("UPDATE files SET blob = ?, updated_at = ? WHERE id = ?", (blob.id, now, file_pk))
            blobs.forget(db, [file["blob"]] if file["blob"] else [])
            update_size(db, file["run_id"])
    if file is None or not alive:
        backend.blobs.remove([blob.id])
        raise ResponseError("the run or file was deleted", status=410)
    if file["blob"]:
        backend.blobs.remove([file["blob"]])


def update_size(db: Connection, run_pk: int) -> None:
    """Recount the bytes of a run's files."""
    db.execute(
        "UPDATE runs SET storage_bytes = coalesce((SELECT sum(size_bytes) FROM files"
        " JOIN blobs ON blobs.id = blob WHERE run_id = runs.id), 0) WHERE id = ?",
        (run_pk,),
    )


def find_download(backend: Backend, file_pk: int) -> Row:
    """The file behind a download URL.

    Raises:
        NotFound: deleted, never uploaded, or its run is deleted.
    """
    with backend.store.read() as db:
        found = row(
            db,
            f"{_SELECT} JOIN runs ON runs.id = files.run_id WHERE files.id = ? AND runs.deleted_at IS NULL",
            (file_pk,),
        )
    if found is None or found["blob"] is None:
        raise NotFound("file not found", status=404)
    return found


def delete_files(context: Context, file_pks: list[int], project_pk: int | None) -> None:
    """Delete files at once, content included; ones that are gone already are no error.

    Raises:
        PermissionDenied: a member may delete only the files of own runs.
        NotFound: a file of a run that is not visible.
    """
    from_store: list[str] = []
    with context.store.write() as db:
        for pk in file_pks:
            file = row(
                db,
                "SELECT files.blob, files.run_id FROM files JOIN runs ON runs.id = run_id"
                " WHERE files.id = ? AND project_id = coalesce(?, project_id)",
                (pk, project_pk),
            )
            if file is None:
                continue
            context.require_owner(db, file["run_id"])
            db.execute("DELETE FROM files WHERE id = ?", (pk,))
            if file["blob"]:
                from_store.append(file["blob"])
            blobs.forget(db, from_store)
            update_size(db, file["run_id"])
    context.backend.blobs.remove(from_store)
