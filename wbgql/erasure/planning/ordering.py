"""In which order versions go: what depends on a version before the version itself. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple


class Node(NamedTuple):
    """One version that goes: its id, the runs that logged it, the runs that use it (storage ids)."""

    id: str
    loggers: Sequence[str]
    users: Sequence[str]


def order_versions(nodes: Iterable[Node]) -> dict[str, int]:
    """Return the place of each version, from 1: a version stands behind all that was made with it.

    What a run logged depends on what it used. Where that goes round in a circle (a run that uses what it
    logged), the order given decides. Time and memory grow with the edges, not with their square.

    Source: the server refuses to delete a version before its dependents (wandb/wandb#2448).
    """
    versions = list({node.id: node for node in nodes}.values())
    waits_for, freed_by = _edges(versions)
    place_of = {node.id: place for place, node in enumerate(versions)}
    ready = [place for place, node in enumerate(versions) if not waits_for[node.id]]
    heapify(ready)
    left = dict.fromkeys(range(len(versions)))
    order: dict[str, int] = {}
    while left:
        place = heappop(ready) if ready else next(iter(left))
        if place not in left:
            continue
        del left[place]
        version = versions[place].id
        order[version] = len(order) + 1
        for freed in _free(version, waits_for, freed_by):
            heappush(ready, place_of[freed])
    return order


class _Edges(NamedTuple):
    versions: dict[str, set[str]]
    """By run: the versions it logged that are still there."""
    users: Mapping[str, list[str]]
    """By run: the versions it uses."""
    runs: Mapping[str, list[str]]
    """By version: the runs that logged it."""


def _edges(versions: Sequence[Node]) -> tuple[dict[str, int], _Edges]:
    """How many runs each version waits for, and who frees whom. A run is free once all it logged is gone."""
    logged: dict[str, set[str]] = defaultdict(set)
    for node in versions:
        for run in node.loggers:
            logged[run].add(node.id)
    used: dict[str, list[str]] = defaultdict(list)
    waits_for = {}
    for node in versions:
        # A run that logged the version and uses it keeps nobody waiting.
        runs = [run for run in dict.fromkeys(node.users) if logged.get(run) and node.id not in logged[run]]
        for run in runs:
            used[run].append(node.id)
        waits_for[node.id] = len(runs)
    return waits_for, _Edges(logged, used, {node.id: list(dict.fromkeys(node.loggers)) for node in versions})


def _free(version: str, waits_for: dict[str, int], edges: _Edges) -> list[str]:
    """Take a version away; return those that wait for nothing now."""
    free = []
    for run in edges.runs[version]:
        logged = edges.versions[run]
        logged.discard(version)
        if logged:
            continue
        for waiting in edges.users.get(run, ()):
            waits_for[waiting] -= 1
            if waits_for[waiting] == 0:
                free.append(waiting)
    return free
