"""`wbgql erase verify | watch`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.erase.log import log_option, open_log
from wbgql.cli.erase.options import FILE, check_server, database_option, open_the_case, plan_argument
from wbgql.cli.shared.app import App, examples, global_options, not_empty, tell_retry
from wbgql.cli.shared.output import object_options, write_object
from wbgql.cli.shared.terminal import note
from wbgql.errors import ConfigError, NotVerified, PartialError, ResidualsLeft, StoreError
from wbgql.secrecy import hide

if TYPE_CHECKING:
    from wbgql.erasure.case.case import Case
    from wbgql.erasure.records.verification import Verification
    from wbgql.erasure.verifying.job import Care, Reader
    from wbgql.erasure.verifying.watching import Watched

F = TypeVar("F", bound=Callable[..., Any])

READER_VARIABLE = "WBGQL_READER_API_KEY"
# Residuals that nobody outside the server can remove; forks and late objects need a plan of their own.
_PROVIDERS = ("system_artifact",)
_PREFIX = 12  # digits of a subject that are shown: enough to find it in a report


def reading_options(command: F) -> F:
    """Add how carefully to look, and whose key looks."""
    options = [
        click.option(
            "--reader-key-env",
            metavar="VAR",
            callback=not_empty,
            help=f"Read with the API key in VAR, not the job's.  [default: {READER_VARIABLE}, if set]",
        ),
        click.option(
            "--equal-reads",
            type=click.IntRange(1, 20),
            default=3,
            show_default=True,
            help="Believe an answer after N equal ones in a row.",
        ),
        click.option(
            "--patience",
            default="30s",
            show_default=True,
            metavar="SPAN",
            callback=not_empty,
            help="Wait so long for answers that come late.",
        ),
        database_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "verify",
    short_help="Prove by reading that what was erased is not there.",
    epilog=examples(
        "wbgql erase verify plan.json",
        "wbgql erase verify plan.json --accept-residuals && wbgql erase certify plan.json --key c.pem",
        "wbgql erase verify plan.json --now --reader-key-env AUDITOR_KEY",
        "wbgql erase verify plan.json --storage local:/var/lib/wbgql",
        "wbgql erase verify plan.json --storage 'fsspec:s3://bucket/{entity}/{project}/{run_id}'",
    ),
)
@plan_argument
@click.option("--now", "at_once", is_flag=True, help="Also where no check is due.")
@click.option(
    "--accept-residuals",
    is_flag=True,
    help="Exit 0, not 15, if only artifacts are left that the provider alone can remove.",
)
@click.option(
    "--storage",
    "stores",
    multiple=True,
    metavar="STORE",
    callback=not_empty,
    help="Look at the bytes too: local:DIR, a store folder of the local server, or fsspec:URL with "
    "{entity}, {project} and {run_id}, or {artifact_id}, {artifact_number} or {digest}.",
)
@click.option(
    "--texts-from",
    type=FILE,
    metavar="FILE",
    help="With local:DIR, look for these texts too, one a line.",
)
@reading_options
@log_option
@object_options()
@global_options()
@click.pass_obj
def verify_command(
    app: App,
    plan: Path,
    at_once: bool,
    accept_residuals: bool,
    stores: tuple[str, ...],
    texts_from: Path | None,
    reader_key_env: str | None,
    equal_reads: int,
    patience: str,
    database: str | None,
    log_to: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Prove by independent reads that what the job of PLAN erased is not there.

    With a session of its own: each run by a list and by its id, each version by its id, files by their URLs,
    the server's own artifacts by name; every answer beside a live run that must be visible and a random id
    that must not be. Nothing is claimed of what cannot be seen: the exit code is then 10.

    Exit code 15: all is absent, and only artifacts are left that the provider alone can remove, as after most
    runs of the wandb SDK (`wandb-history`). For `verify && certify`, --accept-residuals makes it exit 0.

    Checks are due right after `apply`, an hour and a day later, when the undelete window has passed, and
    every month until the case is closed; without --now nothing is asked where none is due.
    """
    case = open_the_case(app, plan, database)
    from wbgql.cli.erase.storage import make_probes
    from wbgql.erasure.verifying.job import is_due, next_due, verify
    from wbgql.erasure.verifying.storage import verify_storage

    probes = make_probes(stores, _read_texts(texts_from))
    reader, care = open_reader(app, case, reader_key_env), make_care(equal_reads, patience)
    made: list[Verification] = []
    with open_log(app, case.plan, log_to) as log:
        if at_once or is_due(case, app.now()):
            made.append(verify(case, reader, care=care, now=app.now))
        made += [verify_storage(case, reader.session, probe, now=app.now) for probe in probes]
        for one in made:
            log.verified(one.verdict, one.counts)
        due = next_due(case)
        if not made:
            app.tell(f"no check is due before {due[0] if due else 'the case is closed'}; --now makes one")
            return
        record = {
            "plan": case.plan.digest,
            "verifications": [_plain(one) for one in made],
            "next_check": {"at": due[0], "kind": due[1]} if due else None,
        }
        write_object(record, format_, output, flat=_flat(made, due))
        _judge(made, accept_residuals=accept_residuals)


