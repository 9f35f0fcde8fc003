"""Puts together what was read and decided into the runs of a plan. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from wbgql.documents import NOT_FETCHED
from wbgql.erasure.planning.details import RunDetails
from wbgql.erasure.planning.judging import Judged
from wbgql.erasure.planning.surroundings import Surroundings
from wbgql.erasure.reading.facts import ArtifactFacts
from wbgql.erasure.reading.fingerprints import artifact_fingerprint, fingerprint
from wbgql.erasure.records.plan import PlannedArtifact, PlannedFile, PlannedRun
from wbgql.paths import ProjectPath, RunPath
from wbgql.viewer import Rights

# In which order versions go: what depends on a version before the version itself.


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


@dataclass(frozen=True)
class Findings:
    """Everything that was read of the runs that go, in the order of the plan."""

    details: Sequence[RunDetails]
    judged: Mapping[str, Judged]
    surroundings: Mapping[ProjectPath, Surroundings]
    rights: Mapping[str, Rights]

    @cached_property
    def planned(self) -> frozenset[RunPath]:
        """The runs that go."""
        return frozenset(run.facts.path for run in self.details)


def make_runs(findings: Findings) -> list[PlannedRun]:
    """Make the runs of a plan, each version with one of them."""
    places = {run.facts.run.id: place for place, run in enumerate(findings.details)}
    homes: dict[int, list[Judged]] = {}
    for judged in findings.judged.values():
        homes.setdefault(_home(judged, places), []).append(judged)
    going = (judged for place in sorted(homes) for judged in homes[place] if judged.verdict.goes)
    positions = order_versions(Node(one.output.id, one.loggers, one.users) for one in going)
    artifacts = {
        place: [_make_artifact(judged, place, places, positions) for judged in here]
        for place, here in homes.items()
    }
    return [_make_run(run, findings, artifacts.get(place, [])) for place, run in enumerate(findings.details)]


def _home(judged: Judged, places: Mapping[str, int]) -> int:
    """The run that a version stands with: who logged it first where that goes, else the oldest logger."""
    maker = places.get(judged.output.maker or "")
    return min(places[run] for run in judged.loggers) if maker is None else maker


def _make_run(run: RunDetails, findings: Findings, artifacts: list[PlannedArtifact]) -> PlannedRun:
    facts, node = run.facts, run.facts.run
    around = findings.surroundings.get(facts.path.project_path, Surroundings())
    forks = sorted(around.forks.get(facts.path.run_id, ()))
    return PlannedRun(
        entity=facts.path.entity,
        project=facts.path.project,
        id=facts.path.run_id,
        storage_id=node.id,
        created_at=node.created_at,
        owner=node.user.username if node.user else None,
        state=node.state,
        fingerprint=fingerprint(facts),
        history_lines=node.history_line_count,
        file_count=None if node.file_count is NOT_FETCHED else node.file_count,
        size_bytes=None if node.storage_bytes is NOT_FETCHED else node.storage_bytes,
        artifacts=artifacts,
        files=[PlannedFile(id=file.id, name=file.name, size_bytes=file.size_bytes) for file in run.files],
        forks=forks,
        risks=list(_risks(run, findings, around, forks)),
    )


def _risks(run: RunDetails, findings: Findings, around: Surroundings, forks: Sequence[str]) -> Iterator[str]:
    facts = run.facts
    if facts.is_logging:
        yield "logging"
    if forks:
        yield "forked"
    source = around.sources.get(facts.path.run_id)
    if source == facts.path.run_id:
        yield "rewound"
    elif source is not None and replace(facts.path, run_id=source) not in findings.planned:
        yield "fork"
    owner = facts.run.user.username if facts.run.user else None
    if findings.rights[facts.path.entity].may_delete(owner) is None:
        yield "rights_unknown"


def _make_artifact(
    judged: Judged, place: int, places: Mapping[str, int], positions: Mapping[str, int]
) -> PlannedArtifact:
    output, verdict = judged.output, judged.verdict
    links = list(output.links) if verdict.decision == "unlink" else []
    users = sorted(judged.users)
    waits_for = {places[run] for run in (*users, *judged.loggers)} - {place}
    facts = ArtifactFacts(version=output, users=tuple(users), hidden_users=0)
    return PlannedArtifact(
        id=output.id,
        name=output.name,
        type=output.artifact_type.name,
        digest=output.digest,
        size_bytes=output.size,
        decision=verdict.decision,
        reason=verdict.reason,
        position=positions.get(output.id, 0),
        fingerprint=artifact_fingerprint(facts, users=users, links=links) if verdict.goes else "",
        aliases=list(output.alias_names),
        users=users if verdict.goes else [],
        with_runs=sorted(waits_for) if verdict.goes else [],
        links=links,
        references=judged.references,
    )
