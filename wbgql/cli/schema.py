"""`wbgql schema check`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.shared.app import App, examples, global_options
from wbgql.cli.shared.bars import bar
from wbgql.cli.shared.output import object_options, write_object
from wbgql.errors import NotVerified, SchemaMismatch

if TYPE_CHECKING:
    from wbgql.live_schema import CommandFinding, Finding


@click.group("schema", short_help="Check operations against schemas.", epilog=examples("wbgql schema check"))
def schema_group() -> None:
    """Operations, and the schemas that they are checked against."""


@schema_group.command(
    "check",
    short_help="Check all operations against the SDL and their result types.",
    epilog=examples(
        "wbgql schema check",
        "wbgql schema check team/queries --format json",
        "wbgql schema check --live",
        "wbgql schema check --live --json | jq '.commands[] | select(.outcome != \"works\")'",
    ),
)
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=click.Path(path_type=Path))
@click.option("--live", is_flag=True, help="Check against the schema of the server in use. Changes nothing.")
@object_options()
@global_options()
@click.pass_obj
def check_command(
    app: App, folders: tuple[Path, ...], live: bool, format_: str | None, output: Path | None
) -> None:
    """Check the packaged operations, and those of each FOLDER, against the SDL and their result types.

    The first mistake is an error with file and line.

    With --live, the operations are checked against the schema of the server that the settings name, and
    the output says for each operation and each command whether it works there. One request if the server
    allows introspection. If not, one request for each query, made so that the server refuses it and nothing
    runs; mutations and types are then not checked. Mutations are never sent.

    Exit codes with --live: 0 if everything works, if need be without optional parts; 16 if something does not
    work; 10 if nothing is known to fail, but something could not be checked.
    """
    if live:
        _check_live(app, folders, format_, output)
        return
    from wbgql.client import OPERATIONS
    from wbgql.documents import load_documents
    from wbgql.documents.result_types import check_result_types
    from wbgql.erasure.operations import OPERATIONS as ERASURE_OPERATIONS
    from wbgql.resources import schema_file

    documents = load_documents(*folders, validate=True)
    typed = (*OPERATIONS, *ERASURE_OPERATIONS)
    check_result_types(documents, typed)
    counts = {
        "operations": len(documents.names),
        "result_types": len(typed),
        "schema": str(schema_file()),
    }
    write_object(counts, format_, output)
    app.tell("all fit")


def _check_live(app: App, folders: tuple[Path, ...], format_: str | None, output: Path | None) -> None:
    from wbgql.cli.shared.command_operations import COMMAND_OPERATIONS
    from wbgql.client import OPERATIONS
    from wbgql.documents import load_documents
    from wbgql.erasure.operations import OPERATIONS as ERASURE_OPERATIONS
    from wbgql.live_schema import check_live

    client = app.client()
    base_url = client.settings.base_url
    documents = load_documents(*folders)
    app.tell(f"checking {len(documents.names)} operations against the schema of {base_url!r}")
    with bar(app, "operations") as progress:
        found = check_live(client.session, documents, (*OPERATIONS, *ERASURE_OPERATIONS), progress=progress)
    commands = found.by_command(COMMAND_OPERATIONS)
    record = {
        "server": base_url,
        "introspection": found.introspected,
        "operations": [asdict(each) for each in found.findings],
        "commands": [asdict(each) for each in commands],
    }
    flat: dict[str, Any] = {"server": base_url, "introspection": found.introspected}
    flat |= {each.operation: _words(each) for each in found.findings}
    flat |= {f"wbgql {each.command}": _command_words(each) for each in commands}
    write_object(record, format_, output, flat=flat)
    if not found.introspected:
        app.tell("the server does not show its schema: mutations and the types of fields were not checked")
    broken, unknown = found.named("does not work"), found.named("not checked")
    if broken:
        raise SchemaMismatch(
            f"{len(broken)} of {len(found.findings)} operations do not work on {base_url!r}: "
            f"{', '.join(broken)}"
        )
    if unknown:
        raise NotVerified(
            f"{len(unknown)} of {len(found.findings)} operations could not be checked on {base_url!r}: "
            f"{', '.join(unknown)}"
        )


def _words(finding: Finding) -> str:
    text = " ".join((finding.outcome, ", ".join(finding.without))) if finding.without else finding.outcome
    text += f": {'; '.join(finding.reasons)}" if finding.reasons else ""
    return f"{text}, unless {'; '.join(finding.unless)}" if finding.unless else text


def _command_words(finding: CommandFinding) -> str:
    parts: list[str] = ["works" if finding.outcome == "works without" else finding.outcome]
    parts += [f"without {', '.join(finding.without)}"] if finding.without else []
    parts += [f"does not work: {', '.join(finding.broken)}"] if finding.broken else []
    parts += [f"not checked: {', '.join(finding.not_checked)}"] if finding.not_checked else []
    return "; ".join(parts)
