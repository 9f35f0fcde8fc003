"""A case as it stands: plan, ledger, journal and verifications, read once and held to each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile

import msgspec

from wbgql.erasure.anchors import check_signed_end
from wbgql.erasure.case import Case
from wbgql.erasure.journals import Entry, Head, find_break
from wbgql.erasure.population import ITEM_KINDS, Counts, Item, ItemKind, Proved, count_items, make_items
from wbgql.erasure.stages import Evidence, Reached, Seen, last_looks, reached_stage
from wbgql.erasure.trails import Trail, follow
from wbgql.erasure.verifications import Finding, Residual, Verification
from wbgql.errors import NotVerified, PlanChanged, StoreError, UsageError

_DECODER = msgspec.json.Decoder(Verification)


@dataclass(frozen=True)
class Standing:
    """A case as it stands: what the ledger and the journal say of it, read once and held to each other."""

    trail: Trail
    seen: list[Seen]
    items: list[Item]
    counts: Counts
    reached: Reached
    residuals: list[Residual] = field(default_factory=list)

    @property
    def verifications(self) -> list[Verification]:
        """Every verification, in the journal's order."""
        return [seen.verification for seen in self.seen]

    @property
    def last_gone_at(self) -> str | None:
        """When the last run was recorded as gone."""
        return _last_gone_at(self.items)


def read_standing(case: Case, now: datetime) -> Standing:
    """Read how a case stands. Changes nothing.

    Raises:
        PlanChanged: the ledger's job was made from another plan.
        NotVerified: the ledger contradicts itself; names the first bad entry.
        UsageError: no such job, it is closed, or the case key is missing.
    """
    key = case.require_key()
    job = case.ledger.job(case.job)
    if job.digest != case.plan.digest:
        raise PlanChanged(f"the ledger's job was made from plan {job.digest}, not from this one")
    if job.state == "closed":
        raise UsageError("the case is closed: what it was about is destroyed; its last certificate stands")
    _check_chain(case, job.head)
    check_signed_end(case)
    trail = follow(journal_until(case, job.head))
    seen = _read_seen(case, trail)
    proved = _proved(seen, trail)
    items = list(make_items(case.plan, case.ledger.latest(case.job), key, proved))
    _check_items(items, trail)
    counts = count_items(items, matched=case.plan.totals.matched)
    evidence = Evidence(
        claimed=counts.claimed,
        last_gone_at=_last_gone_at(items),
        changed_seq=trail.changed_seq,
        seen=seen,
        attestations=trail.attestations,
    )
    reached = reached_stage(case.plan, evidence, now)
    return Standing(
        trail=trail, seen=seen, items=items, counts=counts, reached=reached, residuals=_residuals(seen)
    )


def still_visible(case: Case) -> list[Finding]:
    """What the last verification by reads could see of what should be gone, if nothing was changed since.

    Reads the ledger only, and of the journal only where the last verification says `not_hidden`.
    """
    reads = [stored for stored in case.ledger.verifications(case.job) if stored.kind == "reads"]
    if not reads or reads[-1].verdict != "not_hidden":
        return []
    try:
        last = _DECODER.decode(reads[-1].results)
    except ValueError as error:
        raise StoreError(f"the ledger is damaged: verification {reads[-1].no} is none") from error
    trail = follow(case.ledger.entries(case.job))
    if trail.told.get(last.digest, 0) < trail.changed_seq:
        return []
    return [finding for finding in last.findings if finding.state == "visible"]


def journal_until(case: Case, head: Head) -> Iterator[Entry]:
    """Yield the journal up to `head`, whatever is added meanwhile."""
    return takewhile(lambda entry: entry.seq <= head.seq, case.ledger.entries(case.job))


def _check_chain(case: Case, head: Head) -> None:
    found = find_break(journal_until(case, head), head)
    if found is not None:
        raise NotVerified(
            f"the ledger's journal is broken at entry {found.seq}: {found.reason}; nothing was certified"
        )


def _check_items(items: Sequence[Item], trail: Trail) -> None:
    """Hold what the ledger's rows claim to what its journal records."""
    for item in items:
        recorded = trail.gone.get(item.subject)
        if recorded != (item.outcome if item.is_claimed else None):
            raise NotVerified(
                f"the ledger says {item.outcome!r} of item {item.no} ({item.kind} of run {item.run}), its "
                f"journal {recorded or 'nothing like it'}: somebody changed the one or the other; nothing "
                "was certified"
            )


def _read_seen(case: Case, trail: Trail) -> list[Seen]:
    """Every stored verification with its place in the journal; one that has none there is no proof."""
    seen = []
    for stored in case.ledger.verifications(case.job):
        try:
            verification = _DECODER.decode(stored.results)
        except ValueError as error:
            raise NotVerified(f"verification {stored.no} in the ledger is damaged") from error
        seq = trail.told.get(verification.digest)
        if seq is None:
            raise NotVerified(
                f"verification {stored.no} in the ledger is not the one that the journal tells of; "
                "nothing was certified"
            )
        seen.append(Seen(no=stored.no, seq=seq, verification=verification))
    return sorted(seen, key=lambda one: one.seq)


def _proved(seen: Sequence[Seen], trail: Trail) -> Proved:
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


def _residuals(seen: Sequence[Seen]) -> list[Residual]:
    """What the last reads and the last looks found to be left, each thing once."""
    reads = [one for one in seen if one.verification.kind == "reads"][-1:]
    found = {
        (residual.kind, residual.subject): residual
        for one in (*reads, *last_looks(seen).values())
        for residual in one.verification.residuals
    }
    return list(found.values())


def _last_gone_at(items: Sequence[Item]) -> str | None:
    return max(
        (item.at for item in items if item.kind == "run" and item.is_claimed and item.at), default=None
    )
