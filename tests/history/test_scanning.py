"""Scans of one run against the local server: which rows come, at what cost, and what is said of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

import wbgql as wb
from tests.caller import Caller
from tests.fakes import FakeTransport, data_reply
from wbgql.documents import Prepared
from wbgql.errors import NotFound, ResultError, SampledWarning, UnknownKeyWarning, UsageError
from wbgql.history import sample_history, scan_history
from wbgql.paths import RunPath
from wbgql.wire.session import Session
from wbgql.wire.transport import Reply

PATH = RunPath("acme", "vision", "r1")


def bounds(count: int | None, last: int | None) -> dict[str, Any]:
    summary = None if last is None else json.dumps({"_step": last})
    return {"project": {"run": {"historyLineCount": count, "summaryMetrics": summary}}}


def rows(*steps: int, **values: Any) -> dict[str, Any]:
    return {"project": {"run": {"history": [json.dumps({"_step": step} | values) for step in steps]}}}


def test_a_scan_brings_every_row_in_order_and_says_that_it_is_whole(
    client: wb.Client, caller: Caller, project: str
) -> None:
    caller.log(project, "r1", *({"_step": step, "loss": step / 10} for step in range(2500)))
    scan = client.scan_history(f"{project}/r1")

    assert [row["_step"] for row in scan] == list(range(2500))
    assert (scan.coverage.rows, scan.coverage.expected, scan.coverage.complete) == (2500, 2500, True)


def test_sparse_steps_do_not_cost_a_request_for_every_thousand_steps(
    client: wb.Client, caller: Caller, project: str
) -> None:
    steps = [1_700_000_000 + i * 100_003 for i in range(1500)]
    caller.log(project, "r1", *({"_step": step, "loss": 1} for step in steps))
    scan = client.scan_history(f"{project}/r1")
    before = client.stats.requests

    assert [row["_step"] for row in scan] == steps
    assert scan.coverage.complete is True
    assert client.stats.requests - before <= 10


def test_several_keys_give_the_union_of_rows(client: wb.Client, caller: Caller, project: str) -> None:
    caller.log(project, "r1", {"_step": 0, "a": 1}, {"_step": 1, "b": 2}, {"_step": 2, "c": 3})

    found = list(client.scan_history(f"{project}/r1", keys=["a", "b"]))

    assert found == [{"_step": 0, "a": 1}, {"_step": 1, "b": 2}]


def test_keys_that_no_row_of_a_whole_scan_has_are_named(
    client: wb.Client, caller: Caller, project: str
) -> None:
    caller.log(project, "r1", {"_step": 0, "a": 1})

    with pytest.warns(UnknownKeyWarning, match=rf"no row of run '.*{project}/r1' has 'los', 'x'"):
        assert list(client.scan_history(f"{project}/r1", keys=["a", "los", "x"])) == [{"_step": 0, "a": 1}]
    assert list(client.scan_history(f"{project}/r1", keys=["los"], min_step=1)) == []


def test_nested_and_dotted_keys_are_found_and_null_is_a_value(
    client: wb.Client, caller: Caller, project: str
) -> None:
    caller.log(project, "r1", {"_step": 0, "d": {"k": 1}}, {"_step": 1, "d.k": 2}, {"_step": 2, "d.k": None})

    found = list(client.scan_history(f"{project}/r1", keys=["d.k"]))

    assert [row["d.k"] for row in found] == [1, 2, None]


def test_a_run_that_is_still_logging_is_read_past_its_summary(
    client: wb.Client, caller: Caller, project: str
) -> None:
    caller.log(project, "r1", *({"_step": step, "loss": 1} for step in (*range(5), *range(10**6, 10**6 + 5))))
    summary = {"wandb-summary.json": {"offset": 0, "content": ['{"_step": 3}']}}
    assert caller.stream(project, "r1", files=summary).status_code == 200
    scan = client.scan_history(f"{project}/r1")

    assert len(list(scan)) == 10
    assert scan.coverage.complete is True


def test_wide_rows_are_read_key_by_key_after_the_first_page_and_give_the_same(
    client: wb.Client, caller: Caller, project: str
) -> None:
    wide = {f"metric/{n}": n for n in range(60)}
    logged = [
        {
            "_step": step,
            "_timestamp": 100.5 + step,
            **wide,
            **({"loss": float("nan")} if step % 3 == 0 else {}),
        }
        for step in range(300)
    ]
    caller.log(project, "r1", *logged)
    keys = ["loss", "_timestamp"]
    before = client.stats.bytes_received
    scan = client.scan_history(f"{project}/r1", keys=keys, page_size=50)

    found = list(scan)

    assert [row["_step"] for row in found] == list(range(0, 300, 3))
    assert all(math.isnan(row["loss"]) and row["_timestamp"] == 100.5 + row["_step"] for row in found)
    assert scan.coverage.complete is True
    projected = client.stats.bytes_received - before
    list(client.scan_history(f"{project}/r1", page_size=50))
    assert projected < (client.stats.bytes_received - before - projected) / 2


def test_infinities_and_nan_come_as_floats(client: wb.Client, caller: Caller, project: str) -> None:
    caller.log(project, "r1", {"_step": 0, "up": math.inf, "down": -math.inf, "nan": math.nan})

    (row,) = client.scan_history(f"{project}/r1")

    assert (row["up"], row["down"]) == (math.inf, -math.inf)
    assert math.isnan(row["nan"])


def test_a_range_of_steps_brings_these_alone_and_claims_no_completeness(
    client: wb.Client, caller: Caller, project: str
) -> None:
    caller.log(project, "r1", *({"_step": step} for step in range(50)))
    scan = client.scan_history(f"{project}/r1", min_step=10, max_step=20)

    assert [row["_step"] for row in scan] == list(range(10, 20))
    assert scan.coverage.complete is None
    assert "range of steps" in (scan.coverage.note or "")


def test_that_a_run_logged_nothing_is_asked_and_not_only_counted(client: wb.Client, project: str) -> None:
    scan = client.scan_history(f"{project}/r1")
    before = client.stats.requests

    assert list(scan) == []
    assert scan.coverage.complete is True
    assert client.stats.requests - before == 2


@pytest.mark.parametrize("count", [0, None])
@pytest.mark.parametrize("last", [None, 1])
def test_a_count_of_no_rows_is_not_believed(count: int | None, last: int | None) -> None:
    first = [rows(0, 1)] if last is not None else []
    transport = FakeTransport(bounds(count, last), *first, rows(2, 3) if first else rows(0, 1, 2, 3))
    scan = scan_history(Session(transport), PATH)

    assert [row["_step"] for row in scan] == [0, 1, 2, 3]
    assert scan.coverage.complete is None
    assert "count" in (scan.coverage.note or "")


def test_a_range_is_read_past_a_summary_that_is_older_than_the_rows() -> None:
    transport = FakeTransport(bounds(None, 3), rows(2, 3), rows(4, 5))

    found = scan_history(Session(transport), PATH, min_step=2, max_step=6)

    assert [row["_step"] for row in found] == [2, 3, 4, 5]


def test_steps_as_texts_are_steps_and_rows_without_any_are_given_once() -> None:
    odd = [json.dumps(row) for row in ({"_step": "0", "a": 1}, {"a": 2}, {"a": 2}, {"_step": None, "a": 3})]
    answer = {"project": {"run": {"history": odd}}}
    transport = FakeTransport(bounds(None, 0), answer, answer)

    found = list(scan_history(Session(transport), PATH, keys=["a"]))

    assert [row["a"] for row in found] == [1, 2, 2, 3]


def test_a_run_whose_rows_have_no_step_is_not_read_key_by_key() -> None:
    wide = {f"m{number}": number for number in range(60)}
    odd = {
        "project": {"run": {"history": [json.dumps({"_step": 5000, "a": 4}), json.dumps({"a": 5, "b": 6})]}}
    }
    apart = {"project": {"run": {"sampledHistory": [[{"_step": 5000}], [{"a": 5}], [{"b": 6}]]}}}
    transport = FakeTransport(bounds(2000, 5000), rows(*range(900), a=1, b=2, **wide), apart, odd, odd, odd)

    found = list(scan_history(Session(transport), PATH, keys=["a", "b"]))

    assert sorted(map(str, found[900:])) == ["{'_step': 5000, 'a': 4}", "{'a': 5, 'b': 6}"]


def test_rows_of_one_step_and_rows_of_none_are_not_merged() -> None:
    a = [{"_step": 1, "a": 1}, {"_step": 1, "a": 2}, {"a": 3}]
    b = [{"_step": "1", "b": 1}, {"b": 4}, {"_step": 2.5, "b": 5}]
    transport = FakeTransport({"project": {"run": {"sampledHistory": [a, b]}}})

    with pytest.warns(SampledWarning, match="3 sampled rows have no usable _step"):
        found = sample_history(Session(transport), PATH, ["a", "b"])

    assert found == [
        {"_step": "1", "a": 1, "b": 1},
        {"_step": 1, "a": 2},
        {"a": 3},
        {"b": 4},
        {"_step": 2.5, "b": 5},
    ]


def test_rows_that_the_server_counts_and_does_not_bring_are_told_of() -> None:
    transport = FakeTransport(bounds(5, 2), rows(0, 1, 2), rows())
    scan = scan_history(Session(transport), PATH)

    assert len(list(scan)) == 3
    assert scan.coverage.complete is False
    assert "3 rows came, the run counts 5" in (scan.coverage.note or "")


class Thinning:
    """Answers as a server does that thins out more rows than it was asked for."""

    def __init__(self, steps: list[int]) -> None:
        self.steps = steps
        self.windows: list[tuple[int, int]] = []

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        if prepared.name == "GetHistoryBounds":
            return data_reply(bounds(len(self.steps), self.steps[-1]))
        start, end, samples = variables["minStep"], variables["maxStep"], variables["samples"]
        self.windows.append((start, end))
        found = [step for step in self.steps if start <= step < end]
        return data_reply(rows(*found[:: -(-len(found) // samples) or 1]))

    def close(self) -> None:
        pass


def test_an_answer_that_may_be_thinned_out_is_asked_for_again_narrower() -> None:
    steps = [*range(0, 100_000, 1000), *range(100_000, 100_300)]
    transport = Thinning(steps)
    scan = scan_history(Session(transport), PATH, page_size=100)

    assert [row["_step"] for row in scan] == steps
    assert scan.coverage.complete is True
    starts = [start for start, _ in transport.windows]
    assert len(starts) > len(set(starts))


def test_older_runs_without_a_last_step_are_read_by_their_count() -> None:
    transport = FakeTransport(bounds(2, None), rows(0, 1))

    assert len(list(scan_history(Session(transport), PATH))) == 2


def test_a_scan_sends_nothing_until_it_is_iterated_and_may_be_iterated_again() -> None:
    transport = FakeTransport(bounds(1, 0), rows(0), bounds(1, 0), rows(0))
    scan = scan_history(Session(transport), PATH)
    assert transport.sent == []

    assert list(scan) == list(scan)
    assert scan.coverage.rows == 1


@pytest.mark.parametrize("answer", [{"project": None}, {"project": {"run": None}}])
def test_a_missing_run_is_not_found(answer: dict[str, Any]) -> None:
    with pytest.raises(NotFound):
        list(scan_history(Session(FakeTransport(answer)), PATH))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"page_size": 0}, "page_size"),
        ({"min_step": -1}, "min_step"),
        ({"min_step": 5, "max_step": 4}, "max_step"),
        ({"keys": "loss"}, "write ['loss']"),
        ({"keys": []}, "at least one"),
        ({"source": "disk"}, "source"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(arguments: Any, said: str) -> None:
    transport = FakeTransport()

    with pytest.raises(UsageError) as caught:
        scan_history(Session(transport), PATH, **arguments)

    assert said in str(caught.value)
    assert transport.sent == []


def test_rows_outside_of_the_range_are_dropped_where_a_server_ignores_it() -> None:
    everything = rows(*range(6))
    transport = FakeTransport(bounds(6, 5), everything, everything)
    scan = scan_history(Session(transport), PATH, page_size=3)

    assert [row["_step"] for row in scan] == list(range(6))
    assert scan.coverage.complete is True


@pytest.mark.parametrize("text", ["{", "[1]", "7", "null"])
def test_a_row_that_is_no_object_is_an_error_of_the_answer(text: str) -> None:
    transport = FakeTransport(bounds(1, 0), {"project": {"run": {"history": [text]}}})

    with pytest.raises(ResultError, match="ScanHistory: a row is not"):
        list(scan_history(Session(transport), PATH))


def test_samples_that_are_no_rows_are_an_error_of_the_answer() -> None:
    transport = FakeTransport({"project": {"run": {"sampledHistory": [["odd"]]}}})

    with pytest.raises(ResultError, match="sampledHistory"):
        sample_history(Session(transport), PATH, ["loss"])
