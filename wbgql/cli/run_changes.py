"""`wbgql runs update | tag | untag`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wbgql.cli.app import App, examples, global_options, not_empty
from wbgql.cli.output import object_options, write_object
from wbgql.cli.runs import run_details

_FORCE_HELP = "Also while the run is being logged (its SDK may overwrite the change)."


def _assignments(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    """Read `key=JSON` of a repeated option."""
    values: dict[str, Any] = {}
    for text in texts:
        key, value = _assignment(text, ctx, param)
        if key in values:
            raise click.BadParameter(f"it names {key!r} twice", ctx=ctx, param=param)
        values[key] = value
    return values


def _assignment(text: str, ctx: click.Context, param: click.Parameter) -> tuple[str, Any]:
    from wbgql.scalars import parse_json

    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise click.BadParameter(f"{text!r} is not KEY=JSON", ctx=ctx, param=param)
    try:
        return key, parse_json(value)
    except (ValueError, RecursionError) as error:
        advice = f"{value!r} is not JSON; a text needs quotes, as in '{key}=\"text\"'"
        raise click.BadParameter(advice, ctx=ctx, param=param) from error


@click.command(
    "update",
    short_help="Change fields, config or summary of a run.",
    epilog=examples(
        "wbgql runs update acme/vision/3f2a9c1e --display-name baseline --notes 'the one in the paper'",
        "wbgql runs update acme/vision/3f2a9c1e --set-config lr=0.1 --set-config 'optimizer=\"adam\"'",
        "wbgql runs update acme/vision/imported-1 --create --set-summary val/acc=0.91",
    ),
)
@click.argument("runpath", callback=not_empty)
@click.option("--display-name", metavar="TEXT", help="The label people see.")
@click.option("--notes", metavar="TEXT", help="Notes.")
@click.option("--group", metavar="TEXT", help="Group.")
@click.option("--job-type", metavar="TEXT", help="Job type.")
@click.option(
    "--set-config", multiple=True, callback=_assignments, metavar="KEY=JSON", help="Set one config key."
)
@click.option(
    "--set-summary", multiple=True, callback=_assignments, metavar="KEY=JSON", help="Set one summary key."
)
@click.option("--create", is_flag=True, help="Make the run if there is none.")
@click.option("--force", is_flag=True, help=_FORCE_HELP)
@object_options()
@global_options()
@click.pass_obj
def update_command(
    app: App,
    /,
    runpath: str,
    set_config: dict[str, Any],
    set_summary: dict[str, Any],
    create: bool,
    force: bool,
    format_: str | None,
    output: Path | None,
    **fields: str | None,
) -> None:
    """Change the run RUNPATH, read it again and print it.

    Keys that are not named keep their values. Without --create, a run that is not there is an error,
    so that a slip in the path does not make a new run.
    """
    if not (create or set_config or set_summary) and all(value is None for value in fields.values()):
        raise click.UsageError("nothing to change: give --display-name, --notes, --set-config or another")
    client = app.client()
    if not create:
        client.run(runpath)
    upsert = client.upsert_run(runpath, **fields, config=set_config, summary=set_summary, force=force)
    app.tell(f"{'made' if upsert.inserted else 'changed'} {upsert.run.path}")
    write_object(run_details(upsert.run), format_, output)


@click.command(
    "tag",
    short_help="Add tags to a run.",
    epilog=examples("wbgql runs tag acme/vision/3f2a9c1e keep paper"),
)
@click.argument("runpath", callback=not_empty)
@click.argument("tags", nargs=-1, required=True, callback=not_empty)
@click.option("--force", is_flag=True, help=_FORCE_HELP)
@object_options()
@global_options()
@click.pass_obj
def tag_command(
    app: App, runpath: str, tags: tuple[str, ...], force: bool, format_: str | None, output: Path | None
) -> None:
    """Add TAGS to those the run RUNPATH has."""
    run = app.client().add_tags(runpath, *tags, force=force)
    write_object({"path": str(run.path), "tags": list(run.tags)}, format_, output)


@click.command(
    "untag",
    short_help="Remove tags from a run.",
    epilog=examples("wbgql runs untag acme/vision/3f2a9c1e keep"),
)
@click.argument("runpath", callback=not_empty)
@click.argument("tags", nargs=-1, required=True, callback=not_empty)
@click.option("--force", is_flag=True, help=_FORCE_HELP)
@object_options()
@global_options()
@click.pass_obj
def untag_command(
    app: App, runpath: str, tags: tuple[str, ...], force: bool, format_: str | None, output: Path | None
) -> None:
    """Remove TAGS from those the run RUNPATH has."""
    run = app.client().remove_tags(runpath, *tags, force=force)
    write_object({"path": str(run.path), "tags": list(run.tags)}, format_, output)
