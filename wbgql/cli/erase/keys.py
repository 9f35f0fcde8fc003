"""`wbgql erase key | approvers | approve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.erase.options import FILE, confirm_plan, meant_options, plan_argument
from wbgql.cli.shared.app import App, examples, not_empty, switches
from wbgql.cli.shared.output import (
    Listing,
    list_options,
    object_options,
    write_list,
    write_object,
    write_text,
)
from wbgql.cli.shared.terminal import note, printable
from wbgql.erasure import APPROVERS_VARIABLE
from wbgql.errors import UsageError

if TYPE_CHECKING:
    from wbgql.erasure.records.approvals import ApproversFile
    from wbgql.erasure.records.keys import PrivateKey, PublicKey
    from wbgql.erasure.records.plan import Plan

PASSPHRASE_VARIABLE = "WBGQL_KEY_PASSPHRASE"  # noqa: S105  # the name of a variable


@click.group(
    "key", short_help="Make and show signing keys.", epilog=examples("wbgql erase key new officer.pem")
)
def key_group() -> None:
    """Make and show Ed25519 keys: of those who plan, approve and certify."""


@key_group.command(
    "new",
    short_help="Make a key.",
    epilog=examples("wbgql erase key new officer.pem", "wbgql erase key new officer.pem --passphrase"),
)
@click.argument("file", metavar="FILE", type=FILE)
@click.option(
    "--passphrase", "encrypt", is_flag=True, help=f"Encrypt it; asks, or takes ${PASSPHRASE_VARIABLE}."
)
@object_options()
@switches()
@click.pass_obj
def new_command(app: App, file: Path, encrypt: bool, format_: str | None, output: Path | None) -> None:
    """Make a private key in FILE, which only you can read, and its public key in FILE.pub.

    Give FILE.pub away; whoever has FILE signs in your place. Nothing is overwritten.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from wbgql.erasure.records.keys import PrivateKey, write_key

    key = PrivateKey(Ed25519PrivateKey.generate())
    public = write_key(file, key, _new_passphrase(app) if encrypt else None)
    write_object({"key_id": key.key_id, "private": str(file), "public": str(public)}, format_, output)


@key_group.command(
    "show",
    short_help="Show the id of keys.",
    epilog=examples("wbgql erase key show officer.pem.pub", "wbgql erase key show officer.pem"),
)
@click.argument("file", metavar="FILE", type=FILE)
@list_options()
@switches()
@click.pass_obj
def show_command(app: App, file: Path, format_: str | None, output: Path | None) -> None:
    """Show the id and the public half of the keys in FILE, which may be private or public."""
    from wbgql.erasure.records.keys import MAX_KEY_BYTES, read_public_keys
    from wbgql.erasure.records.small_files import read_small

    content = read_small(file, MAX_KEY_BYTES, "a key")
    if b"PUBLIC KEY-----" in content:
        found = read_public_keys(content, repr(str(file)))
    else:
        found = [open_key(app, file).public]
    listing: Listing[PublicKey] = Listing(
        found,
        columns={"key_id": lambda key: key.key_id, "public_key": lambda key: key.to_base64()},
    )
    write_list(listing, format_, output)


@click.group(
    "approvers",
    short_help="Say which keys may approve.",
    epilog=examples("wbgql erase approvers show approvers.json"),
)
def approvers_group() -> None:
    """Say which keys may approve: a file whose digest a plan names."""


@approvers_group.command(
    "make",
    short_help="Make an approvers file.",
    epilog=examples(
        "wbgql erase approvers make -o approvers.json"
        " --key officer.pem.pub --role 'data-protection officer'"
        " --key owner.pem.pub --role 'system owner'",
    ),
)
@click.option(
    "--key", "keys", multiple=True, required=True, metavar="FILE", type=FILE, help="A public key; repeat."
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    metavar="TEXT",
    callback=not_empty,
    help="What the key's owner is, never a name; one for each --key, in order.",
)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write to FILE, whole or not at all.")
@switches()
@click.pass_obj
def make_command(app: App, keys: tuple[Path, ...], roles: tuple[str, ...], output: Path | None) -> None:
    """Make an approvers file of public keys and the roles of their owners.

    A plan made with it (`plan --approvers FILE`) holds its digest: who may approve cannot be changed later.
    """
    if len(keys) != len(roles):
        raise click.UsageError(f"{len(keys)} --key and {len(roles)} --role: each key needs its role")
    from wbgql.erasure.records.approvals import Approver, ApproversFile

    made = ApproversFile(
        Approver(public_key=_public_key(file).to_base64(), role=role)
        for file, role in zip(keys, roles, strict=True)
    )
    write_text(made.to_bytes().decode(), output)
    app.tell(f"{len(keys)} approvers, {made.digest}")


@approvers_group.command(
    "show",
    short_help="Show an approvers file.",
    epilog=examples("wbgql erase approvers show approvers.json"),
)
@click.argument("file", metavar="FILE", type=FILE)
@object_options()
@switches()
def show_approvers_command(file: Path, format_: str | None, output: Path | None) -> None:
    """Show the keys that FILE lists, with their roles, and its digest."""
    from wbgql.erasure.records.approvals import read_approvers

    read = read_approvers(file)
    roles = {key_id: read.role(key_id) for key_id in read.key_ids}
    record = {"digest": read.digest, "approvers": roles}
    write_object(record, format_, output, flat={"digest": read.digest, **roles})


