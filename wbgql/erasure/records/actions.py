"""What a job does, one action for each thing that is touched, and what became of it. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from wbgql.erasure.records import canonical
from wbgql.erasure.records.plan import Plan, PlannedArtifact, PlannedFile, PlannedRun
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import StoreError
from wbgql.paths import RunPath

# The tags of a run as they were when its deletion was sent, sealed for the ledger.
#
# Holds by tag decide over what hung on a hidden run, and others may write to the ledger: the seal shows it.


class RunTags(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tags, sorted, with a keyed hash of them and of the run's subject. Made only with the case key."""

    tags: list[str]
    seal: str

    @classmethod
    def of(cls, tags: Sequence[str], key: CaseKey, subject: str) -> RunTags:
        """Seal the tags of the run that evidence calls `subject`."""
        tags = sorted(tags)
        return cls(tags=tags, seal=key.text("tags", canonical.encode([subject, tags]).decode()))

    def check(self, key: CaseKey, subject: str) -> None:
        """Check that this job wrote them, and for this run.

        Raises:
            StoreError: somebody else did.
        """
        if self != RunTags.of(self.tags, key, subject):
            raise StoreError(
                "the tags that the ledger has of a run are not those that this job wrote: somebody changed "
                "the ledger, or it was restored in part; nothing was sent"
            )


ActionKind = Literal["run", "artifact", "file"]
ACTION_KINDS: tuple[ActionKind, ...] = ("run", "artifact", "file")  # also the order in which they are done

Outcome = Literal[
    "hidden",  # a run: seen before, null afterwards while a control stayed visible
    "erased_by_other",  # a run: gone before we sent anything, in any round
    "deleted",  # an artifact version or a file: gone after we sent it
    "gone_before",  # an artifact version or a file: gone before we sent anything
    "gone_after_attempt",  # absent, and a request of ours may have done it: one was sent, or was about to be
    "kept",  # it is not the run's alone any more
    "held",
    "denied",
    "changed",  # it is not what the plan saw
    "moved",  # a run: it is in another project now
    "not_visible",  # null, and no control was visible: nothing can be said
    "failed",
    "skipped",  # an artifact version or a file: its run was not hidden
]

GONE: frozenset[Outcome] = frozenset(
    {"hidden", "erased_by_other", "deleted", "gone_before", "gone_after_attempt"}
)
"""Outcomes after which the thing is not there any more. All others leave it where it is."""


class NewAction(msgspec.Struct, frozen=True, kw_only=True):
    """An action as the plan gives it, before anything was done.

    `number` counts through the job in the order of execution: all runs are hidden first, then artifact
    versions go, dependents before what they depend on, then files. `run_no` is the index in `Plan.runs`;
    `action_no` is 0 for the run itself, then counts its artifact versions and files.
    """

    number: int
    run_no: int
    action_no: int
    kind: ActionKind
    target: PlannedRun | PlannedArtifact | PlannedFile


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """An action as the ledger has it. `outcome` None: open.

    `target` is the thing itself; `run` the planned run it belongs to (without its artifacts and files),
    `run_outcome` what became of that, and `run_tags` its tags when its deletion was sent, after it and its
    parts were found as planned. None: this job has not read the run, or not since it came back; that is not
    the same as no tags. `attempts` counts requests of this round that may have reached the server,
    `earlier_attempts` those of rounds before; `sent_at` is the last one; `stopped_at` when the run was told
    to stop. Open with `attempts` above 0: look first.
    """

    number: int
    run_no: int
    action_no: int
    kind: ActionKind
    target: PlannedRun | PlannedArtifact | PlannedFile
    run: PlannedRun
    run_outcome: Outcome | None
    run_tags: RunTags | None = None
    attempts: int = 0
    earlier_attempts: int = 0
    sent_at: str | None = None
    stopped_at: str | None = None
    outcome: Outcome | None = None
    detail: str | None = None
    done_at: str | None = None

    @property
    def was_attempted(self) -> bool:
        """Whether a request about it may have left, in this round or one before."""
        return self.attempts + self.earlier_attempts > 0

    @property
    def path(self) -> RunPath:
        """The run it belongs to."""
        return self.run.path

    @property
    def shown_no(self) -> int:
        """The number of its run as people see it everywhere: counted from 1, as in `show --runs`."""
        return self.run_no + 1


def make_actions(plan: Plan) -> Iterator[NewAction]:
    """Yield every action of a plan, in the order of execution. What stays has none."""
    number = 0
    for kind in ACTION_KINDS:
        for run_no, action_no, target in sorted(_targets(plan, kind), key=lambda item: _place(item[2])):
            yield NewAction(number=number, run_no=run_no, action_no=action_no, kind=kind, target=target)
            number += 1


def without_parts(run: PlannedRun) -> PlannedRun:
    """The run itself, as an action names it: its versions and files have actions of their own."""
    return msgspec.structs.replace(run, artifacts=[], files=[])


_Target = PlannedRun | PlannedArtifact | PlannedFile


def _targets(plan: Plan, kind: ActionKind) -> Iterator[tuple[int, int, _Target]]:
    for run_no, run in enumerate(plan.runs):
        goes = [artifact for artifact in run.artifacts if artifact.goes]
        match kind:
            case "run":
                yield run_no, 0, without_parts(run)
            case "artifact":
                yield from ((run_no, place, artifact) for place, artifact in enumerate(goes, 1))
            case "file":
                start = len(goes) + 1
                yield from ((run_no, place, file) for place, file in enumerate(run.files, start))


def _place(target: _Target) -> int:
    """Only versions have a place among all; `sorted` is stable, so runs and files keep the plan's order."""
    return target.position if isinstance(target, PlannedArtifact) else 0


def subject_of(target: PlannedRun | PlannedArtifact | PlannedFile, key: CaseKey, base_url: str) -> str:
    """What evidence calls a thing: a run by its path, its parts by their storage ids.

    The journal is written with it, and certifying names the ledger's rows with it to compare the two.
    """
    match target:
        case PlannedRun():
            return key.run(base_url, target.path)
        case PlannedArtifact():
            return key.artifact(base_url, target.id)
        case PlannedFile():
            return key.file(base_url, target.id)
