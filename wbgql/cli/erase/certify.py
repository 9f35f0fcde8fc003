"""`wbgql erase certify | check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.erase.keys import open_approvers, open_key
from wbgql.cli.erase.log import log_option, open_log
from wbgql.cli.erase.options import FILE, database_option, open_the_case, plan_argument
from wbgql.cli.shared.app import App, examples, not_empty, switches
from wbgql.cli.shared.output import (
    OBJECT_FORMATS,
    Listing,
    format_option,
    list_options,
    write_list,
    write_object,
)
from wbgql.erasure import APPROVERS_VARIABLE
from wbgql.errors import NotVerified

if TYPE_CHECKING:
    from wbgql.erasure.case.case import Case
    from wbgql.erasure.evidence.certificate import Certificate
    from wbgql.erasure.evidence.certify import Terms
    from wbgql.erasure.evidence.check import Check, Report
    from wbgql.erasure.records.subjects import CaseKey


@click.command(
    "certify",
    short_help="Sign what was proved so far.",
    epilog=examples(
        "wbgql erase certify plan.json --key certifier.pem",
        "wbgql erase certify plan.json --key certifier.pem --attest TICKET-9 -o evidence/DSR-4711",
    ),
)
@plan_argument
@click.option("--key", "key_path", required=True, type=FILE, metavar="FILE", help="The key that signs.")
@click.option(
    "--approvers",
    "approvers_path",
    type=FILE,
    metavar="FILE",
    help=f"Who might approve, if the plan asks for it  [default: ${APPROVERS_VARIABLE}]",
)
@click.option(
    "--attest",
    metavar="REF",
    callback=not_empty,
    help="The provider confirmed the removal under REF: a reference, never a name.",
)
@click.option("--keep-until", metavar="DATE", callback=not_empty, help="How long this record is kept.")
@click.option("--keep-basis", metavar="REF", callback=not_empty, help="Why it is kept so long.")
@database_option
@click.option(
    "-o",
    "--output",
    "folder",
    type=FILE,
    metavar="DIR",
    help="Where it goes; a former one is moved aside  [default: PLAN.certificate]",
)
@log_option
@format_option(OBJECT_FORMATS, "How to print what was made.")
@switches()
@click.pass_obj
def certify_command(
    app: App,
    plan: Path,
    key_path: Path,
    approvers_path: Path | None,
    attest: str | None,
    keep_until: str | None,
    keep_basis: str | None,
    database: str | None,
    folder: Path | None,
    log_to: str | None,
    format_: str | None,
) -> None:
    """Sign what was proved of PLAN so far: certificate, journal, population and verifications in one folder.

    The stage comes from verifications alone: HIDDEN, WINDOW_PASSED, STORAGE_VERIFIED or PROVIDER_ATTESTED;
    where not even HIDDEN was proved, nothing is given out (exit 10). A later certificate supersedes the
    former. It holds no names: runs, projects and the rule are keyed hashes.
    """
    from wbgql.erasure.evidence.bundle import bundle_path
    from wbgql.erasure.evidence.certify import certify

    case = open_the_case(app, plan, database)
    with open_log(app, case.plan, log_to) as log:
        given = certify(
            case,
            open_key(app, key_path),
            folder or bundle_path(plan),
            _terms(app, case, approvers_path, attest, keep_until, keep_basis),
            now=app.now(),
            new_id=_new_id,
        )
        log.bundle(given.folder, given.signed.certificate.digest)
    certificate = given.signed.certificate
    if given.former is not None:
        app.tell(f"the former certificate was moved to {str(given.former)!r}")
    for sentence in certificate.statement:
        app.tell(sentence)
    if certificate.missing:
        app.tell(f"for the next stage: {certificate.missing}")
    write_object(_made(certificate, given.folder), format_, None)


@click.command(
    "check",
    short_help="Check a certificate, offline.",
    epilog=examples(
        "wbgql erase check plan.json.certificate --trusted-keys certifier.pem.pub",
        "wbgql erase check evidence/DSR-4711 --trusted-keys trusted.pem --approvers approvers.json",
        "wbgql erase check evidence/DSR-4711 --trusted-keys trusted.pem --journal later.jsonl",
        "wbgql erase check evidence/DSR-4711 --trusted-keys trusted.pem"
        " --case-key plan.json.key --run acme/vision/3f2a9c1e",
    ),
)
@click.argument("path", metavar="DIR|FILE", type=FILE)
@click.option(
    "--trusted-keys",
    "trusted_path",
    required=True,
    type=FILE,
    metavar="FILE",
    help="Public keys in PEM that may sign certificates, one or more.",
)
@click.option(
    "--approvers",
    "approvers_path",
    type=FILE,
    metavar="FILE",
    help="Also check whose keys approved: an approvers file, or public keys in PEM.",
)
@click.option("--journal", type=FILE, metavar="FILE", help="A later export of the journal.")
@click.option("--plan", "plan_path", type=FILE, metavar="FILE", help="The plan it should be of.")
@click.option("--newer", type=FILE, metavar="DIR|FILE", help="A later certificate of the same case.")
@click.option(
    "--case-key",
    "key_path",
    type=FILE,
    metavar="FILE",
    help="The case key, to ask about a run or to compare keyed hashes with --plan.",
)
@click.option("--run", metavar="PATH", callback=not_empty, help="Was this run in it? entity/project/id.")
@list_options()
@switches()
def check_command(
    path: Path,
    trusted_path: Path,
    approvers_path: Path | None,
    journal: Path | None,
    plan_path: Path | None,
    newer: Path | None,
    key_path: Path | None,
    run: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Check a certificate, offline, and say again what it says from what it rests on.

    Checked: signature, trusted key, population, journal, verifications, approvals. Stage, counts, clocks and
    every sentence are derived again from them, in the words of the certificate's version: what follows from
    them is not believed because it was signed. The first bad entry is named. A key that may approve does not
    count as one that may certify, nor the other way round.

    Exit 0: every check passed; 10: at least one failed, and nothing of what the certificate says is printed.
    With the case key, it answers whether a run was in it; the key is personal data, and is gone once the case
    is closed. Needs no ledger and no job engine: `pip install 'wbgql[check]'` is enough.
    """
    if run is not None and key_path is None:
        raise click.UsageError("--run needs --case-key: the key names the run")
    if key_path is not None and run is None and plan_path is None:
        raise click.UsageError("--case-key is for --run or --plan")
    from wbgql.erasure.case.files import load_plan
    from wbgql.erasure.evidence.check import Asked, check_bundle, read_approver_keys, read_trusted
    from wbgql.paths import parse_listed_run

    asked = Asked(
        approvers=read_approver_keys(approvers_path) if approvers_path else None,
        journal=journal,
        plan=load_plan(plan_path) if plan_path else None,
        newer=newer,
        case_key=_case_key(key_path) if key_path else None,
        run=parse_listed_run(run) if run else None,
    )
    report = check_bundle(path, read_trusted(trusted_path), asked)
    listing: Listing[Check] = Listing(
        list(_lines(report, run)),
        columns={"check": lambda check: check.name, "result": _result, "detail": lambda check: check.detail},
    )
    write_list(listing, format_, output)
    if not report.is_good:
        failed = ", ".join(check.name for check in report.checks if check.ok is False)
        raise NotVerified(f"the certificate is rejected: {failed}. Nothing that it says is proved by it")


