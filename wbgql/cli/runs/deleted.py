"""`wbgql runs list --deleted`: what may be restored, as far as anybody knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from wbgql.cli.shared.app import App
from wbgql.cli.shared.output import Listing, write_list

_COLUMNS = ("path", "deleted_at", "undo_until", "known_from", "now")


def write_deleted(
    app: App, asked: Mapping[str, Any], select: Sequence[str], format_: str | None, output: Path | None
) -> None:
    """Print the deleted runs of the projects named, or of the whole record.

    Raises:
        UsageError: a filter, an order or a selection was given.
    """
    others = [name for name, value in asked.items() if name != "paths" and value not in (None, (), False)]
    if others or select or format_ == "parquet":
        raise click.UsageError(
            "--deleted lists all deleted runs of each PATH: give no filter, order or field"
        )
    client = app.client()
    paths = asked["paths"] or ((client.settings.project,) if client.settings.project else ())
    found = client.deleted_runs(*paths)
    listing = Listing(
        found.runs, columns={name: _reader(name) for name in _COLUMNS}, key=lambda run: run.path
    )
    if format_ == "ids":  # what `runs undelete` can take
        listing = Listing(
            [run for run in found.runs if run.now != "visible"], columns={}, key=lambda run: run.path
        )
    write_list(listing, format_, output)
    if found.listed:
        return
    record = client.deletions.path
    kept = f"the record {str(record)!r}" if record else "no record: it is turned off (WBGQL_DELETIONS)"
    app.tell(
        f"this server lists no deleted runs; shown is what wbgql itself hid, from {kept}. Runs that others "
        "deleted, or that were deleted elsewhere, are not in it"
    )


def _reader(name: str) -> Any:
    return lambda run: getattr(run, name)
