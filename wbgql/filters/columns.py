"""The keys that W&B's run filters know, and what is written in their place by mistake. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from wbgql.errors import FilterError

# Key -> kind of value. Source: wandb SDK 0.31.0 `apis/public/api.py` (docstring of `Api.runs`);
# inputArtifacts and outputArtifacts: wandb-workspaces `expr.py` (2026-07), which leaves the form of
# their values open.
COLUMNS = {
    "name": "text",
    "displayName": "text",
    "state": "state",
    "tags": "tags",
    "createdAt": "date",
    "heartbeatAt": "date",
    "updatedAt": "date",
    "group": "text",
    "jobType": "text",
    "username": "text",
    "sweep": "text",
    "host": "text",
    "entity": "text",
    "duration": "number",
    "inputArtifacts": "unknown",
    "outputArtifacts": "unknown",
}
_SNAKE = {
    "display_name": "displayName",
    "created_at": "createdAt",
    "heartbeat_at": "heartbeatAt",
    "updated_at": "updatedAt",
    "job_type": "jobType",
}
# Source: `id` matches nothing (wandb/wandb#5122, 2023); labels of the web interface: wandb-workspaces
# `expr.py` (2026-07).
_MISTAKEN = {
    "id": "name",
    "run_id": "name",
    "ID": "name",
    "Name": "displayName",
    "State": "state",
    "Tags": "tags",
    "CreatedTimestamp": "createdAt",
    "Created": "createdAt",
    "User": "username",
    "user": "username",
    "userName": "username",
    "Group": "group",
    "JobType": "jobType",
    "Job Type": "jobType",
    "Sweep": "sweep",
    "sweepName": "sweep",
    "Hostname": "host",
    "Host": "host",
    "Runtime": "duration",
    "duration_s": "duration",
    "Step": "summary_metrics._step",
}
_INDEXED_DOTS = {"config": 3, "summary_metrics": 4}
STATES = frozenset(
    {"running", "finished", "crashed", "failed", "killed", "pending", "preempting", "preempted"}
)


def column_of(key: str) -> str | None:
    """Return the column that a top-level key names, in either spelling, or None."""
    return key if key in COLUMNS else _SNAKE.get(key)


def check_key(key: str, where: str) -> list[str]:
    """Return the warnings about a key of a filter.

    Raises:
        FilterError: the server does not know the key.
    """
    section, _, rest = key.partition(".")
    if section in _INDEXED_DOTS:
        return _check_json_key(key, section, rest, where)
    if key.startswith("keys_info.keys."):
        return []
    column = column_of(key)
    if column is None:
        raise FilterError(f"{where}: {_advice(key)}")
    if COLUMNS[column] == "unknown":
        return [f"{where}: the form of its values is not documented, check what comes back"]
    return []


def split_key(key: str) -> tuple[str, tuple[str, ...]]:
    """Return the section and the names below it; `config.lr.value` and `config.lr` are one.

    Source: wandb/wandb#9406 (2025): both spellings work.
    """
    section, _, rest = key.partition(".")
    parts = tuple(rest.split(".")) if rest else ()
    if section == "config" and len(parts) > 1 and parts[1] == "value":
        parts = (parts[0], *parts[2:])
    return section, parts


def keys_of(filters: object) -> Iterator[tuple[str, bool]]:
    """Yield the keys that a raw filter names, each with whether a value is asked for there.

    Where only null or presence is asked for, an object will do.
    """
    if isinstance(filters, (list, tuple)):
        for member in filters:
            yield from keys_of(member)
    elif isinstance(filters, Mapping):
        for key, test in filters.items():
            if str(key).startswith("$"):
                yield from keys_of(test)
            else:
                tests = test.items() if isinstance(test, Mapping) else [("$eq", test)]
                yield str(key), any(name != "$exists" and value is not None for name, value in tests)


def _check_json_key(key: str, section: str, rest: str, where: str) -> list[str]:
    if key.startswith(f"{section}[") or "['" in key or '["' in key:
        raise FilterError(f"{where}: brackets are part of the name here, write {section}.name")
    if key == section:
        return [f"{where}: names no key, write {section}.name"]
    if "" in rest.split("."):
        raise FilterError(f"{where}: an empty name between dots, write {section}.name")
    dots = len(split_key(key)[1]) - 1
    if dots > _INDEXED_DOTS[section]:
        return [
            f"{where}: the server indexes {_INDEXED_DOTS[section]} dots in {section} names, expect no match"
        ]
    return []


def _advice(key: str) -> str:
    if key in _MISTAKEN:
        return f"no such key, write {_MISTAKEN[key]}"
    section, _, rest = key.partition(".")
    if section in ("summary", "summaryMetrics", "Summary", "metrics") and rest:
        # Source: HTTP 400 "invalid column" (wandb/wandb#945).
        return f"no such key, write summary_metrics.{rest}"
    if section == "Config" and rest:
        return f"no such key, write config.{rest}"
    if key.startswith(("config[", "summary_metrics[", "summary[")):
        return "brackets are not understood, write config.name or summary_metrics.name"
    if column_of(section):
        return f"{section} has nothing below it, write {section}"
    near = difflib.get_close_matches(key, [*COLUMNS, *_SNAKE], n=3)
    columns = f"{' or '.join(near)}, " if near else ""
    return f"no such key, did you mean {columns}summary_metrics.{key} or config.{key}"
