"""`wbgql logs` and `wbgql system`: what a run printed, and what its machine measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.bars import write_counted
from wbgql.cli.shared.output import Listing, list_options

if TYPE_CHECKING:
    from wbgql.history import ConsoleLine


@click.command(
    "logs",
    short_help="Print what a run printed.",
    epilog=examples(
        "wbgql logs acme/vision/3f2a9c1e",
        "wbgql logs acme/vision/3f2a9c1e --last 50",
        "wbgql logs acme/vision/3f2a9c1e --level error --format jsonl",
    ),
)
@click.argument("runpath", callback=not_empty)
@click.option("--last", type=click.IntRange(1, 10_000), metavar="N", help="Only the last N lines.")
@click.option("--level", type=click.Choice(["info", "error"]), help="Only lines of this level.")
@list_options("text")
@global_options()
@click.pass_obj
def logs_command(
    app: App, runpath: str, last: int | None, level: str | None, format_: str | None, output: Path | None
) -> None:
    """Print the console of the run RUNPATH, by default as plain text, one page a request.

    Characters that would drive a terminal are written out. `error` is what went to standard error.
    """
    from wbgql.history import get_last_console_lines, iter_console_lines

    client = app.client()
    path = client.run_path(runpath)
    lines = (
        iter_console_lines(client.session, path)
        if last is None
        else get_last_console_lines(client.session, path, last)
    )
    listing: Listing[ConsoleLine] = Listing(
        (line for line in lines if level is None or line.level == level),
        columns={
            "number": lambda line: line.number,
            "timestamp": lambda line: line.timestamp,
            "level": lambda line: line.level,
            "label": lambda line: line.label,
            "line": lambda line: line.line,
        },
        key=lambda line: line.line,
    )
    write_counted(app, "reading lines", listing, format_ or "text", output)


@click.command(
    "system",
    short_help="Print what the machine of a run measured.",
    epilog=examples(
        "wbgql system acme/vision/3f2a9c1e --key system.cpu --key system.memory",
        "wbgql system acme/vision/3f2a9c1e --samples 200 --format csv -o system.csv",
    ),
)
@click.argument("runpath", callback=not_empty)
@click.option("--key", "keys", multiple=True, metavar="KEY", callback=not_empty, help="Only this.")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="N rows, chosen by the server.")
@list_options()
@global_options()
@click.pass_obj
def system_command(
    app: App,
    runpath: str,
    keys: tuple[str, ...],
    samples: int | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Print the system metrics of the run RUNPATH, all rows unless --samples says how many.

    One request, two for a run with more than 10,000 rows; the answer is held in memory.
    """
    from wbgql.history import iter_system_metrics

    client = app.client()
    # A value without its time says little.
    asked = ("_timestamp", *keys) if keys else None
    rows = list(iter_system_metrics(client.session, client.run_path(runpath), keys=asked, samples=samples))
    names = asked or tuple(dict.fromkeys(name for row in rows for name in row))
    listing: Listing[dict[str, Any]] = Listing(
        rows, columns={name: value_of(name) for name in names}, record=lambda row: row
    )
    write_counted(app, "reading rows", listing, format_, output)


def value_of(name: str) -> Any:
    """Read one key of a row, None where it has none."""
    return lambda row: row.get(name)
