"""Stores that an earlier version made: they open, and are what a new one would be."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.caller import Caller
from tests.server.artifact_logger import ArtifactLogger
from wbgql.errors import StoreError
from wbgql.server import audit_log, list_users, start
from wbgql.server.store.database import Store
from wbgql.server.store.tables import VERSION

SAMPLE = Path(__file__).parent.parent / "samples" / "store-v1.sql"
"""A store of layout 1 as SQL: a run with history and an artifact, a deleted run, a team."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    db = apsw.Connection(str(folder / "wbgql.sqlite"))
    db.execute(SAMPLE.read_text()).fetchall()
    db.close()
    return folder


def layout(data: Path) -> dict[str, Any]:
    """Columns of every table, and what every index is on."""
    db = apsw.Connection(str(data / "wbgql.sqlite"))
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found: dict[str, Any] = {name: db.execute(f"PRAGMA table_info({name})").fetchall() for name in tables}
    found |= dict(db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index'").fetchall())
    found["version"] = db.execute("PRAGMA user_version").get
    db.close()
    return found


def test_a_migrated_store_has_the_layout_of_a_new_one(old, tmp_path):
    Store(old).close()
    Store(tmp_path / "new").close()

    assert layout(old) == layout(tmp_path / "new")
    assert layout(old)["version"] == VERSION


def test_what_an_older_store_holds_is_there_after_it(old):
    with start(old, username="later") as server:
        caller = Caller(server.base_url, "k" * 40)

        assert caller.run("old", "kept")["tags"] == ["a"]
        assert len(caller.run("old", "kept")["history"]) == 3
        assert caller.run("old", "gone") is None
        assert ArtifactLogger(caller, "old").by_name("net:best")["state"] == "COMMITTED"
    assert [user["username"] for user in list_users(old)] == ["ada", "admin", "later"]
    assert [row["action"] for row in audit_log(old)] == ["run:delete"]


def test_two_that_open_an_older_store_at_once_migrate_it_once(old):
    opened: list[Store] = []
    threads = [threading.Thread(target=lambda: opened.append(Store(old))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(opened) == 4
    for store in opened:
        store.close()
    assert layout(old)["version"] == VERSION


def test_a_migration_changes_nothing_for_other_connections_of_the_process(old):
    hooks = list(apsw.connection_hooks)

    Store(old).close()

    assert apsw.connection_hooks == hooks
    db = apsw.Connection(str(old / "wbgql.sqlite"))
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat4'").get == 0
    db.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(old):
    db = apsw.Connection(str(old / "wbgql.sqlite"))
    db.execute("ALTER TABLE users ADD COLUMN account_type TEXT").fetchall()
    db.close()
    before = layout(old)

    with pytest.raises(StoreError, match=r"cannot be brought up to date: .*account_type"):
        Store(old)

    assert layout(old) == before


def test_a_store_of_a_later_version_is_refused(old):
    db = apsw.Connection(str(old / "wbgql.sqlite"))
    db.execute(f"PRAGMA user_version={VERSION + 1}").fetchall()
    db.close()

    with pytest.raises(StoreError, match="upgrade wbgql"):
        Store(old)
