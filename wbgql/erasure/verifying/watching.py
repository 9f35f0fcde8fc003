"""Looks whether something that was erased has come back, and opens exactly that again.

Undeleting is one click in W&B and restores every run of the last days, so it happens without ill will.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from wbgql.artifacts.nodes import Collection
from wbgql.erasure.case.case import Case
from wbgql.erasure.reading.facts import read_run_facts
from wbgql.erasure.records.journal import Entry
from wbgql.erasure.records.plan import PlannedRun
from wbgql.erasure.records.verification import Controls, Finding, Verification
from wbgql.erasure.verifying import judging
from wbgql.erasure.verifying.asking import Asking, hoped_for
from wbgql.erasure.verifying.audit_logs import Audit, read_audit
from wbgql.erasure.verifying.claims import Claims, Item, read_claims
from wbgql.erasure.verifying.clocks import read_clocks
from wbgql.erasure.verifying.job import Care, Reader
from wbgql.erasure.verifying.judging import Names
from wbgql.erasure.verifying.late import iter_late
from wbgql.erasure.verifying.moved import find_moved
from wbgql.erasure.verifying.reads import Reads
from wbgql.erasure.verifying.settling import State, make_waits, settle
from wbgql.errors import NotVisible, RequestError
from wbgql.scalars import format_datetime, parse_datetime

Growth = Literal["history", "files", "artifacts"]


class CameBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run that is visible again. `run`: its number in the plan. `grew`: what it has more of than then.

    `is_elsewhere`: it stands in another project of its entity. A new plan can name it there; this one cannot.
    """

    run: int
    subject: str
    grew: list[Growth] = []
    is_elsewhere: bool


