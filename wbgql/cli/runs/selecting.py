"""Which runs are meant: paths, `--where`, `--filters` and how they are read, shared by all that list runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wbgql.cli.shared.app import not_empty
from wbgql.cli.shared.completion_keys import complete_field
from wbgql.errors import FilterError, PartialError, UnknownKeyWarning, WbgqlError

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.paths import RunPath
    from wbgql.runs import RunSelection

F = TypeVar("F", bound=Callable[..., Any])


def filter_options(command: F) -> F:
    """Add `PATHS...`, `--where`, `--filters` and `--client-side`."""
    for option in (
        click.option(
            "--client-side",
            is_flag=True,
            help="Evaluate on the client what the server cannot; reads more runs.",
        ),
        click.option(
            "--filters",
            metavar="JSON",
            callback=not_empty,
            help="Filter as wandb.Api().runs takes it, in JSON.",
        ),
        click.option(
            "--where",
            metavar="TEXT",
            callback=not_empty,
            help="""Expression, such as 'summary["val/acc"] > 0.9 and state == "finished"'.""",
        ),
        click.argument("paths", nargs=-1, metavar="[PATH]...", callback=not_empty),
    ):
        command = option(command)
    return command


def select_option(command: F) -> F:
    """Add `--select`."""
    return click.option(
        "--select",
        multiple=True,
        metavar="FIELD",
        callback=not_empty,
        shell_complete=complete_field,
        help="Bring this key too; '*' all.",
    )(command)


def types_option(command: F) -> F:
    """Add `--types`."""
    return click.option(
        "--types",
        multiple=True,
        metavar="COLUMN=TYPE",
        callback=_read_types,
        help="Fix a column's type: number, integer, boolean, string or json.",
    )(command)


def _read_types(
    _ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> dict[str, Any] | None:
    found = {}
    for text in given:
        # A key may hold an equals sign, a type does not.
        column, equals, kind = text.rpartition("=")
        if not column or not equals:
            raise click.BadParameter(f"{text!r}: write COLUMN=TYPE, as in config.seed=integer")
        found[column] = kind
    return found or None


def order_options(command: F) -> F:
    """Add `--order`, `--limit` and `--stable`."""
    for option in (
        click.option(
            "--stable", is_flag=True, help="Read by creation time: right also while runs come and go."
        ),
        click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Return at most N runs."),
        click.option(
            "--order",
            metavar="FIELD",
            callback=not_empty,
            shell_complete=complete_field,
            help="""Such as '-summary["loss"]', '+created_at'.""",
        ),
    ):
        command = option(command)
    return command


def select_runs(client: Client, asked: dict[str, Any], *, select: Sequence[Any] = ()) -> RunSelection:
    """Make the selection that the options of a command ask for. Sends nothing.

    `asked` are the values of `filter_options` and `order_options`.

    Raises:
        UsageError: a path, an expression or a field is malformed; the place in the text is shown.
    """
    paths: Sequence[str] = asked["paths"]
    return client.runs(
        paths[0] if len(paths) == 1 else list(paths) or None,
        where=asked["where"],
        filters=_parse_filters(asked["filters"]),
        select="*" if "*" in select else tuple(select),
        order=asked.get("order"),
        limit=asked.get("limit"),
        client_side=asked["client_side"],
        stable=asked.get("stable", False),
    )


def every_option(command: F) -> F:
    """Add `--all`, for commands whose paths may name runs or, with `filter_options`, projects."""
    return click.option("--all", "every", is_flag=True, help="All runs of each PATH, a project then.")(
        command
    )


def is_selecting(asked: dict[str, Any]) -> bool:
    """Whether the paths are of projects, whose runs are selected, and not of runs."""
    given = (asked[name] for name in ("where", "filters", "order", "limit"))
    return bool(asked["every"]) or any(value is not None for value in given)


def runs_meant(client: Client, asked: dict[str, Any]) -> RunSelection | list[RunPath]:
    """Return the runs that the paths name, or the selection that `--where` and its like make. Sends nothing.

    Raises:
        UsageError: no run is named, or as `select_runs`.
    """
    if is_selecting(asked):
        return select_runs(client, asked)
    if not asked["paths"]:
        raise click.UsageError("name a run, or select runs with --where or --all")
    return [client.run_path(path) for path in asked["paths"]]


def check_coverage(selection: RunSelection) -> None:
    """Raise `PartialError` if not all that was asked for was seen; for the end of a command.

    Raises:
        PartialError: something named, or listed, was not visible or vanished; the warnings say why.
    """
    coverage = selection.coverage
    if coverage.unread:
        missing = ", ".join(repr(unread.path) for unread in coverage.unread)
        raise PartialError(
            f"not all that was asked for was read: without {missing}",
            done=coverage.projects,
            failed=coverage.unread,
        )


@contextmanager
def no_misspelt_key() -> Iterator[None]:
    """Make an error of the library's warning that nothing matched and a key has near names.

    A misspelt metric must not look like an empty answer, nor hide behind another error that it led to. Other
    warnings are passed on.
    """
    with warnings.catch_warnings(record=True) as caught:
        failed: WbgqlError | None = None
        try:
            yield
        except WbgqlError as error:
            failed = error
    once = {(warning.category, str(warning.message)): warning for warning in reversed(caught)}
    for warning in reversed(once.values()):
        if isinstance(warning.message, UnknownKeyWarning) and warning.message.near:
            raise FilterError(str(warning.message)) from failed
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if failed is not None:
        raise failed


def _parse_filters(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    from wbgql.filters import parse_filter_json

    return parse_filter_json(text)
