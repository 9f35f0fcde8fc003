"""Pages and counts of runs: a filter and an order become one SQL query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from wbgql.errors import UsageError
from wbgql.scalars import is_encodable, make_run_storage_id, parse_json
from wbgql.server.api import work
from wbgql.server.backend import Context
from wbgql.server.filters.compile import IndexPath, RunFields, Where, compile_order, compile_where
from wbgql.server.filters.fields import path_literal
from wbgql.server.likeness.switches import OPAQUE
from wbgql.server.relay import to_cursors
from wbgql.server.runs import indexes as run_indexes
from wbgql.server.runs.rows import NODE_KEYS, NODE_NAMES, node_sql, to_node
from wbgql.server.store.database import Connection, Row, rows

MAX_KEYS = 500

TEXTS = {
    "config": "config",
    "summaryMetrics": "summary",
    "systemMetrics": "system_metrics",
    "historyKeys": "history_keys",
}
"""Columns of `run_texts` by GraphQL name."""


@dataclass(frozen=True)
class Projection:
    """What a page reads of each run.

    `texts`: whole JSON texts by GraphQL name. `keys`: (GraphQL name, key) pairs read out of JSONB.
    `plain`: plain columns by GraphQL name, beside `NODE_KEYS`; None for all.
    """

    texts: frozenset[str] = frozenset()
    keys: frozenset[tuple[str, str]] = frozenset()
    plain: frozenset[str] | None = None
    columns: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        if len(self.keys) > MAX_KEYS:
            raise UsageError(f"too many keys at once: {len(self.keys)}, ask for up to {MAX_KEYS}")
        columns = [(text_column(name), f"run_texts.{TEXTS[name]}") for name in sorted(self.texts)]
        columns += [(key_column(name, key), _key_sql(name, key)) for name, key in sorted(self.keys)]
        object.__setattr__(self, "columns", tuple(columns))

    @property
    def node_names(self) -> tuple[str, ...]:
        """The plain columns, in the order they are read."""
        if self.plain is None:
            return NODE_NAMES
        return tuple(name for name in NODE_NAMES if name in self.plain or name in NODE_KEYS)

    def sql(self) -> str:
        """The select list after the plain columns."""
        return "".join(f", {sql}" for _, sql in self.columns)

    @property
    def source(self) -> str:
        """The tables to read from: the texts of a run are in one row, looked up once."""
        return "runs LEFT JOIN run_texts ON run_id = runs.id" if self.texts else "runs"


def text_column(name: str) -> str:
    """The name under which a page's row holds a whole JSON text."""
    return f"{name}:text"


def key_column(name: str, key: str) -> str:
    """The name under which a page's row holds the JSON text of one key."""
    return f"{name}.{key}"


@dataclass(frozen=True)
class RunPage:
    """Rows of one page as they were read; `more`: there are others behind them.

    `nodes` makes of them what resolvers take, at some ten times the cost of reading columns.
    """

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    project: Row
    users: dict[int, Row]
    offset: int = 0
    more: bool = False

    def __post_init__(self) -> None:
        """Count the texts of the page as parts of the answer."""
        texts = [self.column(name) for name in self.names if ":" in name or "." in name]
        work.grow(sum(len(text) for column in texts for text in column if text is not None))

    @cached_property
    def _columns(self) -> dict[str, Sequence[Any]]:
        if not self.rows:
            return dict.fromkeys(self.names, ())
        return dict(zip(self.names, zip(*self.rows, strict=True), strict=True))

    def column(self, name: str) -> Sequence[Any]:
        """One value for each run: a part of a node by its name, or what `text_column`, `key_column` name."""
        return self._columns[name]

    def storage_ids(self) -> list[str]:
        """`Run.id` of each run."""
        entity, project = self.project["entityName"], self.project["name"]
        return [make_run_storage_id(entity, project, name) for name in self.column("name")]

    def cursors(self) -> list[str]:
        """The cursor of each run."""
        return to_cursors(self.offset, len(self.rows))

    def nodes(self) -> list[Row]:
        """Each run as a node."""
        return [
            to_node(dict(zip(self.names, values, strict=True)), self.project, self.users)
            for values in self.rows
        ]


def _key_sql(name: str, key: str) -> str:
    """The JSON text at a key: taken literally, or else by its dots."""
    column = "runs.config_values" if name == "config" else "runs.summary_values"
    paths = [path_literal((key,))]
    if "." in key:
        paths.append(path_literal(tuple(key.split("."))))
    found = [f"{column} -> {path}" for path in paths]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def page(
    context: Context,
    project: Row,
    *,
    filters: str | None,
    order: str | None,
    size: int,
    offset: int,
    names: list[str] | None = None,
    projection: Projection | None = None,
) -> RunPage:
    """One page, with one query whatever is selected.

    Raises:
        UsageError: a filter or order the server does not understand.
    """
    projection = projection or Projection()
    where, params = _where(context, project, filters, names)
    ordered = compile_order(order, RunFields(project["pk"]))
    run_indexes.note_paths(context, ordered.index_paths)
    selected = node_sql(projection.node_names) + projection.sql()
    sql = f"SELECT {selected} FROM {projection.source} WHERE {where} ORDER BY {ordered.sql} LIMIT ? OFFSET ?"  # noqa: S608
    # One more than is wanted tells whether there are more.
    found = context.db.execute(sql, (*params, size + 1, offset)).fetchall()
    columns = (*projection.node_names, *(column for column, _ in projection.columns))
    return RunPage(columns, found[:size], project, context.users, offset, len(found) > size)


