"""Which ranges of steps to ask for, so that sparse steps cost few requests. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

# Rows aimed at, as a share of what one request may bring: above it, the answer may be thinned out.
_AIM = 0.8
_MAX_GROWTH = 8


class Windows:
    """A walk from step `start` to before step `stop`, in windows that hold less than `page_size` rows.

    A window no wider than `page_size` steps cannot hold more rows than that. A wider one is taken for
    whole only if it brought fewer: `accept` says so, and narrows it otherwise. Asked for twice as many
    samples, a server that thins out cannot well bring fewer. `rows` is how many rows there are at most,
    as far as is known; steps may be sparse (numbered by Unix time, say) and uneven.
    """

    def __init__(self, start: int, stop: int, *, page_size: int, rows: int | None = None) -> None:
        self.start = start
        self.stop = stop
        self._page_size = page_size
        self._rows = rows
        self._tries = 0
        self._width = self._first_width()

    @property
    def end(self) -> int:
        """Before which step the present window ends."""
        return min(self.start + self._width, self.stop)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to ask for."""
        return self.start >= self.stop

    def accept(self, steps: Sequence[int]) -> bool:
        """Take the steps that the present window brought; False: it must be asked for again, narrower."""
        width = self.end - self.start
        if width > self._page_size and len(steps) >= self._page_size:
            self._narrow(sorted(steps), width)
            return False
        self.start = self.end
        self._tries = 0
        if self._rows is not None:
            self._rows = max(0, self._rows - len(steps))
        self._width = self._next_width(width, len(steps))
        return True

    def extend(self, stop: int) -> None:
        """Go on to another end, in one window: if it holds many rows, `accept` narrows it."""
        self.stop = stop
        self._rows = 0
        self._width = self._first_width()

    def skip_to(self, start: int) -> None:
        """Go on from `start`: what lies before it is known."""
        self.start = max(self.start, start)

    def _first_width(self) -> int:
        span = self.stop - self.start
        if self._rows is None or span <= self._page_size:
            return self._page_size
        if self._rows < self._page_size:
            return span
        return max(self._page_size, int(_AIM * self._page_size * span / self._rows))

    def _next_width(self, width: int, found: int) -> int:
        if self._rows is not None and self._rows < self._page_size:
            return max(self._page_size, self.stop - self.start)
        growth = _AIM * self._page_size / found if found else _MAX_GROWTH
        return max(self._page_size, int(width * min(growth, _MAX_GROWTH)))

    def _narrow(self, steps: Sequence[int], width: int) -> None:
        # The rows that did come are spread like those that are there: end the window where
        # about enough of them lie before it. Each further try trusts that half as much.
        there = max(len(steps), self._rows or 0)
        share = _AIM * self._page_size / there / 2**self._tries
        end = steps[int(len(steps) * share)]
        self._tries += 1
        self._width = max(self._page_size, min(end - self.start, width - 1))
