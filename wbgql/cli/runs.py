"""`wbgql runs list | count | show`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.app import App, examples, global_options, not_empty
from wbgql.cli.output import Listing, list_options, object_options, write_list, write_object
from wbgql.errors import FilterError, UnknownKeyWarning

if TYPE_CHECKING:
    from wbgql.runs import Run, RunSelection

F = TypeVar("F", bound=Callable[..., Any])


def _filter_options(command: F) -> F:
    command = click.option(
        "--filters", metavar="JSON", callback=not_empty, help="Filter as wandb.Api().runs takes it, in JSON."
    )(command)
    return click.option(
        "--where",
        metavar="TEXT",
        callback=not_empty,
        help="""Expression, such as 'summary["val/acc"] > 0.9 and state == "finished"'.""",
    )(command)


@click.command(
    "list",
    short_help="List runs that match, filtered and ordered by the server.",
    epilog=examples(
        """wbgql runs list acme/vision --where 'summary["val/acc"] > 0.9' --select 'summary["val/acc"]'""",
        """wbgql runs list acme/vision --order '-summary["val/acc"]' --limit 10 --format csv -o best.csv""",
        """wbgql runs list acme/vision --where 'created_at < ago("90d")' --format ids > ids.txt""",
    ),
)
@click.argument("path", required=False, callback=not_empty)
@_filter_options
@click.option(
    "--select", multiple=True, metavar="FIELD", callback=not_empty, help="Bring this key too; '*' all."
)
@click.option(
    "--order", metavar="FIELD", callback=not_empty, help="""Such as '-summary["loss"]', '+created_at'."""
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many.")
@list_options("ids")
@global_options()
@click.pass_obj
def list_command(
    app: App,
    path: str | None,
    where: str | None,
    filters: str | None,
    select: tuple[str, ...],
    order: str | None,
    limit: int | None,
    format_: str | None,
    output: Path | None,
) -> None:
    """List the runs of PATH (entity/project, project or URL) that match.

    The server filters, orders and sends the selected keys only. A key that no run has, in a list that
    comes back empty, is an error that names the keys that come near.
    """
    selection = app.client().runs(
        path,
        where=where,
        filters=_parse_filters(filters),
        select="*" if "*" in select else select,
        order=order,
        limit=limit,
    )
    write_list(_listing(selection, _begin(selection)), format_, output)


@click.command(
    "count",
    short_help="Print how many runs match.",
    epilog=examples("""wbgql runs count acme/vision --where 'state == "failed"'"""),
)
@click.argument("path", required=False, callback=not_empty)
@_filter_options
@global_options()
@click.pass_obj
def count_command(app: App, path: str | None, where: str | None, filters: str | None) -> None:
    """Print how many runs of PATH match, as the server counts them."""
    selection = app.client().runs(path, where=where, filters=_parse_filters(filters))
    with _no_misspelt_key():
        count = selection.count()
    click.echo(count)


@click.command(
    "show",
    short_help="Show one run, with its whole config and summary.",
    epilog=examples(
        "wbgql runs show acme/vision/3f2a9c1e", "wbgql runs show acme/vision/3f2a9c1e --format json"
    ),
)
@click.argument("runpath", callback=not_empty)
@object_options()
@global_options()
@click.pass_obj
def show_command(app: App, runpath: str, format_: str | None, output: Path | None) -> None:
    """Show the run RUNPATH (entity/project/id, project/id, id or URL)."""
    write_object(run_details(app.client().run(runpath)), format_, output)


def run_details(run: Run) -> dict[str, Any]:
    """All there is to show of one run."""
    return {**_attributes(run), "notes": run.notes, "config": run.config, "summary": run.summary}


def _begin(selection: RunSelection) -> Iterator[Run]:
    """Start the list, so that what is wrong with it is told before anything is written."""
    runs = iter(selection)
    with _no_misspelt_key():
        first = next(runs, None)
    return runs if first is None else chain((first,), runs)


def _listing(selection: RunSelection, runs: Iterable[Run]) -> Listing[Run]:
    return Listing(
        runs,
        columns={**_COLUMNS, **_selected_columns(selection.select)},
        record=_record_with(selection.select),
        key=lambda run: run.id,
    )


_COLUMNS: Mapping[str, Callable[[Any], Any]] = {
    "id": lambda run: run.id,
    "display_name": lambda run: run.display_name,
    "state": lambda run: run.state,
    "user": lambda run: run.user,
    "created_at": lambda run: run.created_at,
    "tags": lambda run: run.tags,
}


def _attributes(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "path": str(run.path),
        "display_name": run.display_name,
        "state": run.state,
        "user": run.user,
        "created_at": run.created_at,
        "heartbeat_at": run.heartbeat_at,
        "tags": list(run.tags),
        "group": run.group,
        "job_type": run.job_type,
        "sweep": run.sweep,
    }


def _selected_columns(select: str | Sequence[Any]) -> dict[str, Callable[[Run], Any]]:
    if select == "*":
        return {"config": lambda run: run.config, "summary": lambda run: run.summary}
    return {str(field): _value_of(field) for field in select if str(field) not in _COLUMNS}


def _value_of(field: Any) -> Callable[[Run], Any]:
    return lambda run: run[field]


def _record_with(select: str | Sequence[Any]) -> Callable[[Run], dict[str, Any]]:
    """The JSON object of a run in a list: config and summary only where keys of them were asked for."""
    from wbgql.expressions import Field

    if select == "*":
        asked = {"config", "summary"}
    else:
        asked = {field.path.section for field in select if isinstance(field, Field)}

    def record(run: Run) -> dict[str, Any]:
        values = {"config": run.config, "summary": run.summary}
        return {**_attributes(run), **{name: value for name, value in values.items() if name in asked}}

    return record


def _parse_filters(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    from wbgql.filters import parse_filter_json

    return parse_filter_json(text)


@contextmanager
def _no_misspelt_key() -> Iterator[None]:
    """Make an error of the library's warning that nothing matched and a key has near names.

    A misspelt metric must not look like an empty answer. Other warnings are passed on.
    """
    with warnings.catch_warnings(record=True) as caught:
        yield
    for warning in caught:
        if isinstance(warning.message, UnknownKeyWarning) and warning.message.near:
            raise FilterError(str(warning.message))
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
