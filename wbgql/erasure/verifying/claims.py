"""What a job says is gone, and what must still be there: the questions of a verification."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.anchors import check_signed_end
from wbgql.erasure.evidence.matching import ApprovedActions
from wbgql.erasure.records.actions import GONE, Action, Outcome
from wbgql.erasure.records.plan import Plan, PlannedArtifact, PlannedRun
from wbgql.errors import PlanChanged, UsageError
from wbgql.paths import ProjectPath, parse_listed_run
from wbgql.scalars import parse_datetime

ItemKind = Literal["run", "artifact", "file", "kept", "system", "fork"]
"""Gone are to be `run`, `artifact` and `file`; `kept` is to be there; `system` and `fork` are left-overs."""

MUST_GO: frozenset[ItemKind] = frozenset({"run", "artifact", "file"})
SYSTEM_NAMES = ("run-{}-history", "run-{}-events")
"""Names of the server's own collections for a run.

Source: `wandb-history` and `wandb-events` artifacts, wandb/wandb#6237, #10459, #12814 (2026-11).
"""


class Item(msgspec.Struct, frozen=True):
    """One question. `key`: a run id, an artifact id, a file's name, or a collection's name."""

    kind: ItemKind
    project: ProjectPath
    run_no: int
    key: str


@dataclass(frozen=True)
class Claims:
    """All questions about a job, and how many of its runs are not asked about.

    `open`: not done yet; `not_claimed`: held, denied, changed and the like, so they are said to be there.
    `done_at`: when the last of the claimed runs was hidden.
    `runs`: the ids that are claimed to be gone, by project, with their number in the plan. `known`: names of
    the collections each claimed run is known to have logged to, by run number.
    """

    items: list[Item] = field(default_factory=list)
    runs: dict[ProjectPath, dict[str, int]] = field(default_factory=dict)
    known: dict[int, set[str]] = field(default_factory=dict)
    files: dict[Item, str] = field(default_factory=dict)
    open: int = 0
    not_claimed: int = 0
    done_at: datetime | None = None

    @property
    def projects(self) -> list[ProjectPath]:
        """Projects of the claimed runs, in order."""
        return list(self.runs)

    def count(self, kind: ItemKind) -> int:
        """How many questions of a kind there are."""
        return sum(item.kind == kind for item in self.items)


def read_claims(case: Case) -> Claims:
    """Read what the job of a case says is gone, as things stand now.

    Raises:
        PlanChanged: the plan is not the one that was applied, or the ledger has other targets than the plan.
        UsageError: there is no such job, or the case is closed.
        NotVerified: the journal is not the one that the certificate next to the plan signed.
    """
    check_signed_end(case)
    job = case.ledger.job(case.job)
    if job.digest != case.plan.digest:
        raise PlanChanged(f"the ledger's job was made from plan {job.digest}, not from this one")
    if job.state == "closed":
        raise UsageError("the case is closed: what it was about is destroyed, so nothing can be asked for")
    return make_claims(case.plan, ApprovedActions(case.plan).checked(case.ledger.latest(case.job)))


def make_claims(plan: Plan, actions: Iterable[Action]) -> Claims:
    """Turn the outcomes of a job into questions; of each action, its last row."""
    runs: dict[int, Outcome | None] = {}
    times: list[datetime] = []
    gone: dict[tuple[int, str], bool] = {}
    for action in actions:
        if action.kind == "run":
            runs[action.run_no] = action.outcome
            if action.outcome in GONE and action.done_at is not None:
                times.append(parse_datetime(action.done_at))
        elif not isinstance(action.target, PlannedRun):
            gone[action.run_no, action.target.id] = action.outcome in GONE
    claimed = [number for number, outcome in runs.items() if outcome in GONE]
    claims = Claims(
        open=sum(outcome is None for outcome in runs.values()),
        not_claimed=sum(outcome is not None for outcome in runs.values()) - len(claimed),
        done_at=max(times, default=None),
    )
    for number in sorted(claimed):
        _add(claims, number, plan.runs[number], gone)
    return claims


def _add(claims: Claims, number: int, run: PlannedRun, gone: dict[tuple[int, str], bool]) -> None:
    project = run.path.project_path
    claims.runs.setdefault(project, {})[run.id] = number
    claims.known[number] = {artifact.name.rpartition(":")[0] or artifact.name for artifact in run.artifacts}
    claims.items.append(Item("run", project, number, run.id))
    claims.items.extend(Item(kind, project, number, key) for kind, key in _artifacts(run, number, gone))
    claims.items.extend(Item("system", project, number, name.format(run.id)) for name in SYSTEM_NAMES)
    for file in run.files:
        if gone.get((number, file.id)):
            item = Item("file", project, number, file.name)
            claims.items.append(item)
            claims.files[item] = file.id
    for fork in run.forks:
        path = parse_listed_run(fork)
        claims.items.append(Item("fork", path.project_path, number, path.run_id))


def _artifacts(
    run: PlannedRun, number: int, gone: dict[tuple[int, str], bool]
) -> Iterator[tuple[ItemKind, str]]:
    for artifact in run.artifacts:
        if gone.get((number, artifact.id)):
            yield "artifact", artifact.id
        elif _stays(artifact):
            yield "kept", artifact.id


def _stays(artifact: PlannedArtifact) -> bool:
    """Whether somebody decided that a version is to be there afterwards.

    The server's own are asked for by name, and one that goes meanwhile is what everybody hopes for.
    """
    return artifact.decision in ("keep", "manual") and artifact.reason not in ("system", "already_deleted")
