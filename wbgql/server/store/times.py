"""Instants as the store keeps them: UTC text of one width, so that text order is time order. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present instant, with a time zone."""


def utc_now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


def to_text(instant: datetime) -> str:
    """Write an instant with microseconds and `Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """Read what `to_text` wrote."""
    return datetime.fromisoformat(text)
