"""How a case stands, and what its certificate says of that. No I/O.

`certify` fills a certificate with it. `check` derives it again from the journal, the population and the
verifications, and compares: nothing that follows from them is believed because it was signed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wbgql.erasure.evidence.certificate import Checked, Execution, JournalNamed, Timed, summarize
from wbgql.erasure.evidence.population import ITEM_KINDS, Counts, Item, ItemKind, Proved, count_items, root_of
from wbgql.erasure.evidence.stages import (
    Evidence,
    Planned,
    Reached,
    Seen,
    binding_clock,
    ends_at,
    last_looks,
    reached_stage,
)
from wbgql.erasure.evidence.trail import Trail
from wbgql.erasure.evidence.wording import Words
from wbgql.erasure.records.plan import Clock
from wbgql.erasure.records.verification import Residual, Verification
from wbgql.scalars import format_datetime


@dataclass(frozen=True)
class Standing:
    """A case as it stands: what the population and the journal say of it, and how far it has come."""

    trail: Trail
    seen: Sequence[Seen]
    items: Sequence[Item]
    counts: Counts
    reached: Reached

    @property
    def verifications(self) -> list[Verification]:
        """Every verification, in the journal's order."""
        return [seen.verification for seen in self.seen]

    @property
    def residuals(self) -> list[Residual]:
        """What the last reads and the last looks found to be left, each thing once."""
        reads = [one for one in self.seen if one.verification.kind == "reads"][-1:]
        found = {
            (residual.kind, residual.subject): residual
            for one in (*reads, *last_looks(self.seen).values())
            for residual in one.verification.residuals
        }
        return list(found.values())


def stand(
    plan: Planned,
    trail: Trail,
    seen: Sequence[Seen],
    items: Sequence[Item],
    *,
    matched: int,
    now: datetime,
) -> Standing:
    """Compute how a case stands."""
    counts = count_items(items, matched=matched)
    evidence = Evidence(
        claimed=counts.claimed,
        last_gone_at=_last_gone_at(items),
        changed_seq=trail.changed_seq,
        seen=seen,
        attestations=trail.attestations,
    )
    return Standing(
        trail=trail, seen=seen, items=items, counts=counts, reached=reached_stage(plan, evidence, now)
    )


def proved(seen: Iterable[Seen], trail: Trail) -> Proved:
    """What the last reads, and the last look at the store by each probe, say since anything changed."""
    later = [one for one in seen if one.seq > trail.changed_seq]
    reads = [one for one in later if one.verification.kind == "reads"][-1:]
    stores = list(last_looks(later).values())
    findings = {
        finding.subject: finding.state
        for one in (*stores, *reads)  # what can be read outweighs what is stored
        for finding in one.verification.findings
    }
    return Proved(
        read=bool(reads),
        asked=_asked(reads[-1].verification) if reads else (),
        in_store=bool(stores),
        findings=findings,
    )


def _asked(verification: Verification) -> list[ItemKind]:
    """The kinds of which a verification has an answer, or says that it has none, for everything claimed."""
    found = Counter(finding.kind for finding in verification.findings if finding.state != "missing")
    counts = verification.counts
    return [
        kind
        for kind in ITEM_KINDS
        if counts.get(f"{kind}s_absent", 0) + found[kind] >= counts.get(f"{kind}s", 0)
    ]


def derive(plan: Planned, clocks: Sequence[Clock], standing: Standing, words: Words) -> dict[str, Any]:
    """Return the fields of a certificate that follow from how a case stands; `clocks`: the plan's."""
    trail, reached = standing.trail, standing.reached
    start = _last_gone_at(standing.items)
    return {
        "supersedes": trail.issued[-1].digest if trail.issued else None,
        "stage": reached.stage,
        "missing": words.lacking(reached.missing),
        "execution": Execution(
            started_at=trail.first("started") or trail.first("job_created"),
            finished_at=trail.last("outcome"),
            starts=trail.kinds.get("started", 0),
            requests=trail.kinds.get("intent", 0),
            reopened=trail.kinds.get("reopened", 0),
        ),
        "population": standing.counts,
        "items": len(standing.items),
        "merkle_root": root_of(standing.items),
        "steps": reached.steps,
        "clocks": [
            _timed(binding_clock(plan, standing.verifications, clock.name), start) for clock in clocks
        ],
        "verifications": [_checked(seen) for seen in standing.seen],
        "attestations": trail.attestations,
        "journal": JournalNamed(
            first_seq=min(trail.head.seq, 1), last_seq=trail.head.seq, head=trail.head.hash
        ),
    }


def _last_gone_at(items: Iterable[Item]) -> str | None:
    """When the last run was recorded as gone."""
    return max(
        (item.at for item in items if item.kind == "run" and item.is_claimed and item.at), default=None
    )


def _checked(seen: Seen) -> Checked:
    verification = seen.verification
    return Checked(
        no=seen.no,
        at=verification.at,
        kind=verification.kind,
        verdict=verification.verdict,
        reader=verification.reader,
        equal_reads=verification.equal_reads,
        counts=verification.counts,
        controls=verification.controls,
        findings=summarize(finding.state for finding in verification.findings),
        residuals=summarize(residual.kind for residual in verification.residuals),
        probe=verification.probe,
        digest=verification.digest,
    )


def _timed(clock: Clock, start: str | None) -> Timed:
    ends = ends_at(clock, start)
    return Timed(clock=clock, ends_at=None if ends is None else format_datetime(ends))
