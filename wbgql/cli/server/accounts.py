"""`wbgql server user|key|org|team|project`: the accounts of a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from wbgql.cli.server.store import data_dir, data_option
from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.output import Listing, list_options, object_options, write_list, write_object

key_file_option = click.option(
    "--key-file",
    metavar="FILE",
    callback=not_empty,
    help="Read the key from a file, or from standard input with -, so that no list of processes shows it.",
)
_MAX_KEY_BYTES = 4096


def _given_key(key: str | None, key_file: str | None) -> str | None:
    """The key of --key or --key-file; None where neither is given."""
    if key_file is None:
        return key
    if key is not None:
        raise click.UsageError("--key and --key-file say the same: give one of them")
    try:
        with click.open_file(key_file, "rb") as file:
            text: str = file.read(_MAX_KEY_BYTES + 1).decode("ascii").strip()
    except OSError as error:
        raise click.BadParameter(f"{key_file!r}: {error.strerror}", param_hint="--key-file") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{key_file!r} holds no key: not ASCII", param_hint="--key-file") from error
    if not text or len(text) > _MAX_KEY_BYTES:
        raise click.BadParameter(f"{key_file!r} holds no key", param_hint="--key-file")
    return text


@click.group("user", short_help="Users of a store.", epilog=examples("wbgql server user list"))
def user_group() -> None:
    """Users of a store, also while a server runs on it."""


@user_group.command(
    "add",
    short_help="Add a user, or one more key for one who exists.",
    epilog=examples(
        "wbgql server user add ada",
        "wbgql server user add root --admin --data ./store",
        "wbgql server user add ada --key-file ada.key",
    ),
)
@click.argument("name", callback=not_empty)
@click.option("--key", callback=not_empty, help="At least 40 characters; made and shown if left out.")
@key_file_option
@click.option("--admin", is_flag=True, help="May do everything.")
@data_option
@object_options()
@global_options()
def add_user_command(
    name: str, key: str | None, key_file: str | None, admin: bool, format_: str | None, output: Path | None
) -> None:
    """Add the user NAME and print the key."""
    from wbgql.server import add_user

    made = add_user(data_dir(), name, _given_key(key, key_file), admin=admin)
    write_object({"user": name, "admin": admin, "api_key": made}, format_, output)


@user_group.command(
    "list", short_help="List users.", epilog=examples("wbgql server user list --data ./store --format json")
)
@data_option
@list_options()
@global_options()
def list_users_command(format_: str | None, output: Path | None) -> None:
    """List the users of a store. Keys are stored hashed and cannot be shown."""
    from wbgql.server import list_users

    names = ("username", "email", "admin", "account_type", "keys", "created_at")
    write_list(
        Listing(list_users(data_dir()), columns={name: _item(name) for name in names}), format_, output
    )


@click.group("key", short_help="API keys.", epilog=examples("wbgql server key rotate ada"))
def key_group() -> None:
    """API keys of the users of a store."""


@key_group.command(
    "rotate",
    short_help="Give a user one new key in place of all they had.",
    epilog=examples("wbgql server key rotate ada --data ./store"),
)
@click.argument("user", callback=not_empty)
@click.option("--key", callback=not_empty, help="At least 40 characters; made and shown if left out.")
@key_file_option
@data_option
@object_options()
@global_options()
def rotate_key_command(
    user: str, key: str | None, key_file: str | None, format_: str | None, output: Path | None
) -> None:
    """Give USER one new key and print it. All keys USER had are refused at once, by a running server too."""
    from wbgql.server import rotate_key

    write_object(
        {"user": user, "api_key": rotate_key(data_dir(), user, _given_key(key, key_file))}, format_, output
    )


@key_group.command(
    "reset",
    short_help="End all keys and sessions of a store and make new secrets.",
    epilog=examples("wbgql server key reset --data ./store", "wbgql server key reset --data ./store --apply"),
)
@click.option("--apply", is_flag=True, help="Do it. Without this, only print what would end.")
@data_option
@object_options()
@global_options()
@click.pass_obj
def reset_keys_command(app: App, apply: bool, format_: str | None, output: Path | None) -> None:
    """End every API key, session and signed address of a store.

    Use it if `secrets.json` is lost or known to others. Stop the server first. Runs, users and files stay.
    Then issue keys again: `wbgql server user add NAME` gives an existing user a new one.

    `recognizes_purged` is false if the old secrets could not be read: the store then no longer refuses the
    ids of runs that were purged, and the keyed hashes of older audit entries match nothing.
    """
    from wbgql.server import reset_keys

    found = reset_keys(data_dir(), apply=apply)
    write_object({**asdict(found), "applied": apply}, format_, output)
    app.tell(
        "give users keys again: wbgql server user add NAME [--admin]"
        if apply
        else "preview; add --apply to do it"
    )


@click.group("org", short_help="Organizations.", epilog=examples("wbgql server org add acme --member ada"))
def org_group() -> None:
    """Organizations of a store."""


@org_group.command(
    "add",
    short_help="Add an organization, or a member to one.",
    epilog=examples("wbgql server org add acme --member ada --role admin"),
)
@click.argument("name", callback=not_empty)
@click.option("--member", required=True, metavar="USER", callback=not_empty, help="A user of the store.")
@click.option("--role", default="member", show_default=True, help="admin, member, viewer or service.")
@data_option
@global_options()
@click.pass_obj
def add_org_command(app: App, name: str, member: str, role: str) -> None:
    """Add the organization NAME if it is new, and a member to it."""
    from wbgql.server import add_org

    add_org(data_dir(), name, member, role)
    app.tell(f"{member!r} is {role} of organization {name!r}")


@click.group(
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
@click.option("--role", default="member", show_default=True, help="admin, member, viewer or service.")
@data_option
@global_options()
@click.pass_obj
def add_team_command(app: App, name: str, org: str | None, member: str | None, role: str) -> None:
    """Add the team NAME if it is new, and a member to it."""
    from wbgql.server import add_team

    add_team(data_dir(), name, org, member, role)
    app.tell(f"team {name!r}" + (f": {member!r} is {role}" if member else ""))


@click.group(
    "project",
    short_help="Who may see a project.",
    epilog=examples("wbgql server project restrict vision/secret --member ada"),
)
def project_group() -> None:
    """Who may see a project of a store, also while a server runs on it."""


@project_group.command(
    "restrict",
    short_help="Hide a project from all who are not invited.",
    epilog=examples("wbgql server project restrict vision/secret --member ada --member grace"),
)
@click.argument("path", metavar="ENTITY/PROJECT", callback=not_empty)
@click.option("--member", "members", multiple=True, metavar="USER", help="Invite a user; may be repeated.")
@data_option
@global_options()
@click.pass_obj
def restrict_command(app: App, path: str, members: tuple[str, ...]) -> None:
    """Hide ENTITY/PROJECT from all but those invited, its creator and admins; to others it reads as missing.

    Said again, it invites more.
    """
    from wbgql.server import restrict_project

    entity, project = _split(path)
    invited = restrict_project(data_dir(), entity, project, members)
    app.tell(f"{path!r} is restricted; invited: {', '.join(invited) or 'nobody'}")


@project_group.command(
    "share",
    short_help="Show a restricted project to its team again.",
    epilog=examples("wbgql server project share vision/secret"),
)
@click.argument("path", metavar="ENTITY/PROJECT", callback=not_empty)
@data_option
@global_options()
@click.pass_obj
def share_command(app: App, path: str) -> None:
    """Show ENTITY/PROJECT to its whole team, and forget who was invited."""
    from wbgql.server import share_project

    share_project(data_dir(), *_split(path))
    app.tell(f"{path!r} is shared with its team")


def _split(path: str) -> tuple[str, str]:
    entity, slash, project = path.partition("/")
    if not (entity and slash and project) or "/" in project:
        raise click.BadParameter(f"{path!r} is not ENTITY/PROJECT", param_hint="ENTITY/PROJECT")
    return entity, project


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]


GROUPS = (user_group, key_group, org_group, team_group, project_group)
