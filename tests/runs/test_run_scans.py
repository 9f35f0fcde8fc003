"""Reading whole projects while runs come and go: by offset, by creation time, ahead of need."""

from __future__ import annotations

import itertools
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wbgql as wb
from tests.fake_runs import RunsTransport, make_run
from tests.fakes import data_reply
from wbgql.errors import NotFound, ResponseError, UnstablePopulation, UnstableWarning, UsageError
from wbgql.paths import ProjectPath
from wbgql.runs import RunNode, RunSelection
from wbgql.runs.reading import PageReader
from wbgql.runs.scanning import ReadAhead, to_cursor
from wbgql.wire.connection import Connection
from wbgql.wire.session import Session
from wbgql.wire.transport import Reply

PATH = ProjectPath("acme", "vision")
NOW = datetime(2026, 3, 8, tzinfo=UTC)


def select(transport: RunsTransport, **arguments: Any) -> RunSelection:
    return RunSelection(Session(transport), PATH, now=NOW, **arguments)


def names(numbers: Sequence[int]) -> list[str]:
    return [f"r{number}" for number in numbers]


def remove(*numbers: int) -> Any:
    def change(transport: RunsTransport) -> None:
        gone = set(names(numbers))
        transport.projects["vision"] = [run for run in transport.runs if run["name"] not in gone]

    return change


def append(*numbers: int) -> Any:
    return lambda transport: transport.runs.extend(make_run(number) for number in numbers)


def test_reading_by_offset_warns_when_a_run_was_missed() -> None:
    transport = RunsTransport(*map(make_run, range(6)), before={1: remove(0)})

    with pytest.warns(UnstableWarning, match=r"5 runs were read, 6 matched.*stable=True"):
        got = select(transport, page_size=2).ids()

    assert got == names([0, 1, 3, 4, 5])


def test_reading_by_offset_says_nothing_when_nothing_moved() -> None:
    transport = RunsTransport(*map(make_run, range(6)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert select(transport, page_size=2).ids() == names(range(6))

    assert transport.names_sent() == ["ListRuns"] * 3
    assert [sent["withTotal"] for _, sent in transport.sent] == [True, False, False]


def test_a_limit_leaves_out_the_comparison_with_the_count() -> None:
    transport = RunsTransport(*map(make_run, range(6)), before={1: remove(0)})

    assert select(transport, page_size=2, limit=4).ids() == names([0, 1, 3, 4])
    assert not any(sent["withTotal"] for _, sent in transport.sent)


def test_a_stable_reading_misses_nothing_when_runs_vanish() -> None:
    transport = RunsTransport(*map(make_run, range(9)), before={1: remove(0), 2: remove(1, 2)})

    with pytest.warns(UnstableWarning, match="3 of the runs given vanished"):
        got = select(transport, page_size=3, stable=True).ids()

    assert got == names(range(9))


def test_a_stable_reading_asks_from_the_last_run_seen_and_keeps_the_filter() -> None:
    transport = RunsTransport(*map(make_run, range(5)))

    got = select(transport, page_size=3, stable=True, where=wb.run.state == "finished").ids()

    assert got == names(range(5))
    assert transport.names_sent() == ["ListRuns", "ListRuns", "CountRuns"]
    assert [sent["after"] for name, sent in transport.sent if name == "ListRuns"] == [None, None]
    assert transport.sent[1][1]["filters"] == (
        '{"$and":[{"state":"finished"},{"createdAt":{"$gte":"2026-01-01T00:02:00Z"}}]}'
    )


def test_a_stable_reading_takes_in_runs_that_begin_meanwhile() -> None:
    transport = RunsTransport(*map(make_run, range(4)), before={1: append(4, 5)})

    assert select(transport, page_size=3, stable=True).ids() == names(range(6))


def test_runs_that_begin_after_the_last_page_are_no_disagreement() -> None:
    class Growing(RunsTransport):
        def _CountRuns(self, variables: dict[str, Any]) -> Any:
            number = len(self.runs)
            self.runs.append(make_run(number))
            return super()._CountRuns(variables)

    transport = Growing(*map(make_run, range(4)))

    assert select(transport, page_size=3, stable=True).ids() == names(range(5))
    assert transport.names_sent() == ["ListRuns", "ListRuns", "CountRuns", "ListRuns"]


def test_a_server_that_counts_more_than_it_gives_is_not_believed() -> None:
    class Withholding(RunsTransport):
        def _CountRuns(self, variables: dict[str, Any]) -> Any:
            if "$lte" in variables["filters"]:
                return super()._CountRuns(variables)
            return data_reply({"project": {"name": "vision", "entityName": "acme", "runCount": 9}})

    with pytest.raises(UnstablePopulation, match="4 runs were read and 9 counted"):
        select(Withholding(*map(make_run, range(4))), page_size=3, stable=True).ids()


def test_more_runs_of_one_instant_than_a_page_holds_are_all_read() -> None:
    runs = [make_run(number, at=0 if number < 7 else number) for number in range(10)]
    transport = RunsTransport(*runs)

    assert select(transport, page_size=2, stable=True).ids() == names(range(10))
    assert len(transport.sent) < 12


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.lists(st.integers(0, 6), max_size=25),
    page_size=st.integers(1, 6),
    gone=st.dictionaries(st.integers(1, 6), st.lists(st.integers(0, 24), max_size=3), max_size=3),
)
def test_a_stable_reading_gives_every_run_that_stays_once(
    minutes: list[int], page_size: int, gone: dict[int, list[int]]
) -> None:
    runs = [make_run(number, at=minute) for number, minute in enumerate(sorted(minutes))]
    vanish = {page: remove(*numbers) for page, numbers in gone.items()}
    transport = RunsTransport(*runs, before=vanish)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableWarning)
        got = select(transport, page_size=page_size, stable=True, on_unstable="warn").ids()

    assert len(got) == len(set(got))
    assert {run["name"] for run in transport.runs} <= set(got)


