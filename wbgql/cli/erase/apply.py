"""`wbgql erase apply | status | stop`."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.erase.keys import find_approvers, open_approvers
from wbgql.cli.erase.log import log_option, open_log
from wbgql.cli.erase.options import FILE, check_server, database_option, open_the_case, plan_argument
from wbgql.cli.shared.app import App, examples, global_options, not_empty, switches
from wbgql.cli.shared.approval import Act, announce, approval_options, approve, check_host
from wbgql.cli.shared.output import Listing, list_options, object_options, write_list, write_object
from wbgql.erasure import APPROVERS_VARIABLE
from wbgql.errors import Held, NotVerified, NotVisible, PartialError, Paused, PermissionDenied

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.erasure.applying import Applied, Ask, Ending, Options, Preview
    from wbgql.erasure.case.case import Case
    from wbgql.erasure.case.run_log import NoLog
    from wbgql.erasure.records.actions import Action
    from wbgql.erasure.records.plan import Plan

_LOGGED_STEPS = 100  # of `--log-to`, while runs are hidden
_PREFIX = 12  # digits of a subject that are shown: enough to find it in a report


@click.command(
    "apply",
    short_help="Do what a plan says, or go on with it.",
    epilog=examples(
        "wbgql erase apply plan.json --digest sha256:... --dry-run",
        "wbgql erase apply plan.json --digest sha256:... --approvers approvers.json",
        "wbgql erase apply plan.json --digest sha256:... --yes --host api.wandb.ai --max-duration 8h",
        "wbgql erase apply plan.json --digest sha256:... --database postgresql://jobs@db/wbgql",
    ),
)
@plan_argument
@click.option("--digest", required=True, metavar="DIGEST", callback=not_empty, help="The plan that is meant.")
@click.option(
    "--approvers",
    "approvers_path",
    type=FILE,
    metavar="FILE",
    help=f"The approvers file that the plan names  [default: ${APPROVERS_VARIABLE}]",
)
@click.option("--dry-run", is_flag=True, help="Read and check everything again; send no mutation.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1000, min_open=True),
    default=10.0,
    show_default=True,
    metavar="N",
    help="Requests a second of this process at most.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 32),
    default=2,
    show_default=True,
    help="Batches at once in this process.",
)
@click.option(
    "--max-duration", metavar="SPAN", callback=not_empty, help="Stop after so long (30m, 8h); exit code 9."
)
@click.option(
    "--quiet-after",
    default="5m",
    show_default=True,
    metavar="SPAN",
    help="A run without a heartbeat for so long has ended, whatever its state says.",
)
@click.option(
    "--quiet-budget",
    default="2m",
    show_default=True,
    metavar="SPAN",
    help="Wait so long for runs that were told to stop; those that do not stay open.",
)
@click.option(
    "--patience",
    default="10s",
    show_default=True,
    metavar="SPAN",
    callback=not_empty,
    help="Read again for so long while a server still shows what was deleted: replicas lag.",
)
@click.option("--skip-held", is_flag=True, help="Go on with the others where some runs are held.")
@click.option("--retry", is_flag=True, help="First open again what was held, denied, changed or failed.")
@approval_options
@database_option
@log_option
@list_options()
@global_options()
@click.pass_obj
def apply_command(
    app: App,
    /,
    plan: Path,
    digest: str,
    approvers_path: Path | None,
    dry_run: bool,
    retry: bool,
    yes: bool,
    host: str | None,
    database: str | None,
    log_to: str | None,
    format_: str | None,
    output: Path | None,
    **given: Any,
) -> None:
    """Do what PLAN says: hide its runs, delete what was theirs alone, record each step before it is taken.

    The same command again goes on, after any end: Ctrl-C, kill, a crash, a budget that is used up. An
    approved plan needs its approvals; besides, a phrase must be typed on a terminal, and elsewhere --yes and
    --host are needed. On PostgreSQL, the same command elsewhere helps with the same job.

    Exit code 0: all is done. 3: some is not, `status` says what, --retry tries again. 9: go on later.
    """
    case = open_the_case(app, plan, database)
    options = _options(given)
    client = app.client()
    check_host(client, host)
    check_server(client, case.plan)
    ask = _ask(app, case, digest, approvers_path, retry=retry)
    if dry_run:
        _preview(app, case, client, ask, options, lambda rows: _write_previews(rows, format_, output))
        return
    _approve(app, client, case.plan, yes=yes, host=host)
    with open_log(app, case.plan, log_to) as log:
        done = _apply(app, case, client, ask, options, log)
        log.stage("applied", {str(kind): by for kind, by in done.counts.items()})
    write_list(_listing(done), format_, output)
    _judge(app, case, done)


@click.command(
    "status",
    short_help="Show how a job stands; starts nothing.",
    epilog=examples(
        "wbgql erase status plan.json",
        "wbgql erase status plan.json --format json",
        "wbgql erase status plan.json --database postgresql://jobs@db/wbgql",
    ),
)
@plan_argument
@database_option
@object_options()
@switches()
@click.pass_obj
def status_command(
    app: App, plan: Path, database: str | None, format_: str | None, output: Path | None
) -> None:
    """Show how the job of PLAN stands, from the ledger and the engine's tables. Asks no server.

    If the case is closed, PLAN is destroyed: the closing record in PLAN.certificate then answers.
    """
    if not plan.exists() and (closed := _closed_record(plan)) is not None:
        write_object(closed, format_, output)
        return
    case = open_the_case(app, plan, database)
    from wbgql.erasure.applying import engine_of, standing

    if not case.ledger.has(case.job):
        app.tell("nothing was applied yet")
        write_object({"plan": case.plan.digest, "state": "planned"}, format_, output)
        return
    from wbgql.erasure.evidence.standing import still_visible

    job, stands, visible = case.ledger.job(case.job), standing(case), still_visible(case)
    is_refuted = bool(visible) and job.state == "verified"  # by a version that left the state as it was
    record = {
        "plan": job.digest,
        "state": "applied" if is_refuted else job.state,
        "open": stands.open,
        "visible": len(visible),
        "counts": stands.counts,
        "round": job.round,
        "generation": job.generation,
        "stop_requested": job.stop_requested,
        "batches": engine_of(case).status(case.job),
        "applied_at": job.applied_at,
        "verified_at": None if is_refuted else job.verified_at,
        "journal": {"entries": job.head.seq, "head": job.head.hash},
    }
    flat = {
        **{name: value for name, value in record.items() if not isinstance(value, dict)},
        **{
            f"{kind} {outcome}": number
            for kind, found in stands.counts.items()
            for outcome, number in sorted(found.items())
        },
    }
    write_object(record, format_, output, flat=flat)


def _closed_record(plan: Path) -> dict[str, Any] | None:
    """What the closing record beside a destroyed plan says, None where there is none."""
    from wbgql.erasure.evidence.bundle import bundle_path, read_closing

    folder = bundle_path(plan)
    if (signed := read_closing(folder)) is None:
        return None
    if not signed.is_signed:
        raise NotVerified(f"the closing record in {str(folder)!r} is not signed by the key that it names")
    closing = signed.closing
    return {
        "plan": closing.plan,
        "state": "closed",
        "closed_at": closing.at,
        "closed_by": closing.closed_by,
        "incomplete": closing.incomplete,
        "certificate": closing.certificate,
        "journal": {"entries": closing.head.seq, "head": closing.head.hash},
    }


@click.command(
    "stop",
    short_help="Ask whoever works on a job to stop.",
    epilog=examples("wbgql erase stop plan.json"),
)
@plan_argument
@database_option
@switches()
@click.pass_obj
def stop_command(app: App, plan: Path, database: str | None) -> None:
    """Ask every worker of PLAN's job to stop after the items in work. `apply` goes on with it later."""
    case = open_the_case(app, plan, database)
    from wbgql.erasure.applying import engine_of

    if not case.ledger.has(case.job):
        app.tell("nothing was applied yet: nothing to stop")
        return
    case.ledger.request_stop(case.job)
    left = engine_of(case).stop(case.job)
    app.tell(f"asked to stop; {left} batches that nobody had begun were taken out of the queue")


