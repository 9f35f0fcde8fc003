"""`wbgql runs delete | undelete`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from wbgql.cli.app import App, examples, global_options, not_empty
from wbgql.cli.approval import Act, announce, approval_options, approve, check_host
from wbgql.cli.output import Listing, list_options, write_list
from wbgql.cli.run_ids import LIST_FIRST, entity_origin, read_ids, resolve_runs
from wbgql.errors import NotFound, NotVisible, PartialError, WbgqlError

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.deletes import Deletion, Preview
    from wbgql.gate import Gate
    from wbgql.paths import RunPath

_SELECTING = ("--where", "--filters", "--filter", "--all", "--state", "--tag", "--order", "--limit")


class _IdsOnly(click.Command):
    """A command that, asked for a filter, says how it is done instead."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name in _SELECTING:
                raise click.UsageError(f"no option {error.option_name}: {LIST_FIRST}", ctx=ctx) from error
            raise


@click.command(
    "delete",
    cls=_IdsOnly,
    short_help="Hide runs; a dry run unless --apply.",
    epilog=examples(
        "wbgql runs delete acme/vision/3f2a9c1e",
        "wbgql runs delete acme/vision/3f2a9c1e --apply",
        "wbgql runs list acme/vision --where 'state == \"crashed\"' --format ids > ids.txt",
        "wbgql runs delete acme/vision --ids-from ids.txt --apply",
        "wbgql runs delete acme/vision --ids-from - --apply --yes --host api.wandb.ai < ids.txt",
    ),
)
@click.argument("paths", nargs=-1, metavar="[RUNPATH...|PROJECT]", callback=not_empty)
@click.option(
    "--ids-from", metavar="FILE", callback=not_empty, help="Read ids from FILE, one a line; - is stdin."
)
@click.option("--apply/--dry-run", default=False, help="Do it; without, only show what would be done.")
@click.option("--force", is_flag=True, help="Also runs that are still being logged.")
@approval_options
@list_options("ids")
@global_options()
@click.pass_obj
def delete_command(
    app: App,
    paths: tuple[str, ...],
    ids_from: str | None,
    apply: bool,
    force: bool,
    yes: bool,
    host: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Hide runs, named one by one: what W&B calls deletion.

    A hidden run leaves every list at once and can be brought back for some days; its bytes are removed
    later, by the server alone. Artifacts are kept.

    With --ids-from, the argument is the PROJECT that bare ids lie in; a line that is a whole path must lie
    in it too. Without --apply nothing is changed: each run is looked up, and rights and holds are checked.
    With --apply, a phrase must be typed on a terminal; elsewhere --yes and --host are needed.
    """
    ids = _read(ids_from, paths)
    client = app.client()
    check_host(client, host)
    runs = resolve_runs(client, paths, ids)
    if not runs:
        app.tell("no ids: nothing to do")
        return
    if ids is None:
        origin = entity_origin(client, paths)
    else:
        origin = entity_origin(client, ids, project=paths[0] if paths else None)
    act = _make_act("delete", runs, origin)
    gate = _announced_gate(client, act, runs)
    if not apply:
        previews = _previews(client, gate, runs, force=force)
        write_list(_preview_listing(previews), format_, output)
        counts = Counter(preview.would for preview in previews)
        told = ", ".join(f"{would} {count}" for would, count in sorted(counts.items()))
        app.tell(f"dry run, nothing was sent; it would: {told}. Add --apply to do it")
        return
    approve(app, client, act, yes=yes, host=host)
    _delete(app, client, runs, force=force, write=lambda done: _write_deletions(done, format_, output))


@click.command(
    "undelete",
    cls=_IdsOnly,
    short_help="Bring hidden runs back.",
    epilog=examples(
        "wbgql runs undelete acme/vision 3f2a9c1e",
        "wbgql runs undelete acme/vision --ids-from ids.txt --yes --host api.wandb.ai",
    ),
)
@click.argument("project_path", metavar="PROJECT", callback=not_empty)
@click.argument("ids", nargs=-1, metavar="[ID]...", callback=not_empty)
@click.option(
    "--ids-from", metavar="FILE", callback=not_empty, help="Read ids from FILE, one a line; - is stdin."
)
@approval_options
@list_options("ids")
@global_options()
@click.pass_obj
def undelete_command(
    app: App,
    project_path: str,
    ids: tuple[str, ...],
    ids_from: str | None,
    yes: bool,
    host: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Bring hidden runs of PROJECT back, by their ids, while the server still can.

    A phrase must be typed on a terminal; elsewhere --yes and --host are needed.
    """
    if bool(ids) == bool(ids_from):
        raise click.UsageError("name the ids as arguments, or with --ids-from")
    client = app.client()
    runs = resolve_runs(client, [project_path], read_ids(ids_from) if ids_from else ids)
    if not runs:
        app.tell("no ids: nothing to do")
        return
    act = _make_act("undelete", runs, entity_origin(client, (), project=project_path))
    _announced_gate(client, act, runs)
    approve(app, client, act, yes=yes, host=host)
    _undelete(client, runs, lambda rows: _write_rows(rows, format_, output))


def _read(ids_from: str | None, paths: Sequence[str]) -> list[str] | None:
    if ids_from is None:
        if not paths:
            raise click.UsageError(f"name at least one run; {LIST_FIRST}")
        return None
    if len(paths) > 1:
        raise click.UsageError(f"with --ids-from, name one PROJECT at most, not {len(paths)} paths")
    return read_ids(ids_from)


def _make_act(verb: str, runs: Sequence[RunPath], entity_from: str) -> Act:
    project = str(runs[0].project_path)
    noun = "run" if len(runs) == 1 else "runs"
    return Act(f"{verb} {len(runs)} {noun} in {project}", len(runs), project, entity_from)


def _announced_gate(client: Client, act: Act, runs: Sequence[RunPath]) -> Gate:
    from wbgql.gate import Gate

    gate = Gate(client.session, client.holds)
    announce(client, act, gate.rights(runs[0].entity))
    return gate


def _previews(client: Client, gate: Gate, runs: Sequence[RunPath], *, force: bool) -> list[Preview]:
    from wbgql.deletes import preview_delete

    return [preview_delete(client.session, run, holds=client.holds, force=force, gate=gate) for run in runs]


def _preview_listing(previews: list[Preview]) -> Listing[Preview]:
    return Listing(
        previews,
        columns={
            "path": lambda preview: preview.path,
            "would": _would,
            "state": lambda preview: preview.state,
            "user": lambda preview: preview.user,
        },
        key=lambda preview: preview.path,
    )


def _would(preview: Preview) -> str:
    return preview.would if preview.reason is None else f"{preview.would}: {preview.reason}"


def _delete(
    app: App,
    client: Client,
    runs: Sequence[RunPath],
    *,
    force: bool,
    write: Callable[[Sequence[Deletion]], None],
) -> None:
    """Hide the runs and print what became of each, also where it ends halfway."""
    done: list[Deletion] = []

    def on_result(deletion: Deletion) -> None:
        done.append(deletion)
        app.tell(f"{len(done)}/{len(runs)} {deletion.outcome} {deletion.path}")

    try:
        client.delete_runs(runs, force=force, on_result=on_result)
    except KeyboardInterrupt as error:
        write(done)
        raise KeyboardInterrupt(
            f"interrupted: {len(done)} of {len(runs)} runs are done, the next may be, the others are "
            "untouched; the same command again goes on with them"
        ) from error
    except WbgqlError:
        if done:
            write(done)
        raise
    write(done)
    _summarize(app, done)


def _summarize(app: App, done: Sequence[Deletion]) -> None:
    hidden = [deletion for deletion in done if deletion.outcome == "hidden"]
    if hidden:
        until = hidden[0].undo_until
        when = "unknown, the server does not say" if until is None else f"{until:%Y-%m-%d %H:%M:%S}Z"
        app.tell(f"{len(hidden)} hidden; can be brought back until: {when}")
    unseen = [deletion.path for deletion in done if deletion.outcome == "not_visible"]
    if unseen:
        raise NotVisible(
            f"nothing can be said of {', '.join(unseen)}: null, and no other run of the project is visible; "
            "check the spelling and the key (`wbgql whoami`)"
        )


def _write_deletions(done: Sequence[Deletion], format_: str | None, output: Path | None) -> None:
    listing: Listing[Deletion] = Listing(
        done,
        columns={
            "path": lambda deletion: deletion.path,
            "outcome": lambda deletion: deletion.outcome,
            "undo_until": _undo_until,
            "control": lambda deletion: deletion.control,
            "answered": lambda deletion: deletion.answered,
        },
        key=lambda deletion: deletion.path.rpartition("/")[2],
    )
    write_list(listing, format_, output)


def _undo_until(deletion: Deletion) -> Any:
    if deletion.outcome != "hidden":
        return None
    return "unknown" if deletion.undo_until is None else deletion.undo_until


def _undelete(client: Client, runs: Sequence[RunPath], write: Callable[[list[dict[str, Any]]], None]) -> None:
    project = runs[0].project_path
    try:
        answer = client.undelete_runs(project, [run.run_id for run in runs])
    except PartialError as error:
        write([{"id": run_id, "outcome": "restored"} for run_id in error.done])
        raise
    missing = set(answer.not_restored)
    restored = set(answer.restored)
    write([{"id": run.run_id, "outcome": _fate(run.run_id, restored, missing)} for run in runs])
    if missing:
        _complain(str(project), answer.restored, answer.not_restored)


def _fate(run_id: str, restored: set[str], missing: set[str]) -> str:
    if run_id in restored:
        return "restored"
    return "not_restored" if run_id in missing else "visible_before"


def _complain(project: str, restored: list[str], missing: list[str]) -> NoReturn:
    message = (
        f"{len(missing)} runs of {project!r} did not come back: {', '.join(missing)}; they were purged, "
        "never there, or this key cannot see them"
    )
    if restored:
        raise PartialError(f"{len(restored)} restored, {message}", done=restored, failed=missing)
    raise NotFound(message, operation="UndeleteRuns")


def _write_rows(rows: list[dict[str, Any]], format_: str | None, output: Path | None) -> None:
    columns = {name: _item(name) for name in ("id", "outcome")}
    write_list(Listing(rows, columns=columns, key=_item("id")), format_, output)


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]
