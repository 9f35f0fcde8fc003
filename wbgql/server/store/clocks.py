"""The clock of a store, which an operator may set ahead, and the periods its server purges by.

A purge goes by as much of the machine's time as is sure: see `doubted_s`.

With the clock ahead, "the day after" and "retention has passed" can be played on a running server. Only what
the server itself dates follows it; signed URLs and HTTP headers keep the machine's time.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from wbgql.errors import ConfigError
from wbgql.server.settings import Periods
from wbgql.server.store.database import Store
from wbgql.server.store.times import Clock, utc_now

REFRESH_S = 0.02
JUMP_S = 3600.0
"""By so much the machine's clock may differ from the time that passed: it is set right now and then."""
OFF_S = 86400.0
"""A machine that was switched off longer says itself how long that was, and nobody else does."""
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

    def confirmed(self) -> datetime:
        """The present instant without the time that is in doubt; what is destroyed goes by it."""
        return self() - timedelta(seconds=kept_doubt_s(self._store))


@dataclass(frozen=True)
class Reading:
    """What a machine says of time: the instant, and the seconds since it was started, sleep included."""

    wall_s: float
    uptime_s: float
    boot: str
    """Names the start of the machine since which `uptime_s` counts; empty where the system names none."""


def read_machine() -> Reading:
    """Ask the machine."""
    uptime_clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    boot = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Reading(time.time(), time.clock_gettime(uptime_clock), boot)


def doubted_s(store: Store, reading: Reading) -> float:
    """Note what the machine's clock says; return by how many seconds it is ahead of what surely passed.

    Since the last note of the same start of the machine, its uptime says how long it was, asleep or not,
    server running or not. Over a new start nobody knows: up to `OFF_S` are believed. What is in doubt stays
    so until it is confirmed (`confirm`) or the clock goes back. Up to `JUMP_S` do not count.
    """
    with store.write() as db:
        text = db.execute("SELECT value FROM settings WHERE key = 'clock_seen'").get
        doubt_s = 0.0
        if text is not None:
            seen = json.loads(text)
            passed_s = reading.wall_s - seen["wall_s"]
            same_start = reading.boot == seen["boot"] and reading.uptime_s >= seen["uptime_s"]
            if same_start:
                passed_s -= reading.uptime_s - seen["uptime_s"]
            elif 0 <= passed_s <= OFF_S:
                passed_s = 0.0
            doubt_s = max(0.0, seen["doubt_s"] + passed_s)
        kept = json.dumps(asdict(reading) | {"doubt_s": doubt_s})
        db.execute("INSERT OR REPLACE INTO settings VALUES ('clock_seen', ?)", (kept,))
    return doubt_s if doubt_s > JUMP_S else 0.0


def kept_doubt_s(store: Store) -> float:
    """What `doubted_s` returned last; 0 before that."""
    text = store.setting("clock_seen")
    doubt_s = 0.0 if text is None else float(json.loads(text)["doubt_s"])
    return doubt_s if doubt_s > JUMP_S else 0.0


def confirm(store: Store) -> float:
    """Believe the machine's clock as it is now; return by how many seconds it was in doubt."""
    doubted = doubted_s(store, read_machine())
    with store.write() as db:
        db.execute("UPDATE settings SET value = json_set(value, '$.doubt_s', 0.0) WHERE key = 'clock_seen'")
    return doubted


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
