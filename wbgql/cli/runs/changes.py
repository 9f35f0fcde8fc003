"""`wbgql runs update | tag | untag`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.runs.listing import run_details
from wbgql.cli.runs.selecting import no_misspelt_key
from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.output import object_options, write_object

if TYPE_CHECKING:
    from wbgql.edits import Change, KeyPath
    from wbgql.upserts import Draft

F = TypeVar("F", bound=Callable[..., Any])

_FORCE_HELP = "Also while the run is being logged (its SDK may overwrite the change)."


# As `wbgql.expressions` has them, which a command need not import to show its help.
_STATES = ("running", "finished", "crashed", "failed", "killed", "pending", "preempting", "preempted")
# `model["depth"]`: names inside objects, behind a top-level key.
_INSIDE = re.compile(r'(?:\["(?:[^"\\]|\\.)*"\])+$')
# An equals sign inside quotes belongs to the key.
_ASSIGNMENT = re.compile(r'((?:[^="]|"(?:[^"\\]|\\.)*")*)=(.*)', re.DOTALL)


def _assignments(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[KeyPath, Any]:
    """Read `key=JSON` of a repeated option."""
    values: dict[KeyPath, Any] = {}
    for text in texts:
        key, value = _assignment(text, ctx, param)
        if key in values:
            raise click.BadParameter(f"it names {key!r} twice", ctx=ctx, param=param)
        values[key] = value
    return values


def _assignment(text: str, ctx: click.Context, param: click.Parameter) -> tuple[KeyPath, Any]:
    from wbgql.scalars import parse_json

    found = _ASSIGNMENT.match(text)
    key, value = found.groups() if found else ("", "")
    if not key.strip():
        raise click.BadParameter(f"{text!r} is not KEY=JSON", ctx=ctx, param=param)
    try:
        return _key_path(key), parse_json(value)
    except (ValueError, RecursionError) as error:
        advice = f"{value!r} is not JSON; a text needs quotes, as in '{key}=\"text\"'"
        raise click.BadParameter(advice, ctx=ctx, param=param) from error


def _keys(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> list[KeyPath]:
    not_empty(ctx, param, texts)
    return [_key_path(text) for text in texts]


def _key_path(text: str) -> KeyPath:
    """Read a key: the text as it is, or with the names inside objects in brackets."""
    inside = _INSIDE.search(text)
    if inside is None or inside.start() == 0:
        return text
    names = re.findall(r'"(?:[^"\\]|\\.)*"', inside[0])
    return (text[: inside.start()], *map(json.loads, names))


_UNSETTABLE = ("display_name", "notes", "group", "job_type")


def _unset_options(command: F) -> F:
    """Add `--unset-group` and its like: the same as the option with an empty text."""
    for name in reversed(_UNSETTABLE):
        words = name.replace("_", " ")
        command = click.option(
            f"--unset-{name.replace('_', '-')}", f"unset_{name}", is_flag=True, help=f"Clear the {words}."
        )(command)
    return command


@click.command(
    "update",
    short_help="Change fields, config or summary of a run.",
    epilog=examples(
        "wbgql runs update acme/vision/3f2a9c1e --display-name baseline --notes 'the one in the paper'",
        "wbgql runs update acme/vision/3f2a9c1e --set-config lr=0.1 --set-config 'optimizer=\"adam\"'",
        """wbgql runs update acme/vision/3f2a9c1e --set-config 'model["depth"]=3' --dry-run""",
        "wbgql runs update acme/vision/3f2a9c1e --unset-config person --unset-group",
        "wbgql runs update acme/vision/imported-1 --create --state finished --set-summary val/acc=0.91",
    ),
)
@click.argument("runpath", callback=not_empty)
@click.option("--display-name", metavar="TEXT", help="The label people see.")
@click.option("--notes", metavar="TEXT", help="Notes.")
@click.option("--group", metavar="TEXT", help="Group.")
@click.option("--job-type", metavar="TEXT", help="Job type.")
@click.option(
    "--state",
    type=click.Choice(_STATES),
    help="State; by default a run that is created is running.",
)
@_unset_options
@click.option(
    "--set-config", multiple=True, callback=_assignments, metavar="KEY=JSON", help="Set one config key."
)
@click.option(
    "--set-summary", multiple=True, callback=_assignments, metavar="KEY=JSON", help="Set one summary key."
)
@click.option("--unset-config", multiple=True, callback=_keys, metavar="KEY", help="Remove one config key.")
@click.option("--unset-summary", multiple=True, callback=_keys, metavar="KEY", help="Remove one summary key.")
@click.option("--replace", is_flag=True, help="Let a new value drop keys of an object.")
@click.option("--create", is_flag=True, help="Create the run if there is none.")
@click.option("--dry-run", is_flag=True, help="Show what would change; send nothing.")
@click.option("--force", is_flag=True, help=_FORCE_HELP)
@object_options()
@global_options()
@click.pass_obj
def update_command(
    app: App,
    /,
    runpath: str,
    set_config: dict[KeyPath, Any],
    set_summary: dict[KeyPath, Any],
    unset_config: list[KeyPath],
    unset_summary: list[KeyPath],
    replace: bool,
    create: bool,
    dry_run: bool,
    force: bool,
    format_: str | None,
    output: Path | None,
    **fields: Any,
) -> None:
    """Change the run RUNPATH, read it again and print it. What changes is shown on stderr.

    Keys that are not named keep their values. KEY is a top-level key, or names a key inside objects as in
    model["depth"]. A new value that drops keys of an object is refused without --replace. Without --create,
    a run that is not there is an error, so that a slip in the path does not create a run.
    """
    from wbgql.errors import NotFound
    from wbgql.upserts import UPSERT_RUN, Wanted, draft_upsert

    attributes = _attributes(fields)
    keys = (set_config, set_summary, unset_config, unset_summary)
    if not (create or any(keys)) and all(value is None for value in attributes.values()):
        raise click.UsageError("nothing to change: give --display-name, --notes, --set-config or another")
    wanted = Wanted(
        **attributes,
        config=set_config,
        summary=set_summary,
        unset_config=unset_config,
        unset_summary=unset_summary,
        replace=replace,
    )
    client = app.client()
    with no_misspelt_key():
        draft = draft_upsert(client.session, client.run_path(runpath), wanted, force=force)
    if draft.before is None and not create:
        raise NotFound.run(draft.path, operation=UPSERT_RUN.name)
    for change in draft.changes:
        app.tell(str(change))
    if dry_run:
        app.tell("dry run, nothing was sent")
        write_object(_draft_record(draft), format_, output)
        return
    upsert = draft.send()
    app.tell(f"{'created' if upsert.inserted else 'changed'} {upsert.run.path}")
    if upsert.inserted and upsert.run.state == "running":
        app.tell("its state is running, and later crashed: give --state finished if nothing logs to it")
    write_object(run_details(upsert.run), format_, output)


def _attributes(fields: dict[str, Any]) -> dict[str, str | None]:
    """The attributes to set; those to clear as empty texts."""
    clear = [name for name in _UNSETTABLE if fields.pop(f"unset_{name}")]
    for name in clear:
        if fields[name]:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} or --unset-{option}, not both")
    return {**fields, **dict.fromkeys(clear, "")}


def _draft_record(draft: Draft) -> dict[str, Any]:
    from wbgql.edits import ABSENT

    def record(change: Change) -> dict[str, Any]:
        sides = {"before": change.before, "after": change.after}
        return {
            "field": change.field,
            **{name: value for name, value in sides.items() if value is not ABSENT},
        }

    changes = [record(change) for change in draft.changes]
    return {"path": str(draft.path), "creates": draft.before is None, "changes": changes}


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
