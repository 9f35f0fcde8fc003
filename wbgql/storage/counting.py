"""Bytes by owner, each stored content once. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

_SHARED = -1


@dataclass(slots=True)
class StorageRow:
    """What one owner takes. `key` None: the server does not say whose it is.

    Bytes: `run_file_bytes` of runs' files; `artifact_bytes` as the versions list them, repeated
    contents each time; `stored_bytes` of those contents, each once in this row; `exclusive_bytes` of
    those that no other row has, so what deleting this owner's versions could free; `reference_bytes`
    live elsewhere and are in none of the others.
    """

    key: str | None
    runs: int = 0
    run_files: int = 0
    run_file_bytes: int = 0
    versions: int = 0
    artifact_bytes: int = 0
    stored_bytes: int = 0
    exclusive_bytes: int = 0
    reference_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Run files and stored contents."""
        return self.run_file_bytes + self.stored_bytes

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values, `total_bytes` last."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"total_bytes": self.total_bytes}


COLUMNS = (*(one.name for one in fields(StorageRow)), "total_bytes")


@dataclass(frozen=True, slots=True)
class Content:
    """One stored content of a version: what tells it from others, and its bytes."""

    identity: str
    size_bytes: int


class Tally:
    """Adds up runs and versions by owner. One entry in memory for each distinct content.

    Contents that several rows share are in the `stored_bytes` of each, and once in the total.
    """

    def __init__(self) -> None:
        self.total = StorageRow(key="total")
        self._rows: dict[str | None, StorageRow] = {}
        self._numbers: dict[str | None, int] = {}
        self._owner: dict[str, int] = {}
        self._sharers: dict[str, set[int]] = {}
        self._list: list[StorageRow] = []

    def add_run(self, key: str | None, *, files: int, size_bytes: int, count: bool = True) -> None:
        """Add a run's files to the row of `key`; `count` says whether it is one more run there."""
        for row in (self._row(key), self.total):
            row.runs += count
            row.run_files += files
            row.run_file_bytes += size_bytes

    def add_version(
        self,
        key: str | None,
        *,
        size_bytes: int,
        contents: Iterable[Content] | None,
        reference_bytes: int = 0,
    ) -> None:
        """Add a version to the row of `key`. Without `contents` its size stands alone, shared or not."""
        row = self._row(key)
        for each in (row, self.total):
            each.versions += 1
            each.artifact_bytes += size_bytes
            each.reference_bytes += reference_bytes
        if contents is None:
            for each in (row, self.total):
                each.stored_bytes += size_bytes
                each.exclusive_bytes += size_bytes
            return
        for content in contents:
            self._add_content(self._numbers[key], row, content)

    def rows(self) -> list[StorageRow]:
        """The rows, the largest first, equal ones by key."""
        self.total.exclusive_bytes = self.total.stored_bytes
        return sorted(self._list, key=lambda row: (-row.total_bytes, row.key or ""))

    def _row(self, key: str | None) -> StorageRow:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = StorageRow(key=key)
            self._numbers[key] = len(self._list)
            self._list.append(row)
        return row

    def _add_content(self, number: int, row: StorageRow, content: Content) -> None:
        owner = self._owner.get(content.identity)
        if owner == number:
            return
        if owner is None:
            self._owner[content.identity] = number
            row.stored_bytes += content.size_bytes
            row.exclusive_bytes += content.size_bytes
            self.total.stored_bytes += content.size_bytes
            return
        if owner != _SHARED:
            self._list[owner].exclusive_bytes -= content.size_bytes
            self._owner[content.identity] = _SHARED
            self._sharers[content.identity] = {owner}
        sharers = self._sharers[content.identity]
        if number not in sharers:
            sharers.add(number)
            row.stored_bytes += content.size_bytes
