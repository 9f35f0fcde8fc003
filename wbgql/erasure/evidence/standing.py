"""Reads how a case stands: plan, ledger, journal and verifications, once, each checked against the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import takewhile

import msgspec

from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.anchors import check_signed_end
from wbgql.erasure.evidence.deriving import Standing, proved, stand
from wbgql.erasure.evidence.matching import ApprovedActions
from wbgql.erasure.evidence.population import Item, make_items
from wbgql.erasure.evidence.stages import Seen
from wbgql.erasure.evidence.trail import Trail, follow
from wbgql.erasure.records.journal import Entry, Head, find_break
from wbgql.erasure.records.verification import Finding, Verification
from wbgql.errors import NotVerified, PlanChanged, StoreError, UsageError

_DECODER = msgspec.json.Decoder(Verification)


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
    latest = ApprovedActions(case.plan).checked(case.ledger.latest(case.job))
    try:
        items = list(make_items(case.plan, latest, key, proved(seen, trail)))
    except PlanChanged as error:
        raise NotVerified(str(error)) from error
    _check_items(items, trail)
    return stand(case.plan, trail, seen, items, matched=case.plan.totals.matched, now=now)


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
    if max(trail.told.get(last.digest, [0])) < trail.changed_seq:
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
    seen, told = [], {digest: iter(places) for digest, places in trail.told.items()}
    for stored in case.ledger.verifications(case.job):
        try:
            verification = _DECODER.decode(stored.results)
        except ValueError as error:
            raise NotVerified(f"verification {stored.no} in the ledger is damaged") from error
        seq = next(told.get(verification.digest, iter(())), None)
        if seq is None:
            raise NotVerified(
                f"verification {stored.no} in the ledger is not the one that the journal tells of; "
                "nothing was certified"
            )
        seen.append(Seen(no=stored.no, seq=seq, verification=verification))
    return sorted(seen, key=lambda one: one.seq)
