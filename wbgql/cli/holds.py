"""`wbgql hold add | list | release`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.output import Listing, list_options, object_options, write_list, write_object
from wbgql.errors import UsageError, WbgqlError

if TYPE_CHECKING:
    from wbgql.deletes.held import Identity
    from wbgql.safety.holds import Hold
    from wbgql.wire.session import Session

_KINDS = ("run", "project", "tag", "user")
_COLUMNS = ("id", "kind", "value", "reason", "added_at", "added_by")
_FIELDS = (*_COLUMNS, "created_at", "project_id")


@click.group("hold", short_help="Keep runs from being destroyed.", epilog=examples("wbgql hold list"))
def hold_group() -> None:
    """Keep runs from being destroyed.

    The register is the file $WBGQL_HOLDS, else holds.json in your configuration folder. It is read before
    every destructive call; one that cannot be read holds everything.
    """


@hold_group.command(
    "add",
    short_help="Add a hold.",
    epilog=examples(
        "wbgql hold add --run acme/vision/3f2a9c1e --reason CASE-17",
        "wbgql hold add --tag subject:4711 --reason CASE-17",
    ),
)
@click.option("--run", metavar="PATH", callback=not_empty, help="Hold one run: entity/project/id.")
@click.option("--project", metavar="PATH", callback=not_empty, help="Hold every run of entity/project.")
@click.option("--tag", metavar="TAG", callback=not_empty, help="Hold every run with this tag.")
@click.option("--user", metavar="NAME", callback=not_empty, help="Hold every run of this user.")
@click.option("--reason", required=True, metavar="REF", callback=not_empty, help="A reference, never a name.")
@object_options()
@global_options(paths=False)
@click.pass_obj
def add_command(
    app: App, /, reason: str, format_: str | None, output: Path | None, **targets: str | None
) -> None:
    """Add a hold by run, project, tag or user, and print it.

    Paths change, so the server is asked what stays: when a run was made, the number of a project. If it
    cannot be asked, the hold is added all the same, and what was recorded is said.
    """
    given = [(kind, value) for kind in _KINDS if (value := targets[kind]) is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --run, --project, --tag and --user")
    kind, value = given[0]
    identity = _identify(app, kind, value)
    hold = app.holds().add(
        kind,
        value,
        reason=reason,
        added_by=_whoever(app),
        now=app.now(),
        created_at=identity.created_at,
        project_id=identity.project_id,
    )
    write_object(_record(hold), format_, output)


@hold_group.command("init", short_help="Make an empty register.", epilog=examples("wbgql hold init"))
@global_options()
@click.pass_obj
def init_command(app: App) -> None:
    """Make an empty register where $WBGQL_HOLDS names one that is not there yet.

    A register that was named and is missing holds everything, because it may lie on a share that is not
    mounted; so it is never made in passing.
    """
    register = app.holds()
    register.create()
    app.tell(f"an empty register is in {str(register.path)!r}")


@hold_group.command("list", short_help="List the holds.", epilog=examples("wbgql hold list --format json"))
@list_options()
@global_options()
@click.pass_obj
def list_command(app: App, format_: str | None, output: Path | None) -> None:
    """List the holds, oldest first, and warn of those whose run or project does not answer any more."""
    register = app.holds()
    holds = register.read()
    listing: Listing[Hold] = Listing(
        holds, columns={name: _attribute(name) for name in _COLUMNS}, record=_record
    )
    if not write_list(listing, format_, output):
        app.tell(f"no holds in {str(register.path)!r}")
    if any(hold.kind in ("run", "project") for hold in holds):
        _warn_of_lost(app, holds)


@hold_group.command("release", short_help="Lift a hold.", epilog=examples("wbgql hold release H1"))
@click.argument("hold_id", metavar="ID", callback=not_empty)
@object_options()
@global_options()
@click.pass_obj
def release_command(app: App, hold_id: str, format_: str | None, output: Path | None) -> None:
    """Lift the hold ID and print what it was."""
    write_object(_record(app.holds().release(hold_id)), format_, output)


def _warn_of_lost(app: App, holds: list[Hold]) -> None:
    from wbgql.deletes.held import iter_lost

    try:
        for hold, lost in iter_lost(_impatient(app), holds):
            app.tell(f"warning: {hold.id}: {lost}")
    except WbgqlError as error:
        app.tell(f"whether the held paths still answer was not looked up: {error}")
    bare = sum(
        (hold.kind, hold.created_at) == ("run", None) or (hold.kind, hold.project_id) == ("project", None)
        for hold in holds
    )
    if bare:
        app.tell(
            f"{bare} recorded without what stays when a path changes: add the hold again, then release the "
            "old one"
        )


def _identify(app: App, kind: str, value: str) -> Identity:
    from wbgql.deletes.held import Identity, find_held

    if kind not in ("run", "project"):
        return Identity()
    try:
        found = find_held(_impatient(app), kind, value)
    except UsageError:
        raise
    except WbgqlError as error:
        found, why = Identity(), f"{value!r} could not be looked up ({error})"
    else:
        why = "the server does not say more"
    if kind == "run":
        if found.created_at is None:
            app.tell(
                f"{why}: only the id is recorded, so every run of this id in the entity is held; check its "
                "spelling"
            )
        else:
            app.tell(f"recorded: made at {found.created_at}; the hold follows the run wherever it is moved")
    elif found.project_id is None:
        app.tell(f"{why}: only the path is recorded; the hold ends where the project is renamed")
    else:
        app.tell(f"recorded: project no. {found.project_id}; the hold follows it when it is renamed")
    return found


def _impatient(app: App) -> Session:
    """A session that tries once: a hold must not wait for a server that is away."""
    from wbgql.wire.retry import RetryPolicy

    return app.client().session.through(lambda transport: transport, policy=RetryPolicy(attempts=1))


def _record(hold: Hold) -> dict[str, Any]:
    return {name: getattr(hold, name) for name in _FIELDS}


def _attribute(name: str) -> Any:
    from wbgql.scalars import parse_datetime

    if name == "added_at":
        return lambda hold: parse_datetime(hold.added_at)
    return lambda hold: getattr(hold, name)


def _whoever(app: App) -> str:
    """The local account: a hold is a matter between colleagues, not of the server."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return app.environ.get("USER") or "unknown"
