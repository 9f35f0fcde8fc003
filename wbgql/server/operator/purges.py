"""What an operator purges from a store or reads of what was deleted there: one function per command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from wbgql.server.audit import log as audit
from wbgql.server.lifecycle import retention
from wbgql.server.lifecycle.retention import Finding, PurgeReport
from wbgql.server.operator.accounts import opened
from wbgql.server.store import clocks
from wbgql.server.store.blobs import Blobs
from wbgql.server.store.clocks import StoreClock
from wbgql.server.store.database import Row


def purge(
    data: Path,
    *,
    now: datetime | None = None,
    retention_s: float | None = None,
    system_artifacts: bool | None = None,
) -> PurgeReport:
    """Destroy what was deleted a retention time ago. See `retention.purge`.

    Goes by what the server last ran with, and by the store's clock without time that is in doubt, unless
    given: `retention_s` is then for runs and artifacts, `system_artifacts` for those of purged runs.
    """
    with opened(data) as store:
        periods = clocks.kept_periods(store)
        if retention_s is not None:
            periods = replace(periods, runs_s=retention_s, artifacts_s=retention_s)
        if system_artifacts is not None:
            periods = replace(periods, system_artifacts=system_artifacts)
        clocks.doubted_s(store, clocks.read_machine())
        instant = now or StoreClock(store).confirmed()
        return retention.purge(store, Blobs(data / "blobs"), now=instant, periods=periods)


def audit_log(data: Path) -> list[Row]:
    """Deletions, restorations and purges, oldest first. See `retention.audit_rows`."""
    with opened(data) as store:
        return retention.audit_rows(store)


def audit_requests(data: Path) -> list[Row]:
    """Every request to change or delete something, refused ones too. See `audit.list_requests`."""
    with opened(data) as store:
        return audit.list_requests(store)


def audit_subject(data: Path, entity: str, project: str, run: str) -> str | None:
    """What the audit log calls a run, or None if there is no such project."""
    with opened(data) as store:
        return retention.subject_of(store, entity, project, run)


def scan_store(data: Path, needles: Sequence[bytes]) -> list[Finding]:
    """Search every file of a store for byte strings, and say where each occurs. See `retention.scan`."""
    return retention.scan(data, needles)
