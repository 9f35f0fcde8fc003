"""Applies a plan: checks, locks, and drives the job's batches through the engine until none is left."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from wbgql.client import Client
from wbgql.erasure.applying.brakes import Brakes
from wbgql.erasure.applying.hiding import UNCONFIRMED, hide, unless_moved
from wbgql.erasure.applying.neighbours import Neighbours
from wbgql.erasure.applying.options import Applied, Ending, Options
from wbgql.erasure.applying.parts import delete_file, delete_version
from wbgql.erasure.applying.starting import check_holds, check_plan, check_rights, check_server
from wbgql.erasure.applying.work import Work
from wbgql.erasure.case.case import Case
from wbgql.erasure.case.locks import Hold, hold_job
from wbgql.erasure.evidence.anchors import check_signed_end
from wbgql.erasure.evidence.matching import ApprovedActions, check_journal
from wbgql.erasure.ledger import JobState, Ledger, database_file
from wbgql.erasure.reading.limiting import JobLimiter
from wbgql.erasure.records.actions import GONE, Action, subject_of
from wbgql.erasure.records.approvals import Approval, ApproversFile
from wbgql.erasure.records.plan import PlannedRun
from wbgql.errors import NotVisible, Paused, PlanChanged, StoreError, UsageError
from wbgql.jobs.engine import Engine, Worker
from wbgql.jobs.ranges import Batch, cut, make_batches
from wbgql.limiting import LimitedTransport
from wbgql.paths import parse_listed_run
from wbgql.safety.gate import Gate
from wbgql.scalars import format_datetime
from wbgql.wire.retry import RetryPolicy

# Runs a job's batches: what one thread does with one range, and when all of them have to end.

_MAX_STARTS = 4
_ASK_AGAIN_S = 1.0

_HANDLERS: dict[str, Callable[[Work, Action, str], Ending | None]] = {
    "run": hide,
    "artifact": delete_version,
    "file": delete_file,
}


class Runner:
    """Works on batches in the engine's threads. The first error ends all, after their present items.

    `check` is called before each batch and each action: what it raises is such an error.
    """

    def __init__(self, work: Work, *, deadline: float | None, check: Callable[[], object]) -> None:
        self._work = work
        self._deadline = deadline
        self._check = check
        self._lock = threading.Lock()
        self.failure: BaseException | None = None
        self.quarantined = 0

    def process(self, batch: Batch) -> str:
        """Work on one batch; the word says how it ended. What goes wrong is kept in `failure`."""
        try:
            return self._process(batch)
        except BaseException as error:  # noqa: BLE001  # the engine would store it: it may hold run ids
            self.fail(error)
            return "failed"

    def fail(self, error: BaseException) -> None:
        """Keep the first error and tell everybody to end."""
        with self._lock:
            if self.failure is None:
                self.failure = error
        self._work.stopping.set()

    def _process(self, batch: Batch) -> str:
        work, owner = self._work, secrets.token_hex(8)
        if work.stopping.is_set():
            return "stopped"
        self._check()
        starts = work.ledger.claim(work.job, batch.generation, batch.lo, batch.hi, owner)
        if starts > _MAX_STARTS:
            # It ended its worker each time. The same command again gives it another chance.
            work.ledger.note(work.job, "quarantined", {"lo": batch.lo, "hi": batch.hi, "starts": starts - 1})
            self.quarantined += 1
            return "quarantined"
        waiting: list[Action] = []
        absent: list[tuple[Action, Ending]] = []
        for action in work.actions(batch.lo, batch.hi):
            if self._should_stop():
                break
            if not self._do(action, owner, absent):
                waiting.append(action)
        self._search(absent, owner)
        self._wait_for(waiting, owner)
        return "stopped" if work.stopping.is_set() else "done"

    def _do(self, action: Action, owner: str, absent: list[tuple[Action, Ending]]) -> bool:
        """Do one action; False where it has to wait. A run that may have been moved goes to `absent`."""
        work = self._work
        self._check()
        ending = _HANDLERS[action.kind](work, action, owner)
        if ending is None:
            return False
        if action.kind == "run" and ending.outcome in UNCONFIRMED:
            absent.append((action, ending))
            return True
        work.finish(action, owner, ending)
        if action.kind == "run":
            work.brakes.check_canaries()
        return True

    def _search(self, absent: list[tuple[Action, Ending]], owner: str) -> None:
        """Say what became of absent runs, after one search for all of them."""
        if absent:
            for action, ending in unless_moved(self._work, absent):
                self._work.finish(action, owner, ending)
                self._work.brakes.check_canaries()

    def _wait_for(self, waiting: list[Action], owner: str) -> None:
        """Ask again for runs that are being logged until their time is used up. What is left stays open."""
        waiting = [action for action in waiting if action.kind == "run"]
        until = time.monotonic() + self._work.options.quiet_budget_s
        while waiting and time.monotonic() < until and not self._should_stop():
            if self._work.wait(_ASK_AGAIN_S):
                return
            absent: list[tuple[Action, Ending]] = []
            waiting = [action for action in waiting if not self._do(action, owner, absent)]
            self._search(absent, owner)

    def _should_stop(self) -> bool:
        if self._work.stopping.is_set():
            return True
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.fail(Paused("the job's time is used up; go on with the same command"))
            return True
        return False


RUNS_PER_BATCH = 100
PARTS_PER_BATCH = 200
_SWEEP_S = 2.0

OnResult = Callable[[Action, Ending], None]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is to be applied, on whose word. `digest` names the plan that is meant."""

    digest: str
    approvals: Sequence[Approval] = ()
    approvers: ApproversFile | None = None
    retry: bool = False


