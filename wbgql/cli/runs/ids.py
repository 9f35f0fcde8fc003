"""Which runs are meant: paths and ids from the command line, a file or stdin. Never a filter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wbgql.cli.shared.id_lines import from_line
from wbgql.errors import UsageError

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.paths import RunPath

LIST_FIRST = (
    "there is no filter on deletion: list first, look, then hand over the ids: "
    "`wbgql runs list PROJECT --where ... --format ids | wbgql runs delete PROJECT --ids-from -`"
)
# What no version of the SDK takes in a run id; a path, which a list writes whole, may hold them all the same.
# Source: wandb SDK 0.17.0 and 0.31.0, `sdk/wandb_settings.py`, `validate_run_id` (2026-11).
_NOT_IN_ID = frozenset("/#?:")
# Longer than any id: a line of something else.
_LONGEST_ID = 512


class IdsOnly(click.Command):
    """A command that, asked for a filter, says how it is done instead."""

    selecting: tuple[str, ...] = (
        "--where",
        "--filters",
        "--filter",
        "--all",
        "--state",
        "--tag",
        "--order",
        "--limit",
    )
    hint = LIST_FIRST

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; see `click.Command`."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name in self.selecting:
                raise click.UsageError(f"no option {error.option_name}: {self.hint}", ctx=ctx) from error
            raise


def read_ids(source: str) -> list[str]:
    """Read one path or id a line from a file, or from stdin for `-`; see `id_lines`. Blank lines are skipped.

    Raises:
        UsageError: the file cannot be read, or is not text.
    """
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read ids from {source!r}: it is not UTF-8 text") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"cannot read ids from {source!r}: {(reason or 'no reason given').lower()}"
        ) from error
    return [from_line(line) for line in text.split("\n") if line.strip()]


def resolve_runs(
    client: Client, texts: Sequence[str], ids: Iterable[str] | None, *, project: str | None = None
) -> list[RunPath]:
    """Return the runs that are meant, each once, in order. May ask for the key's default entity.

    Without `ids`, every text is a run's path. With `ids`, there is at most one text: the project of the
    bare ids among them; `project` is the one of the option `--project`. A whole path must then lie in it.
    The default project is never used for `ids`.

    Raises:
        UsageError: an id or a path is malformed, names no project, or lies in another than the one named.
    """
    if ids is None:
        paths = [client.run_path(text) for text in texts]
    else:
        home = texts[0] if texts else project
        paths = client.run_paths([_checked_id(run_id) for run_id in ids], project=home)
    return list(dict.fromkeys(paths))


def entity_origin(client: Client, texts: Iterable[str], *, project: str | None = None) -> str:
    """Say where the entity of these runs came from: the command itself or a setting."""
    from wbgql.paths import parse_listed_run, parse_project_path

    if project is not None:
        spelt_out = is_parsed(parse_project_path, project)
    else:
        spelt_out = all(is_parsed(parse_listed_run, text) for text in texts)
    if spelt_out:
        return "the command"
    if client.settings.entity is None:
        return "the key's default"
    return client.settings.origin.get("entity", "the caller")


def is_parsed(parse: Callable[[str], object], text: str) -> bool:
    """Whether `text` says everything by itself, without a setting."""
    try:
        parse(text)
    except UsageError:
        return False
    return True


def _checked_id(text: str) -> str:
    """Return `text` if it can be an id or a path of one: not a row of a table, not JSON."""
    if "/" in text:
        return text
    if (
        not text.isprintable()
        or "  " in text
        or "\N{BOX DRAWINGS LIGHT VERTICAL}" in text
        or len(text) > _LONGEST_ID
        or not _NOT_IN_ID.isdisjoint(text)
    ):
        raise UsageError(
            f"{text[:80]!r} is not a run id: write one path a line, as `--format ids` does; nothing was done"
        )
    return text
