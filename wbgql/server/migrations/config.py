"""How fastmigrate works on a store: through the connection it is given, version in `PRAGMA user_version`.

The names are fastmigrate's (0.5, README "Custom backends", 2026-11).
"""

from __future__ import annotations

import apsw


def get_connection(db: apsw.Connection) -> apsw.Connection:
    """The connection that was handed in; its owner begins, commits and closes."""
    return db


def ensure_meta_table(_db: apsw.Connection) -> None:
    """Nothing to make: the version stands in the file's header."""


def get_version(db: apsw.Connection) -> int:
    """The layout the store has."""
    return int(db.execute("PRAGMA user_version").get)


def set_version(db: apsw.Connection, version: int) -> None:
    """Note the layout reached, in the same transaction as the change."""
    db.execute(f"PRAGMA user_version={version:d}")


def execute_sql(db: apsw.Connection, script: str) -> None:
    """Run every statement of a file."""
    db.execute(script).fetchall()
