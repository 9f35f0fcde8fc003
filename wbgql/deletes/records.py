"""wbgql's own record of the runs it hid: a small file of this user on this machine, pruned by itself.

W&B lists no deleted runs, so without a record nobody knows which paths `runs undelete` could take. The record
is no evidence: it says what this client hid, not what the server holds. It names runs, so only its user may
read it, and old entries are dropped.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from platformdirs import user_state_path

from wbgql.errors import StoreError
from wbgql.scalars import format_datetime, parse_datetime

OFF = "off"
KEPT_AFTER_WINDOW = timedelta(days=30)
KEPT_WITHOUT_WINDOW = timedelta(days=90)
_LOCK_TIMEOUT_S = 10.0


class RecordedDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """One run that was hidden. Times are ISO texts; `undo_until` is None if the server did not say.

    `deployment` is the server's host, see `Settings.deployment`.
    """

    deployment: str
    path: str
    deleted_at: str
    undo_until: str | None = None

    @property
    def kept_until(self) -> datetime:
        """When it is dropped: 30 days after the undelete window, 90 after the deletion if that is unknown."""
        if self.undo_until is None:
            return parse_datetime(self.deleted_at) + KEPT_WITHOUT_WINDOW
        return parse_datetime(self.undo_until) + KEPT_AFTER_WINDOW


class DeletionRecord:
    """The record in one file, one JSON object a line, mode 0600. Safe between processes. None: turned off."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> DeletionRecord:
        """`$WBGQL_DELETIONS`, a file or `off`; else `deletions.jsonl` in the user's state folder."""
        named = (os.environ if environ is None else environ).get("WBGQL_DELETIONS")
        if named == OFF:
            return cls(None)
        return cls(Path(named).expanduser() if named else user_state_path("wbgql") / "deletions.jsonl")

    def read(self) -> list[RecordedDeletion]:
        """Return what is recorded, oldest first; a line that was cut off is left out.

        Raises:
            StoreError: the file cannot be read.
        """
        if self.path is None:
            return []
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"cannot read the record {str(self.path)!r}: {error.strerror}") from error
        return list(_decoded(lines))

    def add(self, deletion: RecordedDeletion, *, now: datetime) -> None:
        """Record one deletion, on disk before this returns, and drop what is kept long enough.

        Raises:
            StoreError: the file cannot be written.
        """
        if self.path is None:
            return
        with self._locked(self.path):
            recorded = self.read()
            kept = [one for one in recorded if one.kept_until > now and not _is_same(one, deletion)]
            if len(kept) == len(recorded):
                self._append(self.path, deletion)
            else:
                self._replace(self.path, [*kept, deletion])

    def forget(self, deployment: str, paths: Collection[str]) -> None:
        """Drop runs that were restored.

        Raises:
            StoreError: the file cannot be written.
        """
        if self.path is None or not paths:
            return
        with self._locked(self.path):
            recorded = self.read()
            kept = [one for one in recorded if one.deployment != deployment or one.path not in paths]
            if len(kept) < len(recorded):
                self._replace(self.path, kept)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        lock = FileLock(f"{path}.lock", timeout=_LOCK_TIMEOUT_S, mode=0o600)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire()
        except Timeout as error:
            raise StoreError(f"the record {str(path)!r} is locked by another process") from error
        except OSError as error:
            raise StoreError(f"cannot write the record {str(path)!r}: {error.strerror}") from error
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot write the record {str(path)!r}: {error.strerror}") from error
        finally:
            lock.release()

    def _append(self, path: Path, deletion: RecordedDeletion) -> None:
        _write(path, [deletion], os.O_APPEND)

    def _replace(self, path: Path, kept: Iterable[RecordedDeletion]) -> None:
        fresh = path.with_name(f"{path.name}.new")
        _write(fresh, kept, os.O_TRUNC)
        fresh.replace(path)


def make_record(
    deployment: str, path: str, *, now: datetime, undo_until: datetime | None
) -> RecordedDeletion:
    """Make the entry of a run that was just hidden."""
    return RecordedDeletion(
        deployment=deployment,
        path=path,
        deleted_at=format_datetime(now),
        undo_until=None if undo_until is None else format_datetime(undo_until),
    )


def _is_same(one: RecordedDeletion, other: RecordedDeletion) -> bool:
    return (one.deployment, one.path) == (other.deployment, other.path)


def _decoded(lines: Iterable[bytes]) -> Iterator[RecordedDeletion]:
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=RecordedDeletion)
        except msgspec.DecodeError:
            continue  # cut off by a crash or a full disk; a later line is whole all the same


def _write(path: Path, deletions: Iterable[RecordedDeletion], flag: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600)
    with os.fdopen(descriptor, "ab" if flag == os.O_APPEND else "wb") as file:
        os.fchmod(descriptor, 0o600)
        # A line that was cut off must not swallow the next one.
        start = b"\n" if flag == os.O_APPEND and file.tell() else b""
        file.write(start + b"".join(msgspec.json.encode(one) + b"\n" for one in deletions))
        file.flush()
        os.fsync(descriptor)