class _Leave(Exception):  # an order within this module, no error
    """Leave the engine: this process is to end."""


def apply(
    case: Case,
    client: Client,
    ask: Ask,
    *,
    options: Options | None = None,
    stopping: threading.Event | None = None,
    on_result: OnResult = lambda _action, _ending: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Applied:
    """Do what a plan says, or go on with it: the same call again resumes after any end, a crash too.

    First hides all runs, then deletes artifact versions, dependents first, then files. Each request that
    destroys is recorded before it leaves, is sent once, and is followed by a look; each outcome is set once.
    `stopping`, set from anywhere, ends it after the items in work. With `Ask.retry`, what was held, denied,
    changed or failed is tried again first. A program that runs a DBOS of its own cannot call this.

    Raises:
        PlanChanged: another plan, or it has expired, or the ledger's rows are not those of the plan.
        NotApproved: not approved, another server, or clocks that disagree; nothing was done.
        NotVerified: the journal is not the one that the certificate beside it signed; nothing was done.
        PermissionDenied, Held: runs that may not be touched were found before anything was sent.
        Locked: another job is at work on the same project.
        Paused: it stopped before its end, by order or for its budget; call again.
        PartialError: a brake stopped it.
        StoreError: the ledger cannot be written, or contradicts its journal; nothing more was sent.
    """
    options = options or Options()
    stopping = stopping or threading.Event()
    approved = check_plan(case.plan, ask.digest, ask.approvals, ask.approvers, now())
    check_signed_end(case)
    deadline = None if options.max_duration_s is None else time.monotonic() + options.max_duration_s
    with at_work(case, client, options, stopping, deadline, on_result, now) as (work, limiter):
        ledger = case.ledger
        if ledger.has(case.job) and ledger.job(case.job).state == "closed":
            raise UsageError("this case is closed: it cannot be applied any more; nothing was done")
        executor = secrets.token_hex(8)
        targets = [f"{work.base_url} {project}" for project in case.plan.project_paths]
        with hold_job(
            ledger.engine, ledger.url, case.job, executor, targets, stamp=lambda: format_datetime(now())
        ) as hold:
            _check_ledger(case, work, alone=hold.alone)
            if ask.retry and hold.alone:
                _open_again(case)
            _check(case, client, work, limiter)
            _create(case, [one.key_id for one in approved])
            runner = Runner(work, deadline=deadline, check=lambda: _check_time(case, limiter, now()))
            if standing(case).open:
                _Drive(case, work, hold, executor, runner).run()
        return _settle(case)


def _check_ledger(case: Case, work: Work, *, alone: bool) -> None:
    """Compare what the ledger has of the job with the approved plan and, if nobody else works, the journal.

    Raises:
        PlanChanged: a row is not what the plan says.
        StoreError: rows and journal disagree.
    """
    ledger, job = case.ledger, case.job
    if not ledger.has(job):
        return
    row = ledger.job(job)
    if row.digest != case.plan.digest:
        raise PlanChanged(f"the ledger's job was made from plan {row.digest}, not from this one")
    work.approved.check_round(ledger.actions(job), first=row.round == 1)
    if alone:
        subjects = {
            place: subject_of(action.target, work.key, work.base_url)
            for place, action in work.approved.by_place.items()
        }
        rows = work.approved.checked(ledger.latest(job))
        check_journal(rows, list(ledger.entries(job)), row.head, row.round, subjects)


def _check_time(case: Case, limiter: JobLimiter, now: datetime) -> None:
    """What may change while a job is at work: the plan's expiry, and how far the clocks are apart."""
    case.plan.check_fresh(now)
    limiter.check_clock()


def _check(case: Case, client: Client, work: Work, limiter: JobLimiter) -> None:
    """Look at everything that can be known before a mutation is sent."""
    runs = list(open_runs(case))
    check_rights(runs, work.gate)
    check_server(case.plan, client, limiter)
    check_holds(runs, work.gate, work.holds, skip_held=work.options.skip_held)
    missing = work.brakes.missing_canary()
    if missing is not None:
        raise NotVisible(f"canary {missing} of the plan is not there, or not visible; nothing was done")


def _open_again(case: Case) -> None:
    """Open a round for what has an outcome and is not gone, if there is any and nothing else is open."""
    if not case.ledger.has(case.job) or standing(case).open:
        return
    if not _is_clean(standing(case)):
        case.ledger.retry(case.job, {})


def standing(case: Case) -> Applied:
    """How a job stands. Reads the ledger only: asks no server and starts nothing."""
    row = case.ledger.job(case.job)
    return Applied(job=case.job, state=row.state, counts=case.ledger.counts(case.job))


def engine_of(case: Case, executor: str = "") -> Engine:
    """The engine that keeps a case's batches: a file beside the ledger's, or the ledger's own database."""
    file = database_file(case.ledger.url)
    if file is None:
        return Engine(case.ledger.url, executor=executor)
    return Engine(f"sqlite:///{file.with_name(f'engine-{case.job}.sqlite')}", executor=executor)


def open_runs(case: Case) -> Iterator[tuple[int, PlannedRun]]:
    """Yield the runs that have no outcome, with their numbers: all of them where there is no job yet."""
    if not case.ledger.has(case.job):
        yield from enumerate(case.plan.runs)
        return
    for action in case.ledger.actions(case.job, open_only=True):
        if action.kind == "run":
            yield action.run_no, case.plan.runs[action.run_no]


@contextmanager
def at_work(
    case: Case,
    client: Client,
    options: Options,
    stopping: threading.Event,
    deadline: float | None,
    on_result: OnResult,
    now: Callable[[], datetime],
) -> Iterator[tuple[Work, JobLimiter]]:
    """Put together what works on a case share. Its session waits for its turn and holds no cache."""
    limiter = JobLimiter(
        options.limits, clock=time.monotonic, now=time.time, wait=stopping.wait, deadline=deadline
    )
    session = client.session.through(
        lambda transport: LimitedTransport(transport, limiter),
        policy=RetryPolicy(attempts=4, deadline_s=options.limits.max_wait_s),
        sleep=stopping.wait,
    )
    key, base_url, ledger = case.require_key(), case.plan.server.base_url, case.ledger
    brakes = Brakes(
        session,
        max_failed_percent=options.max_failed_percent,
        canaries=[parse_listed_run(text) for text in case.plan.canaries if not text.startswith("tag:")],
        touched=lambda: ledger.touched(case.job),
        name=lambda project: key.project(base_url, project)[:12],
    )
    yield (
        Work(
            job=case.job,
            plan=case.plan,
            approved=ApprovedActions(case.plan),
            session=session,
            gate=Gate(session, client.holds),
            holds=client.holds,
            ledger=ledger,
            key=key,
            base_url=base_url,
            options=options,
            brakes=brakes,
            neighbours=Neighbours(session, case.plan),
            stopping=stopping,
            wait=stopping.wait,
            server_now=lambda: now() + timedelta(seconds=limiter.skew_s or 0.0),
            on_result=on_result,
        ),
        limiter,
    )


class _Drive:
    """One process's way through a job: wave after wave, beside others where the database allows it."""

    def __init__(self, case: Case, work: Work, hold: Hold, executor: str, runner: Runner) -> None:
        self._case = case
        self._work = work
        self._hold = hold
        self._engine = engine_of(case, executor)
        self._runner = runner
        self._swept = time.monotonic()

    def run(self) -> None:
        """Work until every wave has ended, here or elsewhere.

        Raises:
            What ended one of the threads first, or Paused.
        """
        generation = self._begin()
        case, options = self._case, self._work.options
        with (
            suppress(_Leave),
            self._engine.working(case.job, self._runner.process, concurrency=options.workers) as worker,
            self._ending_all(),
        ):
            for wave, ranges in _waves(case.ledger, case.job):
                worker.submit(make_batches(case.job, generation, wave, ranges))
                worker.wait(generation, wave, lambda: self._tick(worker))
                self._leave_if_stopping()
        self._raise()

    def _begin(self) -> int:
        """Take over what dead workers left, if nobody else lives; return the generation to work in."""
        ledger, job = self._case.ledger, self._case.job
        self._engine.prepare()
        if not self._hold.alone:
            generation = ledger.job(job).generation
        else:
            self._engine.reset(job)
            ledger.request_stop(job, wanted=False)
            generation = ledger.next_generation(job)
            self._hold.share()
        ledger.note(job, "started", {"executor": self._engine.executor, "generation": generation})
        return generation

    @contextmanager
    def _ending_all(self) -> Iterator[None]:
        """Tell the threads to end where this one does: the engine waits for them."""
        try:
            yield
        except _Leave:
            raise
        except BaseException as error:
            self._runner.fail(error)
            raise

    def _tick(self, worker: Worker) -> None:
        self._hold.check()
        if self._case.ledger.stop_requested(self._case.job):
            self._runner.fail(Paused("stopped by `wbgql erase stop`; go on with the same command"))
        self._leave_if_stopping()
        if time.monotonic() - self._swept >= _SWEEP_S:
            worker.resume(self._hold.is_dead)
            self._swept = time.monotonic()

    def _leave_if_stopping(self) -> None:
        if self._work.stopping.is_set():
            raise _Leave

    def _raise(self) -> None:
        failure = self._runner.failure
        if failure is None and self._work.stopping.is_set():
            failure = Paused("stopped after the items in work; go on with the same command")
        if failure is None:
            return
        if not isinstance(failure, StoreError):
            self._case.ledger.note(self._case.job, "paused", {"reason": type(failure).__name__})
        raise failure


def _waves(ledger: Ledger, job: str) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield waves with their ranges, the same for every worker; those of a kind that has nothing open not.

    Runs are one wave and files one. Of versions each range is a wave: dependents must go before what they
    depend on.
    """
    runs = ledger.ranges(job).get("run", (0, 0, 0))
    if runs[2]:
        yield 0, list(cut(*runs[:2], RUNS_PER_BATCH))
    versions = ledger.ranges(job).get("artifact", (0, 0, 0))
    ranges = list(cut(*versions[:2], PARTS_PER_BATCH))
    if versions[2]:
        for number, one in enumerate(ranges, 1):
            yield number, [one]
    files = ledger.ranges(job).get("file", (0, 0, 0))
    if files[2]:
        yield len(ranges) + 1, list(cut(*files[:2], PARTS_PER_BATCH))


def _create(case: Case, approved: list[str]) -> None:
    totals = case.plan.totals
    body = {
        "plan": case.plan.digest,
        "approvals": approved,
        "runs": len(case.plan.runs),
        "artifacts": totals.artifacts_erased,
        "files": totals.files,
    }
    key, base_url = case.require_key(), case.plan.server.base_url
    projects = sorted(key.project(base_url, path) for path in case.plan.project_paths)
    if case.ledger.create(case.plan, target=" ".join(projects), body=body):
        # A ledger that was lost: the batches of the former would pass for done.
        engine_of(case).forget(case.job)


def _settle(case: Case) -> Applied:
    """Set the job's state by what became of its actions, once nothing is open."""
    now = standing(case)
    if now.open:
        return now
    state: JobState = "applied" if _is_clean(now) else "partial"
    case.ledger.set_state(
        case.job, state, "applied", {"counts": now.counts}, only_from=("applying", "reopened")
    )
    return standing(case)


def _is_clean(stands: Applied) -> bool:
    return all(outcome in GONE for found in stands.counts.values() for outcome in found)