def _options(given: dict[str, Any]) -> Options:
    from wbgql.erasure.applying import Options
    from wbgql.erasure.reading.clocks import parse_span
    from wbgql.limiting import Limits

    longest = given["max_duration"]
    return Options(
        limits=Limits(rate=given["rate"]),
        workers=given["workers"],
        max_duration_s=None if longest is None else parse_span(longest),
        quiet_after_s=parse_span(given["quiet_after"]),
        quiet_budget_s=parse_span(given["quiet_budget"]),
        patience_s=parse_span(given["patience"]),
        skip_held=given["skip_held"],
    )


def _ask(app: App, case: Case, digest: str, approvers: Path | None, *, retry: bool) -> Ask:
    from wbgql.erasure.applying import Ask
    from wbgql.erasure.case.files import approvals_path
    from wbgql.erasure.records.approvals import read_approvals

    needed = case.plan.approvers is not None
    listed = open_approvers(app, approvers) if needed else find_approvers(app, approvers)
    return Ask(
        digest=digest, approvals=read_approvals(approvals_path(case.path)), approvers=listed, retry=retry
    )


def _approve(app: App, client: Client, plan: Plan, *, yes: bool, host: str | None) -> None:
    from wbgql.viewer import get_rights

    projects = plan.project_paths
    if not projects:
        return
    where = str(projects[0]) if len(projects) == 1 else f"{len(projects)} projects"
    noun = "run" if len(plan.runs) == 1 else "runs"
    act = Act(f"erase {len(plan.runs)} {noun} in {where}", len(plan.runs), where, "the plan")
    announce(client, act, get_rights(client.session, projects[0].entity))
    approve(app, client, act, yes=yes, host=host)


