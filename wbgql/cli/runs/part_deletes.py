"""`wbgql artifacts delete` and `wbgql files delete`: explicit names, shown first, approved, proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.runs.ids import IdsOnly, read_ids
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
from wbgql.errors import NotFound, PartialError

if TYPE_CHECKING:
    from wbgql.artifacts import ArtifactPath
    from wbgql.client import Client
    from wbgql.deletes import ArtifactDeletion, ArtifactPreview, FoundVersion
    from wbgql.files import File
    from wbgql.paths import RunPath


class _VersionsOnly(IdsOnly):
    selecting = (*IdsOnly.selecting, "--type", "--collection", "--alias", "--metadata", "--logged-by")
    hint = (
        "there is no filter on deletion: list first, look, then hand over the paths: "
        "`wbgql artifacts list PROJECT --collection ... --format ids | wbgql artifacts delete --ids-from -`"
    )


@click.command(
    "delete",
    cls=_VersionsOnly,
    short_help="Delete artifact versions; a dry run unless --apply.",
    epilog=examples(
        "wbgql artifacts delete acme/vision/net:v3",
        "wbgql artifacts list acme/vision --collection net --format ids > versions.txt",
        "wbgql artifacts delete --ids-from versions.txt --apply",
        "wbgql artifacts delete --ids-from - --apply --yes --host api.wandb.ai < versions.txt",
    ),
)
@click.argument("paths", nargs=-1, metavar="[ARTIFACT]...", callback=not_empty)
@click.option(
    "--ids-from", metavar="FILE", callback=not_empty, help="Read paths from FILE, one a line; - is stdin."
)
@click.option("--apply/--dry-run", default=False, help="Do it; without, only show what would be done.")
@version_options
@rate_option
@approval_options
@list_options("ids")
@global_options()
@click.pass_obj
def delete_artifacts_command(
    app: App,
    paths: tuple[str, ...],
    ids_from: str | None,
    apply: bool,
    delete_aliases: bool,
    delete_links: bool,
    rate: float,
    yes: bool,
    host: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Delete artifact versions, named one by one by entity/project/collection:alias. It cannot be undone.

    Each name is resolved once, one request each, and what it named then is what is deleted, also if an alias
    moves meanwhile. Versions of the server's own (wandb-history and the like), held ones, and those with
    aliases (`latest` does not count) or links are kept and listed; --delete-aliases and --delete-links give
    up the last two. A hold on the run that logged a version first, or on its project, holds it.

    Without --apply nothing is changed. With --apply, a phrase must be typed on a terminal; elsewhere --yes
    and --host are needed. Each version is read again before its deletion, and afterwards.
    """
    if bool(paths) == bool(ids_from):
        raise click.UsageError("name the versions as arguments, or with --ids-from")
    given = read_ids(ids_from) if ids_from else list(paths)
    client = app.client()
    check_host(client, host)
    targets = [client.whole_artifact_path(text) for text in dict.fromkeys(given)]
    if not targets:
        app.tell("no paths: nothing to do")
        return
    act = _act("version", Counter(str(target.project_path) for target in targets))
    _announce(client, act, [target.entity for target in targets])
    rules = {"delete_aliases": delete_aliases, "delete_links": delete_links}
    found = _find(app, client, targets)
    if not apply:
        previews = _previews(client, targets, found, rules)
        write_list(_listing(previews, ("path", "would", "type", "size", "reason")), format_, output)
        counts = Counter(preview["would"] for preview in previews)
        told = ", ".join(f"{would} {count}" for would, count in sorted(counts.items()))
        app.tell(f"dry run, nothing was sent; it would: {told}. Add --apply to do it")
        return
    approve(app, client, act, yes=yes, host=host)
    outcomes: list[ArtifactDeletion] = []
    absent = [str(target) for target in targets if found[target] is None]
    versions = [version for version in found.values() if version is not None]
    try:
        with bar(app, "deleting versions") as progress:
            client.delete_artifacts(
                versions, rate=rate, progress=progress, on_result=outcomes.append, **rules
            )
    finally:
        rows = [_outcome_row(one) for one in outcomes]
        rows += [{"path": path, "outcome": "absent_before"} for path in absent]
        if format_ == "ids":
            rows = [row for row in rows if row["outcome"] == "deleted"]
        if rows:
            write_list(_listing(rows, ("path", "outcome", "state", "answered", "reason")), format_, output)
    if absent and not outcomes:
        raise NotFound(f"none of these versions is there, or visible to this key: {', '.join(absent)}")
    app.tell(f"{sum(one.outcome == 'deleted' for one in outcomes)} deleted; this cannot be undone")


