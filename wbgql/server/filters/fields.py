"""What a filter key names: a column of `runs`, or a path into a JSON column. No I/O."""

from __future__ import annotations

import hashlib
import json
import reprlib
from dataclasses import dataclass
from datetime import UTC
from typing import Literal, Protocol

from wbgql.errors import UsageError
from wbgql.scalars import parse_datetime

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring = 2, 80
MAX_KEY_CHARS = 1000
MAX_KEY_PARTS = 50


class FilterRefused(UsageError):
    """The filter or order is malformed; the message says where, as in `$.state.$foo: unknown operator`."""


@dataclass(frozen=True, order=True)
class IndexPath:
    """A place in a JSON column that an expression index would speed up.

    `kind` is "value" for comparisons and sorting, "type" for paths that may cross an array on the way.
    """

    column: str
    parts: tuple[str, ...]
    kind: Literal["value", "type"] = "value"


@dataclass(frozen=True)
class JsonField:
    """A path into JSON. `source`: the SQL of the JSON; `column`: its name in `runs` if an index may serve it.

    `root_array`: the JSON itself may be an array, so that a first part may walk through it.
    `project_id`: set where the rows of one project alone are asked for. `arrayless`: beginnings of the path,
    or all of it, at which none of the rows asked for has an array. `table`: whose column it is, if an index
    may stand in for its rows. `opaque_lists`: a list on the way or at the end matches nothing but a question
    whether it is there.
    """

    source: str
    parts: tuple[str, ...]
    column: str | None = None
    root_array: bool = False
    project_id: int | None = None
    arrayless: frozenset[tuple[str, ...]] = frozenset()
    table: str | None = None
    opaque_lists: bool = False


@dataclass(frozen=True)
class ColumnField:
    """A scalar column: null there is a missing value."""

    source: str
    kind: Literal["text", "number", "instant"]


@dataclass(frozen=True)
class NoField:
    """A key that W&B accepts and that no run ever matches, whatever the operator."""


Field = JsonField | ColumnField | NoField


class Fields(Protocol):
    """Names what filter and order keys mean."""

    def resolve(self, key: str) -> Field:
        """Return what `key` names.

        Raises:
            FilterRefused: no such column.
        """

    @property
    def tie_break(self) -> str:
        """The SQL of the row id, which ends every order."""


def split_key(key: str) -> tuple[str, ...]:
    """Split a dotted key; an empty part is an empty JSON key.

    Raises:
        FilterRefused: the key is too long, too deep or not Unicode.
    """
    parts = tuple(key.split("."))
    if len(key) > MAX_KEY_CHARS or len(parts) > MAX_KEY_PARTS:
        raise FilterRefused(f"key longer than {MAX_KEY_CHARS} characters or {MAX_KEY_PARTS} parts")
    require_unicode(key)
    return parts


