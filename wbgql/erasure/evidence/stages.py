"""How far a case has come, computed from what was proved and from nothing else. No I/O.

Each stage needs the one before it. What is not known never helps: an unknown clock advances nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol, get_args

import msgspec

from wbgql.erasure.evidence.trail import Attestation
from wbgql.erasure.records.plan import Clock, ClockName
from wbgql.erasure.records.verification import Residual, Verification
from wbgql.scalars import format_datetime, parse_datetime

Stage = Literal["HIDDEN", "WINDOW_PASSED", "STORAGE_VERIFIED", "PROVIDER_ATTESTED"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# A declared clock is somebody's word for another's setting; a day more costs nothing.
DECLARED_MARGIN = timedelta(days=1)
_SKEW = timedelta(minutes=5)


class Planned(Protocol):
    """What a stage needs of a plan: the plan itself, or what a certificate names of it."""

    @property
    def digest(self) -> str: ...

    def clock(self, name: ClockName) -> Clock: ...


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One verification with its number and its place in the journal."""

    no: int
    seq: int
    verification: Verification


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage is computed from.

    `claimed`: runs that are said to be gone; `last_gone_at`: when the last of them was recorded as such.
    `changed_seq`: the journal's last entry that changed what is gone.
    """

    claimed: int
    last_gone_at: str | None
    changed_seq: int
    seen: Sequence[Seen] = ()
    attestations: Sequence[Attestation] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage that was reached: when, by verification number `by`, or by an attestation (None)."""

    stage: Stage
    at: str
    by: int | None


class Missing(msgspec.Struct, frozen=True):
    """What the next stage needs: a code of `wording`, with a time or a number that belongs to it."""

    code: str
    at: str | None = None
    count: int | None = None


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """The stages reached, in order, and what the next one is missing; None: nothing is."""

    steps: list[Step]
    missing: Missing | None
    window_ends_at: str | None

    @property
    def stage(self) -> Stage | None:
        """The last stage that was reached."""
        return self.steps[-1].stage if self.steps else None


def binding_clock(plan: Planned, verifications: Sequence[Verification], name: ClockName) -> Clock:
    """Return the clock that counts: the longest that anybody named, unknown where the server stopped saying.

    The provider may have changed it since the plan; then the cautious reading is the longer one.
    """
    planned = plan.clock(name)
    later = [clock for verification in verifications for clock in verification.clocks if clock.name == name]
    if later and later[-1].seconds is None and planned.source != "declared":
        return later[-1]
    known = [clock for clock in (planned, *later) if clock.seconds is not None]
    if not known:
        return planned
    return max(known, key=lambda clock: (clock.seconds or 0, clock.source == "declared"))


def ends_at(clock: Clock, start: str | None) -> datetime | None:
    """When a clock that started at `start` has run out for certain; None where nobody knows."""
    if clock.seconds is None or start is None:
        return None
    margin = DECLARED_MARGIN if clock.source == "declared" else timedelta()
    return parse_datetime(start) + timedelta(seconds=clock.seconds) + margin


def reached_stage(plan: Planned, evidence: Evidence, now: datetime) -> Reached:
    """Compute which stages a case has reached."""
    ours = plan.digest
    evidence = msgspec.structs.replace(
        evidence, seen=[seen for seen in evidence.seen if seen.verification.plan == ours]
    )
    verifications = [seen.verification for seen in evidence.seen]
    window = ends_at(binding_clock(plan, verifications, "undelete_window"), evidence.last_gone_at)
    steps: list[Step] = []
    missing: Missing | None = None
    for reach in (_hidden, _window_passed, _last):
        step, missing = reach(evidence, window, now)
        if step is None:
            break
        steps.append(step)
    ends = None if window is None else format_datetime(window)
    return Reached(steps=steps, missing=missing, window_ends_at=ends)


_Answer = tuple[Step | None, Missing | None]


def _hidden(evidence: Evidence, _window: datetime | None, _now: datetime) -> _Answer:
    if not evidence.claimed:
        return None, Missing("nothing_gone")
    good = _good_reads(evidence)
    if good:
        return Step(stage="HIDDEN", at=good[0].verification.at, by=good[0].no), None
    reads = [seen for seen in _since(evidence, evidence.changed_seq) if seen.verification.kind == "reads"]
    match reads[-1].verification.verdict if reads else None:
        case "not_hidden":
            return None, Missing("not_hidden")
        case "cannot_verify":
            return None, Missing("cannot_verify")
        case _:
            return None, Missing("no_verification")


def _window_passed(evidence: Evidence, window: datetime | None, now: datetime) -> _Answer:
    if window is None:
        return None, Missing("window_unknown")
    in_time = [
        seen
        for seen in _good_reads(evidence)
        if window <= parse_datetime(seen.verification.at) <= now + _SKEW
    ]
    for seen in in_time:
        # Verifications of version 1 do not count it: they were refused only where the clocks were far apart.
        if seen.verification.counts.get("clock_known", 1):
            return Step(stage="WINDOW_PASSED", at=seen.verification.at, by=seen.no), None
    if in_time:
        return None, Missing("clock_unknown")
    return None, Missing("window_open", at=format_datetime(window))


def _last(evidence: Evidence, _window: datetime | None, _now: datetime) -> _Answer:
    since = _started(evidence)
    looks = list(last_looks(_since(evidence, since)).values())
    bad = [seen for seen in looks if seen.verification.verdict != "absent"]
    left = _left(evidence, since)
    if looks and not bad and not left:
        return Step(stage="STORAGE_VERIFIED", at=looks[-1].verification.at, by=looks[-1].no), None
    attested = [one for one in evidence.attestations if one.seq > since]
    if attested:
        return Step(stage="PROVIDER_ATTESTED", at=attested[0].at, by=None), None
    if not looks:
        return None, Missing("no_look")
    if bad:
        return None, Missing("bad_look")
    return None, Missing("left", count=len(left))


def last_looks(seen: Sequence[Seen]) -> dict[str, Seen]:
    """The last look at the store by each probe, in order: each may have looked at another place."""
    looks: dict[str, Seen] = {}
    for one in seen:
        if one.verification.kind == "storage":
            name = one.verification.probe or ""
            looks.pop(name, None)
            looks[name] = one
    return looks


def _since(evidence: Evidence, seq: int) -> list[Seen]:
    """The verifications that the journal tells of behind entry `seq`, in its order."""
    return sorted((seen for seen in evidence.seen if seen.seq > seq), key=lambda seen: seen.seq)


def _started(evidence: Evidence) -> int:
    """The entry behind which nothing changed and nothing was seen to be back."""
    return max(
        (
            seen.seq
            for seen in _since(evidence, evidence.changed_seq)
            if seen.verification.verdict == "not_hidden"
        ),
        default=evidence.changed_seq,
    )


def _good_reads(evidence: Evidence) -> list[Seen]:
    return [
        seen
        for seen in _since(evidence, _started(evidence))
        if seen.verification.verdict == "hidden" and seen.verification.controls.held
    ]


def _left(evidence: Evidence, since: int) -> list[Residual]:
    """What the last reads, and the last look by each probe, found to be left."""
    seen = _since(evidence, since)
    reads = [one for one in seen if one.verification.kind == "reads"][-1:]
    return [
        residual for one in (*reads, *last_looks(seen).values()) for residual in one.verification.residuals
    ]
