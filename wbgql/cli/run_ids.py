"""Which runs are meant: paths and ids from the command line, a file or stdin. Never a filter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wbgql.errors import UsageError

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.paths import ProjectPath, RunPath

LIST_FIRST = (
    "there is no filter on deletion: list first, look, then hand over the ids: "
    "`wbgql runs list PROJECT --where ... --format ids | wbgql runs delete PROJECT --ids-from -`"
)
# Source: wandb SDK 0.31.0 `sdk/wandb_settings.py`, what a run id cannot hold (2026-11).
_NOT_IN_ID = frozenset("/\\#?%:")


def read_ids(source: str) -> list[str]:
    """Read one id or path a line from a file, or from stdin for `-`. Blank lines are skipped.

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
    return [line.strip() for line in text.split("\n") if line.strip()]


def resolve_runs(client: Client, texts: Sequence[str], ids: Iterable[str] | None) -> list[RunPath]:
    """Return the runs that are meant, each once, in order. May ask for the key's default entity.

    Without `ids`, every text is a run's path. With `ids`, there is at most one text, the project of those
    that are bare ids; an id that is a whole path must then lie in that project.

    Raises:
        UsageError: an id or a path is malformed, or lies in another project than the one named.
    """
    if ids is None:
        paths = [client.run_path(text) for text in texts]
    elif texts:
        project = client.project_path(texts[0])
        paths = [_in_project(client, run_id, project) for run_id in ids]
    else:
        paths = [client.run_path(_checked_id(run_id)) for run_id in ids]
    return list(dict.fromkeys(paths))


def entity_origin(client: Client, texts: Iterable[str], *, project: str | None = None) -> str:
    """Say where the entity of these runs came from: the command itself or a setting."""
    from wbgql.paths import parse_project_path, parse_run_path

    if project is not None:
        spelt_out = is_parsed(parse_project_path, project)
    else:
        spelt_out = all(is_parsed(parse_run_path, text) for text in texts)
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


def _in_project(client: Client, text: str, project: ProjectPath) -> RunPath:
    from wbgql.paths import RunPath

    if "/" not in text:
        return RunPath(project.entity, project.project, _checked_id(text))
    path = client.run_path(text)
    if path.project_path != project:
        raise UsageError(f"run {str(path)!r} is not in {str(project)!r}, the project named; nothing was done")
    return path


def _checked_id(text: str) -> str:
    """Return `text` if it can be an id or a path of one: not a row of a table, not JSON."""
    if "/" in text:
        return text
    if not text.isprintable() or any(char in _NOT_IN_ID or char.isspace() for char in text):
        raise UsageError(f"{text!r} is not a run id: write one id a line, as `--format ids` does")
    return text
