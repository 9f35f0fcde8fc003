"""`wbgql schema check`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from wbgql.cli.app import App, examples, global_options
from wbgql.cli.output import object_options, write_object
from wbgql.errors import SchemaMismatch


@click.group("schema", short_help="Operations and the SDL.", epilog=examples("wbgql schema check"))
def schema_group() -> None:
    """Operations and the SDL they are held to."""


@schema_group.command(
    "check",
    short_help="Check all operations against the SDL and their result types.",
    epilog=examples(
        "wbgql schema check",
        "wbgql schema check team/queries --format json",
        "wbgql schema check --live",
        "wbgql schema check --live --json | jq '.operations[] | select(.outcome != \"works\")'",
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
    """Check the packaged operations, and those of each FOLDER beside them, against the SDL.

    The packaged ones are also held to their result types. The first mistake is an error with file and line.

    With --live, the operations are checked against the schema of the server that the settings name: one
    request if it allows introspection, else one for each query, made so that the server refuses it and
    nothing runs. Mutations are never sent. An operation that the server cannot answer exits with 1.
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
    from wbgql.documents import load_documents
    from wbgql.live_schema import check_live

    client = app.client()
    documents = load_documents(*folders)
    found = check_live(client.session, documents)
    base_url = client.settings.base_url
    record = {
        "server": base_url,
        "introspection": found.introspected,
        "operations": [asdict(each) for each in found.findings],
    }
    outcomes: Counter[str] = Counter(each.outcome for each in found.findings)
    flat: dict[str, Any] = {"server": base_url, "introspection": found.introspected}
    flat.update(outcomes)
    for each in found.findings:
        if each.outcome in ("works without", "does not work"):
            flat[each.operation] = f"{each.outcome} {', '.join(each.without)}".strip()
            flat[each.operation] += "".join(f": {reason}" for reason in each.reasons[:1])
    write_object(record, format_, output, flat=flat)
    if not found.introspected:
        app.tell("the server does not show its schema: mutations were not checked")
    broken = [each.operation for each in found.findings if each.outcome == "does not work"]
    if broken:
        raise SchemaMismatch(
            f"{len(broken)} of {len(found.findings)} operations do not work on {base_url!r}: "
            f"{', '.join(broken)}"
        )
