"""Verifies one job: asks, judges, and writes down the result."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from wbgql.downloads import Fetcher
from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.stages import binding_clock, ends_at
from wbgql.erasure.ledger import JobState
from wbgql.erasure.reading.server_clocks import ServerClock
from wbgql.erasure.records.verification import Residual, Verdict, Verification
from wbgql.erasure.verifying import file_urls, judging
from wbgql.erasure.verifying.asking import Asking, hoped_for
from wbgql.erasure.verifying.claims import Claims, Item, read_claims
from wbgql.erasure.verifying.clocks import read_clocks
from wbgql.erasure.verifying.file_urls import FileUrls
from wbgql.erasure.verifying.judging import Names
from wbgql.erasure.verifying.late import iter_late
from wbgql.erasure.verifying.moved import find_moved
from wbgql.erasure.verifying.reads import Reads
from wbgql.erasure.verifying.settling import (
    DEFAULT_EQUAL_READS,
    DEFAULT_PATIENCE_S,
    State,
    make_waits,
    settle,
)
from wbgql.errors import NotVerified, StoreError, UsageError
from wbgql.scalars import format_datetime, parse_datetime
from wbgql.wire.session import Session

# When a job is to be verified again.

CheckKind = Literal["1h", "24h", "window", "monthly"]

_SOON: tuple[tuple[CheckKind, timedelta], ...] = (("1h", timedelta(hours=1)), ("24h", timedelta(hours=24)))
_MONTH = timedelta(days=30)


def plan_checks(
    done_at: datetime, window_end: datetime | None, now: datetime
) -> list[tuple[CheckKind, datetime]]:
    """Return the checks still to come, in order: after 1 h and 24 h, after the window, then each month.

    `window_end`: when nobody can undelete any more what was hidden at `done_at`, None where nobody knows.
    Of the monthly ones only the next stands here: each check plans the one after it, until the case closes.
    """
    checks = [(kind, done_at + after) for kind, after in _SOON]
    if window_end is not None:
        checks.append(("window", window_end))
    checks.append(("monthly", _next_month(window_end or done_at, now)))
    return sorted((check for check in checks if check[1] > now), key=lambda check: check[1])


def due_now(due: Iterable[tuple[str, str]], now: str) -> list[tuple[str, str]]:
    """Of (due_at, kind), those whose time has come. Instants are texts of the ledger: UTC, one width."""
    return [check for check in due if check[0] <= now]


def _next_month(start: datetime, now: datetime) -> datetime:
    passed = max(0, int((now - start) / _MONTH))
    return start + (passed + 1) * _MONTH


LATE_REASON = "named after the run and unknown to the plan: it came later, or was not visible then"


class Care(msgspec.Struct, frozen=True, kw_only=True):
    """How carefully to look: how many equal answers in a row, and how long to wait for late ones."""

    equal_reads: int = DEFAULT_EQUAL_READS
    patience_s: float = DEFAULT_PATIENCE_S


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Whose eyes: a fresh session and, for files, a fetcher. `second`: its key is not the job's.

    `clock`: what learns the server's time from the session's answers. Without it, or where the server sends
    no `Date` that can be read, a verification does not prove that the undelete window has passed.
    """

    session: Session
    fetcher: Fetcher | None = None
    second: bool = False
    clock: ServerClock | None = None


def _now() -> datetime:
    return datetime.now(UTC)


def verify(
    case: Case,
    reader: Reader,
    *,
    care: Care | None = None,
    now: Callable[[], datetime] = _now,
    new_id: Callable[[], str] = lambda: secrets.token_hex(8),
) -> Verification:
    """Ask for everything that the job says is gone, and store what the answers prove.

    Every run is asked for by a list and by itself, each version by its id, each file by its URL, and the
    server's own artifacts by name; every answer counts only beside its controls, and only when it repeats.
    Runs that are absent are searched for in the other projects of their entities. For n runs with m versions
    about (n / 500 + n / 25 + m / 25 + 2 n / 25) requests for each of the equal reads, ceil(c / 200) for the
    c collections of each project, and one for each project of the entities and 500 runs. Memory: some hundred
    bytes a question.

    What was found is in the ledger and its journal when this returns, good or bad, and the next checks are
    planned. A job all of whose runs are done, and hidden, is "verified" from then on.

    Raises:
        UsageError: the job is unknown, hid nothing or is closed, or its case key is missing.
        PlanChanged: the plan is not the one that was applied.
        RequestError: the server cannot be asked; nothing is stored.
        NotVerified: its clock and ours are too far apart; nothing is stored.
    """
    key = case.require_key()
    before = reader.session.stats.requests
    claims = read_claims(case)
    if not claims.runs:
        raise UsageError("this job has hidden no run so far: there is nothing to verify")
    reads = Reads(reader.session, claims.runs, new_id)
    address = reader.session.address or case.plan.server.base_url
    urls = None if reader.fetcher is None else FileUrls(reads, reader.fetcher, address)
    asking, states = _ask(case, claims, reads, urls, care or Care(), reader.session.sleep)
    moved = find_moved(reader.session, case.plan, states)
    states |= dict.fromkeys(moved.runs, "present")
    is_clock_known = _check_clock(reader.clock)
    names = Names(case.plan, key, claims.files)
    controls = judging.count_controls(reads.controls[project] for project in claims.projects)
    made = Verification(
        plan=case.plan.digest,
        kind="reads",
        at=format_datetime(now()),
        verdict=judging.judge(states, controls),
        reader="second" if reader.second else "job",
        equal_reads=(care or Care()).equal_reads,
        controls=controls,
        findings=judging.find(claims, states, names),
        residuals=_residuals(reader.session, claims, states, asking, names),
        clocks=read_clocks(reader.session, case.plan, now()),
        limits=judging.limits(claims, states, [*_notes(reads, urls, claims), *moved.limits()]),
        counts={},
        searched=sorted(names.project(project) for project in moved.search.searched),
    )
    counts = judging.count(claims, states, reader.session.stats.requests - before) | moved.counts
    counts["clock_known"] = int(is_clock_known)
    made = msgspec.structs.replace(made, counts=counts)
    _store(case, made, claims, now())
    return made


