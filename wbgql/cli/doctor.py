"""`wbgql doctor`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from wbgql.cli.app import App, examples, global_options
from wbgql.cli.output import Listing, list_options, write_list
from wbgql.errors import PartialError, StoreError


@click.command(
    "doctor",
    short_help="Examine settings, connection, key, server and schema.",
    epilog=examples("wbgql doctor", "wbgql doctor --json", "wbgql doctor --report report.json"),
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write what may be shared: versions and schema, without hosts, names and keys.",
)
@list_options()
@global_options()
@click.pass_obj
def doctor_command(app: App, report: Path | None, format_: str | None, output: Path | None) -> None:
    """Examine what stands between these settings and a day's work, and say what to do.

    It reads only. Each row is `ok`, a `note`, or a `problem`; with a problem the exit code is 3.

    --report writes a new file, readable by you alone, that tells the project what this kind of server can
    answer. It holds no address, name, id or key; read it before you send it.
    """
    from wbgql.doctor import Finding, examine, make_report
    from wbgql.documents import load_documents

    client = app.client()
    done = examine(client.session, client.settings, load_documents())
    columns = {
        "check": lambda each: each.check,
        "level": lambda each: each.level,
        "found": lambda each: each.found,
        "do": lambda each: each.do,
    }
    write_list(Listing[Finding](done.findings, columns=columns), format_, output)
    if report is not None:
        text = json.dumps(make_report(done), indent=2) + "\n"
        try:
            with open(report, "x", encoding="utf-8", opener=_private) as file:  # it has no opener
                file.write(text)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StoreError(f"cannot write {str(report)!r}: {reason}") from error
        app.tell(f"{str(report)!r} holds:\n{text}")
    if done.problems:
        names = ", ".join(finding.check for finding in done.problems)
        count = f"{len(done.problems)} problem{'' if len(done.problems) == 1 else 's'}"
        raise PartialError(f"{count}: {names}", failed=done.problems)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
