"""What an operator does to accounts and clock, also while a server runs: one function per command.

Nothing of what answers requests is imported here, so that a command is done in a moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from wbgql.errors import StoreError
from wbgql.server import accounts
from wbgql.server.projects import restrictions
from wbgql.server.store import clocks, keyring
from wbgql.server.store.clocks import StoreClock
from wbgql.server.store.database import Row, Store, make_private, store_errors


@contextlib.contextmanager
def opened(data: Path, *, create: bool = False) -> Iterator[Store]:
    """Open the store in a folder, and close it.

    Raises:
        StoreError: there is none, and it shall not be made.
    """
    if not create and not (data / "wbgql.sqlite").exists():
        raise StoreError(f"no store: {data}, start a server there first or name another folder")
    store = Store(data)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def alone(data: Path) -> Iterator[None]:
    """Keep every server off the store in a folder, which is made if it is new.

    Raises:
        StoreError: a server has the store.
    """
    with store_errors(data):
        make_private(data)
    try:
        with FileLock(data / "server.lock", timeout=0):
            yield
    except Timeout as error:
        raise StoreError(f"another server has the store: {data}, stop it or use another folder") from error


@dataclass(frozen=True)
class KeyReset:
    """How many `keys` and `sessions` ended.

    `recognizes_purged`: the store still refuses the ids of purged runs.
    """

    keys: int
    sessions: int
    recognizes_purged: bool


def reset_keys(data: Path, *, apply: bool = True) -> KeyReset:
    """End every API key, session and signed address of a store, and make new secrets for it.

    Do this if `secrets.json` is lost, damaged, or known to others. Runs, users and files stay. The secret
    that recognizes purged runs is kept if it can still be read. If it cannot, their ids can be used again,
    and the audit log's keyed hashes of them match nothing. Without `apply` nothing is changed. If the process
    dies, the reset is either done when the store is opened next, or not begun.

    Raises:
        StoreError: there is no store, a server has it, or it cannot be opened for another reason.
    """
    if not (data / "wbgql.sqlite").exists():
        raise StoreError(f"no store: {data}, name the folder of one")
    with alone(data):
        try:
            with opened(data) as store:  # an older store gets its file of secrets here
                known = store.keyring.subjects
                with store.read() as db:
                    keys = db.execute("SELECT count(*) FROM api_keys").get
                    sessions = db.execute("SELECT count(*) FROM sessions").get
        except StoreError:
            if keyring.is_readable(data):
                raise
            known, keys, sessions = None, 0, 0
        if known is None and not apply:
            raise StoreError(
                f"secrets of the store cannot be read: {data / keyring.FILE}, restore a copy, or make new "
                "ones with --apply, which ends all keys"
            )
        if apply:
            keyring.replace(data, known)
            with opened(data) as store:  # which ends the keys, as any process does that opens the store next
                keys, sessions = store.ended
        return KeyReset(keys, sessions, known is not None)


def add_user(data: Path, name: str, key: str | None = None, admin: bool = False) -> str:
    """Add a user, or one more key for one who exists; return the key. See `accounts.add_user`."""
    with opened(data, create=True) as store:
        return accounts.add_user(store, name, key, admin=admin)


def rotate_key(data: Path, name: str, key: str | None = None) -> str:
    """Give a user one new key in place of all they had; return it. See `accounts.rotate_key`."""
    with opened(data) as store:
        return accounts.rotate_key(store, name, key)


def restrict_project(data: Path, entity: str, project: str, members: Iterable[str] = ()) -> list[str]:
    """Hide a project from all who are not invited; return who is. See `restrictions.restrict`."""
    with opened(data) as store:
        return restrictions.restrict(store, entity, project, members)


def share_project(data: Path, entity: str, project: str) -> None:
    """Show a project to its whole team again. See `restrictions.share`."""
    with opened(data) as store:
        restrictions.share(store, entity, project)


def list_users(data: Path) -> list[Row]:
    """Every user: `username`, `email`, `admin`, `account_type`, `keys` (how many), `created_at`."""
    with opened(data) as store:
        return accounts.list_users(store)


def add_org(data: Path, name: str, member: str, role: str = "member") -> None:
    """Add an organization if it is new, and `member` to it. See `accounts.add_org`."""
    with opened(data, create=True) as store:
        accounts.add_org(store, name, member, role)


def add_team(
    data: Path, name: str, org: str | None = None, member: str | None = None, role: str = "member"
) -> None:
    """Add a team if it is new, and `member` to it. See `accounts.add_team`."""
    with opened(data, create=True) as store:
        accounts.add_team(store, name, org, member, role=role)


def advance_clock(data: Path, seconds: float) -> datetime:
    """Set the clock of a store ahead, also while a server runs on it; return its time now.

    See `clocks.advance`.
    """
    with opened(data) as store:
        clocks.advance(store, seconds)
        return StoreClock(store)()


def confirm_clock(data: Path) -> float:
    """Believe the machine's clock; return by how many seconds it was in doubt. See `clocks.confirm`."""
    with opened(data) as store:
        return clocks.confirm(store)


def clock_doubt(data: Path) -> float:
    """By how many seconds the machine's clock is in doubt. See `clocks.doubted_s`."""
    with opened(data) as store:
        return clocks.doubted_s(store, clocks.read_machine())
