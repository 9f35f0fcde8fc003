"""`wbgql server` and what an operator does to its store."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.app import App, examples, global_options, not_empty
from wbgql.cli.extras import server_extra
from wbgql.cli.output import Listing, list_options, object_options, write_list, write_object
from wbgql.cli.terminal import note

if TYPE_CHECKING:
    from wbgql.server import ServerSettings

F = TypeVar("F", bound=Callable[..., Any])

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DATA = "wbgql.server.data"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _seconds(ctx: click.Context, param: click.Parameter, text: str) -> float:
    """Read `7d`, `12h`, `90s`."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw])", text.strip())
    if found is None:
        raise click.BadParameter(
            f"{text!r} is not a duration such as 7d, 12h, 30m or 90s", ctx=ctx, param=param
        )
    return float(found[1]) * _UNITS_S[found[2]]


def _remember_data(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta[_DATA] = value


def _data_option(command: F) -> F:
    return click.option(
        "--data",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        expose_value=False,
        callback=_remember_data,
        help="Folder of the store  [default: your data folder]",
    )(command)


def _data_dir() -> Path:
    from wbgql.server import default_data_dir

    named: Path | None = click.get_current_context().meta.get(_DATA)
    return named or default_data_dir()


@click.group(
    "server",
    invoke_without_command=True,
    short_help="Run a local W&B-compatible server.",
    epilog=examples(
        "wbgql server",
        "wbgql server --port 9000 --data ./store --retention 12h",
        "wbgql server user add ada --data ./store",
    ),
)
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="P", help="Port; 0 takes a free one  [default: 8899]"
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, callback=not_empty, help="Address to listen on."
)
@click.option(
    "--prefix",
    default="",
    metavar="PATH",
    help="Serve everything below a path such as /wandb, behind a proxy or without one.",
)
@click.option(
    "--retention", callback=_seconds, default="7d", show_default=True, help="Keep hidden runs so long."
)
@click.option(
    "--system-artifacts",
    type=click.Choice(["keep", "purge", "off"]),
    default="keep",
    show_default=True,
    help="Histories of finished runs as artifacts: keep them when a run is purged, as W&B does; purge them"
    " with it; or make none.",
)
@click.option(
    "--sync",
    type=click.Choice(["normal", "full"]),
    default="normal",
    show_default=True,
    help="full: what was acknowledged survives a power cut too; writes are slower.",
)
@_data_option
@global_options()
@click.pass_context
def server_group(
    ctx: click.Context,
    port: int | None,
    host: str,
    prefix: str,
    retention: float,
    system_artifacts: str,
    sync: str,
) -> None:
    """Run a local server that the wandb SDK and this command take for W&B, until Ctrl-C.

    The URL goes to stdout once requests are answered. A key is always required: on the first start a user
    is made, and the key is shown on stderr, once.
    """
    if ctx.invoked_subcommand is None:
        with server_extra():
            from wbgql.server import DEFAULT_PORT, ServerSettings
        settings = ServerSettings(
            data=_data_dir(),
            host=host,
            port=DEFAULT_PORT if port is None else port,
            path_prefix=prefix,
            retention_s=retention,
            system_artifacts=system_artifacts,
            sync=sync,
        )
        _serve(ctx.find_object(App) or App(), settings)


def _serve(app: App, settings: ServerSettings) -> None:
    from wbgql.server import serve

    host = settings.host
    if host not in _LOOPBACK:
        note(f"warning: keys travel unencrypted to {host!r}: put TLS before it, or listen on 127.0.0.1")

    def on_ready(url: str) -> None:
        click.echo(url)
        app.tell(
            f"store in {str(settings.data)!r}; point the SDK here with WANDB_BASE_URL={url}, or open"
            " that in a browser; Ctrl-C stops"
        )

    with suppress(KeyboardInterrupt):
        serve(settings, on_ready=on_ready, on_first_key=_show_first_key)
    app.tell("stopped")


def _show_first_key(user: str, key: str) -> None:
    note(f"made user {user!r} with the API key below; it is stored hashed and never shown again\n{key}")


@server_group.group("user", short_help="Users of a store.", epilog=examples("wbgql server user list"))
def user_group() -> None:
    """Users of a store, also while a server runs on it."""