class Restless(RunsTransport):
    """Counts one run more than it lists."""

    def _CountRuns(self, variables: dict[str, Any]) -> Any:
        self.runs.append(make_run(0, at=0) | {"name": f"ghost{len(self.sent)}"})
        reply = super()._CountRuns(variables)
        self.runs.pop()
        return reply


def test_a_population_that_never_settles_is_an_error_and_is_read_twice() -> None:
    transport = Restless(*map(make_run, range(4)))

    with pytest.raises(UnstablePopulation, match=r"'acme/vision': 4 runs were read and 5 counted"):
        select(transport, page_size=3, stable=True).ids()

    assert transport.names_sent().count("ListRuns") == 6


def test_a_population_that_never_settles_is_a_warning_where_that_was_asked_for() -> None:
    transport = Restless(*map(make_run, range(4)))

    with pytest.warns(UnstableWarning, match="4 runs were read and 5 counted"):
        got = select(transport, page_size=3, stable=True, on_unstable="warn").ids()

    assert got == names(range(4))


def test_a_stable_reading_refuses_another_order() -> None:
    with pytest.raises(UsageError, match="by creation time"):
        select(RunsTransport(), stable=True, order=-wb.summary["acc"])
    with pytest.raises(UsageError, match="on_unstable"):
        select(RunsTransport(), stable=True, on_unstable="maybe")
    assert select(RunsTransport(make_run(1)), stable=True, order="+created_at").ids() == ["r1"]


class Gauge:
    """A slow server's delay, that notes how many requests were under way at once."""

    def __init__(self) -> None:
        self.peak = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._now += 1
            self.peak = max(self.peak, self._now)
        time.sleep(0.03)
        with self._lock:
            self._now -= 1


def test_where_the_server_is_slow_pages_are_read_ahead_and_given_in_order() -> None:
    runs = [make_run(number, summary={"acc": number % 7}) for number in range(50)]
    gauge = Gauge()
    transport = RunsTransport(*runs, delay=gauge)

    got = select(transport, page_size=5, order=-wb.summary["acc"]).ids()

    assert got == [run["name"] for run in sorted(runs, key=lambda run: -run["summary"]["acc"])]
    assert len(transport.sent) == 10
    assert transport.sent[0][1]["after"] is None
    assert 4 < gauge.peak <= 8


def test_a_quick_server_is_asked_for_one_page_after_the_other() -> None:
    transport = RunsTransport(*map(make_run, range(50)))
    ahead = ReadAhead(select_page(transport), wall=itertools.count(step=0.001).__next__, cpu=lambda: 0.0)

    ahead(5, None)
    ahead.close()

    assert len(transport.sent) == 1


def test_fewer_pages_are_under_way_where_they_are_large() -> None:
    runs = [make_run(number, config={"text": {"value": "x" * 100_000}}) for number in range(400)]
    gauge = Gauge()
    transport = RunsTransport(*runs, delay=gauge)

    got = select(transport, page_size=40, select="*").ids()

    assert len(got) == 400
    assert 1 < gauge.peak <= 4


def slow_pages(transport: RunsTransport, *, limit: int | None = None, count: Callable[[], int]) -> ReadAhead:
    """Pages of a slow server that gives no total, read ahead."""
    reader = PageReader(Session(transport), PATH, select(transport).question)
    return ReadAhead(
        lambda first, after: reader.ask(first, after, total=False),
        count=count,
        limit=limit,
        wall=itertools.count().__next__,
        cpu=lambda: 0.0,
    )