class Watched(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One look. `quiet`: all that was hidden still is. `cannot_tell`: null that proves nothing.

    `asked`: how many runs. `late`: subjects of artifact collections that bear a hidden run's id and that no
    plan knows. `audit`: what the server's log says; None where `audit_not_read` says why it was not read.
    """

    at: str
    verdict: Literal["quiet", "came_back", "cannot_tell"]
    asked: int
    came_back: list[CameBack]
    unsettled: int
    late: list[str]
    controls: Controls
    audit: Audit | None = None
    audit_not_read: str | None = None


def watch_once(
    case: Case,
    reader: Reader,
    *,
    care: Care | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_id: Callable[[], str] = lambda: secrets.token_hex(8),
) -> Watched:
    """Ask once more for every hidden run; reopen exactly those that are visible again.

    Sends what a verification sends for the runs alone, and searches other projects for them; reads the audit
    log where the reader has a fetcher and the server the log. What was seen is in the journal when this
    returns; a run that came back is open again in a new round, which `apply` of the same plan takes up, and a
    verification that says `not_hidden` follows whatever was certified before.

    Raises:
        UsageError: the job is unknown or closed, or its case key is missing.
        PlanChanged: the plan is not the one that was applied.
        RequestError: the server cannot be asked; nothing is written.
    """
    care = care or Care()
    key = case.require_key()
    before = reader.session.stats.requests
    claims = read_claims(case)
    reads = Reads(reader.session, claims.runs, new_id)
    asking = Asking(reads, None, lambda number: case.plan.runs[number].id)
    states = settle(
        asking,
        [item for item in claims.items if item.kind == "run"],
        hoped_for=hoped_for,
        equal_reads=care.equal_reads,
        waits_s=make_waits(care.equal_reads, care.patience_s),
        sleep=reader.session.sleep,
    )
    moved = find_moved(reader.session, case.plan, states)
    states |= dict.fromkeys(moved.runs, "present")
    names = Names(case.plan, key, claims.files)
    back = [item for item, state in states.items() if state == "present"]
    audit, not_read = _audit(case, reader, now())
    controls = judging.count_controls(reads.controls[project] for project in claims.projects)
    seen = Watched(
        at=format_datetime(now()),
        verdict=_verdict(states, controls),
        asked=len(states),
        came_back=[
            CameBack(
                run=item.run_no,
                subject=names.of(item),
                grew=_growth(reader, case.plan.runs[item.run_no]),
                is_elsewhere=item in moved.runs,
            )
            for item in back
        ],
        unsettled=sum(state in ("unsettled", "unknown") for state in states.values()),
        late=sorted(names.artifact(late.id) for late in _late(reader, claims, reads)),
        controls=controls,
        audit=audit,
        audit_not_read=not_read,
    )
    case.ledger.note(case.job, "watched", _body(seen))
    if back:
        counts = judging.count(claims, states, reader.session.stats.requests - before) | moved.counts
        _reopen(case, reader, seen, judging.find(claims, states, names), counts, care, list(moved.limits()))
    return seen


def count_deletions(entries: Iterable[Entry]) -> tuple[int, int]:
    """Count the deletions of runs that may have been sent, and those that hid a run for certain."""
    sent = hidden = 0
    for entry in entries:
        if entry.body.get("action") == "run":
            sent += entry.kind == "intent"
            hidden += entry.kind == "outcome" and entry.body.get("outcome") == "hidden"
    return sent, hidden


def _verdict(
    states: Mapping[Item, State], controls: Controls
) -> Literal["quiet", "came_back", "cannot_tell"]:
    if "present" in states.values():
        return "came_back"
    return "quiet" if not states or judging.judge(states, controls) == "hidden" else "cannot_tell"


def _growth(reader: Reader, planned: PlannedRun) -> list[Growth]:
    """What a run has more of than when it was planned: somebody may still be logging to it."""
    try:
        facts = read_run_facts(reader.session, planned.path)
    except NotVisible:
        return []
    if facts is None:
        return []
    known = {artifact.id for artifact in planned.artifacts}
    grew: dict[Growth, bool] = {
        "history": (facts.run.history_line_count or 0) > (planned.history_lines or 0),
        "files": (facts.run.file_count or 0) > (planned.file_count or 0),
        "artifacts": any(output.id not in known for output in facts.outputs),
    }
    return [what for what, more in grew.items() if more]


def _late(reader: Reader, claims: Claims, reads: Reads) -> list[Collection]:
    return [
        collection
        for project in claims.projects
        if reads.control(project).holds
        for _, collection in iter_late(reader.session, project, claims)
    ]


def _audit(case: Case, reader: Reader, now: datetime) -> tuple[Audit | None, str | None]:
    """What the log says, or why it was not read: that must not hide what came back."""
    if reader.fetcher is None:
        return None, "no fetcher was given"
    sent, hidden = count_deletions(case.ledger.entries(case.job))
    try:
        audit = read_audit(
            reader.fetcher,
            reader.session.address or case.plan.server.base_url,
            set(case.plan.project_paths),
            start=parse_datetime(case.ledger.job(case.job).created_at),
            end=now,
            sent=sent,
            hidden=hidden,
        )
    except RequestError as error:
        return None, error.own_words
    if audit is None:
        return None, "there is none, or this key may not read it (an organization admin's may)"
    return audit, None


def _body(seen: Watched) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(seen)
    if seen.audit is not None:
        plain["audit"] |= {"unexplained": seen.audit.unexplained, "missing": seen.audit.missing}
    return plain


def _reopen(
    case: Case,
    reader: Reader,
    seen: Watched,
    findings: list[Finding],
    counts: dict[str, int],
    care: Care,
    limits: list[str],
) -> None:
    made = Verification(
        plan=case.plan.digest,
        kind="reads",
        at=seen.at,
        verdict="not_hidden",
        reader="second" if reader.second else "job",
        equal_reads=care.equal_reads,
        counts=counts,
        controls=seen.controls,
        findings=findings,
        clocks=read_clocks(reader.session, case.plan, parse_datetime(seen.at)),
        limits=["only the runs were asked for: this was a look, not a whole verification", *limits],
    )
    case.ledger.add_verification(
        case.job, made.kind, made.verdict, made, note="verified", body=judging.journal_body(made)
    )
    subjects = [run.subject for run in seen.came_back]
    case.ledger.reopen(case.job, [run.run for run in seen.came_back], {"subjects": subjects})
