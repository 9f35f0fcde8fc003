"""Windows of steps: every row once, in few requests, whatever the steps are."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from wbgql.history.scanning import Windows


class Server:
    """Answers with all steps of a range, or thins out what is more than twice `page_size`."""

    def __init__(self, steps: Sequence[int], page_size: int, thinning: str = "even") -> None:
        self.steps = sorted(steps)
        self.samples = 2 * page_size
        self.thinning = thinning
        self.random = random.Random(0)
        self.requests = 0

    def ask(self, start: int, end: int) -> list[int]:
        self.requests += 1
        found = [step for step in self.steps if start <= step < end]
        if len(found) <= self.samples:
            return found
        if self.thinning == "random":
            return sorted(self.random.sample(found, self.samples))
        if self.thinning == "every nth":
            return found[:: math.ceil(len(found) / self.samples)]
        last = len(found) - 1
        return [found[round(i * last / (self.samples - 1))] for i in range(self.samples)]


def walk(server: Server, windows: Windows) -> list[int]:
    found: list[int] = []
    while not windows.is_done:
        steps = server.ask(windows.start, windows.end)
        if windows.accept(steps):
            found.extend(steps)
        assert server.requests < 5000
    return found


@given(
    st.sets(st.integers(0, 10**10), max_size=200),
    st.integers(1, 40),
    st.one_of(st.none(), st.integers(0, 300)),
    st.sampled_from(["even", "random", "every nth"]),
)
def test_every_step_comes_once_even_if_the_count_of_rows_is_wrong_or_unknown(
    steps: set[int], page_size: int, rows: int | None, thinning: str
) -> None:
    stop = max(steps, default=-1) + 1
    server = Server(list(steps), page_size, thinning)
    windows = Windows(0, stop, page_size=page_size, rows=rows if rows is not None else len(steps))

    assert walk(server, windows) == sorted(steps)


def test_dense_steps_cost_one_request_a_page() -> None:
    server = Server(range(10_000), 1000)

    walk(server, Windows(0, 10_000, page_size=1000, rows=10_000))

    assert server.requests == 10


def test_few_rows_far_apart_cost_one_request() -> None:
    steps = [i * 10**7 for i in range(900)]
    server = Server(steps, 1000)

    assert walk(server, Windows(0, steps[-1] + 1, page_size=1000, rows=900)) == steps
    assert server.requests == 1


def test_steps_numbered_by_unix_time_cost_little_more_than_their_rows() -> None:
    steps = [1_700_000_000 + i * 7919 for i in range(20_000)]
    server = Server(steps, 1000)

    assert walk(server, Windows(0, steps[-1] + 1, page_size=1000, rows=20_000)) == steps
    assert server.requests <= 40


def test_a_burst_after_a_desert_is_not_thinned_out() -> None:
    steps = [*range(0, 10**9, 10**7), *range(10**9, 10**9 + 5000)]
    server = Server(steps, 1000)

    assert walk(server, Windows(0, steps[-1] + 1, page_size=1000, rows=len(steps))) == steps
    assert server.requests <= 40


def test_without_a_count_windows_grow_where_nothing_is() -> None:
    steps = [10**9 + i for i in range(10)]
    server = Server(steps, 1000)

    assert walk(server, Windows(0, steps[-1] + 1, page_size=1000)) == steps
    assert server.requests <= 12
