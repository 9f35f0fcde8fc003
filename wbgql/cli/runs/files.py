"""`wbgql runs explain | export`, and runs as one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.runs.selecting import (
    filter_options,
    no_misspelt_key,
    order_options,
    select_option,
    select_runs,
    types_option,
)
from wbgql.cli.shared.app import App, examples, global_options
from wbgql.cli.shared.bars import bar
from wbgql.cli.shared.output import needs_file, object_options, write_object, write_text
from wbgql.cli.shared.terminal import printable
from wbgql.errors import PartialError

if TYPE_CHECKING:
    from wbgql.runs import RunSelection


@click.command(
    "explain",
    short_help="Say what a list would send and cost.",
    epilog=examples(
        """wbgql runs explain acme/vision --where 'summary["val/acc"] > 0.9' --select 'config["lr"]'""",
        """wbgql runs explain 'acme/*' --where 'created_at < ago("90d")' --format json""",
    ),
)
@filter_options
@select_option
@order_options
@object_options()
@global_options()
@click.pass_obj
def explain_command(
    app: App, /, select: tuple[str, ...], format_: str | None, output: Path | None, **asked: Any
) -> None:
    """Say what `runs list` with the same options would send and cost, before anything heavy is sent.

    The filter as the server gets it, its fields with their types, warnings, the count, the number of
    requests and an estimate of bytes. Sends a count for each project, its typed keys, and one small
    page or two.
    """
    import msgspec

    from wbgql.cli.shared.spelling import for_command_line

    told = select_runs(app.client(), asked, select=select).explain()
    told = msgspec.structs.replace(told, warnings=tuple(map(for_command_line, told.warnings)))
    if format_ == "json":
        write_object(msgspec.to_builtins(told), "json", output)
    else:
        write_text(f"{told}\n", output)


@click.command(
    "export",
    short_help="Write runs to a folder; started again, it goes on.",
    epilog=examples(
        "wbgql runs export acme/vision --to ./vision --select '*' --types config.seed=integer",
        """wbgql runs export 'acme/*' --where 'created_at < ago("90d")' --format csv --to ./old""",
    ),
)
@filter_options
@select_option
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    required=True,
    help="Folder it goes to: a new one, or one to go on with.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["parquet", "jsonl", "csv"]),
    default="parquet",
    show_default=True,
    help="Of the parts.",
)
@types_option
@click.option("--no-resume", is_flag=True, help="Refuse a folder that holds a part of this export.")
@global_options()
@click.pass_obj
def export_command(
    app: App,
    /,
    select: tuple[str, ...],
    to: Path,
    format_: Any,
    types: dict[str, Any] | None,
    no_resume: bool,
    **asked: Any,
) -> None:
    """Write the runs of each PATH that match to numbered parts in DIR, oldest first, with a manifest of what
    was asked, when, how many rows there are and what was not visible.

    Broken off anywhere, the same command goes on, and ends with the same files. The names of the parts go
    to stdout. The exit code is 3 where a project could not be seen or runs came and went meanwhile.
    """
    from wbgql.exports import export_runs

    client = app.client()
    selection = select_runs(client, asked, select=select)
    if asked["where"] is not None or asked["filters"] is not None:
        # A misspelt key is told before there is a folder that says "no runs, complete".
        with no_misspelt_key():
            selection.count()
    with no_misspelt_key(), bar(app, "writing parts"):
        done = export_runs(client.session, selection, to, format=format_, types=types, resume=not no_resume)
    for file in done.files:
        click.echo(printable(str(file)))
    app.tell(f"{done.rows} runs in {str(done.folder)!r}")
    if done.unread or done.moved:
        missing = [f"{unread.project!r}: {unread.reason}" for unread in done.unread]
        raise PartialError(
            f"the export is not all that was asked for: {'; '.join([*missing, *done.moved])}",
            done=done.files,
            failed=[unread.project for unread in done.unread],
        )


def write_parquet(
    app: App, selection: RunSelection, output: Path | None, types: dict[str, Any] | None
) -> None:
    """Write the runs to a Parquet file, whole or not at all.

    Raises:
        UsageError: no file was named.
        ConfigError: pyarrow is not installed.
        StoreError: the file cannot be written.
    """
    file = needs_file(output, "parquet")
    with no_misspelt_key(), bar(app, "reading runs"):
        rows = selection.to_parquet(file, types=types)
    app.tell(f"{rows} runs in {str(file)!r}")
