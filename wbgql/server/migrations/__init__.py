"""From an older layout of the store to the present one, in SQL files that fastmigrate applies in order.

A new store is made from `tables.py`; a test holds both ways to the same result. A change of the tables is
one more file here, `NNNN-what.sql`, and `tables.VERSION` becomes NNNN.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import apsw

from wbgql.errors import StoreError

FOLDER = Path(__file__).parent


def _runner() -> Callable[[apsw.Connection, Path], bool]:
    """fastmigrate's runner, imported by those who need it, and without what it can do without.

    apswutils would set hooks for every connection of the process: one runs `PRAGMA optimize`, whose
    statistics are copies of what users wrote, one logs statements. fastmigrate tolerates its absence.
    """
    blocked = "apswutils" not in sys.modules
    if blocked:
        sys.modules["apswutils"] = None  # type: ignore[assignment]  # how Python is told not to import
    try:
        from fastmigrate.core import run_migrations  # noqa: PLC0415

        runner: Callable[[apsw.Connection, Path], bool] = run_migrations
        return runner
    finally:
        if blocked:
            del sys.modules["apswutils"]


def upgrade(db: apsw.Connection) -> None:
    """Bring the layout up to date. `db` is in a transaction, so all files apply or none does.

    Raises:
        StoreError: a file cannot be applied.
    """
    try:
        done = _runner()(db, FOLDER)
    except apsw.SQLError as error:
        raise StoreError(f"store cannot be brought up to date: {error}, restore a copy of it") from error
    if not done:
        raise StoreError("store cannot be brought up to date: two migrations have one number")
