"""File contents on disk, one file per upload under a random name, and the rows that know them."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from anyio import to_thread

from wbgql.errors import RequestError, StoreError
from wbgql.server.store import tables
from wbgql.server.store.database import Connection, store_errors

_ID_LENGTH = 32


@dataclass(frozen=True)
class Blob:
    """One stored content. `md5` is base64, as W&B writes digests."""

    id: str
    size_bytes: int
    md5: str


class Blobs:
    """The folder of contents. An upload appears under its name only when it is complete.

    With `durable` its name, too, is on the disk before it counts as stored.
    """

    def __init__(self, root: Path, *, durable: bool = False) -> None:
        self.root = root
        self._durable = durable
        self._incoming = root / "incoming"
        with store_errors(root):
            self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def receive(self, chunks: AsyncIterator[bytes], max_bytes: int) -> Blob:
        """Store a stream; nothing is left behind if it breaks off.

        Raises:
            RequestError: larger than `max_bytes` (status 413).
            StoreError: the disk is full or not writable.
        """
        blob_id = secrets.token_hex(_ID_LENGTH // 2)
        incoming = self._incoming / blob_id
        digest, size = hashlib.md5(usedforsecurity=False), 0
        try:
            with incoming.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    refuse_larger(size, max_bytes)
                    digest.update(chunk)
                    file.write(chunk)
                await to_thread.run_sync(_sync, file)
            await to_thread.run_sync(self._place, incoming, blob_id)
        except OSError as error:
            raise StoreError(f"content cannot be stored: {self.root}, {error.strerror}") from error
        finally:
            incoming.unlink(missing_ok=True)
        return Blob(blob_id, size, base64.b64encode(digest.digest()).decode())

    def put(self, content: bytes) -> Blob:
        """Store bytes that are already in memory."""
        blob_id = secrets.token_hex(_ID_LENGTH // 2)
        incoming = self._incoming / blob_id
        with store_errors(self.root):
            with incoming.open("xb") as file:
                file.write(content)
                _sync(file)
            self._place(incoming, blob_id)
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        return Blob(blob_id, len(content), md5)

    def _place(self, incoming: Path, blob_id: str) -> None:
        path = self.path(blob_id)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        incoming.replace(path)
        if self._durable:
            _sync_folder(path.parent)
            _sync_folder(self.root)

    def path(self, blob_id: str) -> Path:
        """Where a content is. Ids are ours, never the user's, so no path leads out of the folder.

        Raises:
            StoreError: not an id.
        """
        if len(blob_id) != _ID_LENGTH or not set(blob_id) <= set("0123456789abcdef"):
            raise StoreError(f"not a content id: {blob_id!r}")
        return self.root / blob_id[:2] / blob_id

    def remove(self, blob_ids: Iterable[str]) -> int:
        """Delete contents; return the bytes freed. One that is gone already counts as 0."""
        freed = 0
        with store_errors(self.root):
            for blob_id in blob_ids:
                path = self.path(blob_id)
                if path.exists():
                    freed += path.stat().st_size
                    path.unlink()
        return freed

    def ids(self) -> Iterable[str]:
        """Every complete content on disk."""
        return (path.name for path in self.root.glob("[0-9a-f][0-9a-f]/*"))

    def clear_incoming(self, older_than: float) -> None:
        """Delete uploads that broke off, last written before `older_than` (Unix seconds)."""
        for path in self._incoming.iterdir():
            if path.stat().st_mtime < older_than:
                path.unlink(missing_ok=True)


def refuse_larger(size: int, max_bytes: int) -> None:
    """Refuse what may not be stored.

    Raises:
        RequestError: with status 413, which the SDK does not repeat.
    """
    if size > max_bytes:
        raise RequestError(f"upload is larger than {max_bytes} bytes", status=413)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def register(db: Connection, blob: Blob, now: str) -> None:
    """Make a content known to the store, in the transaction that gives it an owner."""
    db.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?)", (blob.id, blob.size_bytes, blob.md5, now))


def orphans(db: Connection) -> list[str]:
    """Known contents that nothing owns any more."""
    owners = " UNION ALL ".join(tables.BLOB_OWNERS)
    return [blob_id for (blob_id,) in db.execute(f"SELECT id FROM blobs WHERE id NOT IN ({owners})")]  # noqa: S608


def forget(db: Connection, blob_ids: Iterable[str]) -> None:
    """Drop the rows of contents that are deleted once the transaction is committed."""
    db.executemany("DELETE FROM blobs WHERE id = ?", [(blob_id,) for blob_id in blob_ids])
