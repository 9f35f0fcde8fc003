"""Verifies a job against a store: what is left of it in the bytes themselves."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from wbgql.artifacts import iter_versions
from wbgql.erasure.case.case import Case
from wbgql.erasure.records.plan import Plan
from wbgql.erasure.records.verification import Finding, FindingState, Residual, Verdict, Verification
from wbgql.erasure.verifying import judging
from wbgql.erasure.verifying.claims import Claims, Item, read_claims
from wbgql.erasure.verifying.clocks import read_clocks
from wbgql.erasure.verifying.controls import find_control
from wbgql.erasure.verifying.judging import Names
from wbgql.erasure.verifying.storage_probes import Sight, StorageProbe, Thing
from wbgql.errors import NotFound, PermissionDenied, UsageError
from wbgql.paths import ProjectPath
from wbgql.scalars import format_datetime
from wbgql.wire.session import Session

_STATES: Mapping[str, FindingState] = {"stored": "stored", "not_looked_at": "not_looked_at"}


def verify_storage(
    case: Case,
    session: Session,
    probe: StorageProbe,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_id: Callable[[], str] = lambda: secrets.token_hex(8),
) -> Verification:
    """Look for every claimed run and version in a store, and write down what was seen.

    The session only finds live runs and versions of the same projects, which the probe must see in the store
    for its silence to count.

    Raises:
        UsageError: the job is unknown, hid nothing or is closed, or its case key is missing.
        PlanChanged: the plan is not the one that was applied.
        StoreError, ConfigError: the store cannot be read; nothing is stored.
    """
    key = case.require_key()
    claims = read_claims(case)
    if not claims.runs:
        raise UsageError("this job has hidden no run so far: there is nothing to look for")
    things = {_thing(case.plan, item): item for item in claims.items if item.kind in ("run", "artifact")}
    alive = [thing for project in claims.projects for thing in _alive(session, project, claims, new_id)]
    seen = probe.look(list(things), alive)
    names = Names(case.plan, key, {})
    findings = list(_findings(things, seen.things, names))
    counts = Counter[str](sight.seen for sight in seen.things.values())
    made = Verification(
        plan=case.plan.digest,
        kind="storage",
        at=format_datetime(now()),
        verdict=_verdict(counts, found=seen.found, complete=seen.complete),
        counts={
            "subjects": len(things),
            "absent": counts["absent"],
            "stored": counts["stored"],
            "not_looked_at": counts["not_looked_at"],
            "texts_found": seen.found,
        },
        findings=findings,
        residuals=list(_residuals(things, seen.things, names)),
        clocks=read_clocks(session, case.plan, now()),
        probe=probe.name,
        limits=seen.limits,
    )
    case.ledger.add_verification(
        case.job, made.kind, made.verdict, made, note="verified", body=judging.journal_body(made)
    )
    return made


def _thing(plan: Plan, item: Item) -> Thing:
    if item.kind == "run":
        return Thing(kind="run", project=item.project, key=item.key)
    planned = plan.runs[item.run_no].artifacts
    digest = next(artifact.digest for artifact in planned if artifact.id == item.key)
    return Thing(kind="artifact", project=item.project, key=item.key, digest=digest)


def _alive(
    session: Session, project: ProjectPath, claims: Claims, new_id: Callable[[], str]
) -> Iterator[Thing]:
    """A run and a version of the project that are live and no part of the job, as far as there are any."""
    claimed = claims.runs[project]
    control = find_control(session, project, claimed, new_id)
    if control.run is not None and control.run not in claimed:
        yield Thing(kind="run", project=project, key=control.run)
    try:
        version = next(iter(iter_versions(session, project)), None)
    except (NotFound, PermissionDenied):
        return
    if version is not None:
        yield Thing(kind="artifact", project=project, key=version.id, digest=version.digest)


def _findings(things: Mapping[Thing, Item], sights: Mapping[Thing, Sight], names: Names) -> Iterator[Finding]:
    for thing, item in things.items():
        state = _STATES.get(sights[thing].seen)
        if state is not None:
            yield Finding(subject=names.of(item), kind=thing.kind, state=state, run=item.run_no)


def _residuals(
    things: Mapping[Thing, Item], sights: Mapping[Thing, Sight], names: Names
) -> Iterator[Residual]:
    for thing, item in things.items():
        if sights[thing].seen == "absent" and sights[thing].where:
            yield Residual(
                subject=names.of(item), kind="shared_bytes", reason=sights[thing].where, run=item.run_no
            )


def _verdict(counts: Mapping[str, int], *, found: int, complete: bool) -> Verdict:
    if counts["stored"] or found:
        return "present"
    return "absent" if complete and not counts["not_looked_at"] else "partial"
