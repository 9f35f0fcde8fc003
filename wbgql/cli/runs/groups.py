"""`wbgql runs best | latest | stats`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.runs.selecting import (
    check_coverage,
    filter_options,
    no_misspelt_key,
    select_option,
    select_runs,
)
from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.completion_keys import complete_field
from wbgql.cli.shared.output import Listing, list_options, write_list

if TYPE_CHECKING:
    from wbgql.runs import Run
    from wbgql.runs.groups import GroupBest

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN = ("display_name", "state")


def _by_option(command: F) -> F:
    return click.option(
        "--by",
        multiple=True,
        required=True,
        metavar="FIELD",
        callback=not_empty,
        shell_complete=complete_field,
        help="""Group by this: 'group', 'sweep', 'config["lr"]'.""",
    )(command)


@click.command(
    "best",
    short_help="Show the best run of each group.",
    epilog=examples(
        """wbgql runs best acme/vision --by group --metric 'summary["val/acc"]'""",
        """wbgql runs best acme/vision --by 'config["lr"]' --metric 'summary["loss"]' --mode min""",
        """wbgql runs best 'acme/*' --by sweep --metric 'summary["loss"]' --mode min --format ids""",
    ),
)
@filter_options
@_by_option
@click.option(
    "--metric",
    required=True,
    metavar="FIELD",
    callback=not_empty,
    shell_complete=complete_field,
    help="What is compared: numbers, or instants.",
)
@click.option(
    "--mode", type=click.Choice(["max", "min"]), default="max", show_default=True, help="Which is best."
)
@select_option
@list_options("ids")
@global_options()
@click.pass_obj
def best_command(
    app: App,
    /,
    by: tuple[str, ...],
    metric: str,
    mode: Any,
    select: tuple[str, ...],
    format_: str | None,
    output: Path | None,
    **asked: Any,
) -> None:
    """Show the run with the greatest (or least) metric of each group of runs of each PATH.

    Every run that matches is read once, with the keys that are needed. NaN and text are no measure; a
    group without any has no run. Runs without the field of --by are a group of their own.
    """
    selection = select_runs(app.client(), asked, select=(*select, *_SHOWN))
    with no_misspelt_key():
        found = selection.best(by=by, metric=metric, mode=mode)
    _write(found, by, metric, select, format_, output)
    check_coverage(selection)


@click.command(
    "latest",
    short_help="Show the latest run of each group.",
    epilog=examples(
        "wbgql runs latest acme/vision --by group",
        "wbgql runs latest 'acme/*' --by user --by job_type --format csv -o latest.csv",
    ),
)
@filter_options
@_by_option
@select_option
@list_options("ids")
@global_options()
@click.pass_obj
def latest_command(
    app: App,
    /,
    by: tuple[str, ...],
    select: tuple[str, ...],
    format_: str | None,
    output: Path | None,
    **asked: Any,
) -> None:
    """Show the run of each group that was created last."""
    selection = select_runs(app.client(), asked, select=(*select, *_SHOWN))
    with no_misspelt_key():
        found = selection.latest(by=by)
    _write(found, by, "created_at", select, format_, output)
    check_coverage(selection)


@click.command(
    "stats",
    short_help="Count runs and sum up numbers per group.",
    epilog=examples(
        """wbgql runs stats acme/vision --by group --of 'summary["val/acc"]'""",
        """wbgql runs stats 'acme/*' --by user --of duration_s --of 'summary["loss"]' --format csv""",
    ),
)
@filter_options
@_by_option
@click.option(
    "--of",
    multiple=True,
    metavar="FIELD",
    callback=not_empty,
    shell_complete=complete_field,
    help="Count, sum, mean, min and max of this.",
)
@list_options()
@global_options()
@click.pass_obj
def stats_command(
    app: App,
    /,
    by: tuple[str, ...],
    of: tuple[str, ...],
    format_: str | None,
    output: Path | None,
    **asked: Any,
) -> None:
    """Count the runs of each group, and sum up the numbers of each --of field.

    NaN counts as missing, true as 1 and false as 0. Needs the extra `frames`.
    """
    from wbgql.runs.groups import iter_rows

    selection = select_runs(app.client(), asked)
    with no_misspelt_key():
        table = selection.stats(by=by, of=of)
    columns = {name: _item(name) for name in table.column_names}
    write_list(Listing(iter_rows(table), columns=columns), format_, output)
    check_coverage(selection)


def _write(
    found: list[GroupBest[Run]],
    by: tuple[str, ...],
    metric: str,
    select: tuple[str, ...],
    format_: str | None,
    output: Path | None,
) -> None:
    """One row a group; as ids, those of the groups that have a run."""
    if format_ == "ids":
        found = [best for best in found if best.run is not None]
    columns: dict[str, Callable[[GroupBest[Run]], Any]] = {
        **{name: _group_value(number) for number, name in enumerate(by)},
        metric: lambda best: best.value,
        "path": _path,
        "display_name": lambda best: best.run and best.run.display_name,
        "state": lambda best: best.run and best.run.state,
        **{name: _selected(name) for name in select if name not in by and name != metric},
        "runs": lambda best: best.runs,
        "measured": lambda best: best.measured,
    }
    write_list(Listing(found, columns=columns, key=lambda best: str(_path(best))), format_, output)


def _path(best: GroupBest[Run]) -> str | None:
    return None if best.run is None else str(best.run.path)


def _group_value(number: int) -> Callable[[GroupBest[Run]], Any]:
    return lambda best: best.group[number]


def _selected(name: str) -> Callable[[GroupBest[Run]], Any]:
    from wbgql.expressions import parse_field

    if name == "*":
        return lambda best: best.run and {"config": best.run.config, "summary": best.run.summary}
    field = parse_field(name)
    return lambda best: None if best.run is None else best.run[field]


def _item(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]