def _apply(app: App, case: Case, client: Client, ask: Ask, options: Options, log: NoLog) -> Applied:
    from wbgql.erasure.applying import apply

    total, lock, done = len(case.plan.runs), threading.Lock(), [0]
    logged_every = max(1, total // _LOGGED_STEPS)

    def on_result(action: Action, ending: Ending) -> None:
        with lock:
            done[0] += action.kind == "run"
            why = "" if ending.detail is None else f" ({ending.detail})"
            what = "" if action.kind == "run" else f" {action.kind} {action.action_no}"
            app.tell(f"{done[0]}/{total} run no. {action.shown_no}{what}: {ending.outcome}{why}")
            if action.kind == "run" and done[0] % logged_every == 0:
                log.stage("applying", {"run": {"done": done[0], "planned": total}})

    with _ending_by_signal() as (stopping, signals):
        try:
            return apply(
                case, client, ask, options=options, stopping=stopping, on_result=on_result, now=app.now
            )
        except Paused as error:
            if signal.SIGINT in signals:
                raise KeyboardInterrupt(
                    "interrupted; what was done is recorded, and the same command goes on"
                ) from error
            raise


@contextmanager
def _ending_by_signal() -> Iterator[tuple[threading.Event, list[int]]]:
    """An event that Ctrl-C and SIGTERM set: the items in work are finished. A second one ends at once."""
    stopping, came = threading.Event(), list[int]()

    def handle(number: int, _frame: Any) -> None:
        if came:
            raise KeyboardInterrupt("ended at once; the same command looks what became of the item in work")
        came.append(number)
        stopping.set()

    if threading.current_thread() is not threading.main_thread():
        yield stopping, came
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping, came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _preview(app: App, case: Case, client: Client, ask: Ask, options: Options, write: Any) -> None:
    from collections import Counter

    from wbgql.erasure.applying import preview

    rows = list(preview(case, client, ask, options=options, now=app.now))
    write(rows)
    counts = Counter(row.would for row in rows)
    told = ", ".join(f"{would} {count}" for would, count in sorted(counts.items())) or "nothing is open"
    app.tell(f"dry run, no mutation was sent; it would end so: {told}")


def _write_previews(rows: list[Preview], format_: str | None, output: Path | None) -> None:
    listing: Listing[Preview] = Listing(
        rows,
        columns={
            "run": lambda row: row.run + 1,
            "kind": lambda row: row.kind,
            "keyed_hash": lambda row: row.subject[:_PREFIX],
            "would": lambda row: row.would,
            "detail": lambda row: row.detail,
        },
    )
    write_list(listing, format_, output)


def _listing(done: Applied) -> Listing[tuple[str, str, int]]:
    rows = [
        (kind, outcome, number)
        for kind, found in done.counts.items()
        for outcome, number in sorted(found.items())
    ]
    return Listing(
        rows,
        columns={
            "kind": lambda row: row[0],
            "outcome": lambda row: row[1],
            "count": lambda row: row[2],
        },
    )


def _judge(app: App, case: Case, done: Applied) -> None:
    from wbgql.erasure.evidence.standing import still_visible
    from wbgql.erasure.records.actions import GONE

    if done.open:
        raise Paused(
            f"{done.open} actions are open: runs that are still being logged, or batches that ended their "
            "worker; go on with the same command"
        )
    outcomes = {outcome for _, outcome, _ in _listing(done).items}
    if "held" in outcomes and outcomes <= {"held", "skipped"}:
        raise Held("every run that was to go is held (`wbgql hold list` says by what); nothing was done")
    if "not_visible" in outcomes and outcomes <= {"not_visible", "skipped"}:
        raise NotVisible(
            "every run answers null, and no other run of its project can be seen: a typo, a move or missing "
            "rights look the same; nothing was deleted and nothing is claimed"
        )
    if "denied" in outcomes and outcomes <= {"denied", "skipped"}:
        raise PermissionDenied("the server let this key delete none of the runs; nothing was done")
    left: Counter[str] = Counter()
    for _, outcome, number in _listing(done).items:
        if outcome not in GONE:
            left[outcome or "open"] += number
    if left:
        named = ", ".join(f"{outcome} {number}" for outcome, number in sorted(left.items()))
        moved = "; what was moved needs a plan of its own" if "moved" in left else ""
        raise PartialError(
            f"{left.total()} things were left where they are ({named}); when the reason is gone, the same "
            f"command with --retry tries again{moved}"
        )
    visible = still_visible(case)
    if visible:
        raise NotVerified(
            f"nothing was left to do, but the last verification could read {len(visible)} things that should "
            "be gone: `wbgql erase watch --once` opens the runs of them again, and the same command then "
            "hides them"
        )
    app.tell("all is done; `wbgql erase verify` proves it by independent reads")
