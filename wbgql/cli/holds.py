"""`wbgql hold add | list | release`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.app import App, examples, global_options, not_empty, switches
from wbgql.cli.output import Listing, list_options, object_options, write_list, write_object

if TYPE_CHECKING:
    from wbgql.holds import Hold

_KINDS = ("run", "project", "tag", "user")
_FIELDS = ("id", "kind", "value", "reason", "added_at", "added_by")


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
@switches()
@click.pass_obj
def add_command(
    app: App, /, reason: str, format_: str | None, output: Path | None, **targets: str | None
) -> None:
    """Add a hold by run, project, tag or user, and print it."""
    given = [(kind, value) for kind in _KINDS if (value := targets[kind]) is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --run, --project, --tag and --user")
    kind, value = given[0]
    hold = app.holds().add(kind, value, reason=reason, added_by=_whoever(app), now=app.now())
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
    """List the holds, oldest first."""
    register = app.holds()
    listing: Listing[Hold] = Listing(register.read(), columns={name: _attribute(name) for name in _FIELDS})
    if not write_list(listing, format_, output):
        app.tell(f"no holds in {str(register.path)!r}")


@hold_group.command("release", short_help="Lift a hold.", epilog=examples("wbgql hold release H1"))
@click.argument("hold_id", metavar="ID", callback=not_empty)
@object_options()
@global_options()
@click.pass_obj
def release_command(app: App, hold_id: str, format_: str | None, output: Path | None) -> None:
    """Lift the hold ID and print what it was."""
    write_object(_record(app.holds().release(hold_id)), format_, output)


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
