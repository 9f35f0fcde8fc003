"""`wbgql doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from wbgql.cli.shared.app import App, examples, global_options
from wbgql.cli.shared.bars import bar
from wbgql.cli.shared.output import Listing, list_options, write_list
from wbgql.cli.shared.terminal import note
from wbgql.errors import AuthenticationError, ConfigError, PartialError, StoreError, UsageError

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.doctor import Examination
    from wbgql.wire.session import Session


@click.command(
    "doctor",
    short_help="Examine settings, connection, key, server and schema.",
    epilog=examples("wbgql doctor", "wbgql doctor --json", "wbgql doctor --report report.json"),
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write what may be shared to FILE, a new one: versions and schema, no hosts, names and keys.",
)
@click.option("--with-host", is_flag=True, help="Name the host of the server in the report.")
@list_options()
@global_options()
@click.pass_obj
def doctor_command(
    app: App, report: Path | None, with_host: bool, format_: str | None, output: Path | None
) -> None:
    """Examine settings, connection, key, server and schema, and say what to do about each finding.

    It reads only. Each row is `ok`, a `note`, or a `problem`; with a problem the exit code is 3.

    --report shows on stderr what it will write, then writes it, readable by you alone. It tells the project
    what this kind of server can answer: versions, which operations work, and which parts of the schema are
    there and which are not. It holds no address, name, id or key; read it before you send it.
    """
    from wbgql.doctor import Finding, make_report

    if with_host and report is None:
        raise UsageError("--with-host says what the report holds: give --report FILE too")
    if report is not None and report.exists():
        raise StoreError(f"{str(report)!r} exists: give the report a new name; nothing was examined")
    done, base_url = _examine(app)
    columns = {
        "check": lambda each: each.check,
        "level": lambda each: each.level,
        "found": lambda each: each.found,
        "do": lambda each: each.do,
    }
    write_list(Listing[Finding](done.findings, columns=columns), format_, output)
    if report is not None:
        host = urlsplit(base_url).netloc if with_host and base_url else None
        _write_report(report, make_report(done, host=host))
        app.tell(f"written to {str(report)!r}: read it, then attach it to an issue of this project")
    if done.problems:
        names = ", ".join(dict.fromkeys(finding.check for finding in done.problems))
        count = f"{len(done.problems)} problem{'' if len(done.problems) == 1 else 's'}"
        raise PartialError(f"{count}: {names}", failed=done.problems)


def _examine(app: App) -> tuple[Examination, str | None]:
    from wbgql.client import OPERATIONS
    from wbgql.doctor import examine, examine_refused_settings
    from wbgql.documents import load_documents
    from wbgql.erasure.operations import OPERATIONS as ERASURE_OPERATIONS

    try:
        client = app.client()
    except (ConfigError, AuthenticationError) as error:
        return examine_refused_settings(error), None
    operations = (*OPERATIONS, *ERASURE_OPERATIONS)
    with bar(app, "operations") as progress:
        done = examine(
            _open_session(client), client.settings, load_documents(), operations, progress=progress
        )
    return done, client.settings.base_url


def _open_session(client: Client) -> Session:
    """The client's session; without a key one that sends none, to learn whether the server answers."""
    from wbgql.wire.session import Session
    from wbgql.wire.transport import GqlTransport

    try:
        return client.session
    except AuthenticationError:
        return Session(GqlTransport(client.settings), address=client.settings.base_url)


def _write_report(path: Path, record: dict[str, Any]) -> None:
    from wbgql.private_files import create_private

    text = json.dumps(record, indent=2) + "\n"
    note(f"the report holds:\n{text}")
    try:
        create_private(path, text.encode())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreError(f"cannot write {str(path)!r}: {reason}") from error
