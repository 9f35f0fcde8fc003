"""Values as people read them: numbers, sizes, times. No I/O, no clock: `now` is an argument."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta
from typing import Any

from wbgql.scalars import parse_datetime, to_safe_json

MAX_SHOWN = 2000
"""Longer texts are cut; what was sent is in the API."""

_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def number(value: float) -> str:
    """Six significant digits, without an exponent where that stays short: `0.000123`, `1.2e-9`, `12,345`."""
    if isinstance(value, int) and abs(value) < 10**15:
        return f"{value:,}"
    if not _is_finite(value):
        return str(to_safe_json(value))  # in the words that filters and the runs table have for it
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.4g}"
    text = f"{value:,.{max(0, 5 - math.floor(math.log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def natural(text: str) -> list[tuple[int, str]]:
    """A sort key by which `layer2` comes before `layer10`, and what the SDK keeps (`_step`) last."""
    parts = re.split(r"([0-9]{1,18})", text)
    numbered = [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)]
    return [(int(text.startswith("_")), ""), *numbered]


def size(size_bytes: float) -> str:
    """Bytes with a binary unit: `17 B`, `3.4 MiB`."""
    power = 0
    while size_bytes >= 1024 and power < len(_SIZES) - 1:
        size_bytes /= 1024
        power += 1
    return f"{size_bytes:.0f} {_SIZES[0]}" if power == 0 else f"{size_bytes:.1f} {_SIZES[power]}"


def duration(seconds: float | None) -> str:
    """The two largest units: `2 h 5 min`; empty for None."""
    if seconds is None:
        return ""
    left, parts = round(max(0.0, seconds)), []
    for length, unit in _SPANS:
        if left >= length:
            parts.append(f"{left // length} {unit}")
            left %= length
    return " ".join(parts[:2]) or "0 s"


def ago(text: str | None, now: datetime) -> str:
    """How long ago an instant was, in its largest unit; how far ahead it is, in two. Empty for None."""
    if not text:
        return ""
    distance = (now - parse_datetime(text)).total_seconds()
    if abs(distance) < 5:
        return "just now"
    span = duration(abs(distance))
    return f"{' '.join(span.split(' ')[:2])} ago" if distance > 0 else f"in {span}"


def instant(text: str | None) -> str:
    """An instant to the second, in UTC; empty for None."""
    return parse_datetime(text).strftime("%Y-%m-%d %H:%M:%S UTC") if text else ""


def after(text: str, seconds: float) -> str:
    """The instant that many seconds after `text`, as ISO text."""
    return (parse_datetime(text) + timedelta(seconds=seconds)).isoformat()


def plain(value: Any) -> str:
    """Any JSON value in one line, cut where it is very long."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return number(value)
    text = value if isinstance(value, str) else json.dumps(to_safe_json(value), ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"
