"""When a job is to be verified again. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

CheckKind = Literal["1h", "24h", "window", "monthly"]

_SOON: tuple[tuple[CheckKind, timedelta], ...] = (("1h", timedelta(hours=1)), ("24h", timedelta(hours=24)))
_MONTH = timedelta(days=30)


def plan_checks(
    done_at: datetime, window_end: datetime | None, now: datetime
) -> list[tuple[CheckKind, datetime]]:
    """Return the checks still to come, in order: after 1 h and 24 h, after the window, then each month.

    `window_end`: when nobody can undelete any more what was hidden at `done_at`, None where nobody knows.
    Of the monthly ones only the next stands here: each check plans the one after it, until the case closes.
    """
    checks = [(kind, done_at + after) for kind, after in _SOON]
    if window_end is not None:
        checks.append(("window", window_end))
    checks.append(("monthly", _next_month(window_end or done_at, now)))
    return sorted((check for check in checks if check[1] > now), key=lambda check: check[1])


def due_now(due: Iterable[tuple[str, str]], now: str) -> list[tuple[str, str]]:
    """Of (due_at, kind), those whose time has come. Instants are texts of the ledger: UTC, one width."""
    return [check for check in due if check[0] <= now]


def _next_month(start: datetime, now: datetime) -> datetime:
    passed = max(0, int((now - start) / _MONTH))
    return start + (passed + 1) * _MONTH
