"""What everybody who works on a job's actions shares: the connection, the gate, the ledger, the clocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from wbgql.erasure.applying.brakes import Brakes
from wbgql.erasure.applying.neighbours import Neighbours
from wbgql.erasure.applying.options import Ending, Options
from wbgql.erasure.evidence.matching import ApprovedActions
from wbgql.erasure.ledger import Ledger
from wbgql.erasure.records.actions import Action, RunTags, subject_of
from wbgql.erasure.records.plan import Plan, PlannedRun
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import Held
from wbgql.safety.gate import Gate
from wbgql.safety.holds import HoldRegister, HoldTarget
from wbgql.wire.session import Session

# Holds, as a job sees them: a held run is left where it is, an unreadable register stops everything.


def is_held(gate: Gate, register: HoldRegister, run: PlannedRun, tags: Sequence[str]) -> bool:
    """Whether a hold keeps a run, and with it its parts. Reads the register from disk.

    Raises:
        Held: the register cannot be read: nothing may be destroyed until it can.
    """
    register.read()  # one that cannot be read stops the job; it is not a hold on this run
    target = HoldTarget(
        entity=run.entity,
        project=run.project,
        run_id=run.id,
        tags=tuple(tags),
        user=run.owner,
        created_at=run.created_at,
    )
    try:
        gate.check_holds(target)
    except Held:
        return True
    return False


@dataclass(frozen=True, kw_only=True)
class Work:
    """One process at work on one job. `plan` is the approved one, and `approved` its actions.

    `wait(seconds)` sleeps, and returns True at once when the job is to stop. `server_now` is our clock set
    right by the server's. `on_result` gets each action as it is done.
    """

    job: str
    plan: Plan
    approved: ApprovedActions
    session: Session
    gate: Gate
    holds: HoldRegister
    ledger: Ledger
    key: CaseKey
    base_url: str
    options: Options
    brakes: Brakes
    neighbours: Neighbours
    stopping: threading.Event
    wait: Callable[[float], bool]
    server_now: Callable[[], datetime]
    on_result: Callable[[Action, Ending], None]

    def actions(self, lo: int, hi: int) -> Iterator[Action]:
        """Yield the open actions of a range of the present round, each compared with the approved plan.

        Raises:
            PlanChanged: a row of the ledger is not what the plan says.
        """
        return self.approved.checked(self.ledger.actions(self.job, lo, hi, open_only=True))

    def runs(self, run_nos: Sequence[int]) -> list[Action]:
        """Some runs as they stand, each compared with the approved plan.

        Raises:
            PlanChanged: a row of the ledger is not what the plan says.
        """
        return list(self.approved.checked(self.ledger.runs(self.job, run_nos)))

    def subject(self, action: Action) -> str:
        """What evidence calls the thing an action is about."""
        return subject_of(action.target, self.key, self.base_url)

    def intend(self, action: Action, owner: str, tags: Sequence[str] | None = None) -> None:
        """Make it durable that a request about this is about to leave. `tags`: what a run carries now."""
        subject = self.subject(action)
        sealed = None if tags is None else RunTags.of(tags, self.key, subject)
        self.ledger.intend(self.job, action, subject, owner=owner, tags=sealed)
        if action.kind == "run":
            self.brakes.sent(action.path.project_path)

    def finish(self, action: Action, owner: str, ending: Ending) -> None:
        """Set the outcome of an action, and tell of it if it was not set before."""
        subject = self.subject(action)
        if self.ledger.finish(self.job, action, ending.outcome, ending.detail, subject, owner=owner):
            self.brakes.count(ending.outcome)
            self.on_result(action, ending)

    def run_tags(self, action: Action) -> list[str] | None:
        """Return the tags of the run when its deletion was sent; None if this job has not read it.

        Raises:
            StoreError: somebody else wrote them into the ledger.
        """
        if action.run_tags is None:
            return None
        action.run_tags.check(self.key, self.key.run(self.base_url, action.path))
        return action.run_tags.tags

    def is_held(self, run: PlannedRun, tags: Sequence[str]) -> bool:
        """Whether a hold keeps a run; see `holding.is_held`."""
        return is_held(self.gate, self.holds, run, tags)
