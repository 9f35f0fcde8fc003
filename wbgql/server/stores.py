"""What an operator does to a store, also while a server runs on it: one function per command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from wbgql.errors import StoreError
from wbgql.server import accounts, audit, clocks, restrictions, retention
from wbgql.server.blobs import Blobs
from wbgql.server.clocks import StoreClock
from wbgql.server.retention import Finding, PurgeReport
from wbgql.server.store import Row, Store


@contextlib.contextmanager
def _opened(data: Path, *, create: bool = False) -> Iterator[Store]:
    if not create and not (data / "wbgql.sqlite").exists():
        raise StoreError(f"no store: {data}, start a server there first or name another folder")
    store = Store(data)
    try:
        yield store
    finally:
        store.close()


def add_user(data: Path, name: str, key: str | None = None, admin: bool = False) -> str:
    """Add a user, or one more key for one who exists; return the key. See `accounts.add_user`."""
    with _opened(data, create=True) as store:
        return accounts.add_user(store, name, key, admin=admin)


def rotate_key(data: Path, name: str, key: str | None = None) -> str:
    """Give a user one new key in place of all they had; return it. See `accounts.rotate_key`."""
    with _opened(data) as store:
        return accounts.rotate_key(store, name, key)


def restrict_project(data: Path, entity: str, project: str, members: Iterable[str] = ()) -> list[str]:
    """Hide a project from all who are not invited; return who is. See `restrictions.restrict`."""
    with _opened(data) as store:
        return restrictions.restrict(store, entity, project, members)


def share_project(data: Path, entity: str, project: str) -> None:
    """Show a project to its whole team again. See `restrictions.share`."""
    with _opened(data) as store:
        restrictions.share(store, entity, project)


def list_users(data: Path) -> list[Row]:
    """Every user: `username`, `email`, `admin`, `account_type`, `keys` (how many), `created_at`."""
    with _opened(data) as store:
        return accounts.list_users(store)


def add_org(data: Path, name: str, member: str, role: str = "member") -> None:
    """Add an organization if it is new, and `member` to it. See `accounts.add_org`."""
    with _opened(data, create=True) as store:
        accounts.add_org(store, name, member, role)


def add_team(
    data: Path, name: str, org: str | None = None, member: str | None = None, role: str = "member"
) -> None:
    """Add a team if it is new, and `member` to it. See `accounts.add_team`."""
    with _opened(data, create=True) as store:
        accounts.add_team(store, name, org, member, role=role)


def purge(
    data: Path,
    *,
    now: datetime | None = None,
    retention_s: float | None = None,
    system_artifacts: bool | None = None,
) -> PurgeReport:
    """Destroy what was deleted a retention time ago. See `retention.purge`.

    Goes by what the server last ran with, and by the store's clock, unless given: `retention_s` is then for
    runs and artifacts, `system_artifacts` for those of purged runs.
    """
    with _opened(data) as store:
        periods = clocks.kept_periods(store)
        if retention_s is not None:
            periods = replace(periods, runs_s=retention_s, artifacts_s=retention_s)
        if system_artifacts is not None:
            periods = replace(periods, system_artifacts=system_artifacts)
        instant = now or StoreClock(store)()
        return retention.purge(store, Blobs(data / "blobs"), now=instant, periods=periods)


def advance_clock(data: Path, seconds: float) -> datetime:
    """Set the clock of a store ahead, also while a server runs on it; return its time now.

    See `clocks.advance`.
    """
    with _opened(data) as store:
        clocks.advance(store, seconds)
        return StoreClock(store)()


def audit_log(data: Path) -> list[Row]:
    """Deletions, restorations and purges, oldest first. See `retention.audit_rows`."""
    with _opened(data) as store:
        return retention.audit_rows(store)


def audit_requests(data: Path) -> list[Row]:
    """Every request to delete, restore, stop or move, refused ones too. See `audit.list_requests`."""
    with _opened(data) as store:
        return audit.list_requests(store)


def audit_subject(data: Path, entity: str, project: str, run: str) -> str | None:
    """What the audit log calls a run, or None if there is no such project."""
    with _opened(data) as store:
        return retention.subject_of(store, entity, project, run)


def scan_store(data: Path, needles: Sequence[bytes]) -> list[Finding]:
    """Search every file of a store for byte strings, and say where each occurs. See `retention.scan`."""
    return retention.scan(data, needles)
