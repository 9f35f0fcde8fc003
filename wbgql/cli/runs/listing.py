"""`wbgql runs list | count | show`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from wbgql.cli.runs.deleted import write_deleted
from wbgql.cli.runs.files import write_parquet
from wbgql.cli.runs.selecting import (
    check_coverage,
    filter_options,
    no_misspelt_key,
    order_options,
    select_option,
    select_runs,
    types_option,
)
from wbgql.cli.shared.app import App, examples, global_options, not_empty
from wbgql.cli.shared.bars import write_counted
from wbgql.cli.shared.output import Listing, list_options, object_options, write_object
from wbgql.errors import NotServed, PartialError, ResultError

if TYPE_CHECKING:
    from wbgql.expressions import Field
    from wbgql.runs import Run, RunSelection

T = TypeVar("T")
Read: TypeAlias = "Callable[[Callable[[Run], Any], Run], Any]"
"""Gets something of a run, as `_Unread.read` does."""


@click.command(
    "list",
    short_help="List runs that match, filtered and ordered by the server.",
    epilog=examples(
        """wbgql runs list acme/vision --where 'summary["val/acc"] > 0.9' --select 'summary["val/acc"]'""",
        """wbgql runs list acme/vision --order '-summary["val/acc"]' --limit 10 --format csv -o best.csv""",
        """wbgql runs list 'acme/*' --where 'created_at < ago("90d")' --stable --format ids > ids.txt""",
        """wbgql runs list acme/vision --select '*' --format parquet -o runs.parquet""",
        "wbgql runs list acme/vision --deleted --format ids > hidden.txt",
    ),
)
@filter_options
@select_option
@order_options
@click.option("--deleted", is_flag=True, help="Deleted runs that may be restored, and no others.")
@types_option
@list_options("ids", "parquet")
@global_options()
@click.pass_obj
def list_command(
    app: App,
    /,
    select: tuple[str, ...],
    deleted: bool,
    types: dict[str, Any] | None,
    format_: str | None,
    output: Path | None,
    **asked: Any,
) -> None:
    """List the runs of each PATH (entity/project, entity/*, project or URL) that match.

    The server filters, orders and sends the selected keys only. A key that no run has, in a list that
    comes back empty, is an error that names the keys that come near. `ids` are whole paths, as --ids-from of
    other commands reads them. What could not be seen is told on stderr, and the exit code is then 3.

    With --deleted, PATHs are projects, and there are no filters. The local server lists deleted runs. Other
    servers list none: then the runs are those that wbgql hid itself, from its record on this machine.
    """
    if deleted:
        write_deleted(app, asked, select, format_, output)
        return
    selection = select_runs(app.client(), asked, select=_sent(select, format_))
    unread = _Unread()
    if types is not None and format_ != "parquet":
        raise click.UsageError("--types is for --format parquet: other lists print values as they are")
    if format_ == "parquet":
        write_parquet(app, selection, output, types)
    else:
        shown = _shown(selection.select, select)
        listing = _listing(
            _begin(selection, verified=format_ == "ids"),
            shown,
            unread,
            several=_is_several(asked["paths"]),
        )
        write_counted(app, "reading runs", listing, format_, output)
    unread.check()
    check_coverage(selection)


class _Unread:
    """What the server sent of runs and nobody can read: null in the output, and an error at its end."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def read(self, get: Callable[[Run], T], run: Run) -> T | None:
        """What `get` finds, or None if that cannot be read."""
        try:
            return get(run)
        except ResultError as error:
            self._found[str(error)] = None
            return None

    def cell(self, get: Callable[[Run], T], run: Run) -> T | None:
        """As `read`; None also for what this server's schema lacks."""
        try:
            return self.read(get, run)
        except NotServed:
            return None

    def check(self) -> None:
        """Raise PartialError if there was any."""
        if self._found:
            first, *others = self._found
            more = f" (and {len(others)} more like it)" if others else ""
            raise PartialError(f"shown as null: {first}{more}", failed=tuple(self._found))


@click.command(
    "count",
    short_help="Print how many runs match.",
    epilog=examples(
        """wbgql runs count acme/vision --where 'state == "failed"'""", "wbgql runs count 'acme/*'"
    ),
)
@filter_options
@global_options()
@click.pass_obj
def count_command(app: App, /, **asked: Any) -> None:
    """Print how many runs of each PATH match, all together, as the server counts them."""
    selection = select_runs(app.client(), asked)
    with no_misspelt_key():
        count = selection.count()
    click.echo(count)
    check_coverage(selection)


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
    unread = _Unread()
    details = run_details(app.client().run(runpath), unread.read)
    if lacking := [name for name in _DETAILS if name not in details]:
        app.tell(f"not known, because this server's schema has no field for it: {', '.join(lacking)}")
    write_object(details, format_, output)
    unread.check()


def run_details(run: Run, read: Read = lambda get, run: get(run)) -> dict[str, Any]:
    """All there is to show of one run; without what this server's schema lacks."""
    getters = {name: attrgetter(name) for name in (*_DETAILS, "config", "summary")}
    return {**_attributes(run), **_served(getters, read, run)}


def _served(getters: Mapping[str, Callable[[Run], Any]], read: Read, run: Run) -> dict[str, Any]:
    """What `getters` find, without what this server's schema lacks: null would say that the run has none."""
    found = {}
    for name, get in getters.items():
        with suppress(NotServed):
            found[name] = read(get, run)
    return found


def _begin(selection: RunSelection, *, verified: bool) -> Iterator[Run]:
    """Start the list, so that what is wrong with it is told before anything is written."""
    runs = selection.verified() if verified else iter(selection)
    with no_misspelt_key():
        first = next(runs, None)
    return runs if first is None else chain((first,), runs)


def _is_several(paths: Sequence[str]) -> bool:
    return len(paths) > 1 or any("*" in path for path in paths)


def _sent(select: tuple[str, ...], format_: str | None) -> tuple[str, ...]:
    """What has to travel: what was asked for, and what a list shows anyway."""
    return ("id",) if format_ == "ids" else (*select, *SHOWN_ATTRIBUTES)


def _shown(sent: str | Sequence[Any], select: tuple[str, ...]) -> str | list[Field]:
    """The fields of `--select`, read."""
    return "*" if isinstance(sent, str) else [field for field, _ in zip(sent, select, strict=False)]


def _listing(
    runs: Iterable[Run], shown: str | list[Field], unread: _Unread, *, several: bool
) -> Listing[Run]:
    """A bare id says which run only inside one project: several are shown by paths, and so are all ids."""
    first = {"path": _path} if several else {"id": _COLUMNS["id"]}
    selected = {name: partial(unread.cell, get) for name, get in _selected_columns(shown).items()}
    return Listing(
        runs,
        columns={**first, **_COLUMNS_AFTER_ID, **selected},
        record=_record_with(shown, unread),
        key=_path,
    )


def _keys(select: str | Sequence[Any]) -> list[Field]:
    from wbgql.expressions import Field

    return [field for field in select if isinstance(field, Field)]


def _path(run: Run) -> str:
    return str(run.path)


_COLUMNS: Mapping[str, Callable[[Any], Any]] = {
    "id": lambda run: run.id,
    "display_name": lambda run: run.display_name,
    "state": lambda run: run.state,
    "user": lambda run: run.user,
    "created_at": lambda run: run.created_at,
    "tags": lambda run: run.tags,
}
_COLUMNS_AFTER_ID = {name: value for name, value in _COLUMNS.items() if name != "id"}


SHOWN_ATTRIBUTES = (
    "display_name",
    "state",
    "user",
    "created_at",
    "heartbeat_at",
    "tags",
    "group",
    "job_type",
    "sweep",
)


# Lists fetch these only if they are selected by name or with '*'.
_DETAILS = ("updated_at", "host", "duration_s", "notes")


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
        return {name: attrgetter(name) for name in (*_DETAILS, "config", "summary")}
    return {str(field): _value_of(field) for field in select if str(field) not in _COLUMNS}


def _value_of(field: Any) -> Callable[[Run], Any]:
    return lambda run: run[field]


def _record_with(select: str | Sequence[Any], unread: _Unread) -> Callable[[Run], dict[str, Any]]:
    """The JSON object of a run in a list: config and summary only where keys of them were asked for."""
    fields = _keys(select)
    asked = {"config", "summary"} if select == "*" else {field.path.section for field in fields}
    getters = {str(field): _value_of(field) for field in fields if field.path.section == "run"}
    getters |= {name: attrgetter(name) for name in (_DETAILS if select == "*" else ())}
    getters |= {name: attrgetter(name) for name in ("config", "summary") if name in asked}

    def record(run: Run) -> dict[str, Any]:
        return {**_attributes(run), **_served(getters, unread.read, run)}

    return record