def test_a_slow_server_that_gives_no_total_is_counted_and_read_ahead_at_once() -> None:
    together = threading.Barrier(2)
    transport = RunsTransport(*map(make_run, range(50)), delay=lambda: None)

    def count() -> int:
        together.wait(5)  # passes only once the first page has been handed out
        return 50

    ahead = slow_pages(transport, count=count)
    ahead(5, None)
    together.wait(5)
    read = [ahead(5, to_cursor(last)).edges[0].node.name for last in range(4, 49, 5)]
    ahead.close()

    assert read == names(range(5, 50, 5))


def test_a_count_that_fails_ends_the_guesses_and_not_the_reading() -> None:
    def count() -> int:
        raise NotFound("gone")

    transport = RunsTransport(*map(make_run, range(50)))
    ahead = slow_pages(transport, count=count)

    read = [ahead(5, after).edges[0].node.name for after in (None, to_cursor(4), to_cursor(9))]
    ahead.close()

    assert read == names(range(0, 15, 5))


def test_nothing_is_read_ahead_past_the_limit() -> None:
    transport, counted = RunsTransport(*map(make_run, range(50))), []
    ahead = slow_pages(transport, limit=10, count=lambda: counted.append(1) or 50)

    ahead(5, None)
    ahead.close()

    assert (counted, len(transport.sent)) == ([], 1)


def test_cursors_of_another_kind_are_followed_one_by_one() -> None:
    asked: list[str | None] = []

    def ask(first: int, after: str | None) -> Connection[RunNode]:
        asked.append(after)
        page = select_page(RunsTransport(*map(make_run, range(50))))(first, None)
        info = msgspec.structs.replace(page.page_info, end_cursor="opaque")
        return msgspec.structs.replace(page, page_info=info)

    ahead = ReadAhead(ask, wall=itertools.count().__next__, cpu=lambda: 0.0)

    assert ahead(5, None).page_info.end_cursor == "opaque"
    ahead(5, "opaque")
    ahead.close()
    assert asked == [None, "opaque"]


def select_page(transport: RunsTransport) -> Callable[[int, str | None], Connection[RunNode]]:
    selection = select(transport)
    reader = PageReader(Session(transport), PATH, selection.question)
    return lambda first, after: reader.ask(first, after, total=after is None)


def test_pages_read_ahead_go_on_as_the_server_says_when_there_is_more_than_it_counted() -> None:
    transport = RunsTransport(
        *map(make_run, range(22)), before={2: append(*range(22, 30))}, delay=lambda: time.sleep(0.03)
    )

    with pytest.warns(UnstableWarning, match="30 runs were read, 22 matched"):
        got = select(transport, page_size=5).ids()

    assert got == names(range(30))


def test_stopping_early_ends_what_was_asked_ahead() -> None:
    transport = RunsTransport(*map(make_run, range(100)), delay=lambda: time.sleep(0.03))

    runs = iter(select(transport, page_size=5))
    first = [next(runs).id for _ in range(7)]
    runs.close()
    sent = len(transport.sent)
    time.sleep(0.1)

    assert first == names(range(7))
    assert len(transport.sent) == sent <= 10


class Unbounded(RunsTransport):
    """A server that ignores a variable of each page, and gives the value in `instead` its meaning."""

    instead: Mapping[str, Any]

    def _ListRuns(self, variables: dict[str, Any]) -> Reply:
        return super()._ListRuns({**variables, **self.instead})

    def _matching(self, variables: dict[str, Any]) -> list[dict[str, Any]] | None:
        found = super()._matching(variables)
        return found[::-1] if found and variables["order"] == "-created_at" else found


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        ({"filters": "{}"}, "ignores the filter"),
        ({"order": "-created_at"}, "does not give runs in the order"),
        ({"filters": "{}", "order": "-created_at"}, "does not give runs in the order"),
    ],
)
def test_a_stable_read_ends_with_an_error_where_the_server_ignores_what_it_rests_on(
    instead: Mapping[str, Any], reason: str
) -> None:
    transport = Unbounded(*(make_run(number) for number in range(30)))
    transport.instead = instead

    with pytest.raises(ResponseError, match=reason):
        list(select(transport, stable=True, page_size=10))

    assert len(transport.sent) <= 3


def test_a_stable_read_ends_with_an_error_where_pages_of_one_instant_bring_nothing_new() -> None:
    """Each cursor is a new one, and the page behind it the same."""

    def same_page(number: int, data: dict[str, Any]) -> Reply | None:
        for place, edge in enumerate(data["project"]["runs"]["edges"]):
            edge["cursor"] = f"c{number}-{place}"
        data["project"]["runs"]["pageInfo"] = {"hasNextPage": True, "endCursor": f"c{number}"}
        return data_reply(data)

    transport = Unbounded(*(make_run(number, at=1) for number in range(30)), page_reply=same_page)
    transport.instead = {"after": None}

    with pytest.raises((ResponseError, UnstablePopulation)):
        list(select(transport, stable=True, page_size=10))

    assert len(transport.sent) < 60
