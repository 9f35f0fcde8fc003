"""How long calls tell a caller where they are, without knowing who listens. No I/O."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Something that is told how far a call has come; the command line draws a bar."""

    def report(self, done: int, total: int | None) -> None:
        """Take note: `done` of `total` items; `total` is None where nobody counted."""


class NoProgress:
    """A `Progress` that keeps still."""

    def report(self, done: int, total: int | None) -> None:
        """Do nothing."""
