"""When a job is to be verified again. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from wbgql.erasure.plans import Clock

CheckKind = Literal["1h", "24h", "window", "monthly"]

_SOON: tuple[tuple[CheckKind, timedelta], ...] = (("1h", timedelta(hours=1)), ("24h", timedelta(hours=24)))
_MONTH = timedelta(days=30)
DECLARED_MARGIN = timedelta(days=1)
"""What is added to a window that somebody declared; the server's own word needs none."""


def window_end(done_at: datetime, clock: Clock) -> datetime | None:
    """When nobody can undelete any more what was hidden at `done_at`; None where nobody knows."""
    if clock.seconds is None or clock.source == "unknown":
        return None
    margin = DECLARED_MARGIN if clock.source == "declared" else timedelta()
    return done_at + timedelta(seconds=clock.seconds) + margin


def plan_checks(done_at: datetime, window: Clock, now: datetime) -> list[tuple[CheckKind, datetime]]:
    """Return the checks still to come, in order: after 1 h and 24 h, after the window, then each month.

    Of the monthly ones only the next stands here: each check plans the one after it, until the case closes.
    """
    end = window_end(done_at, window)
    checks = [(kind, done_at + after) for kind, after in _SOON]
    if end is not None:
        checks.append(("window", end))
    checks.append(("monthly", _next_month(max([done_at, end or done_at]), now)))
    return sorted((check for check in checks if check[1] > now), key=lambda check: check[1])


def due_now(due: Iterable[tuple[str, str]], now: str) -> list[tuple[str, str]]:
    """Of (due_at, kind), those whose time has come. Instants are texts of the ledger: UTC, one width."""
    return [check for check in due if check[0] <= now]


def _next_month(start: datetime, now: datetime) -> datetime:
    passed = max(0, int((now - start) / _MONTH))
    return start + (passed + 1) * _MONTH
