"""From an older layout of the store to the present one, in SQL files that fastmigrate applies in order.

A new store is made from `tables.py`; a test holds both ways to the same result. A change of the tables is
one more file here, `NNNN-what.sql`, and `tables.VERSION` becomes NNNN.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from wbgql.errors import StoreError

FOLDER = Path(__file__).parent


def upgrade(db: apsw.Connection) -> None:
    """Bring the layout up to date. `db` is in a transaction, so all files apply or none does.

    Raises:
        StoreError: a file cannot be applied.
    """
    # Only an older store needs it, and it takes a quarter of a second to import.
    from fastmigrate.core import run_migrations  # noqa: PLC0415

    try:
        done = run_migrations(db, FOLDER)
    except apsw.SQLError as error:
        raise StoreError(f"store cannot be brought up to date: {error}, restore a copy of it") from error
    if not done:
        raise StoreError("store cannot be brought up to date: two migrations have one number")