def _terms(
    app: App,
    case: Case,
    approvers: Path | None,
    attest: str | None,
    keep_until: str | None,
    keep_basis: str | None,
) -> Terms:
    from wbgql.erasure.case.files import approvals_path
    from wbgql.erasure.evidence.certify import Terms
    from wbgql.erasure.records.approvals import read_approvals

    asked_for = case.plan.approvers is not None
    return Terms(
        approvers=open_approvers(app, approvers) if asked_for else None,
        approvals=read_approvals(approvals_path(case.path)) if asked_for else (),
        attest=attest,
        keep_until=keep_until,
        keep_basis=keep_basis,
    )


def _made(certificate: Certificate, folder: Path) -> dict[str, Any]:
    return {
        "certificate": str(folder),
        "digest": certificate.digest,
        "stage": certificate.stage,
        "runs": certificate.population.runs,
        "supersedes": certificate.supersedes,
        "is_test": certificate.is_test,
        "missing": certificate.missing,
    }


def _case_key(path: Path) -> CaseKey:
    from wbgql.erasure.records.small_files import read_small
    from wbgql.erasure.records.subjects import CaseKey

    return CaseKey.from_hex(read_small(path, 1024, "a case key").decode("ascii", "replace"))


def _lines(report: Report, run: str | None) -> Iterator[Check]:
    """The checks; then, only if all passed, what the certificate says and the answer that was asked for."""
    from wbgql.erasure.evidence.check import Check

    yield from report.checks
    if not report.is_good:
        yield Check(name="says", ok=None, detail="not printed: the certificate is rejected")
        if run is not None:
            yield Check(name="run", ok=None, detail="not answered: the certificate is rejected")
        return
    for sentence in report.certificate.statement:
        yield Check(name="says", ok=None, detail=sentence)
    answer = report.answer
    if answer is not None:
        found = f"yes: {answer.outcome}, {answer.proof}" if answer.found else "no: the case has no such run"
        yield Check(name="run", ok=None, detail=found)


def _result(check: Check) -> str:
    if check.ok is None:
        return "-"
    return "ok" if check.ok else "FAILED"


def _new_id() -> str:
    import uuid

    return str(uuid.uuid4())