@click.command(
    "approve",
    short_help="Sign a plan.",
    epilog=examples(
        "wbgql erase approve plan.json --key officer.pem --approvers approvers.json",
        "wbgql erase approve plan.json --key officer.pem --yes --digest sha256:...",
    ),
)
@plan_argument
@click.option("--key", "key_path", required=True, type=FILE, metavar="FILE", help="Your private key.")
@click.option(
    "--approvers",
    "approvers_path",
    type=FILE,
    metavar="FILE",
    help=f"The file that lists it  [default: ${APPROVERS_VARIABLE}]",
)
@meant_options
@object_options()
@switches()
@click.pass_obj
def approve_command(
    app: App,
    plan: Path,
    key_path: Path,
    approvers_path: Path | None,
    yes: bool,
    digest: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Sign PLAN with your key: an approval that becomes void when one byte of the plan changes.

    Look at it first (`wbgql erase show`). On a terminal a phrase must be typed; elsewhere --yes and --digest
    are needed. The approval is added to PLAN.approvals. Who planned cannot approve; the file says which keys
    may, and the plan how many must.
    """
    from wbgql.erasure.case.files import approvals_path, load_plan
    from wbgql.erasure.planning.showing import target_lines
    from wbgql.erasure.records.approvals import append_approval, check_each, make_approval, read_approvals

    read = load_plan(plan)
    if digest is not None:
        read.check_digest(digest)
    approvers = open_approvers(app, approvers_path)
    file = approvals_path(plan)
    given = check_each(read, read_approvals(file), approvers, app.now())
    approval = make_approval(read, open_key(app, key_path), approvers, app.now())
    if approval.key_id in [one.key_id for one in given]:
        app.tell(f"{approval.key_id} has approved this plan already; nothing was added")
    else:
        note("\n".join((_summary(read), *map(printable, target_lines(read)))))
        _confirm(app, read, yes=yes, digest=digest)
        append_approval(file, approval)
        given = check_each(read, read_approvals(file), approvers, app.now())
    record = {
        "plan": read.digest,
        "key_id": approval.key_id,
        "role": approval.role,
        "approvals": len(given),
        "required": read.approvers.required if read.approvers else 0,
    }
    write_object(record, format_, output)


def open_key(app: App, file: Path) -> PrivateKey:
    """Read a private key; the passphrase comes from the environment or, on a terminal, from a prompt.

    Raises:
        UsageError: it is not one.
        NotApproved: the passphrase is wrong, or nobody can be asked for it.
        StoreError: it cannot be read.
    """
    from wbgql.erasure.records.keys import read_key

    return read_key(file, lambda: _passphrase(app, file))


def open_approvers(app: App, file: Path | None) -> ApproversFile:
    """Read the approvers file that an option or the environment names.

    Raises:
        UsageError: neither does, or it is not one.
        StoreError: it cannot be read.
    """
    found = find_approvers(app, file)
    if found is None:
        raise UsageError(f"which keys may approve? Name the file: --approvers FILE, or ${APPROVERS_VARIABLE}")
    return found


def find_approvers(app: App, file: Path | None) -> ApproversFile | None:
    """Read the approvers file that an option or the environment names; None where neither does.

    Raises:
        UsageError: it is not one.
        StoreError: it cannot be read.
    """
    named = file or app.environ.get(APPROVERS_VARIABLE)
    if not named:
        return None
    from wbgql.erasure.records.approvals import read_approvers

    return read_approvers(Path(named).expanduser())


def _passphrase(app: App, file: Path) -> str | None:
    given = app.environ.get(PASSPHRASE_VARIABLE)
    if given or not app.is_interactive():
        return given or None
    asked: str = click.prompt(f"passphrase of {file.name}", hide_input=True, err=True)
    return asked


def _new_passphrase(app: App) -> str:
    given = app.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    if not app.is_interactive():
        raise UsageError(f"nobody can be asked for a passphrase here: set ${PASSPHRASE_VARIABLE}")
    asked: str = click.prompt("passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def _public_key(file: Path) -> PublicKey:
    from wbgql.erasure.records.keys import MAX_KEY_BYTES, read_public_keys
    from wbgql.erasure.records.small_files import read_small

    found = read_public_keys(read_small(file, MAX_KEY_BYTES, "a key"), repr(str(file)))
    if len(found) != 1:
        raise UsageError(f"{str(file)!r} holds {len(found)} keys: name one file for each")
    return found[0]


def _summary(plan: Plan) -> str:
    """What an approver must have seen: how much goes, from where, on whose request, by which rule."""
    totals = plan.totals
    rows: dict[str, Any] = {
        "plan": plan.digest,
        "server": f"{plan.server.base_url}{' (a local test server)' if plan.server.is_test else ''}",
        "request": f"{plan.request.reference} ({plan.request.basis})",
        "rule": plan.rule.where or ("all runs" if plan.rule.ids is None else f"{plan.rule.ids} ids"),
        "canaries": len(plan.canaries),
        "runs": f"{totals.planned} go, {totals.excluded} matched and stay",
        "projects": ", ".join(
            f"{project.path} ({project.planned} of {project.runs})" for project in plan.projects
        ),
        "not read": ", ".join(part.path for part in plan.not_read) or "nothing",
        "files": f"{totals.files} go one by one, at once",
        "artifacts": f"{totals.artifacts_erased} go, {totals.artifacts_kept} stay",
        "planned by": plan.planner.key_id or "nobody's key: planned without --key",
        "expires": plan.expires_at,
    }
    return "\n".join(f"{name:<10} {printable(str(value))}" for name, value in rows.items())


def _confirm(app: App, plan: Plan, *, yes: bool, digest: str | None) -> None:
    noun = "run" if len(plan.runs) == 1 else "runs"
    phrase = f"approve {len(plan.runs)} {noun}"
    confirm_plan(app, plan, "approve", phrase, undone="signed", yes=yes, digest=digest)