@click.command(
    "watch",
    short_help="Notice when something erased comes back.",
    epilog=examples(
        "wbgql erase watch plan.json --once",
        "wbgql erase watch plan.json --interval 1h",
    ),
)
@plan_argument
@click.option("--once", is_flag=True, help="Look once and end: for cron.")
@click.option(
    "--interval",
    default="1h",
    show_default=True,
    metavar="SPAN",
    callback=not_empty,
    help="Without --once: look so often.",
)
@reading_options
@global_options()
@click.pass_obj
def watch_command(
    app: App,
    plan: Path,
    once: bool,
    interval: str,
    reader_key_env: str | None,
    equal_reads: int,
    patience: str,
    database: str | None,
) -> None:
    """Look whether a run that the job of PLAN hid can be seen again, and open exactly that again.

    Anybody may undelete, and W&B's button brings back every run of the last days. What came back is named on
    stderr by its number in the plan; one JSON object for each look goes to stdout, and the exit code is 10.
    `wbgql erase apply` of the same plan then hides it again; what was certified before is superseded.

    Where a check of `wbgql erase verify` is due, it is made too. Without --once this goes on until it is
    interrupted.
    """
    case = open_the_case(app, plan, database)
    reader, care = open_reader(app, case, reader_key_env), make_care(equal_reads, patience)
    from wbgql.erasure.reading.clocks import parse_span

    every_s = parse_span(interval)
    came_back = False
    while True:
        came_back = _look(app, case, reader, care, endless=not once) or came_back
        if once:
            break
        try:
            reader.session.sleep(every_s)
        except KeyboardInterrupt:
            if not came_back:
                raise
            break
    if came_back:
        raise NotVerified(
            "runs that were erased can be seen again; they are open again: `wbgql erase apply` hides them"
        )


def open_reader(app: App, case: Case, variable: str | None) -> Reader:
    """A session of its own for reading, with the second key where one is given.

    Raises:
        ConfigError: the variable is named and empty, or holds the job's own key.
        NotApproved: this would reach another server than the plan's.
    """
    key = hide(app.environ.get(variable or READER_VARIABLE))
    if variable is not None and not key:
        raise ConfigError(f"--reader-key-env names {variable}, which is not set")
    if key and key == app.client().settings.api_key:
        raise ConfigError(f"{variable or READER_VARIABLE} holds the job's own key: it is not a second one")
    given = {"api_key": key} if key else {}
    client = app.make_client(**app.settings, **given)
    click.get_current_context().call_on_close(client.close)
    check_server(client, case.plan)
    from wbgql.erasure.reading.server_clocks import ServerClock
    from wbgql.erasure.verifying.job import Reader

    clock = ServerClock(time.time)
    session = client.session.through(clock.watch, on_retry=tell_retry)
    return Reader(session=session, fetcher=client.fetcher, second=bool(key), clock=clock)


def make_care(equal_reads: int, patience: str) -> Care:
    """How carefully to look.

    Raises:
        UsageError: not a span.
    """
    from wbgql.erasure.reading.clocks import parse_span
    from wbgql.erasure.verifying.job import Care

    return Care(equal_reads=equal_reads, patience_s=float(parse_span(patience)))


