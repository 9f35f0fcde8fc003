"""Makes a certificate of a case from its plan, its ledger and its approvals, and gives it out as a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wbgql import __version__
from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.anchors import check_signed_end
from wbgql.erasure.evidence.bundle import write_bundle
from wbgql.erasure.evidence.certificate import (
    Certificate,
    Retention,
    SignedCertificate,
    make_approvals,
    make_scope,
    name_plan,
    sign_certificate,
    summarize,
)
from wbgql.erasure.evidence.deriving import Standing, derive
from wbgql.erasure.evidence.limitations import Told, last_limits, put_in_words
from wbgql.erasure.evidence.standing import journal_until, read_standing
from wbgql.erasure.evidence.wording import NEWEST
from wbgql.erasure.records.approvals import Approval, ApproversFile, check_given
from wbgql.erasure.records.keys import PrivateKey
from wbgql.erasure.records.plan import Plan
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import NotVerified
from wbgql.scalars import format_datetime


@dataclass(frozen=True)
class Terms:
    """What the operator brings to a certificate.

    `attest`: the reference under which the provider confirmed the removal. `keep_until` and `keep_basis`: how
    long the record itself is kept, and why.
    """

    approvers: ApproversFile | None = None
    approvals: Sequence[Approval] = ()
    attest: str | None = None
    keep_until: str | None = None
    keep_basis: str | None = None


@dataclass(frozen=True)
class Given:
    """A certificate as it was given out, and where the former one of the same folder was moved."""

    signed: SignedCertificate
    folder: Path
    former: Path | None


def certify(
    case: Case, key: PrivateKey, folder: Path, terms: Terms, *, now: datetime, new_id: Callable[[], str]
) -> Given:
    """Give out a certificate of what was proved so far, and note it in the journal.

    A former certificate in the same folder is moved aside; the new one names it as superseded.

    Raises:
        NotVerified: not even "hidden" was proved, or the ledger contradicts itself.
        NotApproved: the approvals do not fit the plan.
        StoreError: the folder cannot be written.
    """
    check_given(case.plan, terms.approvals, terms.approvers, now)
    check_signed_end(case, folder)
    standing = read_standing(case, now)
    if standing.reached.stage is None:
        raise NotVerified(f"nothing can be certified: {NEWEST.lacking(standing.reached.missing)}")
    if terms.attest is not None:
        case.ledger.note(case.job, "attested", {"reference": terms.attest})
        standing = read_standing(case, now)
    made = make_certificate(
        case.plan,
        case.require_key(),
        standing,
        terms,
        certified_by=key.key_id,
        now=now,
        certificate_id=new_id(),
    )
    signed = sign_certificate(made, key)
    journal = journal_until(case, standing.trail.head)
    former = write_bundle(folder, signed, standing.items, journal, standing.verifications)
    case.ledger.note(case.job, "certificate", {"stage": made.stage, "digest": made.digest})
    return Given(signed=signed, folder=folder, former=former)


def make_certificate(
    plan: Plan,
    key: CaseKey,
    standing: Standing,
    terms: Terms,
    *,
    certified_by: str,
    now: datetime,
    certificate_id: str,
) -> Certificate:
    """Put a certificate together from a case as it stands.

    Raises:
        NotVerified: no stage was reached.
    """
    reached = standing.reached
    if reached.stage is None:
        raise NotVerified(f"nothing can be certified: {NEWEST.lacking(reached.missing)}")
    made = Certificate(
        certificate_id=certificate_id,
        issued_at=format_datetime(now),
        issued_by_version=__version__,
        certified_by=certified_by,
        is_test=plan.server.is_test,
        statement=[],
        request=plan.request,
        server=plan.server,
        tool=plan.tool,
        plan=name_plan(plan),
        scope=make_scope(plan, key),
        approvals=make_approvals(plan, terms.approvers, terms.approvals),
        stays=[],
        limitations=[],
        retention=Retention(until=terms.keep_until, basis=terms.keep_basis),
        **derive(plan, plan.clocks, standing, NEWEST),
    )
    told = Told(
        limits=last_limits(standing.verifications),
        residuals=summarize(residual.kind for residual in standing.residuals),
        forks=made.plan.forks or 0,
        references=None if made.plan.references is None else made.plan.references or 0,
    )
    return put_in_words(made, told)
