"""Makes a certificate of a case from its plan, its ledger and its approvals, and gives it out as a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wbgql import __version__
from wbgql.erasure.anchors import check_signed_end
from wbgql.erasure.approvals import Approval, ApproversFile, check_given
from wbgql.erasure.bundles import write_bundle
from wbgql.erasure.canonical import encode
from wbgql.erasure.case import Case
from wbgql.erasure.certificates import (
    Certificate,
    Checked,
    Execution,
    JournalNamed,
    PlanNamed,
    Retention,
    Scope,
    ScopedProject,
    ScopedRights,
    SignedCertificate,
    Timed,
    make_approvals,
    sign_certificate,
    summarize,
)
from wbgql.erasure.keys import PrivateKey
from wbgql.erasure.limitations import Told, last_limits, put_in_words
from wbgql.erasure.plans import Clock, Plan, Rule
from wbgql.erasure.population import root_of
from wbgql.erasure.stages import Seen, binding_clock, ends_at
from wbgql.erasure.standings import Standing, journal_until, read_standing
from wbgql.erasure.subjects import CaseKey
from wbgql.erasure.trails import Trail
from wbgql.erasure.wording import NEWEST
from wbgql.errors import FilterError, NotVerified
from wbgql.expressions import parse_expression
from wbgql.paths import ProjectPath
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
    former = write_bundle(folder, signed, standing.items, journal_until(case, standing.trail.head))
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
    trail, counts, verifications = standing.trail, standing.counts, standing.verifications
    made = Certificate(
        certificate_id=certificate_id,
        issued_at=format_datetime(now),
        issued_by_version=__version__,
        certified_by=certified_by,
        supersedes=trail.issued[-1].digest if trail.issued else None,
        is_test=plan.server.is_test,
        stage=reached.stage,
        statement=[],
        missing=NEWEST.lacking(reached.missing),
        request=plan.request,
        server=plan.server,
        tool=plan.tool,
        plan=_named(plan),
        scope=_scope(plan, key),
        approvals=make_approvals(plan, terms.approvers, terms.approvals),
        execution=_execution(trail),
        population=counts,
        items=len(standing.items),
        merkle_root=root_of(standing.items),
        steps=reached.steps,
        clocks=[
            _timed(binding_clock(plan, verifications, clock.name), standing.last_gone_at)
            for clock in plan.clocks
        ],
        verifications=[_checked(seen) for seen in standing.seen],
        attestations=trail.attestations,
        stays=[],
        limitations=[],
        journal=JournalNamed(first_seq=min(trail.head.seq, 1), last_seq=trail.head.seq, head=trail.head.hash),
        retention=Retention(until=terms.keep_until, basis=terms.keep_basis),
    )
    told = Told(
        limits=last_limits(verifications),
        residuals=summarize(residual.kind for residual in standing.residuals),
        forks=_forks(plan),
        references=_references(plan),
    )
    return put_in_words(made, told)


def _named(plan: Plan) -> PlanNamed:
    return PlanNamed(
        plan_id=plan.plan_id,
        digest=plan.digest,
        created_at=plan.created_at,
        expires_at=plan.expires_at,
        planner_key=plan.planner.key_id,
        case_key_id=plan.case_key_id,
        holds=plan.holds,
        max_runs=plan.caps.max_runs,
        max_percent=plan.caps.max_percent,
        canaries=len(plan.canaries),
        clocks=plan.clocks,
        forks=_forks(plan),
        references=_references(plan),
    )


def _forks(plan: Plan) -> int:
    return sum(len(run.forks) for run in plan.runs)


def _references(plan: Plan) -> int:
    """How many files outside the store the versions point to that the plan erases."""
    return sum(
        artifact.references for run in plan.runs for artifact in run.artifacts if artifact.decision == "erase"
    )


def _scope(plan: Plan, key: CaseKey) -> Scope:
    base_url = plan.server.base_url
    return Scope(
        rule=key.text("rule", encode(plan.rule).decode()),
        asks=_asks(plan.rule),
        ids=plan.rule.ids,
        entire_project=plan.rule.entire_project,
        rights=[
            ScopedRights(entity=key.text("entity", rights.entity), role=rights.role) for rights in plan.rights
        ],
        projects=[
            ScopedProject(
                subject=key.project(base_url, ProjectPath(*project.path.split("/", 1))),
                runs=project.runs,
                matched=project.matched,
                planned=project.planned,
            )
            for project in plan.projects
        ],
        not_read=[key.text("not read", part.path) for part in plan.not_read],
    )


def _asks(rule: Rule) -> list[str]:
    """The rule without its values and keys, which may name people: `created_at <`, `config[...] ==`."""
    if rule.where is None:
        return []
    try:
        conditions = parse_expression(rule.where, client_side=True).conditions()
    except FilterError:
        return ["a rule that this version cannot take apart"]
    asks = (
        f"{found.path.parts[0] if found.path.section == 'run' else f'{found.path.section}[...]'} {found.op}"
        for found in conditions
    )
    return list(dict.fromkeys(asks))


def _execution(trail: Trail) -> Execution:
    return Execution(
        started_at=trail.first("started") or trail.first("job_created"),
        finished_at=trail.last("outcome"),
        starts=trail.kinds.get("started", 0),
        requests=trail.kinds.get("intent", 0),
        reopened=trail.kinds.get("reopened", 0),
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
