"""How far an export has come: after which runs of a project it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wbgql.exports.manifests import Part
from wbgql.frames import Batches
from wbgql.runs import RunNode, RunPage


@dataclass
class Cursor:
    """How far a project is written: the latest creation time, and the runs of that instant."""

    since: str = ""
    ids: set[str] = field(default_factory=set)
    waiting: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def after(cls, parts: Sequence[Part], project: str) -> Cursor:
        """Where the last part of a project ended."""
        ends = [part for part in parts if part.project == project]
        return cls(ends[-1].since, set(ends[-1].ids)) if ends else cls()

    def pages(self, pages: Iterator[RunPage]) -> Iterator[RunPage]:
        """Hand on the runs that are not written yet, and remember them."""
        written = set(self.ids)
        for page in pages:
            nodes: list[RunNode] = [node for node in page if node.name not in written]
            if nodes:
                self.waiting = [(node.created_at, node.name) for node in nodes]
                yield RunPage(page.project, nodes)

    def advance(self, rows: int) -> None:
        """Note that the next `rows` of what was handed on are written."""
        for created_at, name in self.waiting[:rows]:
            if created_at > self.since:
                self.since, self.ids = created_at, set()
            if created_at == self.since:
                self.ids.add(name)
        del self.waiting[:rows]


class Rows:
    """Batches one after the other, of which a part may take only the beginning."""

    def __init__(self, batches: Batches, cursor: Cursor) -> None:
        self._batches = iter(batches)
        self._cursor = cursor
        self._rest: Any = None

    def __next__(self) -> Any:
        rest, self._rest = self._rest, None
        return next(self._batches) if rest is None else rest

    def take(self, batch: Any, room: int) -> Any:
        """The first `room` rows; what is left of the batch comes next."""
        if batch.num_rows > room:
            self._rest = batch.slice(room)
            batch = batch.slice(0, room)
        self._cursor.advance(batch.num_rows)
        return batch
