"""`wbgql schema check`."""

from __future__ import annotations

from pathlib import Path

import click

from wbgql.cli.app import App, examples, global_options
from wbgql.cli.output import object_options, write_object


@click.group("schema", short_help="Operations and the SDL.", epilog=examples("wbgql schema check"))
def schema_group() -> None:
    """Operations and the SDL they are held to."""


@schema_group.command(
    "check",
    short_help="Check all operations against the SDL and their result types.",
    epilog=examples("wbgql schema check", "wbgql schema check team/queries --format json"),
)
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=click.Path(path_type=Path))
@object_options()
@global_options()
@click.pass_obj
def check_command(app: App, folders: tuple[Path, ...], format_: str | None, output: Path | None) -> None:
    """Check the packaged operations, and those of each FOLDER beside them, against the SDL.

    The packaged ones are also held to their result types. The first mistake is an error with file and line.
    """
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
