"""The four clocks: what the server says, else what an operator declares, else unknown. Never mixed. No I/O.

An unknown clock stays unknown: no date is predicted from it, and it advances no stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from wbgql.erasure.records.plan import Clock, ClockName, Plan
from wbgql.errors import UsageError
from wbgql.scalars import format_datetime
from wbgql.viewer import LOCAL_DEPLOYMENT, Retention

NAMES: tuple[ClockName, ...] = get_args(ClockName)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CENTURY_S = 36_525 * 86_400


@dataclass(frozen=True, slots=True)
class Declared:
    """What an operator answers for: seconds by clock, and the role that says so."""

    seconds: Mapping[ClockName, int]
    by: str


def parse_span(text: str) -> int:
    """Read "90s", "15m", "12h", "7d" or "2w" as seconds.

    Raises:
        UsageError: not such a text, or more than a century.
    """
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal()) or unit not in _UNITS:
        raise UsageError(f"{text!r} is no length of time: a whole number and s, m, h, d or w, as in 7d")
    seconds = int(number) * _UNITS[unit]
    if seconds > _CENTURY_S:
        raise UsageError(f"{text!r} is more than a century")
    return seconds


def parse_declared(texts: Sequence[str], by: str | None) -> Declared | None:
    """Read `undelete_window=7d` and the like; None where nothing is declared.

    Raises:
        UsageError: an unknown clock, one named twice, no role, or a role without a clock.
    """
    seconds: dict[ClockName, int] = {}
    for text in texts:
        given, _, span = text.partition("=")
        name = next((name for name in NAMES if name == given), None)
        if name is None:
            raise UsageError(f"no clock {given!r}: {', '.join(NAMES)}, as in {NAMES[0]}=7d")
        if name in seconds:
            raise UsageError(f"the clock {name} is declared twice")
        seconds[name] = parse_span(span)
    if not seconds and by is None:
        return None
    if not seconds or by is None or not by.strip():
        raise UsageError("who declares a clock? --declare NAME=SPAN goes with --declared-by ROLE")
    return Declared(seconds, by.strip())


def make_clocks(retention: Retention, declared: Declared | None, now: datetime) -> list[Clock]:
    """Return the four clocks. What the server says wins over what is declared.

    Only the local server is known to say it in seconds: there one setting is how long a hidden run can be
    brought back, and when its rows go.
    """
    said: dict[ClockName, int] = {}
    seconds = retention.data_retention_duration
    if retention.deployment_id == LOCAL_DEPLOYMENT and seconds is not None:
        said = dict.fromkeys(("undelete_window", "run_retention"), seconds)
    return [_clock(name, said, declared, now) for name in NAMES]


def predict(plan: Plan, start: datetime) -> dict[ClockName, datetime | None]:
    """When each clock would have run out, if everything were done at `start`; None where nobody knows."""
    return {clock.name: _end(start, clock.seconds) for clock in plan.clocks}


def _end(start: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else start + timedelta(seconds=seconds)


def _clock(name: ClockName, said: Mapping[ClockName, int], declared: Declared | None, now: datetime) -> Clock:
    if name in said:
        return Clock(name=name, seconds=said[name], source="server")
    if declared is not None and name in declared.seconds:
        return Clock(
            name=name,
            seconds=declared.seconds[name],
            source="declared",
            declared_by=declared.by,
            declared_at=format_datetime(now),
        )
    return Clock(name=name, seconds=None, source="unknown")
