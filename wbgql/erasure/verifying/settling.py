"""Reads again until answers agree: replicas lag, caches serve the old, lists flicker. No I/O of its own.

Source: wandb/wandb#9699: another run vanished from the UI for a while after a deletion (2026).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Generic, Literal, TypeVar

from wbgql.errors import UsageError

T = TypeVar("T")

Answer = Literal["present", "absent", "unknown"]
"""`unknown`: null, and the controls of that answer did not hold."""
State = Literal["present", "absent", "unknown", "unsettled"]
"""`unsettled`: answers contradicted each other to the end."""

DEFAULT_EQUAL_READS = 3
DEFAULT_PATIENCE_S = 30.0
_FIRST_WAIT_S = 0.5


def make_waits(equal_reads: int, patience_s: float) -> list[float]:
    """Return the seconds to wait between reads: short ones for `equal_reads`, then doubling.

    At least `equal_reads` - 1; then more until they sum up to `patience_s`.

    Raises:
        UsageError: fewer than one read, or a negative patience.
    """
    if equal_reads < 1 or not patience_s >= 0:
        raise UsageError("at least one read is needed, and a patience that is not negative")
    waits = [_FIRST_WAIT_S] * (equal_reads - 1)
    wait_s = _FIRST_WAIT_S * 2
    while sum(waits) < patience_s:
        waits.append(min(wait_s, patience_s - sum(waits)))
        wait_s *= 2
    return waits


def settle(
    read: Callable[[Sequence[T]], Mapping[T, Answer]],
    items: Collection[T],
    *,
    hoped_for: Callable[[T], Answer | None],
    equal_reads: int,
    waits_s: Sequence[float],
    sleep: Callable[[float], object],
) -> dict[T, State]:
    """Read `items` over and over; return what each has settled on.

    An item is done when `equal_reads` answers in a row are the one hoped for. One that answers otherwise is
    read again until the waits are used up, because it may come late; one that came at the very end is read a
    few times more, to see it repeat. Where none is hoped for (None), the first that says something will do.
    `read` is given the items that are not done, in order.
    """
    watch = _Watch(hoped_for, equal_reads)
    open_items = list(items)
    confirming = [_FIRST_WAIT_S] * (equal_reads - 1)
    for turn, wait_s in enumerate((None, *waits_s, *confirming)):
        if turn > len(waits_s):
            open_items = [item for item in open_items if watch.is_hopeful(item)]
        if not open_items:
            break
        if wait_s is not None:
            sleep(wait_s)
        watch.note(read(open_items))
        open_items = [item for item in open_items if not watch.is_done(item)]
    return {item: watch.state(item) for item in items}


class _Watch(Generic[T]):
    """The last answer of each item, and how often in a row it came."""

    def __init__(self, hoped_for: Callable[[T], Answer | None], equal_reads: int) -> None:
        self._hoped_for = hoped_for
        self._equal_reads = equal_reads
        self._last: dict[T, tuple[Answer, int]] = {}

    def note(self, answers: Mapping[T, Answer]) -> None:
        for item, answer in answers.items():
            before, streak = self._last.get(item, (answer, 0))
            self._last[item] = (answer, streak + 1 if answer == before else 1)

    def is_hopeful(self, item: T) -> bool:
        return self._last[item][0] == self._hoped_for(item)

    def is_done(self, item: T) -> bool:
        answer, streak = self._last[item]
        hoped_for = self._hoped_for(item)
        if hoped_for is None:
            return answer != "unknown"
        return streak >= self._equal_reads and hoped_for == answer

    def state(self, item: T) -> State:
        answer, streak = self._last[item]
        return answer if self.is_done(item) or streak >= self._equal_reads else "unsettled"
