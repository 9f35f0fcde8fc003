"""The store's own promises: how it is opened, one writer, nothing half written."""

from __future__ import annotations

import threading

import pytest

from wbgql.errors import StoreError
from wbgql.server.store.database import Store, frozen, row, rows


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store")
    yield opened
    opened.close()


def test_deleted_content_is_overwritten_and_readers_do_not_block_writers(store):
    with store.read() as db:
        assert db.execute("PRAGMA secure_delete").get == 1
        assert db.execute("PRAGMA journal_mode").get == "wal"
        with frozen(db):
            before = rows(db, "SELECT * FROM settings WHERE key = 'x'")
            store.set_setting("x", 1)
            assert rows(db, "SELECT * FROM settings WHERE key = 'x'") == before == []
        assert row(db, "SELECT * FROM settings WHERE key = 'x'") == {"key": "x", "value": 1}


def test_a_block_that_fails_leaves_nothing(store):
    def write_and_fail() -> None:
        with store.write() as db:
            db.execute("INSERT INTO settings VALUES ('x', 1)")
            raise ValueError

    with pytest.raises(ValueError):
        write_and_fail()

    assert store.setting("x") is None
    store.set_setting("x", 2)
    assert store.setting("x") == 2


def test_writers_take_turns(store):
    store.set_setting("n", 0)

    def add() -> None:
        for _ in range(50):
            with store.write() as db:
                db.execute("UPDATE settings SET value = value + 1 WHERE key = 'n'")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.setting("n") == 200


def test_a_full_disk_is_said_and_undone(store):
    with store.read() as db:
        pages = db.execute("PRAGMA page_count").get
    with store.write() as db:
        db.execute(f"PRAGMA max_page_count={pages + 2}")

    with pytest.raises(StoreError, match="disk is full"):
        store.set_setting("big", "x" * 1_000_000)

    assert store.setting("big") is None


def test_compacting_gives_space_back_and_empties_the_wal(store, tmp_path):
    store.set_setting("big", "canary" * 100_000)
    store.set_setting("big", "")

    assert store.compact() is True

    files = {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()}
    assert len(files["wbgql.sqlite-wal"]) == 0
    assert len(files["wbgql.sqlite"]) < 300_000
    assert not any(b"canary" in content for content in files.values())


def test_a_reader_keeps_the_wal_from_being_emptied(store):
    with store.read() as db:
        db.execute("PRAGMA busy_timeout=10")
    other = Store(store.data)
    other._writer.execute("PRAGMA busy_timeout=10")
    try:
        with store.read() as db, frozen(db):
            db.execute("SELECT * FROM settings").fetchall()
            other.set_setting("x", 1)
            assert other.compact() is False
        assert other.compact() is True
    finally:
        other.close()


def test_a_query_left_open_does_not_show_the_next_borrower_an_old_state(store):
    for _ in range(3):
        with store.read() as db:
            left_open = db.execute("SELECT * FROM sqlite_schema")
            next(left_open)
        store.set_setting("x", 1)

        with store.read() as db:
            assert db.execute("SELECT value FROM settings WHERE key = 'x'").get == 1
