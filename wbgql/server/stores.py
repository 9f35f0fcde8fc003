"""What an operator does to accounts and clock, also while a server runs: one function per command.

Nothing of what answers requests is imported here, so that a command is done in a moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from wbgql.errors import StoreError
from wbgql.server import accounts, clocks, restrictions
from wbgql.server.clocks import StoreClock
from wbgql.server.store import Row, Store


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
