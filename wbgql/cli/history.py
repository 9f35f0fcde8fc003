"""`wbgql history`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.runs.selecting import (
    every_option,
    filter_options,
    is_selecting,
    no_misspelt_key,
    order_options,
    runs_meant,
)
from wbgql.cli.shared.app import App, examples, global_options
from wbgql.cli.shared.bars import bar, write_counted
from wbgql.cli.shared.completion_keys import complete_key
from wbgql.cli.shared.output import Listing, list_options, needs_file
from wbgql.cli.shared.terminal import note
from wbgql.errors import FilterError

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.history import HistoryRow, HistorySelection
    from wbgql.paths import ProjectPath

F = TypeVar("F", bound=Callable[..., Any])

_LEADING = ("project", "run_id", "_step", "_timestamp")


def _step_options(command: F) -> F:
    for option in (
        click.option(
            "--workers", type=click.IntRange(1, 32), default=4, show_default=True, help="Runs at a time."
        ),
        click.option(
            "--samples", type=click.IntRange(min=1), metavar="N", help="N rows a key, chosen by the server."
        ),
        click.option("--max-step", type=click.IntRange(min=0), metavar="N", help="Steps before N."),
        click.option(
            "--min-step", type=click.IntRange(min=0), default=0, metavar="N", help="Steps from N on."
        ),
        click.option(
            "--step-where", metavar="TEXT", help="""Rows for which this holds, as 'step["loss"] > 10'."""
        ),
        click.option(
            "--key", "keys", multiple=True, metavar="KEY", shell_complete=complete_key, help="Bring this key."
        ),
    ):
        command = option(command)
    return command


@click.command(
    "history",
    short_help="Print logged rows of runs, or draw them.",
    epilog=examples(
        "wbgql history acme/vision/3f2a9c1e --key loss --key val/acc",
        "wbgql history acme/vision --where 'group == \"base\"' --key loss --samples 200 --html loss.html",
        "wbgql history acme/vision --all --key loss --format parquet -o loss.parquet",
        """wbgql history acme/vision --all --step-where 'step["loss"] > 10' --format ids""",
    ),
)
@filter_options
@every_option
@order_options
@_step_options
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Draw the keys in a page.")
@list_options("ids", "parquet")
@global_options()
@click.pass_obj
def history_command(
    app: App,
    /,
    keys: tuple[str, ...],
    html: Path | None,
    format_: str | None,
    output: Path | None,
    **asked: Any,
) -> None:
    """Print what runs logged, step by step: of the runs that each PATH names (entity/project/id), or, with
    --where, --filters, --limit or --all, of the runs of each PATH (entity/project, entity/*) that match.

    Several keys give every row that has one of them. Without --samples all rows are read, about 1000 a
    request; a search by --step-where reads every row of every run. A run that is gone, or whose rows did
    not all come, is told at the end, and the exit code is then 3.
    """
    _check(asked, keys, html, format_)
    client = app.client()
    histories = _histories(client, asked, keys)
    misspelt: list[str] = []
    with no_misspelt_key():
        if html is not None:
            _draw(app, histories, html)
        elif format_ == "parquet":
            with bar(app, "reading histories"):
                histories.write(needs_file(output, "parquet"), format="parquet")
        elif format_ == "ids":
            write_counted(app, "searching runs", _runs_listing(histories), "ids", output)
        else:
            write_counted(app, "reading rows", _listing(client, histories, keys, misspelt), format_, output)
    if misspelt:
        raise FilterError("; ".join(misspelt))
    _check_whole(histories, asked)


def _check(asked: dict[str, Any], keys: Sequence[str], html: Path | None, format_: str | None) -> None:
    if asked["step_where"] is None and format_ == "ids":
        raise click.UsageError("--format ids prints the runs that have a row: say which with --step-where")
    if not keys and (html is not None or format_ in ("csv", "table", "parquet")):
        raise click.UsageError("columns and lines need names: give at least one --key")
    if not keys and asked["samples"] is not None:
        raise click.UsageError("--samples needs at least one --key: a server samples by key")


def _histories(client: Client, asked: dict[str, Any], keys: Sequence[str]) -> HistorySelection:
    from wbgql.history import HistorySelection

    return HistorySelection(
        client.session,
        runs_meant(client, asked),
        keys=keys or None,
        where=asked["step_where"],
        min_step=asked["min_step"],
        max_step=asked["max_step"],
        samples=asked["samples"],
        workers=asked["workers"],
    )


def _listing(
    client: Client, histories: HistorySelection, keys: Sequence[str], misspelt: list[str]
) -> Listing[HistoryRow]:
    columns: dict[str, Callable[[HistoryRow], Any]] = {
        "project": lambda row: str(row.run.project_path),
        "run_id": lambda row: row.run.run_id,
        "_step": lambda row: row.values.get("_step"),
        **{key: _value_of(key) for key in keys if key not in _LEADING[:3]},
    }
    return Listing(_noting_absent(client, histories, keys, misspelt), columns=columns, record=_record)


def _noting_absent(
    client: Client, histories: HistorySelection, keys: Sequence[str], misspelt: list[str]
) -> Iterator[HistoryRow]:
    """Pass the rows on. At the end warn of keys that no row had; `misspelt` gets those with near names."""
    absent = set(keys)
    for row in histories:
        absent = absent.difference(row.values) if absent else absent
        yield row
    if absent and any(not entry.is_missing for entry in histories.coverage):
        project = histories.coverage[0].run.project_path
        for key in (key for key in keys if key in absent):
            if near := _near(client, project, key):
                misspelt.append(f"no row has {key!r}{near}")
            else:
                note(f"warning: no row has {key!r}")


def _near(client: Client, project: ProjectPath, key: str) -> str:
    """Say which keys that runs of a project logged look like `key`, as far as the server lists them."""
    from wbgql.expressions import FieldPath
    from wbgql.runs import look_up_keys
    from wbgql.runs.keys import nearest

    path = FieldPath("summary", (key,))
    known = look_up_keys(client.session, [project], [path])
    logged = (
        [name for name in known.types if name.startswith("summary_metrics.")] if known is not None else []
    )
    if known is not None and known.has(path):  # logged by other runs, so spelt right
        return ""
    near = nearest(path, logged, lambda found: repr(".".join(found.parts)))
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _runs_listing(histories: HistorySelection) -> Listing[Any]:
    return Listing(histories.matching_runs(), columns={"path": str}, key=str)


def _record(row: HistoryRow) -> dict[str, Any]:
    return {"project": str(row.run.project_path), "run_id": row.run.run_id, **row.values}


def _value_of(key: str) -> Callable[[HistoryRow], Any]:
    return lambda row: row.values.get(key)


def _draw(app: App, histories: HistorySelection, html: Path) -> None:
    from wbgql.charts import write_chart

    with bar(app, "reading histories"):
        write_chart(histories, html)
    app.tell(f"wrote {str(html)!r}")


def _check_whole(histories: HistorySelection, asked: dict[str, Any]) -> None:
    """Tell of histories that did not come whole; a single run that was named and is gone is missing."""
    from wbgql.errors import NotFound

    missing = histories.missing
    if missing and len(histories.coverage) == 1 and not missing[0].rows and not is_selecting(asked):
        raise NotFound(str(missing[0].note))
    histories.check()
