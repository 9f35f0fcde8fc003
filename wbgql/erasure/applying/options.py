"""How a job is to be done, and what became of it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from wbgql.erasure.ledger.database import JobState
from wbgql.erasure.records.actions import ActionKind, Outcome
from wbgql.errors import UsageError
from wbgql.limiting import Limits


class Ending(NamedTuple):
    """What became of one action. `detail` is a code that explains it, never a name."""

    outcome: Outcome
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a job is to be done.

    `workers`: batches at once in this process. `quiet_after_s`: a run whose heartbeat is older than this
    counts as ended, whatever its state says. `quiet_budget_s`: how long one batch waits for the runs it told
    to stop. `max_failed_percent`: when more of the actions done by this process than this failed, it stops;
    the first ten are free. `skip_held`: go on with the others where some runs are held. `patience_s`: how
    long reads are repeated after a deletion while they still show what was deleted, because replicas lag.

    Raises:
        UsageError: a number that cannot be meant.
    """

    limits: Limits = field(default_factory=Limits)
    workers: int = 2
    max_duration_s: float | None = None
    quiet_after_s: float = 300.0
    quiet_budget_s: float = 120.0
    max_failed_percent: int = 20
    skip_held: bool = False
    patience_s: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 32:
            raise UsageError(f"workers must be 1 to 32, not {self.workers}")
        if not self.limits.rate > 0:
            raise UsageError(f"the rate must be above 0 requests per second, not {self.limits.rate:g}")
        if not 0 <= self.patience_s < float("inf"):
            raise UsageError(f"the patience must be 0 seconds or more, not {self.patience_s:g}")
        if self.max_duration_s is not None and not self.max_duration_s > 0:
            raise UsageError("the longest duration must be above 0")


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """How a job stands: `counts` by kind and outcome ("open" for none yet), as the ledger has them."""

    job: str
    state: JobState
    counts: dict[ActionKind, dict[str, int]]

    @property
    def open(self) -> int:
        """How many actions have no outcome."""
        return sum(found.get("open", 0) for found in self.counts.values())


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one thing now. `would` is the outcome it would have."""

    run: int
    kind: ActionKind
    subject: str
    would: str
    detail: str | None = None
