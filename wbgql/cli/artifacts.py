"""`wbgql artifacts list | show | files | lineage | orphans`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.runs.selecting import no_misspelt_key
from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.bars import bar, write_counted
from wbgql.cli.shared.output import (
    Listing,
    list_options,
    object_options,
    write_list,
    write_object,
    write_text,
)
from wbgql.errors import PartialError

if TYPE_CHECKING:
    from wbgql.artifacts import Artifact, Version
    from wbgql.artifacts.lineage import Lineage
    from wbgql.client import Client
    from wbgql.files import File


@click.group(
    "artifacts",
    short_help="Artifact versions and their lineage.",
    epilog=examples("wbgql artifacts list acme/vision"),
)
def artifacts_group() -> None:
    """Artifact versions: list, show, download, where they came from and what became of them.

    A version is named by entity/project/collection:alias (v3, latest, ...) or its URL.
    """


@artifacts_group.command(
    "list",
    short_help="List artifact versions of a project or a run.",
    epilog=examples(
        "wbgql artifacts list acme/vision --type model --alias best",
        "wbgql artifacts list acme/vision --metadata dataset=3 --format ids",
        "wbgql artifacts list --used-by acme/vision/3f2a9c1e",
    ),
)
@click.argument("path", metavar="[PATH]", required=False, callback=not_empty)
@click.option("--type", "type_", metavar="NAME", callback=not_empty, help="Only of this type.")
@click.option("--collection", metavar="NAME", callback=not_empty, help="Only of this collection.")
@click.option("--alias", metavar="NAME", callback=not_empty, help="Only with this alias.")
@click.option("--tag", metavar="NAME", callback=not_empty, help="Only with this tag.")
@click.option(
    "--metadata",
    multiple=True,
    metavar="KEY=JSON",
    help='Only with this metadata; JSON may be a test, {"$gt": 0.4}.',
)
@click.option("--logged-by", metavar="RUNPATH", callback=not_empty, help="Those a run logged.")
@click.option("--used-by", metavar="RUNPATH", callback=not_empty, help="Those a run used.")
@list_options("ids")
@global_options()
@click.pass_obj
def list_command(
    app: App,
    /,
    path: str | None,
    logged_by: str | None,
    used_by: str | None,
    format_: str | None,
    output: Path | None,
    **asked: Any,
) -> None:
    """List the committed versions of the project PATH, or those that one run logged or used.

    Where several conditions are given, all must hold. `ids` are paths, as the other commands take them.
    """
    client = app.client()
    run = logged_by or used_by
    listing: Listing[Any]
    if run is None:
        listing = _versions_listing(_versions(client, path, **asked))
    elif logged_by and used_by:
        raise click.UsageError("--logged-by or --used-by, not both")
    elif path is not None or any(asked.values()):
        raise click.UsageError("of a run, all versions are listed: leave out PATH and the conditions")
    else:
        listing = _run_listing(client.logged_artifacts(run) if logged_by else client.used_artifacts(run))
    _write_versions(app, listing, lambda version: version, format_, output)


@artifacts_group.command(
    "show",
    short_help="Show one artifact version, with its metadata.",
    epilog=examples("wbgql artifacts show acme/vision/model:best --format json"),
)
@click.argument("artifact", callback=not_empty)
@object_options()
@global_options()
@click.pass_obj
def show_command(app: App, artifact: str, format_: str | None, output: Path | None) -> None:
    """Show the version ARTIFACT, with its metadata."""
    version = app.client().artifact(artifact)
    record = {
        **{name: read(version) for name, read in _COLUMNS.items()},
        "tags": list(version.tag_names),
        "id": version.id,
        "digest": version.digest,
        "description": version.description,
        "metadata": version.values,
    }
    write_object(record, format_, output)


@artifacts_group.command(
    "files",
    short_help="List the files of an artifact version.",
    epilog=examples("wbgql artifacts files acme/vision/model:best"),
)
@click.argument("artifact", callback=not_empty)
@list_options("ids")
@global_options()
@click.pass_obj
def files_command(app: App, artifact: str, format_: str | None, output: Path | None) -> None:
    """List the files of the version ARTIFACT with size and MD5 (base64)."""
    write_counted(app, "reading files", files_listing(app.client().artifact_files(artifact)), format_, output)


@artifacts_group.command(
    "lineage",
    short_help="Show where a version or run came from and what became of it.",
    epilog=examples(
        "wbgql artifacts lineage acme/vision/model:best",
        "wbgql artifacts lineage acme/vision/model:best --direction up --format mermaid -o lineage.mmd",
        "wbgql artifacts lineage --run acme/vision/3f2a9c1e --depth 2",
    ),
)
@click.argument("artifact", metavar="[ARTIFACT]", required=False, callback=not_empty)
@click.option("--run", metavar="RUNPATH", callback=not_empty, help="Begin at this run.")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Steps from there; default all.")
@click.option(
    "--direction",
    type=click.Choice(["up", "down", "both"]),
    default="both",
    show_default=True,
    help="Ancestors, descendants or both.",
)
@list_options("mermaid")
@global_options()
@click.pass_obj
def lineage_command(
    app: App,
    artifact: str | None,
    run: str | None,
    depth: int | None,
    direction: Any,
    format_: str | None,
    output: Path | None,
) -> None:
    """Walk what the version ARTIFACT (or a run) came from and what became of it, one row an edge.

    Sends a request for each run and version on the way.
    """
    if (artifact is None) == (run is None):
        raise click.UsageError("name one ARTIFACT, or a run with --run")
    client = app.client()
    with bar(app, "walking"):
        start = client.run_path(run) if run is not None else artifact or ""
        lineage = client.lineage(start, depth=depth, direction=direction)
    if format_ == "mermaid":
        write_text(lineage.to_mermaid(), output)
    else:
        names = ("from", "from_kind", "edge", "to", "to_kind", "to_type", "depth")
        columns = {name: _item(name) for name in names}
        write_list(Listing(lineage.rows(), columns=columns), format_, output)
    _tell_of_limits(app, lineage)


@artifacts_group.command(
    "orphans",
    short_help="List versions whose run is gone.",
    epilog=examples("wbgql artifacts orphans acme/vision --type model --format csv -o orphans.csv"),
)
@click.argument("path", callback=not_empty)
@click.option("--type", "type_", metavar="NAME", callback=not_empty, help="Only of this type.")
@list_options("ids")
@global_options()
@click.pass_obj
def orphans_command(app: App, path: str, type_: str | None, format_: str | None, output: Path | None) -> None:
    """List the versions of the project PATH whose run is deleted or hidden.

    `sure` is false where the server cannot tell such a version from one that a person logged without a run.
    """
    listing = Listing(
        app.client().orphans(path, type=type_),
        columns={
            "path": lambda orphan: orphan.version.path,
            "type": lambda orphan: orphan.version.type,
            "user": lambda orphan: orphan.user,
            "sure": lambda orphan: orphan.sure,
            "size": lambda orphan: orphan.version.size,
            "created_at": lambda orphan: orphan.version.created_at,
        },
        key=lambda orphan: str(orphan.version.path),
    )
    _write_versions(app, listing, lambda orphan: orphan.version, format_, output)


def files_listing(files: Iterator[File]) -> Listing[File]:
    """Files as rows, their names as ids. Links to them expire and are secrets: they are left out."""
    return Listing(
        files,
        columns={
            "name": lambda file: file.name,
            "size_bytes": lambda file: file.size_bytes,
            "md5": lambda file: file.md5,
            "updated_at": lambda file: file.updated_at,
        },
        key=lambda file: file.name,
    )


_COLUMNS: dict[str, Callable[[Version], Any]] = {
    "path": lambda version: version.path,
    "type": lambda version: version.type,
    "aliases": lambda version: list(version.alias_names),
    "size": lambda version: version.size,
    "files": lambda version: version.file_count,
    "created_at": lambda version: version.created_at,
    "user": lambda version: version.user,
    "run": lambda version: None if version.run is None else str(version.run),
}


def _versions(
    client: Client,
    path: str | None,
    *,
    type_: str | None,
    collection: str | None,
    alias: str | None,
    tag: str | None,
    metadata: Sequence[str],
) -> Iterator[Version]:
    conditions = dict(_parse_condition(text) for text in metadata)
    return client.artifacts(
        path, type=type_, collection=collection, alias=alias, tag=tag, metadata=conditions
    )


def _versions_listing(versions: Iterator[Version]) -> Listing[Version]:
    return Listing(versions, columns=_COLUMNS, key=lambda version: str(version.path))


def _run_listing(artifacts: Iterator[Artifact]) -> Listing[Artifact]:
    return Listing(
        artifacts,
        columns={
            "path": lambda artifact: artifact.path,
            "name": lambda artifact: artifact.name,
            "type": lambda artifact: artifact.type,
            "aliases": lambda artifact: list(artifact.alias_names),
            "size": lambda artifact: artifact.size,
            "files": lambda artifact: artifact.file_count,
            "created_at": lambda artifact: artifact.created_at,
            "state": lambda artifact: artifact.state,
        },
        key=lambda artifact: str(artifact.path),
    )


def _write_versions(
    app: App,
    listing: Listing[Any],
    version_of: Callable[[Any], Artifact],
    format_: str | None,
    output: Path | None,
) -> None:
    """Print versions. As ids only those that a path names: a bare `m:v0` is another version elsewhere.

    Raises:
        PartialError: some are left out of the ids.
    """
    unnamed: list[str] = []

    def named(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            version = version_of(item)
            if version.path is None:
                unnamed.append(f"{version.name} (id {version.id})")
            else:
                yield item

    if format_ == "ids":
        listing = replace(listing, items=named(listing.items))
    with no_misspelt_key():
        write_counted(app, "reading versions", listing, format_, output)
    if unnamed:
        raise PartialError(
            f"{len(unnamed)} versions are left out, because no path names them: {', '.join(unnamed)}; they "
            "are not committed, or this key cannot see their project (--format json lists them)",
            failed=unnamed,
        )


def _parse_condition(text: str) -> tuple[str, Any]:
    from wbgql.scalars import parse_json

    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.UsageError(f"--metadata {text!r}: write KEY=JSON")
    try:
        return key, parse_json(value)
    except (ValueError, RecursionError):
        return key, value


def _tell_of_limits(app: App, lineage: Lineage) -> None:
    if lineage.hidden:
        app.tell(
            f"{sum(lineage.hidden.values())} runs used versions shown here and are not visible to this key"
        )
    if lineage.unwalked:
        app.tell(f"{len(lineage.unwalked)} runs or versions may have more behind them: --depth ended there")


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]