@click.command(
    "delete",
    short_help="Delete files of a run; a dry run unless --apply.",
    epilog=examples(
        "wbgql files delete acme/vision/3f2a9c1e output.log",
        "wbgql files delete acme/vision/3f2a9c1e --glob 'media/*' --apply",
    ),
)
@click.argument("run", metavar="RUNPATH", callback=not_empty)
@click.argument("names", nargs=-1, metavar="[NAME]...", callback=not_empty)
@click.option(
    "--glob",
    "globs",
    multiple=True,
    metavar="TEXT",
    callback=not_empty,
    help="Names like this (* any text).",
)
@click.option("--apply/--dry-run", default=False, help="Do it; without, only show what would be done.")
@click.option("--force", is_flag=True, help="Also of a run that is still being logged.")
@approval_options
@list_options("ids")
@global_options()
@click.pass_obj
def delete_files_command(
    app: App,
    run: str,
    names: tuple[str, ...],
    globs: tuple[str, ...],
    apply: bool,
    force: bool,
    yes: bool,
    host: str | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """Delete files of one run, by name or --glob. It cannot be undone.

    The names are looked up in the run's own list, and the ids found there are what is deleted: a file that
    is replaced meanwhile stops the command. Rights and holds are those of the run. Without --apply nothing is
    changed. With --apply, a phrase must be typed on a terminal; elsewhere --yes and --host are needed. The
    list is read again afterwards.
    """
    if not names and not globs:
        raise click.UsageError("name the files, or give --glob")
    client = app.client()
    check_host(client, host)
    path = client.run_path(run)
    wanted = _matching(client, path, names, globs)
    missing = sorted(set(names) - {file.name for file in wanted})
    act = _act("file", Counter({str(path): len(wanted)}))
    _announce(client, act, [path.entity])
    if missing:
        app.tell(f"not among the files of {path}: {', '.join(missing)}")
    if not wanted:
        raise NotFound(f"run {str(path)!r} has no file of these names")
    if not apply:
        preview = client.preview_delete(path, force=force)
        would = "delete" if preview.would == "hide" else f"{preview.would}: {preview.reason}"
        rows = [{"name": file.name, "would": would, "size_bytes": file.size_bytes} for file in wanted]
        write_list(_listing(rows, ("name", "would", "size_bytes"), key="name"), format_, output)
        app.tell(f"dry run, nothing was sent; {len(wanted)} files. Add --apply to do it")
        return
    approve(app, client, act, yes=yes, host=host)
    try:
        gone = client.delete_files(path, wanted, force=force).gone
    except PartialError as error:
        _write_files(error.done, error.failed, format_, output)
        raise
    _write_files(gone, (), format_, output)
    app.tell(f"{len(gone)} files are gone from the list; this cannot be undone")


def _act(noun: str, counts: Counter[str]) -> Act:
    total = sum(counts.values())
    what = noun if total == 1 else f"{noun}s"
    where = next(iter(counts)) if len(counts) == 1 else f"{len(counts)} projects"
    told = where if len(counts) == 1 else ", ".join(f"{place} ({count})" for place, count in counts.items())
    return Act(f"delete {total} {what} in {where}", total, told, "the command", noun=f"{noun}s")


def _announce(client: Client, act: Act, entities: Sequence[str]) -> None:
    from wbgql.safety.gate import Gate

    gate = Gate(client.session, client.holds)
    announce(client, act, *(gate.rights(entity) for entity in dict.fromkeys(entities)))


def _find(
    app: App, client: Client, targets: Sequence[ArtifactPath]
) -> dict[ArtifactPath, FoundVersion | None]:
    from wbgql.deletes import find_version

    found: dict[ArtifactPath, FoundVersion | None] = {}
    with bar(app, "looking versions up") as progress:
        for number, target in enumerate(targets, 1):
            found[target] = find_version(client.session, target)
            progress.report(number, len(targets))
    return found


def _previews(
    client: Client,
    targets: Sequence[ArtifactPath],
    found: dict[ArtifactPath, FoundVersion | None],
    rules: dict[str, bool],
) -> list[dict[str, Any]]:
    from wbgql.deletes import preview_artifact

    rows: list[dict[str, Any]] = []
    for target in targets:
        version = found[target]
        if version is None:
            rows.append({"path": str(target), "would": "nothing", "reason": "not there, or not visible"})
            continue
        preview: ArtifactPreview = preview_artifact(version, client.holds, **rules)
        rows.append(
            {
                "path": preview.path,
                "would": preview.would,
                "type": preview.type,
                "size": preview.size,
                "reason": preview.reason,
            }
        )
    return rows


def _outcome_row(one: ArtifactDeletion) -> dict[str, Any]:
    return {
        "path": one.path,
        "outcome": one.outcome,
        "state": one.state,
        "answered": one.answered,
        "reason": one.reason,
    }


def _matching(client: Client, path: RunPath, names: Sequence[str], globs: Sequence[str]) -> list[File]:
    wanted = set(names)
    return [
        file
        for file in client.files(path)
        if file.name in wanted or any(fnmatchcase(file.name, glob) for glob in globs)
    ]


def _write_files(gone: Sequence[str], left: Sequence[str], format_: str | None, output: Path | None) -> None:
    if format_ == "ids":
        left = ()
    rows = [{"name": name, "outcome": "gone"} for name in gone]
    rows += [{"name": name, "outcome": "still_listed_or_unknown"} for name in left]
    write_list(_listing(rows, ("name", "outcome"), key="name"), format_, output)


def _listing(
    rows: list[dict[str, Any]], names: Sequence[str], *, key: str = "path"
) -> Listing[dict[str, Any]]:
    return Listing(rows, columns={name: _item(name) for name in names}, key=_item(key))


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row.get(name)
