"""The store that `wbgql server` and its commands work on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_DATA = "wbgql.server.data"


def _remember_data(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta[_DATA] = value


def data_option(command: F) -> F:
    """`--data DIR`, at a group or at a command below it."""
    return click.option(
        "--data",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        expose_value=False,
        callback=_remember_data,
        help="Folder of the store  [default: your data folder]",
    )(command)


def data_dir() -> Path:
    """The folder of the store that was named, or the default one."""
    from wbgql.server import default_data_dir

    named: Path | None = click.get_current_context().meta.get(_DATA)
    return named or default_data_dir()
