"""The word of somebody who means it: said at the terminal, or with `--yes --host HOST`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.shared.app import App, host_of
from wbgql.cli.shared.terminal import note
from wbgql.errors import NotApproved
from wbgql.settings import deployment_of

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.viewer import Rights

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Act:
    """What is about to happen: `phrase` is what the user has to type, `count` of `noun` are touched."""

    phrase: str
    count: int
    project: str
    entity_from: str
    noun: str = "runs"


def approval_options(command: F) -> F:
    """Add `--yes` and `--host`."""
    command = click.option(
        "--host", metavar="HOST", help="The host[:port] that is meant; asked for where nobody can be asked."
    )(command)
    return click.option("--yes", is_flag=True, help="Do not ask; needs --host.")(command)


def rate_option(command: F) -> F:
    """Add `--rate`."""
    return click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True),
        default=50.0,
        show_default=True,
        metavar="N",
        help="Send at most N requests per second.",
    )(command)


def version_options(command: F) -> F:
    """Add what may go with an artifact version: its aliases, its links."""
    command = click.option(
        "--delete-links", is_flag=True, help="Also versions that are linked into other collections."
    )(command)
    return click.option("--delete-aliases", is_flag=True, help="Also versions that have aliases.")(command)


def announce(client: Client, act: Act, *rights: Rights) -> None:
    """Say on stderr where this would happen, as whom, and where each setting came from.

    `rights`: of the user in each entity that is touched, at least one.
    """
    origin: Mapping[str, str] = client.settings.origin
    lines = {
        "host": f"{host_of(client)} (from {origin.get('base_url', 'the caller')})",
        "user": f"{rights[0].username} (key from {origin.get('api_key', 'the caller')})",
        "role": ", ".join(_role(each, several=len(rights) > 1) for each in rights),
        "entity": f"{', '.join(each.entity for each in rights)} (from {act.entity_from})",
        "project": act.project,
        act.noun: str(act.count),
    }
    note("\n".join(f"{name:<8} {value}" for name, value in lines.items()))


def _role(rights: Rights, *, several: bool) -> str:
    role = rights.role or "unknown: the server decides"
    return f"{role} (in {rights.entity})" if several else role


def check_host(client: Client, host: str | None) -> None:
    """Raise `NotApproved` if `host` is given and is not the server that this would reach.

    Raises:
        NotApproved: it is another one.
    """
    reached = host_of(client)
    if host is not None and deployment_of(f"//{host}") != client.settings.deployment:
        origin = client.settings.origin.get("base_url", "the caller")
        raise NotApproved(
            f"--host names {host!r}, but this would reach {reached!r} (base_url from {origin}); "
            "nothing was done"
        )


def approve(app: App, client: Client, act: Act, *, yes: bool, host: str | None) -> None:
    """Return only if somebody means it, on this server.

    On a terminal the phrase must be typed. With `--yes`, and wherever nobody can be asked, `--host` must
    name the server that was resolved: a script must never act on a server it did not mean.

    Raises:
        NotApproved: nothing was done.
    """
    check_host(client, host)
    if yes:
        if host is None:
            raise NotApproved(f"--yes needs --host, to say which server is meant: --host {host_of(client)}")
        return
    if not app.is_interactive():
        raise NotApproved(
            f"nobody can be asked here: to {act.phrase}, pass --yes --host {host_of(client)}; "
            "nothing was done"
        )
    ask_for(act.phrase)


def ask_for(phrase: str) -> None:
    """Return only if somebody at the terminal types `phrase`.

    Raises:
        NotApproved: they typed something else.
    """
    click.echo(f"type {phrase!r} to go on: ", err=True, nl=False)
    typed = sys.stdin.readline().strip()
    if typed != phrase:
        raise NotApproved(f"{typed!r} is not {phrase!r}; nothing was done")
