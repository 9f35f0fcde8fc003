"""Indexes of `runs` on JSON keys: built once a key is asked for again, for one key or for several at once."""

from __future__ import annotations

from wbgql.server.backend import Context
from wbgql.server.filters.fields import (
    IndexPath,
    index_name,
    index_sql,
    joint_index_name,
    joint_index_sql,
    path_literal,
)
from wbgql.server.filters.paths import is_array_text
from wbgql.server.store.database import Connection

INDEX_FROM_RUNS = 2_000
"""Below this many runs in the store a scan is quick enough without an index."""
INDEX_FROM_USES = 2
MAX_INDEXES = 64
MAX_JOINT_KEYS = 4
"""Conditions on more keys than these are rare, and an index of them serves no others."""


def note_paths(context: Context, paths: frozenset[IndexPath]) -> None:
    """Build an index for a JSON key once it was asked for twice in a store of some size.

    Looked up each time, because a purge (also by another process) drops these indexes.
    """
    for path in paths:
        if _is_wanted(context, (path,)) and not has_index(context.db, path):
            _build(context, index_name(path), index_sql(path))


def find_joint(context: Context, paths: tuple[IndexPath, ...]) -> str | None:
    """The name of the index of all these keys; None if there is none yet, or will be none.

    It is built once they were asked for together twice. A reader that began before does not see it.
    """
    if len(paths) > MAX_JOINT_KEYS:
        return None
    name, sql = joint_index_name(paths), joint_index_sql(paths)
    if _is_there(context.db, name, sql):
        return name
    if _is_wanted(context, paths):
        _build(context, name, sql)
    return name if _is_there(context.db, name, sql) else None


def find_arrayless(db: Connection, project_pk: int, paths: frozenset[IndexPath]) -> frozenset[IndexPath]:
    """Those places at which no run of the project has an array, as far as their indexes tell.

    Nothing outside a transaction: the next statement might see another state.
    """
    if not db.in_transaction:
        return frozenset()
    return frozenset(path for path in paths if has_index(db, path) and not _any_array(db, project_pk, path))


def _any_array(db: Connection, project_pk: int, path: IndexPath) -> bool:
    place = f"{path.column}, {path_literal(path.parts)}"
    found = (
        f"json_type({place}) = 'array'" if path.kind == "type" else is_array_text(f"json_extract({place})")
    )
    sql = f"SELECT 1 FROM runs WHERE project_id = ? AND {found} LIMIT 1"  # noqa: S608
    return db.execute(sql, (project_pk,)).get is not None


def has_index(db: Connection, path: IndexPath) -> bool:
    """Whether the index is there in its present form: a store may have one that an earlier version made."""
    return _is_there(db, index_name(path), index_sql(path))


def _is_wanted(context: Context, paths: tuple[IndexPath, ...]) -> bool:
    """Note one more use; whether there were enough for an index."""
    uses = context.backend.path_uses
    uses[paths] = uses.get(paths, 0) + 1
    return uses[paths] >= INDEX_FROM_USES


def _is_there(db: Connection, name: str, sql: str) -> bool:
    found = db.execute("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?", (name,)).get
    return found is not None and _columns(found) == _columns(sql)


def _columns(create_index: str) -> str:
    return create_index.partition(" ON ")[2]


def _build(context: Context, name: str, sql: str) -> None:
    if (context.db.execute("SELECT max(id) FROM runs").get or 0) < INDEX_FROM_RUNS:
        return
    with context.store.write() as db:
        db.execute(f'DROP INDEX IF EXISTS "{name}"')
        if len(field_indexes(db)) < MAX_INDEXES:
            db.execute(sql)
            # Of all indexes: the planner takes one without statistics for a selective one.
            db.execute("ANALYZE runs")


def field_indexes(db: Connection) -> list[str]:
    """Names of the indexes that were built on demand."""
    return [
        name
        for (name,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'runs' AND sql LIKE '%json%'"
        )
    ]


def drop_field_indexes(db: Connection) -> None:
    """Forget them all: their definitions hold key names, which may be a purged run's.

    Statistics go too, whoever made them: they hold copies of values.
    """
    for name in field_indexes(db):
        db.execute(f'DROP INDEX "{name}"')
    sql = "SELECT name FROM sqlite_schema WHERE name GLOB 'sqlite_stat[1-4]'"
    for (table,) in db.execute(sql).fetchall():
        db.execute(f"DELETE FROM {table}")  # noqa: S608
