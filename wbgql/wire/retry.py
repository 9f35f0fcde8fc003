"""When to send a request again, and after how long. Pure: no I/O, no clock, no randomness."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from wbgql.errors import RateLimited, ServerUnavailable, UsageError, WbgqlError

# Digits only: float() also reads "nan", "inf", "1_0" and signs, none of which is a wait.
_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a session is: `attempts` in all, waits of up to `cap_s`, `deadline_s` in all.

    Raises:
        UsageError: fewer than one attempt, or a negative time.
    """

    attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 30.0
    deadline_s: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise UsageError(f"attempts must be at least 1, not {self.attempts!r}")
        for name in ("base_s", "cap_s", "deadline_s"):
            if not getattr(self, name) >= 0:  # written so that NaN fails as well
                raise UsageError(f"{name} must not be negative, not {getattr(self, name)!r}")

    def delay_s(
        self, error: WbgqlError, attempt: int, elapsed_s: float, uniform: Callable[[float, float], float]
    ) -> float | None:
        """Return the seconds to wait before attempt + 1, or None to give up.

        `attempt` counts from 1, `elapsed_s` since the first was sent. What the server asked
        to wait is honoured as it is; a wait that would end after the deadline is None at
        once. Otherwise `uniform` draws between 0 and a bound that doubles, so that many
        clients do not come back together. Whether repeating is safe, the caller decides.
        """
        if not error.retryable or attempt >= self.attempts:
            return None
        asked = error.retry_after_s if isinstance(error, (RateLimited, ServerUnavailable)) else None
        if asked is None:
            # Far beyond any cap, and 2.0 ** 1024 would not be a number any more.
            doubled = self.base_s * 2.0 ** min(attempt - 1, 64)
            asked = uniform(0.0, min(self.cap_s, doubled))
        return asked if elapsed_s + asked <= self.deadline_s else None


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds a server asks to wait, or None where it says nothing usable.

    `Retry-After` as seconds (with or without a fraction) or as an HTTP date, else
    `RateLimit-Reset` in seconds. `now` is Unix time, for dates; a date in the past is 0.
    Header names in any case. Signs, NaN, infinities and prose are not usable.

    Source: RFC 9110 section 10.2.3; W&B sends fractions, and `RateLimit-Reset` as seconds
    (W&B docs: limits page; wandb SDK `core/internal/api/ratelimitheaders.go`, 2026-08).
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    retry_after = lowered.get("retry-after", "")
    for seconds in (_seconds(retry_after), _seconds_until(retry_after, now)):
        if seconds is not None:
            return seconds
    return _seconds(lowered.get("ratelimit-reset", ""))


def _seconds(text: str) -> float | None:
    return float(text) if _SECONDS.fullmatch(text) else None


def _seconds_until(text: str, now: float) -> float | None:
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max(0.0, instant.timestamp() - now)