def require_unicode(text: str) -> str:
    """Return `text` if it can be stored.

    Raises:
        FilterRefused: it holds a lone surrogate, which SQLite cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FilterRefused(f"{shown(text)}: not valid Unicode") from error
    return text


def shown(value: object) -> str:
    """Return `value` for a message, cut short."""
    return _SHORT.repr(value)


def has_path(parts: tuple[str, ...]) -> bool:
    """Whether SQLite can reach these keys by a path: it reads a label only up to a NUL."""
    return not any("\0" in part for part in parts)


def path_literal(parts: tuple[str, ...]) -> str:
    """Write a JSON path as an SQL string literal that reaches exactly these object keys.

    Inlined, not bound: SQLite uses an expression index only for a literal path. Every
    part is a quoted, JSON-escaped label, so the text is ASCII and holds no raw quote.
    """
    path = "$" + "".join("." + json.dumps(part) for part in parts)
    return "'" + path.replace("'", "''") + "'"


def index_name(index_path: IndexPath) -> str:
    """Name of the index for `index_path`: the same for the same path, and without its keys."""
    digest = hashlib.sha256(path_literal(index_path.parts).encode()).hexdigest()[:16]
    return f"runs_{index_path.column}_{index_path.kind}_{digest}"


def index_sql(index_path: IndexPath) -> str:
    """Write `CREATE INDEX IF NOT EXISTS` for `index_path`.

    An index of values ends with what its rows are otherwise read for, at some fifty times the cost of an
    entry: `id` ends every order, the type decides the exact test, and the rest is in most conditions.
    """
    path = path_literal(index_path.parts)
    column = index_path.column
    name = f'"{index_name(index_path)}"'
    if index_path.kind == "type":
        return f"CREATE INDEX IF NOT EXISTS {name} ON runs(project_id, json_type({column}, {path}))"
    return (
        f"CREATE INDEX IF NOT EXISTS {name} ON runs(project_id, json_extract({column}, {path}), id,"
        f" json_type({column}, {path}), state, deleted_at)"
    )


def joint_index_name(paths: tuple[IndexPath, ...]) -> str:
    """Name of the index for several paths at once: the same for the same paths, and without their keys."""
    text = " ".join(f"{path.column} {path_literal(path.parts)}" for path in paths)
    return f"runs_joint_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def joint_index_sql(paths: tuple[IndexPath, ...]) -> str:
    """Write `CREATE INDEX IF NOT EXISTS` for conditions on all of `paths`, which then need no row.

    For rows that meet several conditions on keys; the order of `paths` is that of the index.
    """
    places = [f"{path.column}, {path_literal(path.parts)}" for path in paths]
    values = ", ".join(f"json_extract({place})" for place in places)
    types = ", ".join(f"json_type({place})" for place in places)
    return (
        f'CREATE INDEX IF NOT EXISTS "{joint_index_name(paths)}" ON runs(project_id, {values}, {types},'
        " state, deleted_at)"
    )


def instant_text(value: object) -> str | None:
    """Return an ISO-8601 operand as the store writes instants: UTC, microseconds, `Z`.

    Text without a zone is UTC, a bare date its first moment; None stays None.

    Raises:
        FilterRefused: not an ISO-8601 instant.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise FilterRefused(f"{shown(value)} is not an ISO-8601 instant, as in '2026-01-31T00:00:00Z'")
    try:
        instant = parse_datetime(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise FilterRefused(
            f"{shown(value)} is not an ISO-8601 instant, as in '2026-01-31T00:00:00Z'"
        ) from error
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


_TEXT_COLUMNS = {
    "name": "name",
    "displayName": "display_name",
    "display_name": "display_name",
    "state": "state",
    "group": "run_group",
    "jobType": "job_type",
    "job_type": "job_type",
    "username": "username",
    "userName": "username",
    "sweep": "sweep_name",
    "host": "host",
    "notes": "notes",
}
_INSTANT_COLUMNS = {
    "createdAt": "created_at",
    "created_at": "created_at",
    "heartbeatAt": "heartbeat_at",
    "heartbeat_at": "heartbeat_at",
    "updatedAt": "updated_at",
    "updated_at": "updated_at",
}
# No index serves it; all runs of one project have the same.
_ENTITY = (
    "(SELECT entities.name FROM projects JOIN entities ON entities.id = projects.entity_id"
    " WHERE projects.id = runs.project_id)"
)
_JSON_COLUMNS = {"config": "config_values", "summary_metrics": "summary_values", "tags": "tags"}


@dataclass(frozen=True)
class RunFields:
    """The keys of W&B's run filters, over the table `runs` (not under an alias).

    With `project_id` a `<` on a metric becomes one index range instead of two. `arrayless`: places at
    which no run of the project has an array; a condition there or below is then one on a single value.
    `opaque_lists`: as for `JsonField`, in config and summary.

    Source: wandb SDK 0.31.0 `apis/public/api.py`, docstring of `Api.runs`; `summary.x` is an
    "invalid column" and `id` matches nothing: GitHub issues wandb/wandb#945, #5122 (2026-08).
    """

    project_id: int | None = None
    tie_break: str = "runs.id"
    arrayless: frozenset[IndexPath] = frozenset()
    opaque_lists: bool = False

    def resolve(self, key: str) -> Field:
        head, *rest = split_key(key)
        if head in _JSON_COLUMNS:
            return self._json(head, tuple(rest))
        if not rest and head in _TEXT_COLUMNS:
            return ColumnField(f"runs.{_TEXT_COLUMNS[head]}", "text")
        if not rest and head in _INSTANT_COLUMNS:
            return ColumnField(f"runs.{_INSTANT_COLUMNS[head]}", "instant")
        if key == "entity":
            return ColumnField(_ENTITY, "text")
        if key == "duration":
            return ColumnField("runs.duration", "number")
        if key == "id":
            return NoField()
        raise FilterRefused(f"invalid column {shown(key)}")

    def _json(self, head: str, rest: tuple[str, ...]) -> JsonField:
        column = _JSON_COLUMNS[head]
        if head == "tags":
            return JsonField("runs.tags", rest, root_array=True)
        if head == "config" and rest[1:2] == ("value",):
            # `config.lr` and `config.lr.value` are one: the store keeps config without the wrapper.
            rest = rest[:1] + rest[2:]
        arrayless = frozenset(path.parts for path in self.arrayless if path.column == column)
        return JsonField(
            f"runs.{column}",
            rest,
            column=column,
            project_id=self.project_id,
            arrayless=arrayless,
            table="runs" if rest else None,
            opaque_lists=self.opaque_lists,
        )


@dataclass(frozen=True)
class DocumentFields:
    """Every key is a path into one JSON column of objects. Infinity is stored as 9e999."""

    source: str = "documents.doc"
    tie_break: str = "documents.id"

    def resolve(self, key: str) -> Field:
        return JsonField(self.source, split_key(key), column=self.source.rpartition(".")[2])


@dataclass(frozen=True)
class ElementFields:
    """Keys inside an `$elemMatch`: paths into one element of an array."""

    source: str
    tie_break: str = ""

    def resolve(self, key: str) -> Field:
        return JsonField(self.source, split_key(key))
