"""A copy of the database forges nothing, signing out ends a session, and files are the owner's alone."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest
import requests

from tests.caller import Caller
from tests.server.test_migrations import SAMPLE
from wbgql.errors import StoreError
from wbgql.server import list_users, reset_keys, start
from wbgql.server.accounts import add_user, find_viewer
from wbgql.server.operator.accounts import KeyReset
from wbgql.server.store import keyring
from wbgql.server.store.database import Store
from wbgql.server.store.keyring import Keyring


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def old_store(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    db = apsw.Connection(str(folder / "wbgql.sqlite"))
    db.execute(SAMPLE.read_text()).fetchall()
    db.close()
    return folder


def test_the_database_holds_no_secret_and_no_plain_hash_of_a_key(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    key = add_user(store, "ada")
    ring = store.keyring
    store.close()

    content = b"".join(path.read_bytes() for path in store.data.glob("wbgql.sqlite*"))

    assert mode(store.data / "secrets.json") == 0o600
    for secret in (ring.signing, ring.subjects, key.encode(), hashlib.sha256(key.encode()).digest()):
        assert secret not in content


def test_an_older_store_keeps_its_keys_and_loses_its_secret(tmp_path: Path) -> None:
    old = old_store(tmp_path / "store")
    db = apsw.Connection(str(old / "wbgql.sqlite"))
    secret = db.execute("SELECT value FROM settings WHERE key = 'secret'").get
    key = "old-key-" + "k" * 40
    (user,) = db.execute("SELECT id FROM users LIMIT 1").fetchall()[0]
    hashed = hashlib.sha256(key.encode()).digest()
    db.execute(
        "INSERT INTO api_keys (user_id, hash, hint, created_at) VALUES (?, ?, 'old-key-', '2026')",
        (user, hashed),
    )
    db.close()

    store = Store(old)
    try:
        with store.read() as reading:
            viewer = find_viewer(reading, key)
        assert viewer is not None
        assert viewer.user_id == user
        assert store.keyring.subjects == secret != store.keyring.signing
        content = b"".join(path.read_bytes() for path in old.glob("wbgql.sqlite*"))
        assert secret not in content
        assert hashed not in content
    finally:
        store.close()


def test_a_copy_of_the_database_alone_does_not_open(tmp_path: Path) -> None:
    Store(tmp_path / "store").close()
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "store" / "wbgql.sqlite", tmp_path / "copy")

    with pytest.raises(StoreError, match=r"store lacks its secrets: .*/copy/secrets\.json, copy the file"):
        Store(tmp_path / "copy")


def test_secrets_that_are_damaged_are_not_made_again(tmp_path: Path) -> None:
    Store(tmp_path / "store").close()
    (tmp_path / "store" / "secrets.json").write_text('{"signing": ""}')

    with pytest.raises(StoreError, match="secrets of the store are damaged"):
        Store(tmp_path / "store")


@pytest.mark.parametrize("lost", [True, False])
def test_keys_end_and_are_issued_again_with_new_secrets(tmp_path: Path, lost: bool) -> None:
    data = tmp_path / "store"
    with start(data) as server:
        old = server.api_key
        run = Caller(server.base_url, old).upsert("r1")
        with pytest.raises(StoreError, match="another server has the store"):
            reset_keys(data)
    before = (data / "secrets.json").read_text()
    if lost:
        (data / "secrets.json").unlink()
        with pytest.raises(StoreError, match="--apply, which ends all keys"):
            reset_keys(data, apply=False)
        assert not (data / "secrets.json").exists()
    else:
        assert reset_keys(data, apply=False) == KeyReset(1, 0, True)
        assert (data / "secrets.json").read_text() == before

    assert reset_keys(data) == KeyReset(1, 0, not lost)

    after = (data / "secrets.json").read_text()
    assert json.loads(after)["signing"] != json.loads(before)["signing"]
    assert (json.loads(after)["subjects"] == json.loads(before)["subjects"]) is not lost
    assert mode(data / "secrets.json") == 0o600
    store = Store(data)
    name = list_users(data)[0]["username"]
    new = add_user(store, name)
    with store.read() as db:
        assert find_viewer(db, old) is None
        assert find_viewer(db, new) is not None
        assert db.execute("SELECT count(*) FROM runs").get == 1
    store.close()
    assert run


@dataclass
class Reset:
    """A store with one key."""

    data: Path
    key: str

    def admits(self, key: str) -> bool:
        store = Store(self.data)
        try:
            with store.read() as db:
                return find_viewer(db, key) is not None
        finally:
            store.close()

    def keys(self) -> int:
        return int(list_users(self.data)[0]["keys"])


@pytest.fixture
def reset(tmp_path: Path) -> Reset:
    store = Store(tmp_path / "store")
    key = add_user(store, "ada")
    store.close()
    return Reset(store.data, key)


def test_a_reset_that_dies_before_the_new_secrets_are_whole_has_not_begun(reset: Reset) -> None:
    (reset.data / "secrets.part").write_text('{"signing": "')

    assert reset.admits(reset.key)
    assert reset_keys(reset.data) == KeyReset(1, 0, True)
    assert not reset.admits(reset.key)
    assert not (reset.data / "secrets.part").exists()


@pytest.mark.parametrize("again", ["open", "reset", "preview"])
def test_a_reset_that_dies_after_the_new_secrets_is_done_when_the_store_opens(
    reset: Reset, again: str
) -> None:
    keyring.replace(reset.data, keyring.read(reset.data).subjects)

    if again == "open":
        Store(reset.data).close()
    else:
        reset_keys(reset.data, apply=again == "reset")

    assert reset.keys() == 0
    assert not keyring.read(reset.data).ends_keys
    assert mode(reset.data / "secrets.json") == 0o600
    assert_new_keys_stay(reset)


def test_a_reset_that_dies_after_the_keys_are_deleted_is_done_when_the_store_opens(reset: Reset) -> None:
    new = keyring.replace(reset.data, None)
    flagged = (reset.data / "secrets.json").read_bytes()
    Store(reset.data).close()
    (reset.data / "secrets.json").write_bytes(flagged)

    assert not reset.admits(reset.key)
    assert keyring.read(reset.data) == Keyring(new.signing, new.subjects)
    assert_new_keys_stay(reset)


def test_a_reset_of_lost_secrets_that_dies_is_done_when_the_store_opens(reset: Reset) -> None:
    (reset.data / "secrets.json").unlink()
    keyring.replace(reset.data, None)

    Store(reset.data).close()

    assert reset.keys() == 0
    assert_new_keys_stay(reset)


def assert_new_keys_stay(reset: Reset) -> None:
    store = Store(reset.data)
    new = add_user(store, "ada")
    store.close()
    assert reset.admits(new)
    assert not reset.admits(reset.key)


def test_a_process_that_opened_during_a_reset_deletes_no_key_that_came_after_it(reset: Reset) -> None:
    keyring.replace(reset.data, None)
    opened: list[Store] = []
    threads = [threading.Thread(target=lambda: opened.append(Store(reset.data))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    new = add_user(opened[0], "ada")
    for store in opened:
        store.close()

    assert len(opened) == 4
    assert sorted(store.ended for store in opened) == [(0, 0), (0, 0), (0, 0), (1, 0)]
    assert reset.admits(new)


def test_a_store_whose_first_opening_dies_after_its_secrets_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(mode=0o700)
    made = keyring.make(tmp_path / "store")

    store = Store(tmp_path / "store")
    key = add_user(store, "ada")
    store.close()

    assert keyring.read(store.data) == made
    assert list_users(store.data)[0]["keys"] == 1
    assert key


def test_a_migration_that_dies_after_the_secrets_were_moved_goes_on(tmp_path: Path) -> None:
    old = old_store(tmp_path / "store")
    db = apsw.Connection(str(old / "wbgql.sqlite"))
    secret = db.execute("SELECT value FROM settings WHERE key = 'secret'").get
    db.close()
    made = keyring.make(old, secret)

    Store(old).close()

    assert keyring.read(old) == made
    assert made.subjects == secret
    assert all(secret not in path.read_bytes() for path in old.glob("wbgql.sqlite*"))


def test_a_reset_of_keys_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        reset_keys(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_session_ends_on_the_server_when_its_viewer_signs_out(tmp_path: Path) -> None:
    with start(tmp_path / "store") as server:
        browser = requests.Session()
        form = browser.get(f"{server.base_url}/~/login", timeout=30).text
        token = form.split('name="token" value="')[1].split('"')[0]
        browser.post(f"{server.base_url}/~/login", {"key": server.api_key, "token": token}, timeout=30)
        (cookie,) = [one for one in browser.cookies if one.name.startswith("wbgql_session_")]
        copy = {cookie.name: cookie.value or ""}
        content = b"".join(path.read_bytes() for path in server.data.glob("wbgql.sqlite*"))
        page = browser.get(f"{server.base_url}/", timeout=30).text
        token = page.split('name="token" value="')[1].split('"')[0]

        def visit() -> int:
            headers = {"accept": "text/html"}
            return requests.get(
                f"{server.base_url}/", cookies=copy, headers=headers, allow_redirects=False, timeout=30
            ).status_code

        before = visit()
        browser.post(f"{server.base_url}/~/logout", {"token": token}, timeout=30)

        assert (before, visit()) == (200, 302)
        assert (cookie.value or "").encode() not in content


def test_a_folder_that_others_may_write_is_tightened_or_refused(tmp_path: Path) -> None:
    empty, shared, sticky = tmp_path / "empty", tmp_path / "shared", tmp_path / "sticky"
    for folder, rights in ((empty, 0o777), (shared, 0o775), (sticky, 0o1777)):
        folder.mkdir()
        folder.chmod(rights)
    (shared / "notes.txt").write_text("of others")

    Store(empty).close()
    for folder in (shared, sticky):
        with pytest.raises(StoreError, match="others may write into the folder"):
            Store(folder)

    assert mode(empty) == 0o755
    assert (mode(shared), mode(sticky)) == (0o775, 0o777)
    assert not (shared / "wbgql.sqlite").exists()


def test_the_access_log_is_the_owners_and_holds_no_signed_part(tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    log.touch(0o644)
    with start(tmp_path / "store", access_log=log, path_prefix="/wandb") as server:
        caller = Caller(server.base_url, server.api_key)
        caller.upsert("p", name="r")
        made = caller.ask(
            """mutation M { createRunFiles(input: {entityName: "admin", projectName: "p", runName: "r",
            files: ["a b.txt"]}) { files { uploadUrl } } }"""
        )
        url = made["createRunFiles"]["files"][0]["uploadUrl"]
        assert requests.put(url, b"x", timeout=30).status_code == 200

    token = url.split("/storage/")[1].split("/")[0]
    assert mode(log) == 0o600
    assert token not in log.read_text()
    assert "/wandb/storage/-/a b.txt" in log.read_text()
