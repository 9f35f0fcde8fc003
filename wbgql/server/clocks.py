"""The clock of a store, which an operator may set ahead, and the periods its server purges by.

With the clock ahead, "the day after" and "retention has passed" can be played on a running server. Only what
the server itself dates follows it; signed URLs and HTTP headers keep the machine's time.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime, timedelta

from wbgql.errors import ConfigError
from wbgql.server.settings import Periods
from wbgql.server.store import Store
from wbgql.server.times import Clock, utc_now

REFRESH_S = 0.02
MAX_AHEAD_S = 100 * 366 * 86400.0


class StoreClock:
    """The present instant for a store: the machine's time and what the operator put on it.

    The store is asked once in `REFRESH_S`, as every request dates several things.
    """

    def __init__(self, store: Store, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock
        self._ahead = timedelta()
        self._asked_at = -REFRESH_S

    def __call__(self) -> datetime:
        """The present instant, with a time zone."""
        now = time.monotonic()
        if now - self._asked_at >= REFRESH_S:
            self._ahead, self._asked_at = timedelta(seconds=ahead_s(self._store)), now
        return self._clock() + self._ahead


def ahead_s(store: Store) -> float:
    """By how many seconds the clock of a store is ahead."""
    return float(store.setting("clock_ahead_s") or 0.0)


def advance(store: Store, seconds: float) -> float:
    """Set the clock of a store further ahead; return by how many seconds it is ahead now.

    It never goes back: what was dated with it stays.

    Raises:
        ConfigError: backwards, or more than a century in all.
    """
    if not 0 <= seconds <= MAX_AHEAD_S - ahead_s(store):
        raise ConfigError(f"a clock can be set ahead by up to a century, not back: {seconds} s")
    total = ahead_s(store) + seconds
    store.set_setting("clock_ahead_s", total)
    return total


def keep_periods(store: Store, periods: Periods) -> None:
    """Write down what the server purges by, for those who purge beside it."""
    store.set_setting("periods", json.dumps(asdict(periods)))


def kept_periods(store: Store) -> Periods:
    """What the server last purged by, or the defaults if there was none."""
    text = store.setting("periods")
    return Periods() if text is None else Periods(**json.loads(text))
