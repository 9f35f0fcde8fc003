"""`wbgql files list | download` and `wbgql artifacts download`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.artifacts import artifacts_group
from wbgql.cli.runs.selecting import (
    check_coverage,
    every_option,
    filter_options,
    is_selecting,
    no_misspelt_key,
    order_options,
    runs_meant,
)
from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.bars import bar, write_counted
from wbgql.cli.shared.output import Listing, list_options, write_list
from wbgql.errors import PartialError

if TYPE_CHECKING:
    from wbgql.downloads import Download, FileOutcome
    from wbgql.files import File
    from wbgql.paths import RunPath

F = TypeVar("F", bound=Callable[..., Any])


def _download_options(command: F) -> F:
    for option in (
        click.option(
            "--threads", type=click.IntRange(1, 64), default=8, show_default=True, help="Files at a time."
        ),
        click.option(
            "--to",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            required=True,
            help="Folder they go to; made if missing.",
        ),
    ):
        command = option(command)
    return command


_pattern_option = click.option(
    "--pattern", metavar="TEXT", callback=not_empty, help="Only names like this: % any text, _ one character."
)


@click.group("files", short_help="Files of runs.", epilog=examples("wbgql files list acme/vision/3f2a9c1e"))
def files_group() -> None:
    """Files of runs. Those of artifact versions: `wbgql artifacts files`."""


@files_group.command(
    "list",
    short_help="List files of runs.",
    epilog=examples(
        "wbgql files list acme/vision/3f2a9c1e --pattern 'media/%'",
        "wbgql files list acme/vision --where 'state == \"crashed\"' --format csv -o files.csv",
    ),
)
@filter_options
@every_option
@order_options
@_pattern_option
@list_options("ids")
@global_options()
@click.pass_obj
def list_command(
    app: App, /, pattern: str | None, format_: str | None, output: Path | None, **asked: Any
) -> None:
    """List the files of the runs that each PATH names (entity/project/id) or, with --where, --filters,
    --limit or --all, of the runs of each PATH (entity/project, entity/*) that match.

    One request for 50 runs of a project. `ids` are the names of one run's files; those of several stand
    behind their run's path.
    """
    from wbgql.files import iter_files_of_runs

    client = app.client()
    runs = runs_meant(client, asked)
    one = isinstance(runs, list) and len(runs) == 1
    columns: dict[str, Callable[[tuple[RunPath, File]], Any]] = {
        "run": lambda found: str(found[0]),
        "name": lambda found: found[1].name,
        "size_bytes": lambda found: found[1].size_bytes,
        "md5": lambda found: found[1].md5,
        "updated_at": lambda found: found[1].updated_at,
    }
    listing = Listing(
        iter_files_of_runs(client.session, runs, pattern=pattern),
        columns=columns,
        key=lambda found: found[1].name if one else f"{found[0]}/{found[1].name}",
    )
    with no_misspelt_key():
        write_counted(app, "reading files", listing, format_, output)
    _check(runs)


@files_group.command(
    "download",
    short_help="Download files of runs, checked.",
    epilog=examples(
        "wbgql files download acme/vision/3f2a9c1e --to ./run",
        "wbgql files download acme/vision --where '\"keep\" in tags' --pattern 'media/%' --to ./media",
    ),
)
@filter_options
@every_option
@order_options
@_pattern_option
@_download_options
@list_options()
@global_options()
@click.pass_obj
def download_command(
    app: App,
    /,
    pattern: str | None,
    to: Path,
    threads: int,
    format_: str | None,
    output: Path | None,
    **asked: Any,
) -> None:
    """Download files of runs into a folder, each checked by its MD5; paths as for `files list`.

    One run's files go into the folder itself, those of several into a folder for each run. Files that are
    there and right are not fetched again, so a download that was broken off goes on.
    """
    client = app.client()
    runs = runs_meant(client, asked)
    one = not is_selecting(asked) and len(asked["paths"]) == 1
    with no_misspelt_key(), bar(app, "downloading") as progress:
        named = client.run_path(asked["paths"][0]) if one else runs
        work = _outcomes(
            lambda: client.download_files(named, to, pattern=pattern, threads=threads, progress=progress)
        )
    _report(app, work, format_, output)
    _check(runs)


@artifacts_group.command(
    "download",
    short_help="Download an artifact version, checked.",
    epilog=examples(
        "wbgql artifacts download acme/vision/model:best --to ./model",
        "wbgql artifacts download acme/vision/data:v3 --pattern 'train/*' --to ./data",
    ),
)
@click.argument("artifact", callback=not_empty)
@click.option("--pattern", metavar="GLOB", callback=not_empty, help="Only names like this: *, ?, [...].")
@_download_options
@list_options()
@global_options()
@click.pass_obj
def download_artifact_command(
    app: App,
    artifact: str,
    pattern: str | None,
    to: Path,
    threads: int,
    format_: str | None,
    output: Path | None,
) -> None:
    """Download the files of the version ARTIFACT, each checked against the manifest's MD5.

    References to other stores are reported, not fetched. Files that are there and right stay as they are.
    """
    client = app.client()
    with bar(app, "downloading") as progress:
        work = _outcomes(
            lambda: (
                client.download_artifact(
                    artifact, to, pattern=pattern, threads=threads, progress=progress
                ).result
            )
        )
    _report(app, work, format_, output)


def _outcomes(download: Callable[[], Download]) -> tuple[Sequence[FileOutcome], PartialError | None]:
    """What became of each file, also where some failed."""
    try:
        return download().files, None
    except PartialError as error:
        return [*error.done, *error.failed], error


def _report(
    app: App,
    work: tuple[Sequence[FileOutcome], PartialError | None],
    format_: str | None,
    output: Path | None,
) -> None:
    files, error = work
    columns: dict[str, Callable[[FileOutcome], Any]] = {
        "name": lambda file: file.name,
        "state": lambda file: file.state,
        "size_bytes": lambda file: file.size_bytes,
        "checked": lambda file: file.checked,
        "reference": lambda file: file.reference,
        "error": lambda file: file.error,
    }
    write_list(Listing(files, columns=columns), format_, output)
    if error is not None:
        raise error
    states = [file.state for file in files]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "no files"
    app.tell(counts)


def _check(runs: Any) -> None:
    if not isinstance(runs, list):
        check_coverage(runs)
