"""Several sources at once, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from wbgql.errors import UsageError
from wbgql.history.many import iter_in_order


def test_items_come_in_the_order_of_their_sources() -> None:
    sources = [iter([(n, i) for i in range(n)]) for n in (0, 1, 7, 3, 0, 5)]

    assert list(iter_in_order(sources, workers=3)) == [(n, i) for n in (0, 1, 7, 3, 0, 5) for i in range(n)]


def test_sources_are_read_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=10)

    def source(number: int) -> Iterator[int]:
        barrier.wait()  # passes only if three sources are read at once
        yield number

    assert list(iter_in_order(map(source, range(3)), workers=3)) == [0, 1, 2]


def test_no_more_sources_are_opened_than_there_are_workers() -> None:
    opened: list[int] = []

    def source(number: int) -> Iterator[int]:
        yield number

    def sources() -> Iterator[Iterator[int]]:
        for number in range(100):
            opened.append(number)
            yield source(number)

    items = iter_in_order(sources(), workers=2)
    assert next(items) == 0

    assert len(opened) <= 4
    items.close()  # type: ignore[attr-defined]  # a generator
    assert len(opened) <= 4


def test_little_is_read_of_a_source_that_waits_for_its_turn() -> None:
    taken: list[int] = []
    may_end = threading.Event()

    def slow() -> Iterator[int]:
        may_end.wait(10)
        yield -1

    def long() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    items = iter_in_order([slow(), long()], workers=2)
    may_end.set()
    assert next(items) == -1

    assert len(taken) <= 1


def test_a_failure_comes_when_it_is_its_sources_turn() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    items = iter_in_order([iter([0]), failing(), iter([2])], workers=3)

    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(KeyError):
        next(items)


@pytest.mark.parametrize("workers", [0, 33])
def test_the_number_of_workers_is_bounded(workers: int) -> None:
    with pytest.raises(UsageError):
        iter_in_order([], workers=workers)
