"""`wbgql runs delete | undelete`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.runs.ids import LIST_FIRST, IdsOnly, entity_origin, is_parsed, read_ids, resolve_runs
from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.approval import (
    Act,
    announce,
    approval_options,
    approve,
    check_host,
    rate_option,
    version_options,
)
from wbgql.cli.shared.bars import bar
from wbgql.cli.shared.output import Listing, list_options, write_list
from wbgql.errors import NotFound, NotVisible, PartialError, WbgqlError

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.deletes import ArtifactDeletion, ArtifactPreview, Deletion, Preview, WithArtifacts
    from wbgql.paths import ProjectPath, RunPath
    from wbgql.safety.gate import Gate


@click.command(
    "delete",
    cls=IdsOnly,
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
    "--ids-from", metavar="FILE", callback=not_empty, help="Read paths from FILE, one a line; - is stdin."
)
@click.option("--apply/--dry-run", default=False, help="Do it; without, only show what would be done.")
@click.option("--force", is_flag=True, help="Also runs that are still being logged.")
@click.option("--with-artifacts", is_flag=True, help="Also the artifact versions the runs logged, for good.")
@version_options
@rate_option
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
    with_artifacts: bool,
    delete_aliases: bool,
    delete_links: bool,
    rate: float,
    yes: bool,
    host: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Hide runs, named one by one: what W&B calls deletion.

    A hidden run leaves every list at once and can be brought back for some days; its bytes are removed
    later, by the server alone. Artifacts are kept, unless --with-artifacts is given: then the versions that a
    run logged are deleted before it is hidden, and do not come back with it. Versions of the server's own,
    held ones, those that another run logged first, and those with aliases or links stay and are listed.

    The runs may lie in several projects. With --ids-from, each line is a whole path, as `--format ids` writes
    it; the argument, if given, is the PROJECT that all of them lie in, and bare ids with them. The default
    project is never used for a list. Without --apply nothing is changed: the runs are looked up, 25 in one
    request, and rights and holds are checked. With --apply, a phrase must be typed on a terminal; elsewhere
    --yes and --host are needed.

    Requests are paced by --rate and by what the server says of its limits. A run that is held, that you may
    not delete, or on which the server fails is left out, and the others go on. A refused key, a rate limit
    that asks to wait more than 300 seconds, and five failures in a row end the batch; the rest is printed as
    not_tried. --format ids prints the paths of the hidden runs, as `runs undelete --ids-from` takes them.
    """
    from wbgql.deletes import WithArtifacts

    if (delete_aliases or delete_links) and not with_artifacts:
        raise click.UsageError("--delete-aliases and --delete-links need --with-artifacts")
    rules = WithArtifacts(delete_aliases=delete_aliases, delete_links=delete_links)
    ids = _read(ids_from, paths)
    client = app.client()
    check_host(client, host)
    project = paths[0] if paths and ids is not None else app.settings.get("project")
    runs = resolve_runs(client, paths, ids, project=project)
    if not runs:
        app.tell("no ids: nothing to do")
        return
    origin = entity_origin(client, paths) if ids is None else entity_origin(client, ids, project=project)
    act = _make_act("delete", runs, origin, also=" with their artifacts" if with_artifacts else "")
    gate = _announced_gate(client, act, runs)
    if not apply:
        previews = _previews(app, client, gate, runs, force=force, rules=rules if with_artifacts else None)
        write_list(_preview_listing(previews), format_, output)
        counts = Counter(preview.would for preview in previews)
        told = ", ".join(f"{would} {count}" for would, count in sorted(counts.items()))
        app.tell(f"dry run, nothing was sent; it would: {told}. Add --apply to do it")
        return
    approve(app, client, act, yes=yes, host=host)
    _delete(
        app,
        client,
        runs,
        {"force": force, "rate": rate, "with_artifacts": rules if with_artifacts else False},
        write=lambda done: _write_deletions(done, format_, output),
    )