def _look(app: App, case: Case, reader: Reader, care: Care, *, endless: bool) -> bool:
    from wbgql.erasure.verifying.job import is_due, verify
    from wbgql.erasure.verifying.watching import watch_once

    seen = watch_once(case, reader, care=care, now=app.now)
    record = _plain(seen)
    made = None
    if seen.verdict == "quiet" and seen.asked and is_due(case, app.now()):
        made = verify(case, reader, care=care, now=app.now)
        record["verification"] = _plain(made)
    click.echo(json.dumps(record))
    for line in _tell(seen):
        note(line)
    if seen.verdict == "cannot_tell" and not endless:
        raise NotVerified(_CANNOT_TELL)
    if seen.late and seen.verdict == "quiet" and not endless:
        raise PartialError(
            f"all that was hidden still is, but {len(seen.late)} things came late: see the output"
        )
    if made is not None and not endless:
        _judge([made])
    return seen.verdict == "came_back"


_CANNOT_TELL = "null proves nothing here: no control run could be seen, or answers contradict each other"


def _tell(seen: Watched) -> Iterator[str]:
    for back in seen.came_back:
        more = f"; it has more {', '.join(back.grew)} than when it was planned" if back.grew else ""
        where = " in another project of its entity" if back.is_elsewhere else ""
        yield f"run no. {back.run + 1} ({back.subject[:_PREFIX]}) can be seen again{where}{more}"
    if seen.verdict == "cannot_tell":
        yield _CANNOT_TELL
    if seen.late:
        yield f"{len(seen.late)} artifact collections bear the id of an erased run and are in no plan"
    if seen.audit_not_read is not None:
        yield f"the audit log was not read: {seen.audit_not_read}"
    if seen.audit is not None and (seen.audit.unexplained or seen.audit.missing):
        yield (
            f"the audit log has {seen.audit.unexplained} deletions or undeletions that are not this job's, "
            f"and lacks {seen.audit.missing} of its own"
        )


def _judge(made: Sequence[Verification], *, accept_residuals: bool = False) -> None:
    """Raise what the exit code says of verifications; nothing where all is as it was planned."""
    bad = next((one for one in made if not one.is_good), None)
    if bad is not None:
        raise NotVerified(_words(bad))
    missing = sum(finding.state == "missing" for one in made for finding in one.findings)
    kinds = [residual.kind for one in made for residual in one.residuals]
    provider = sum(kind in _PROVIDERS for kind in kinds)
    others = len(kinds) - provider
    if others or missing:
        exceptions = (
            f"left, and not the provider's own: {others}" if others else "",
            f"to stay, and missing: {missing}" if missing else "",
        )
        raise PartialError(
            f"what was erased is {_verdicts(made)}, but {'; '.join(filter(None, exceptions))}: see the output"
        )
    if provider and not accept_residuals:
        raise ResidualsLeft(
            f"what was erased is {_verdicts(made)}; system artifacts that only the provider can remove: "
            f"{provider}. `wbgql erase certify` can go on, and names them (--accept-residuals: exit 0)"
        )


def _verdicts(made: Sequence[Verification]) -> str:
    return ", ".join(dict.fromkeys(one.verdict for one in made))


def _words(made: Verification) -> str:
    named = ", ".join(
        f"{finding.kind}{_of_run(finding.run)} ({finding.subject[:_PREFIX]}): {finding.state}"
        for finding in made.findings[:10]
    )
    more = f", and {len(made.findings) - 10} more" if len(made.findings) > 10 else ""
    reasons = {
        "not_hidden": "something that was erased can be read (`wbgql erase watch --once` opens it again)",
        "cannot_verify": "nothing can be said: a control failed, or answers did not settle",
        "present": "something is left in the store",
        "partial": "the store could not be looked at in full",
    }
    return f"{reasons[made.verdict]}{': ' if named else ''}{named}{more}"


def _flat(made: Sequence[Verification], due: tuple[str, str] | None) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for one in made:
        kind = one.probe or one.kind
        flat[kind] = one.verdict
        flat |= {name.replace("_", " "): number for name, number in one.counts.items()}
        if one.kind == "reads":
            flat["residuals"] = len(one.residuals)
        flat |= {f"{kind}: limit {place}": limit for place, limit in enumerate(one.limits, 1)}
    return flat | {"next check": f"{due[0]} ({due[1]})" if due else "none"}


def _of_run(number: int | None) -> str:
    return "" if number is None else f" of run no. {number + 1}"


def _plain(value: Verification | Watched) -> dict[str, Any]:
    """The record as it is shown: runs count from 1, as in `show --runs`; the stored one counts from 0."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(value)
    for name in ("findings", "residuals", "came_back"):
        for part in plain.get(name, ()):
            if part.get("run") is not None:
                part["run"] += 1
    return plain


def _read_texts(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {str(file)!r}: {error}") from error
