"""`wbgql query`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wbgql.cli.shared.app import App, examples, global_options, host_of, not_empty
from wbgql.cli.shared.approval import Act, approval_options, approve, check_host
from wbgql.cli.shared.output import write_object
from wbgql.cli.shared.terminal import note

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.own_operations import OwnOperation


@click.command(
    "query",
    short_help="Send an operation of your own.",
    epilog=examples(
        "wbgql query sweeps.graphql --var entity=acme --var project=vision",
        'wbgql query team.graphql --operation Members --vars \'{"entity": "acme"}\' -o members.json',
        "wbgql query notes.graphql --mutation --var id=UnVuOnYxOjNmMmE5YzFlOnZpc2lvbjphY21l",
    ),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--operation", metavar="NAME", callback=not_empty, help="Which one, where FILE holds several operations."
)
@click.option(
    "--var", "assignments", multiple=True, metavar="NAME=VALUE", help="Text, or JSON where no text is due."
)
@click.option("--vars", "given", metavar="JSON", callback=not_empty, help="Variables as one JSON object.")
@click.option("--mutation", is_flag=True, help="Allow a mutation.")
@approval_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, whole or not at all.",
)
@global_options()
@click.pass_obj
def query_command(
    app: App,
    file: Path,
    operation: str | None,
    assignments: tuple[str, ...],
    given: str | None,
    mutation: bool,
    yes: bool,
    host: str | None,
    output: Path | None,
) -> None:
    """Send one operation of the .graphql FILE and print the data as JSON.

    The file is checked against the SDL first: a mistake is reported with its line, and nothing is sent. Its
    operations may spread the fragments of this package. One request, one page: nothing is paged for you.

    A mutation needs --mutation. A mutation that reaches far (undelete, rename, members, many runs) also
    needs your typed confirmation, or --yes --host. A mutation that can destroy data is refused: the error
    names the command to use, which checks rights and holds first.
    """
    from wbgql.own_operations import check_allowed, parse_variables, read_own_operation, send_own_operation

    own = read_own_operation(file, operation)
    variables = parse_variables(own, assignments, given)
    check_allowed(own, variables, allow_mutation=mutation)
    client = app.client()
    check_host(client, host)
    if own.far_reaching:
        _approve(app, client, own, yes=yes, host=host)
    data = send_own_operation(client.session, own, variables, allow_mutation=mutation)
    write_object(data if isinstance(data, dict) else {"data": data}, "json", output)


def _approve(app: App, client: Client, own: OwnOperation, *, yes: bool, host: str | None) -> None:
    origin = client.settings.origin
    note(
        f"host     {host_of(client)} (from {origin.get('base_url', 'the caller')})\n"
        f"key      from {origin.get('api_key', 'the caller')}\n"
        f"mutation {', '.join(own.root_fields)}"
    )
    act = Act(f"send {own.name} to {host_of(client)}", 1, "", "the command")
    approve(app, client, act, yes=yes, host=host)
