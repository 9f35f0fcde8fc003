"""In which order versions go: what depends on a version before the version itself. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple


class Node(NamedTuple):
    """One version that goes: its id, the runs that logged it, the runs that use it (storage ids)."""

    id: str
    loggers: list[str]
    users: list[str]


def order_versions(nodes: Iterable[Node]) -> dict[str, int]:
    """Return the place of each version, from 1: a version stands behind all that was made with it.

    What a run logged depends on what it used. Where that goes round in a circle, the order given decides.
    Time and memory grow with the uses, not with the pairs of versions.

    Source: the server refuses to delete a version before its dependents (wandb/wandb#2448).
    """
    versions = {node.id: node for node in nodes}
    groups = _Groups(versions)
    places = {version: place for place, version in enumerate(versions)}
    ready = [(places[version], version) for version in versions if not groups.waits_for[version]]
    heapify(ready)
    left = dict.fromkeys(versions)
    order: dict[str, int] = {}
    while left:
        version = heappop(ready)[1] if ready else next(iter(left))
        if version not in left:
            continue
        del left[version]
        order[version] = len(order) + 1
        for freed in groups.take(version):
            heappush(ready, (places[freed], freed))
    return order


class _Groups:
    """Sets of versions that others wait for: all that a run logged, for each version that it used.

    A version that a run logged and used waits for the rest of what that run logged, which is a group too.
    """

    def __init__(self, versions: dict[str, Node]) -> None:
        self._left: dict[tuple[str, bool], set[str]] = defaultdict(set)
        self._waiting: dict[tuple[str, bool], list[str]] = defaultdict(list)
        self._in: dict[str, list[tuple[str, bool]]] = defaultdict(list)
        self.waits_for: dict[str, int] = {}
        for node in versions.values():
            self._join(node)
        for node in versions.values():
            waited = [group for group in self._used(node) if self._left.get(group)]
            for group in waited:
                self._waiting[group].append(node.id)
            self.waits_for[node.id] = len(waited)

    def take(self, version: str) -> Iterator[str]:
        """Take a version away; yield those that wait for nothing now."""
        for group in self._in[version]:
            self._left[group].discard(version)
            if self._left[group]:
                continue
            for waiting in self._waiting.get(group, ()):
                self.waits_for[waiting] -= 1
                if self.waits_for[waiting] == 0:
                    yield waiting

    def _join(self, node: Node) -> None:
        users = set(node.users)
        for run in dict.fromkeys(node.loggers):
            for group in [(run, True)] if run in users else [(run, True), (run, False)]:
                self._left[group].add(node.id)
                self._in[node.id].append(group)

    @staticmethod
    def _used(node: Node) -> list[tuple[str, bool]]:
        loggers = set(node.loggers)
        return [(run, run not in loggers) for run in dict.fromkeys(node.users)]
