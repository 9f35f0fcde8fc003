"""Servers that ignore a filter or an order: noticed by what they send, and said."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

import wbgql as wb
from tests.fake_runs import RunsTransport, make_run
from tests.fakes import data_reply
from wbgql.documents import Prepared
from wbgql.errors import IgnoredWarning, UnstableWarning
from wbgql.paths import ProjectPath
from wbgql.runs import RunSelection
from wbgql.wire.session import Session
from wbgql.wire.transport import Reply

ACC = wb.summary["acc"]
NOW = datetime(2026, 3, 8, tzinfo=UTC)
SHUFFLED = Random(3).sample(range(40), 40)


class Deaf(RunsTransport):
    """A server that does not hear one of the variables it is sent."""

    def __init__(self, variable: str, heard: Any, *runs: dict[str, Any], **more: Any) -> None:
        super().__init__(*runs, **more)
        self._instead = {variable: heard}

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        return super().send(prepared, {**variables, **self._instead})


def select(transport: RunsTransport, **arguments: Any) -> RunSelection:
    return RunSelection(Session(transport), ProjectPath("acme", "vision"), now=NOW, **arguments)


def some_runs(count: int = 40) -> list[dict[str, Any]]:
    """Runs whose `acc` has no order to speak of; every third one crashed."""
    return [
        make_run(
            number,
            summary={"acc": SHUFFLED[number] / 40, "word": "a", "mixed": "NaN" if number % 2 else number},
            config={"lr": 0.1 if number % 2 else "0.1"},
            state="crashed" if number % 3 == 0 else "finished",
            tags=["keep"] if number % 2 else [],
            group="a" if number % 2 else None,
        )
        for number in range(count)
    ]


ASKED = [
    {"where": wb.run.state == "finished"},
    {"where": wb.run.tags.has("keep")},
    {"where": wb.run.created_at < "2020-01-01T00:00:00Z"},
    {"where": ACC > 0.5, "select": [ACC]},
    {"where": (ACC > 0.5) & (wb.run.state == "finished")},
    {"where": ~((ACC < 0.5) | (wb.run.state == "crashed"))},
    {"where": wb.config["lr"] == 0.1, "select": "*"},
    {"filters": {"state": "finished"}},
    {"filters": {"$and": [{"summary_metrics.acc": {"$gt": 0.5}}]}, "select": [ACC]},
    {"filters": {"config.lr": 0.1}, "select": [wb.config["lr"]]},
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: str(asked.get("where", asked)))
def test_a_server_that_ignores_the_filter_is_noticed_and_the_filter_holds_here(asked: dict[str, Any]) -> None:
    right = select(RunsTransport(*some_runs()), page_size=10, **asked).ids()
    assert len(right) < 40

    with pytest.warns(IgnoredWarning, match=r"does not ask for \(here 'r\d+'\)") as told:
        assert select(Deaf("filters", "{}", *some_runs()), page_size=10, **asked).ids() == right

    assert len([one for one in told if issubclass(one.category, IgnoredWarning)]) == 1


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: str(asked.get("where", asked)))
def test_a_limit_is_filled_where_the_server_ignores_the_filter(asked: dict[str, Any]) -> None:
    right = select(RunsTransport(*some_runs()), limit=5, **asked).ids()

    with pytest.warns(IgnoredWarning):
        assert select(Deaf("filters", "{}", *some_runs()), limit=5, **asked).ids() == right


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: str(asked.get("where", asked)))
def test_a_count_is_checked(asked: dict[str, Any]) -> None:
    asked = {name: value for name, value in asked.items() if name != "select"}
    right = len(select(RunsTransport(*some_runs()), **asked).ids())

    with warnings.catch_warnings():
        warnings.simplefilter("error", IgnoredWarning)
        assert select(RunsTransport(*some_runs()), **asked).count() == right
    with pytest.warns(IgnoredWarning, match=f"counts 40 runs, and {right} match here"):
        assert select(Deaf("filters", "{}", *some_runs()), **asked).count() == right


def test_a_text_search_that_is_ignored_is_counted_here() -> None:
    runs = [make_run(number, displayName="resnet" if number < 3 else "vit") for number in range(9)]

    with pytest.warns(IgnoredWarning, match="counts 9 runs, and 3 match here"):
        assert select(Deaf("filters", "{}", *runs), where=wb.run.display_name.contains("resnet")).count() == 3


def test_a_count_that_cannot_be_checked_is_said_to_be_unchecked() -> None:
    runs = [make_run(number, state="finished") for number in range(1001)]

    with pytest.warns(IgnoredWarning, match="the count 1001 is unchecked"):
        assert select(RunsTransport(*runs), filters={"state": "finished"}).count() == 1001


def test_one_page_is_compared_with_its_total() -> None:
    def short(_number: int, data: dict[str, Any]) -> Reply:
        data["project"]["runs"]["edges"].pop()
        return data_reply(data)

    with pytest.warns(UnstableWarning, match="8 runs were read, 9 matched"):
        select(RunsTransport(*some_runs(9), page_reply=short)).ids()


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: str(asked.get("where", asked)))
def test_a_server_that_heeds_the_filter_is_not_blamed(asked: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", IgnoredWarning)
        select(RunsTransport(*some_runs()), page_size=10, **asked).ids()


@pytest.mark.parametrize(
    "asked",
    [
        {"where": wb.run.display_name.contains("R")},
        {"where": wb.run.group == "b"},
        {"where": wb.run.user == "ada"},
        {"where": wb.run.host == "h"},
        {"filters": {"displayName": {"$contains": "X"}}},
        {"filters": {"group": {"$ne": None}}},
        {"filters": {"$or": [{"state": "killed"}, {"summary_metrics.acc": 7}]}},
    ],
    ids=lambda asked: str(asked.get("where", asked)),
)
def test_what_did_not_travel_or_may_be_read_in_another_way_is_not_judged(asked: dict[str, Any]) -> None:
    runs = [make_run(number, group=None) for number in range(3)]

    with warnings.catch_warnings():
        warnings.simplefilter("error", IgnoredWarning)
        assert len(select(Deaf("filters", "{}", *runs), **asked).ids()) == 3


def test_instants_and_durations_may_be_shown_without_their_fraction() -> None:
    """The server compares 12:00:30.4 and 12.7 seconds, and shows 12:00:30 and 12."""
    runs = [make_run(1, at=30, duration=12)]
    where = (wb.run.created_at > "2026-01-01T00:30:00Z") & (wb.run.duration_s > 12)

    with warnings.catch_warnings():
        warnings.simplefilter("error", IgnoredWarning)
        assert select(Deaf("filters", "{}", *runs), where=where, select=[wb.run.duration_s]).ids() == ["r1"]


def test_explain_looks_at_keys_that_a_list_would_not_bring() -> None:
    with pytest.warns(IgnoredWarning):
        told = select(Deaf("filters", "{}", *some_runs()), where=ACC > 0.5).explain()

    assert json.loads(json.dumps(told.filters)) == {"summary_metrics.acc": {"$gt": 0.5}}


def test_verifying_says_it_in_its_own_way() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = list(select(Deaf("filters", "{}", *some_runs()), where=ACC > 0.5).verified())

    assert 0 < len(found) < 40
    assert [warning.category.__name__ for warning in told] == ["FilterWarning"]


@pytest.mark.parametrize("limit", [3, None])
@pytest.mark.parametrize("order", [-ACC, +ACC, -wb.run.created_at])
def test_a_server_that_ignores_the_order_is_noticed(order: Any, limit: int | None) -> None:
    with pytest.warns(IgnoredWarning, match="do not come in the order"):
        select(Deaf("order", "+created_at", *some_runs()), order=order, limit=limit).ids()


@pytest.mark.parametrize(
    "order", [-ACC, +ACC, +wb.run.created_at, -wb.summary["word"], +wb.summary["mixed"], -wb.config["lr"]]
)
def test_a_server_that_heeds_the_order_is_not_blamed(order: Any) -> None:
    runs = sorted(some_runs(), key=lambda run: run["summary"]["acc"], reverse=order.descending)
    transport = RunsTransport(*(some_runs() if "acc" not in str(order) else runs))

    with warnings.catch_warnings():
        warnings.simplefilter("error", IgnoredWarning)
        if str(order) in ('-summary["word"]', '-config["lr"]'):
            transport = Deaf("order", "+created_at", *some_runs())  # text: servers sort it in their own way
        if str(order) == '+summary["mixed"]':
            transport = Deaf("order", "+created_at", *some_runs())  # its numbers do come in order
        select(transport, order=order).ids()


def test_one_row_that_came_late_is_no_other_order() -> None:
    runs = [make_run(number, summary={"acc": number}) for number in range(20)]
    runs[5], runs[6] = runs[6], runs[5]

    with warnings.catch_warnings():
        warnings.simplefilter("error", IgnoredWarning)
        select(Deaf("order", "+created_at", *runs), order=+ACC).ids()


def climbing(count: int = 40) -> list[dict[str, Any]]:
    """Runs whose `acc` grows with their creation, so that an ignored order may fit."""
    return [make_run(number, summary={"acc": number, "word": f"w{number:02}"}) for number in range(count)]


@pytest.mark.parametrize("limit", [1, 2, 10])
@pytest.mark.parametrize("order", [+ACC, +wb.summary["word"]])
def test_an_order_that_fits_by_chance_is_asked_the_other_way_round(order: Any, limit: int) -> None:
    with pytest.warns(IgnoredWarning, match="gives 'r0' first, asked"):
        select(Deaf("order", "+created_at", *climbing()), order=order, limit=limit).ids()


@pytest.mark.parametrize("order", [+ACC, -ACC])
def test_a_server_that_sorts_is_asked_the_other_way_round_once(order: Any) -> None:
    transport = RunsTransport(*climbing())
    session = Session(transport)
    with warnings.catch_warnings():
        warnings.simplefilter("error", IgnoredWarning)
        for limit in (1, 3):
            RunSelection(session, ProjectPath("acme", "vision"), now=NOW, order=order, limit=limit).ids()

    assert transport.names_sent().count("ListRuns") == 3


def test_an_order_that_cannot_be_chance_costs_no_request() -> None:
    transport = RunsTransport(*some_runs())

    select(transport, order=-ACC, limit=10).ids()

    assert transport.names_sent().count("ListRuns") == 1


def test_equal_and_absent_values_say_nothing_of_the_order() -> None:
    runs = [make_run(number, summary={"acc": 1} if number % 2 else {}) for number in range(9)]

    with warnings.catch_warnings():
        warnings.simplefilter("error", IgnoredWarning)
        select(Deaf("order", "+created_at", *runs), order=+ACC, limit=3).ids()
