"""Several lazy sources read at once, their items handed on in the order of the sources."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import Generic, TypeVar

from wbgql.errors import UsageError
from wbgql.forks import Workers

T = TypeVar("T")

MAX_WORKERS = 32
# Items that are kept of each source that waits for its turn.
_AHEAD = 4


def iter_in_order(sources: Iterable[Iterator[T]], *, workers: int) -> Iterator[T]:
    """Yield the items of each source, one source after the other, while `workers` of them are read.

    At most `workers` * 5 items are held. The sources themselves are taken in the caller's thread; each is
    read by one thread at a time. Ending early stops every source after the items it is about to bring.

    Raises:
        UsageError: `workers` is not from 1 to 32, or this process was forked from the one that began.
        Whatever a source raises, when it is that source's turn.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise UsageError(f"workers must be from 1 to {MAX_WORKERS}, not {workers!r}")
    return _iter_in_order(iter(sources), workers)


class _Reader(Generic[T]):
    """One source and the items that are being brought from it."""

    def __init__(self, source: Iterator[T], pool: Workers) -> None:
        self._source = source
        self._pool = pool
        self._future: Future[tuple[list[T], bool]] = pool.submit(self._pull, 1)

    def take(self) -> tuple[list[T], bool]:
        """Wait for the next items; the flag says that they are the last. Asks for more at once."""
        items, is_last = self._pool.wait(self._future)
        if not is_last:
            self._future = self._pool.submit(self._pull, _AHEAD)
        return items, is_last

    def _pull(self, count: int) -> tuple[list[T], bool]:
        items = list(islice(self._source, count))
        return items, len(items) < count


def _iter_in_order(sources: Iterator[Iterator[T]], workers: int) -> Iterator[T]:
    with Workers(workers, "wbgql-history") as pool:
        readers = deque(_Reader(source, pool) for source in islice(sources, workers))
        while readers:
            items, is_last = readers[0].take()
            if is_last:
                readers.popleft()
                readers.extend(_Reader(source, pool) for source in islice(sources, 1))
            yield from items