def is_due(case: Case, now: datetime) -> bool:
    """Whether a check is due: none was made since the last run was hidden, or the time of one has come."""
    claims = read_claims(case)
    made = [found.at for found in case.ledger.verifications(case.job) if found.kind == "reads"]
    if not made or claims.done_at is None or parse_datetime(made[-1]) < claims.done_at:
        return True
    return bool(due_now(case.ledger.due(case.job), _whole(now)))


def next_due(case: Case) -> tuple[str, str] | None:
    """The next check (its time and kind), None where none is planned."""
    return next(iter(case.ledger.due(case.job)), None)


def _ask(
    case: Case,
    claims: Claims,
    reads: Reads,
    urls: FileUrls | None,
    care: Care,
    sleep: Callable[[float], object],
) -> tuple[Asking, dict[Item, State]]:
    asking = Asking(reads, urls, lambda number: case.plan.runs[number].id)
    items = [item for item in claims.items if item.kind != "file" or (urls and urls.works(item.project))]
    states = settle(
        asking,
        items,
        hoped_for=hoped_for,
        equal_reads=care.equal_reads,
        waits_s=make_waits(care.equal_reads, care.patience_s),
        sleep=sleep,
    )
    return asking, states


def _check_clock(clock: ServerClock | None) -> bool:
    """Whether the server's time is known, and so whether the machine's clock is right.

    When a verification was made decides whether that was after the undelete window.
    """
    if clock is not None and clock.is_far_off:
        raise NotVerified(
            f"{clock}: nobody can say when this was read, so nothing was written down; set the clock, then "
            "verify again"
        )
    return clock is not None and clock.skew_s is not None


def _residuals(
    session: Session, claims: Claims, states: dict[Item, State], asking: Asking, names: Names
) -> list[Residual]:
    found = judging.forks(states, names)
    found += [
        Residual(
            subject=names.artifact(collection.id),
            kind="system_artifact",
            reason=judging.SYSTEM_REASON,
            run=item.run_no,
        )
        for item, collection in asking.system.items()
        if states[item] == "present"
    ]
    for project in claims.projects:
        if asking.reads.control(project).holds:
            found += [
                Residual(subject=names.artifact(late.id), kind="late_object", reason=LATE_REASON, run=number)
                for number, late in iter_late(session, project, claims)
            ]
    return sorted(found, key=lambda residual: (residual.run or 0, residual.kind, residual.subject))


def _notes(reads: Reads, urls: FileUrls | None, claims: Claims) -> list[str | None]:
    files = claims.count("file")
    return [
        f"{files} files were not asked for by their URLs" if files and urls is None else None,
        None if urls is None else file_urls.explain(urls.tried),
        "this key is shown deleted runs with the time of their deletion; they count as absent"
        if reads.shows_deleted
        else None,
    ]


def _store(case: Case, made: Verification, claims: Claims, now: datetime) -> None:
    case.ledger.add_verification(
        case.job,
        made.kind,
        made.verdict,
        made,
        note="verified",
        body=judging.journal_body(made),
        state=_new_state(made.verdict, claims, case.ledger.job(case.job).state),
    )
    case.ledger.set_done(case.job, _whole(now))
    if claims.done_at is None:
        return
    clock = binding_clock(case.plan, _verifications(case), "undelete_window")
    window_end = ends_at(clock, format_datetime(claims.done_at))
    for kind, at in plan_checks(claims.done_at, window_end, now):
        case.ledger.set_due(case.job, kind, _whole(at + timedelta(seconds=1)))


def _new_state(verdict: Verdict, claims: Claims, state: JobState) -> JobState | None:
    if state not in ("applied", "verified") or claims.open:
        return None
    if verdict == "hidden":
        return "verified"
    # What cannot be told takes no proof back; what can be read does.
    return "applied" if verdict == "not_hidden" else None


def _verifications(case: Case) -> list[Verification]:
    made = []
    for stored in case.ledger.verifications(case.job):
        try:
            made.append(msgspec.json.decode(stored.results, type=Verification))
        except msgspec.DecodeError as error:
            raise StoreError(f"the ledger is damaged: verification {stored.no} is none") from error
    return made


def _whole(instant: datetime) -> str:
    """A text of one width, so that the ledger's order of texts is the order of times."""
    return format_datetime(instant.replace(microsecond=0))