def count(context: Context, project: Row, filters: str | None) -> int:
    """How many runs match.

    Of several conditions on keys one is answered by its index alone; left to the planner, the others would
    each read the runs that are left. So they are answered by one index of all those keys, and until there is
    one each by its own, as a set of runs.
    """
    given = parse_filters(filters)
    fields = _fields(context, project, given)
    where, params = _live(project, compile_where(given, fields))
    keyed, others = _by_index(context, given, fields)
    paths = tuple(sorted(frozenset[IndexPath]().union(*(part.index_paths for part in keyed))))
    source = "runs"
    if len(paths) > 1:
        joint = run_indexes.find_joint(context, paths)
        if joint is None:
            where, params = _by_sets(project, keyed, others)
        else:
            # Named, as the planner may take that of one key for the better one.
            source = f'runs INDEXED BY "{joint}"'
    return int(context.db.execute(f"SELECT count(*) FROM {source} WHERE {where}", params).get)  # noqa: S608


def _by_sets(project: Row, keyed: list[Where], others: list[Where]) -> tuple[str, list[Any]]:
    """The condition that all hold, each of the `keyed` looked up by itself."""
    scope = "runs.project_id = ? AND runs.deleted_at IS NULL"
    first, *rest = keyed
    # With the plus sign the set is looked into, and no search by its members.
    sets = [f"+runs.id IN (SELECT runs.id FROM runs WHERE {scope} AND ({part.sql}))" for part in rest]  # noqa: S608
    params = [project["pk"], *first.params]
    for part in rest:
        params += [project["pk"], *part.params]
    for part in others:
        params += part.params
    return " AND ".join([scope, f"({first.sql})", *sets, *(f"({part.sql})" for part in others)]), params


def _by_index(
    context: Context, filter_: dict[str, Any], fields: RunFields
) -> tuple[list[Where], list[Where]]:
    """The conditions that must all hold: those that an index of values serves, and the others."""
    parts = [compile_where(part, fields) for part in _conditions(filter_)]
    keyed = [
        part
        for part in parts
        if part.index_paths
        and all(path.kind == "value" and run_indexes.has_index(context.db, path) for path in part.index_paths)
    ]
    return keyed, [part for part in parts if part not in keyed]


def _conditions(filter_: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a valid filter that are joined by AND."""
    for key, value in filter_.items():
        if key == "$and" or (key == "$or" and len(value) == 1):
            for member in value:
                yield from _conditions(member)
        else:
            yield {key: value}


def matching(
    context: Context, db: Connection, project: Row, filters: str | None, *, deleted: bool = False
) -> list[Row]:
    """`pk`, `name` and `userPk` of the runs that match; `deleted` looks only among the deleted."""
    compiled = compile_where(parse_filters(filters), _run_fields(context, project))
    gone = "IS NOT NULL" if deleted else "IS NULL"
    return rows(
        db,
        f"SELECT id AS pk, name, user_id AS userPk FROM runs WHERE project_id = ? AND deleted_at {gone}"  # noqa: S608
        f" AND ({compiled.sql}) ORDER BY id",
        (project["pk"], *compiled.params),
    )


def where_sql(context: Context, project: Row, filters: str | None) -> tuple[str, list[Any]]:
    """The condition for live runs of a project that match, for queries of other shapes over `runs`."""
    return _where(context, project, filters, None)


def _where(
    context: Context, project: Row, filters: str | None, names: list[str] | None
) -> tuple[str, list[Any]]:
    given = parse_filters(filters)
    where, params = _live(project, compile_where(given, _fields(context, project, given)))
    if names:
        where += f" AND runs.name IN ({','.join('?' * len(names))})"
        params += names
    return where, params


def _live(project: Row, compiled: Where) -> tuple[str, list[Any]]:
    where = f"runs.project_id = ? AND runs.deleted_at IS NULL AND ({compiled.sql})"
    return where, [project["pk"], *compiled.params]


def _fields(context: Context, project: Row, filter_: Any) -> RunFields:
    """What the keys of a filter mean; notes what it asks for, so that there will be indexes.

    A key could hold arrays, or lead through them, and no index has their elements: where there are none, a
    condition is one on a single value.
    """
    fields = _run_fields(context, project)
    paths = compile_where(filter_, fields).index_paths
    run_indexes.note_paths(context, paths)
    return replace(fields, arrayless=run_indexes.find_arrayless(context.db, project["pk"], paths))


def _run_fields(context: Context, project: Row) -> RunFields:
    return RunFields(project["pk"], opaque_lists=context.backend.settings.lists == OPAQUE)


def parse_filters(text: str | None) -> Any:
    """Decode a `filters` argument; null and "" match everything.

    Raises:
        UsageError: not JSON, or with half a surrogate pair, which no stored text holds.
    """
    if not text:
        return {}
    try:
        filters = parse_json(text)
    except ValueError as error:
        raise UsageError(f"filters is not JSON: {error}") from error
    if "\\ud" in text.lower() and not is_encodable(filters):
        raise UsageError("filters holds half a surrogate pair, which is no text")
    return filters
