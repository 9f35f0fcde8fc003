"""`wbgql storage`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.bars import bar
from wbgql.cli.shared.output import Listing, list_options, write_list
from wbgql.errors import PartialError

if TYPE_CHECKING:
    from wbgql.storage import Coverage


@click.command(
    "storage",
    short_help="Count the bytes of runs and artifacts.",
    epilog=examples(
        "wbgql storage 'acme/*' --by user",
        "wbgql storage acme/vision --by run --format csv -o storage.csv",
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", callback=not_empty)
@click.option(
    "--by",
    type=click.Choice(["user", "project", "type", "run"]),
    default="user",
    show_default=True,
    help="One row for each.",
)
@click.option("--no-manifests", is_flag=True, help="Quicker: count shared content each time it is listed.")
@click.option(
    "--list-files", is_flag=True, help="Add up listed files of runs; else the server's meter is asked."
)
@list_options()
@global_options()
@click.pass_obj
def storage_command(
    app: App,
    paths: tuple[str, ...],
    by: Any,
    no_manifests: bool,
    list_files: bool,
    format_: str | None,
    output: Path | None,
) -> None:
    """Count the bytes of run files and artifact versions of each PATH (entity/project, entity/*).

    Content that versions share is counted once: `stored_bytes` of a row; `exclusive_bytes` is what no other
    row has. One small download for each version's manifest. The total, and what could not be seen, go to
    stderr; the exit code is 3 where something was named or listed and did not answer.
    """
    client = app.client()
    with bar(app, "reading projects") as progress:
        found = client.storage(
            paths, by=by, manifests=not no_manifests, list_files=list_files, progress=progress
        )
    rows = found.to_dicts()
    names = ("key", *(name for name in found.total.as_dict() if name != "key"))
    columns = {(by if name == "key" else name): _item(name) for name in names}
    write_list(Listing(rows, columns=columns), format_, output)
    app.tell(
        f"total {found.total.total_bytes} bytes, shared content once" + ("" if not no_manifests else ": no")
    )
    _tell(app, found.coverage)


def _tell(app: App, coverage: Coverage) -> None:
    from wbgql.storage import NEVER_SEEN

    app.tell(f"never seen: {'; '.join(NEVER_SEEN)}")
    missing = {**coverage.not_visible, **coverage.unread}
    if missing:
        for path, reason in missing.items():
            app.tell(f"not counted in full: {path!r}: {reason}")
        raise PartialError(
            f"not all was counted: without {', '.join(map(repr, missing))}",
            done=coverage.read,
            failed=list(missing),
        )


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]