@user_group.command(
    "add",
    short_help="Add a user, or one more key for one who exists.",
    epilog=examples("wbgql server user add ada", "wbgql server user add root --admin --data ./store"),
)
@click.argument("name", callback=not_empty)
@click.option("--key", callback=not_empty, help="At least 40 characters; made and shown if left out.")
@click.option("--admin", is_flag=True, help="May do everything.")
@_data_option
@object_options()
@global_options()
def add_user_command(
    name: str, key: str | None, admin: bool, format_: str | None, output: Path | None
) -> None:
    """Add the user NAME and print the key."""
    with server_extra():
        from wbgql.server import add_user
    made = add_user(_data_dir(), name, key, admin=admin)
    write_object({"user": name, "admin": admin, "api_key": made}, format_, output)


@user_group.command(
    "list", short_help="List users.", epilog=examples("wbgql server user list --data ./store --format json")
)
@_data_option
@list_options()
@global_options()
def list_users_command(format_: str | None, output: Path | None) -> None:
    """List the users of a store. Keys are stored hashed and cannot be shown."""
    with server_extra():
        from wbgql.server import list_users
    names = ("username", "email", "admin", "keys", "created_at")
    write_list(
        Listing(list_users(_data_dir()), columns={name: _item(name) for name in names}), format_, output
    )


@server_group.group(
    "org", short_help="Organizations.", epilog=examples("wbgql server org add acme --member ada")
)
def org_group() -> None:
    """Organizations of a store."""


@org_group.command(
    "add",
    short_help="Add an organization, or a member to one.",
    epilog=examples("wbgql server org add acme --member ada --role admin"),
)
@click.argument("name", callback=not_empty)
@click.option("--member", required=True, metavar="USER", callback=not_empty, help="A user of the store.")
@click.option("--role", default="member", show_default=True, help="admin, member or viewer.")
@_data_option
@global_options()
@click.pass_obj
def add_org_command(app: App, name: str, member: str, role: str) -> None:
    """Add the organization NAME if it is new, and a member to it."""
    with server_extra():
        from wbgql.server import add_org
    add_org(_data_dir(), name, member, role)
    app.tell(f"{member!r} is {role} of organization {name!r}")


@server_group.group(
    "team", short_help="Teams.", epilog=examples("wbgql server team add vision --org acme --member ada")
)
def team_group() -> None:
    """Teams of a store: entities that several users share."""


@team_group.command(
    "add",
    short_help="Add a team, or a member to one.",
    epilog=examples("wbgql server team add vision --org acme --member ada"),
)
@click.argument("name", callback=not_empty)
@click.option("--org", metavar="ORG", callback=not_empty, help="The organization it belongs to.")
@click.option("--member", metavar="USER", callback=not_empty, help="A user of the store.")
@click.option("--role", default="member", show_default=True, help="admin, member or viewer.")
@_data_option
@global_options()
@click.pass_obj
def add_team_command(app: App, name: str, org: str | None, member: str | None, role: str) -> None:
    """Add the team NAME if it is new, and a member to it."""
    with server_extra():
        from wbgql.server import add_team
    add_team(_data_dir(), name, org, member, role)
    app.tell(f"team {name!r}" + (f": {member!r} is {role}" if member else ""))


@server_group.command(
    "purge",
    short_help="Destroy what was hidden longer ago than the retention.",
    epilog=examples(
        "wbgql server purge --data ./store", "wbgql server purge --system-artifacts --data ./store"
    ),
)
@click.option(
    "--system-artifacts", is_flag=True, help="Also the `run-<id>-history` artifacts of runs that are purged."
)
@_data_option
@object_options()
@global_options()
def purge_command(system_artifacts: bool, format_: str | None, output: Path | None) -> None:
    """Destroy the bytes of runs hidden longer ago than the retention the server last ran with.

    Their `run-<id>-history` artifacts stay, as on W&B, unless the server runs with --system-artifacts purge
    or the option here asks for them.
    """
    with server_extra():
        from wbgql.server import purge
    write_object(asdict(purge(_data_dir(), system_artifacts=system_artifacts or None)), format_, output)


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]
