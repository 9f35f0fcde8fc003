"""`wbgql erase close`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wbgql.cli.erase.keys import open_key
from wbgql.cli.erase.options import (
    FILE,
    confirm_plan,
    database_option,
    meant_options,
    open_the_case,
    plan_argument,
)
from wbgql.cli.erase.verify import open_reader
from wbgql.cli.shared.app import App, examples, not_empty, switches
from wbgql.cli.shared.output import object_options, write_object
from wbgql.cli.shared.terminal import note

if TYPE_CHECKING:
    from wbgql.erasure.evidence.close import Before, Step
    from wbgql.erasure.evidence.closing_record import Closing
    from wbgql.erasure.records.plan import Plan

_TOLD = (
    "this destroys the plan, the case key, and every row of the ledger that names a run. The certificate, "
    "the journal and the population stay, and name nobody: afterwards nobody can tell whether a run was in "
    "the case, or bring this job to hide one again, without a copy of the case key"
)

_STEPS: dict[Step, str] = {
    "verify": "reading once more whether all is gone",
    "rows": "destroying the ledger's rows",
    "engine": "forgetting the engine's batches",
    "record": "writing the record",
    "key": "destroying the case key",
    "approvals": "removing the approvals beside the plan",
    "plan": "destroying the plan",
}


@click.command(
    "close",
    short_help="Destroy what says which runs they were.",
    epilog=examples(
        "wbgql erase close plan.json --key certifier.pem",
        "wbgql erase close plan.json --key certifier.pem --yes --digest sha256:...",
        "wbgql erase close plan.json --key certifier.pem --force-incomplete CANCELLED-12",
    ),
)
@plan_argument
@click.option("--key", "key_path", required=True, type=FILE, metavar="FILE", help="The key that signs.")
@click.option(
    "--certificate",
    "folder",
    type=FILE,
    metavar="DIR",
    help="The folder of the last certificate  [default: PLAN.certificate]",
)
@meant_options
@click.option(
    "--force-incomplete",
    "incomplete",
    metavar="REF",
    callback=not_empty,
    help="Close it although something stands against it, under a reference.",
)
@database_option
@object_options()
@switches()
@click.pass_obj
def close_command(
    app: App,
    plan: Path,
    key_path: Path,
    folder: Path | None,
    yes: bool,
    digest: str | None,
    incomplete: str | None,
    database: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Destroy everything of PLAN's case that says which runs they were, and leave a signed record of it.

    Refused (exit 10) until everything is done, proved after the undelete window, certified, and no
    verification is due. One more verification is made now: where it finds something that is back, or the
    server cannot be asked, this is refused too. Destroyed: the plan with its rule, the case key, the
    approvals beside the plan, the ledger's rows and the engine's. The certificate's folder stays and gets
    closing.json and the journal to its end. The same command again goes on after a crash.
    """
    from wbgql.erasure.evidence.bundle import bundle_path, read_closing
    from wbgql.erasure.evidence.close import close, look_before
    from wbgql.erasure.verifying.job import verify

    folder = folder or bundle_path(plan)
    if not plan.exists() and (closed := read_closing(folder)) is not None:
        app.tell("it is closed already")
        write_object(_record(closed.closing, folder), format_, output)
        return
    case = open_the_case(app, plan, database)
    if digest is not None:
        case.plan.check_digest(digest)
    key = open_key(app, key_path)
    before = look_before(case, folder, app.now())
    if not before.obstacles or incomplete is not None:
        _confirm(app, case.plan, before, yes=yes, digest=digest)
    signed = close(
        case,
        key,
        folder,
        verify=lambda: verify(case, open_reader(app, case, None), now=app.now),
        incomplete=incomplete,
        now=app.now(),
        on_step=_teller(app),
    )
    for caveat in signed.closing.caveats:
        app.tell(caveat)
    write_object(_record(signed.closing, folder), format_, output)


def _confirm(app: App, plan: Plan, before: Before, *, yes: bool, digest: str | None) -> None:
    note(_TOLD)
    for obstacle in before.obstacles:
        note(f"against it: {obstacle}")
    confirm_plan(app, plan, "close", "close", undone="destroyed", yes=yes, digest=digest)


def _teller(app: App) -> Callable[[Step], None]:
    return lambda step: app.tell(f"closing: {_STEPS[step]}")


def _record(closing: Closing, folder: Path) -> dict[str, object]:
    return {
        "closed": str(folder),
        "plan": closing.plan,
        "at": closing.at,
        "certificate": closing.certificate,
        "incomplete": closing.incomplete,
        "destroyed": closing.destroyed,
        "kept_until": closing.retention.until,
    }
