"""Passing faults of a server, by count and not by chance, so that a test sees the same ones each time."""

from __future__ import annotations

import itertools

_WORDS = (
    "driver: bad connection",
    "internal database error",
    "An internal error occurred",
    "context deadline exceeded",
)
"""What W&B's servers said with HTTP 500, each time followed by success.

Source: wandb/wandb issues 5372, 4694, 7267 (2026-11).
"""


class Faults:
    """Which reads fail: each whose number is a multiple of `every`; none if it is 0. Safe from any thread."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._numbers = itertools.count(1)

    def next(self) -> str | None:
        """The words with which the next read fails, in turn; None if it does not."""
        if not self._every:
            return None
        nth, left = divmod(next(self._numbers), self._every)
        return None if left else _WORDS[(nth - 1) % len(_WORDS)]