@click.command(
    "undelete",
    cls=IdsOnly,
    short_help="Bring hidden runs back.",
    epilog=examples(
        "wbgql runs undelete acme/vision/3f2a9c1e acme/audio/77aa01bc",
        "wbgql runs undelete acme/vision 3f2a9c1e",
        "wbgql runs undelete --ids-from hidden.txt --yes --host api.wandb.ai",
    ),
)
@click.argument("paths", nargs=-1, metavar="[RUNPATH...|PROJECT [ID]...]", callback=not_empty)
@click.option(
    "--ids-from", metavar="FILE", callback=not_empty, help="Read paths from FILE, one a line; - is stdin."
)
@approval_options
@list_options("ids")
@global_options()
@click.pass_obj
def undelete_command(
    app: App,
    paths: tuple[str, ...],
    ids_from: str | None,
    yes: bool,
    host: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Bring hidden runs back while the server still can: by the paths that `runs delete` printed, or by the
    ids of one PROJECT.

    A phrase must be typed on a terminal; elsewhere --yes and --host are needed. Sends one mutation per
    project, and reads all run ids of the project before and after.
    """
    client = app.client()
    runs, project = _hidden_runs(client, paths, ids_from, app.settings.get("project"))
    if not runs:
        app.tell("no ids: nothing to do")
        return
    act = _make_act("undelete", runs, entity_origin(client, map(str, runs), project=project))
    _announced_gate(client, act, runs)
    approve(app, client, act, yes=yes, host=host)
    _undelete(client, runs, lambda rows: _write_rows(rows, format_, output))


def _hidden_runs(
    client: Client, paths: Sequence[str], ids_from: str | None, project: str | None
) -> tuple[list[RunPath], str | None]:
    """Return the runs that are meant, and the PROJECT that was named for bare ids."""
    from wbgql.paths import parse_run_path

    if ids_from is not None:
        ids = _read(ids_from, paths)
        project = paths[0] if paths else project
        return resolve_runs(client, paths, ids, project=project), project
    if not paths:
        raise click.UsageError("name the runs by their paths, or PROJECT and ids, or use --ids-from")
    if is_parsed(parse_run_path, paths[0]):
        return resolve_runs(client, paths, None), None
    if len(paths) == 1:
        raise click.UsageError(f"name the runs of {paths[0]!r} by their ids, or use --ids-from")
    return resolve_runs(client, paths[:1], paths[1:]), paths[0]


def _read(ids_from: str | None, paths: Sequence[str]) -> list[str] | None:
    if ids_from is None:
        if not paths:
            raise click.UsageError(f"name at least one run; {LIST_FIRST}")
        return None
    if len(paths) > 1:
        raise click.UsageError(f"with --ids-from, name one PROJECT at most, not {len(paths)} paths")
    return read_ids(ids_from)


def _make_act(verb: str, runs: Sequence[RunPath], entity_from: str, *, also: str = "") -> Act:
    counts = Counter(str(run.project_path) for run in runs)
    noun = "run" if len(runs) == 1 else "runs"
    if len(counts) == 1:
        (project,) = counts
        return Act(f"{verb} {len(runs)} {noun} in {project}{also}", len(runs), project, entity_from)
    told = ", ".join(f"{project} ({count})" for project, count in counts.items())
    return Act(f"{verb} {len(runs)} {noun} in {len(counts)} projects{also}", len(runs), told, entity_from)


def _announced_gate(client: Client, act: Act, runs: Sequence[RunPath]) -> Gate:
    from wbgql.safety.gate import Gate

    gate = Gate(client.session, client.holds)
    announce(client, act, *(gate.rights(entity) for entity in dict.fromkeys(run.entity for run in runs)))
    return gate


def _previews(
    app: App,
    client: Client,
    gate: Gate,
    runs: Sequence[RunPath],
    *,
    force: bool,
    rules: WithArtifacts | None,
) -> list[Preview | ArtifactPreview]:
    """Say what would be done to each run and, with `rules`, to each version it logged, right behind it."""
    from wbgql.deletes import preview_deletes, preview_outputs

    with bar(app, "looking runs up") as progress:
        previews = preview_deletes(
            client.session, runs, holds=client.holds, force=force, gate=gate, progress=progress
        )
    if rules is None:
        return list(previews)
    told: list[Preview | ArtifactPreview] = []
    with bar(app, "looking artifacts up") as progress:
        for number, (path, preview) in enumerate(zip(runs, previews, strict=True), 1):
            told.append(preview)
            if preview.storage_id is not None and preview.would == "hide":
                told += preview_outputs(client.session, path, preview.storage_id, rules, holds=client.holds)
            progress.report(number, len(runs))
    return told


def _preview_listing(previews: list[Preview | ArtifactPreview]) -> Listing[Any]:
    return Listing(
        previews,
        columns={
            "path": lambda preview: preview.path,
            "would": _would,
            "state": lambda preview: getattr(preview, "state", None),
            "user": lambda preview: getattr(preview, "user", None),
        },
        key=lambda preview: preview.path,
    )


def _would(preview: Preview | ArtifactPreview) -> str:
    return preview.would if preview.reason is None else f"{preview.would}: {preview.reason}"


def _delete(
    app: App,
    client: Client,
    runs: Sequence[RunPath],
    options: Mapping[str, Any],
    *,
    write: Callable[[Sequence[Deletion]], None],
) -> None:
    """Hide the runs and print what became of each, also where it ends halfway."""
    outcomes: list[Deletion] = []

    def on_result(deletion: Deletion) -> None:
        outcomes.append(deletion)
        if not app.shows_bars():
            app.tell(f"{len(outcomes)}/{len(runs)} {deletion.outcome} {deletion.path}")

    try:
        with bar(app, "hiding runs") as progress:
            client.delete_runs(runs, progress=progress, on_result=on_result, **options)
    except KeyboardInterrupt as error:
        write(outcomes)
        raise KeyboardInterrupt(
            f"interrupted: {len(outcomes)} of {len(runs)} runs are done, the next may be, the others are "
            "untouched; the same command again goes on with them"
        ) from error
    except WbgqlError:
        if outcomes:
            write(outcomes)
        raise
    write(outcomes)
    _summarize(app, outcomes)


def _summarize(app: App, done: Sequence[Deletion]) -> None:
    hidden = [deletion for deletion in done if deletion.outcome == "hidden"]
    if hidden:
        known = [deletion.undo_until for deletion in hidden if deletion.undo_until is not None]
        until = min(known, default=None)
        when = "unknown, the server does not say" if until is None else f"{until:%Y-%m-%d %H:%M:%S}Z"
        app.tell(f"{len(hidden)} hidden; can be brought back until: {when}")
    unseen = [deletion.path for deletion in done if deletion.outcome == "not_visible"]
    if unseen:
        raise NotVisible(
            f"nothing can be said of {', '.join(unseen)}: null, and no other run of the project is visible; "
            "check the spelling and the key (`wbgql whoami`)"
        )


def _write_deletions(done: Sequence[Deletion], format_: str | None, output: Path | None) -> None:
    if format_ == "ids":  # what `runs undelete` can take
        done = [deletion for deletion in done if deletion.outcome == "hidden"]
    listing: Listing[Any] = Listing(
        done if format_ == "ids" else list(_with_versions(done)),
        columns={
            "path": lambda deletion: deletion.path,
            "outcome": lambda deletion: deletion.outcome,
            "undo_until": _undo_until,
            "control": lambda deletion: getattr(deletion, "control", None),
            "answered": lambda deletion: deletion.answered,
            "reason": lambda deletion: deletion.reason,
        },
        key=lambda deletion: deletion.path,
    )
    write_list(listing, format_, output)


def _with_versions(done: Sequence[Deletion]) -> Iterator[Deletion | ArtifactDeletion]:
    """Each run, and right behind it what became of the versions it logged."""
    for deletion in done:
        yield deletion
        yield from deletion.artifacts


def _undo_until(deletion: Deletion | ArtifactDeletion) -> Any:
    if deletion.outcome != "hidden":
        return None
    until = getattr(deletion, "undo_until", None)
    return "unknown" if until is None else until


def _undelete(client: Client, runs: Sequence[RunPath], write: Callable[[list[dict[str, Any]]], None]) -> None:
    """Bring the runs back, project by project, and print what became of each."""
    by_project: dict[ProjectPath, list[str]] = {}
    for run in runs:
        by_project.setdefault(run.project_path, []).append(run.run_id)
    rows: list[dict[str, Any]] = []
    try:
        for project, ids in by_project.items():
            try:
                answer = client.undelete_runs(project, ids)
            except PartialError as error:
                rows += [{"path": f"{project}/{run_id}", "outcome": "restored"} for run_id in error.done]
                raise
            restored, missing = set(answer.restored), set(answer.not_restored)
            rows += [
                {"path": f"{project}/{run_id}", "outcome": _fate(run_id, restored, missing)} for run_id in ids
            ]
    except WbgqlError as error:
        if rows:
            write(rows)
            told = {row["path"] for row in rows}
            left = [str(run) for run in runs if str(run) not in told]
            if left:
                error.add_note(f"not known, or not tried: {', '.join(left)}")
        raise
    write(rows)
    _complain([row["path"] for row in rows if row["outcome"] == "not_restored"], rows)


def _fate(run_id: str, restored: set[str], missing: set[str]) -> str:
    if run_id in restored:
        return "restored"
    return "not_restored" if run_id in missing else "visible_before"


def _complain(missing: list[str], rows: list[dict[str, Any]]) -> None:
    """Raise an error if some runs did not come back."""
    if not missing:
        return
    message = (
        f"{len(missing)} runs did not come back: {', '.join(missing)}; they were purged, never there, or "
        "this key cannot see them"
    )
    restored = [row["path"] for row in rows if row["outcome"] == "restored"]
    if restored:
        raise PartialError(f"{len(restored)} restored, {message}", done=restored, failed=missing)
    raise NotFound(message, operation="UndeleteRuns")


def _write_rows(rows: list[dict[str, Any]], format_: str | None, output: Path | None) -> None:
    columns = {name: _item(name) for name in ("path", "outcome")}
    write_list(Listing(rows, columns=columns, key=_item("path")), format_, output)


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]
