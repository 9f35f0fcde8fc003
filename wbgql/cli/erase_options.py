"""Options and checks that several `wbgql erase` commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.app import App, not_empty
from wbgql.cli.extras import server_extra
from wbgql.errors import NotApproved

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.erasure.case import Case
    from wbgql.erasure.plans import Plan

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
    with server_extra("jobs"):
        from wbgql.erasure.case import open_case

        case = open_case(plan, database=database, environ=app.environ)
    click.get_current_context().call_on_close(case.close)
    return case


def check_server(client: Client, plan: Plan) -> None:
    """Pass quietly where this is the server that the plan was made against.

    Raises:
        NotApproved: it is another.
    """
    reached, planned = client.settings.base_url.rstrip("/"), plan.server.base_url.rstrip("/")
    if reached != planned:
        origin = client.settings.origin.get("base_url", "the caller")
        raise NotApproved(
            f"the plan was made against {planned}, but this would reach {reached} (base_url from {origin}); "
            "nothing was done"
        )
