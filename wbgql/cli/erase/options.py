"""Options and checks that several `wbgql erase` commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.shared.app import App, not_empty
from wbgql.cli.shared.approval import ask_for
from wbgql.errors import NotApproved

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.erasure.case.case import Case
    from wbgql.erasure.records.plan import Plan

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)

plan_argument = click.argument("plan", metavar="PLAN", type=FILE)


def database_option(command: F) -> F:
    """Add `--database`."""
    return click.option(
        "--database",
        metavar="URL",
        callback=not_empty,
        help="The ledger: sqlite:///FILE or postgresql://...  [default: $WBGQL_DATABASE, else your own]",
    )(command)


def open_the_case(app: App, plan: Path, database: str | None) -> Case:
    """Open a case, closed when the command ends.

    Raises:
        ConfigError: the extra is not installed, or not a database URL.
        StoreError, UsageError: as `case.open_case`.
    """
    from wbgql.erasure.case.case import open_case

    case = open_case(plan, database=database, environ=app.environ)
    click.get_current_context().call_on_close(case.close)
    app.names_nobody = True
    return case


def check_server(client: Client, plan: Plan) -> None:
    """Raise `NotApproved` if this is another server than the plan's.

    Raises:
        NotApproved: it is another.
    """
    settings = client.settings
    plan.check_address(settings.base_url, settings.origin.get("base_url", "the caller"))


def meant_options(command: F) -> F:
    """Add `--yes` and `--digest`: the word of somebody who means one plan, where nobody can be asked."""
    command = click.option("--digest", metavar="DIGEST", callback=not_empty, help="The plan that is meant.")(
        command
    )
    return click.option("--yes", is_flag=True, help="Do not ask; needs --digest.")(command)


def confirm_plan(
    app: App, plan: Plan, act: str, phrase: str, *, undone: str, yes: bool, digest: str | None
) -> None:
    """Return only if somebody means this plan: types `phrase`, or gives `--yes --digest`.

    `act`: what is to be done ("close"); `undone`: what then was not ("destroyed").

    Raises:
        NotApproved: nothing was done.
    """
    if yes:
        if digest is None:
            raise NotApproved(f"--yes needs --digest, to say which plan is meant: --digest {plan.digest}")
        return
    if not app.is_interactive():
        raise NotApproved(
            f"nobody can be asked here: to {act}, pass --yes --digest {plan.digest}; nothing was {undone}"
        )
    ask_for(f"{phrase} {plan.digest.removeprefix('sha256:')[:8]}")
