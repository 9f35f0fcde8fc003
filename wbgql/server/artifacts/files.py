"""The files of versions, as rows: what is stored here, and references to what is not."""

from __future__ import annotations

from typing import Any

from wbgql.server.store.database import Connection, Row, rows


def list_files(
    db: Connection, artifact_pk: int, *, names: list[str] | None = None, limit: int = -1, offset: int = 0
) -> list[Row]:
    """Files of a version by name; `ref` is set, and `contentPk` null, for a reference.

    References are listed too: the SDK downloads exactly the files that are listed, and on W&B a
    download fetches references (wandb SDK 0.31.0 `Artifact._download` and the system tests, 2026-11).
    """
    where, params = _matching(artifact_pk, names)
    stored = "SELECT md5 FROM artifact_contents JOIN blobs ON blobs.id = blob WHERE artifact_contents.id"
    columns = (
        f"name, digest, coalesce(({stored} = content_id), digest) AS md5, size_bytes AS sizeBytes,"
        " content_id AS contentPk, ref"
    )
    sql = f"SELECT {columns} FROM artifact_files WHERE {where} ORDER BY name LIMIT ? OFFSET ?"  # noqa: S608
    return rows(db, sql, (*params, limit, offset))


def count_files(db: Connection, artifact_pk: int, *, names: list[str] | None = None) -> int:
    """How many files `list_files` would give without a limit."""
    where, params = _matching(artifact_pk, names)
    return int(db.execute(f"SELECT count(*) FROM artifact_files WHERE {where}", params).get)  # noqa: S608


def _matching(artifact_pk: int, names: list[str] | None) -> tuple[str, list[Any]]:
    if names is None:
        return "artifact_id = ?", [artifact_pk]
    return f"artifact_id = ? AND name IN ({','.join('?' * len(names))})", [artifact_pk, *names]
