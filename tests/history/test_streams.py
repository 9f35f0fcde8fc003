"""System metrics and console lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

import wbgql as wb
from tests.caller import Caller
from tests.fakes import FakeTransport
from wbgql.errors import CoverageWarning, NotFound, UsageError
from wbgql.history import iter_console_lines, iter_system_metrics
from wbgql.paths import RunPath
from wbgql.wire.session import Session

PATH = RunPath("acme", "vision", "r1")


def send(caller: Caller, project: str, stream: str, *lines: str) -> None:
    answer = caller.stream(project, "r1", files={stream: {"offset": 0, "content": list(lines)}})
    assert answer.status_code == 200, answer.text


def events(total: int, count: int) -> dict[str, Any]:
    rows = [json.dumps({"_timestamp": n, "system.cpu": 1.0}) for n in range(count)]
    return {"project": {"run": {"eventsLineCount": total, "events": rows}}}


def test_system_metrics_come_in_order_cut_to_keys(client: wb.Client, caller: Caller, project: str) -> None:
    rows = [{"_timestamp": n, "_runtime": n, "system.cpu": n / 10, "system.memory": 50} for n in range(700)]
    send(caller, project, "wandb-events.jsonl", *map(json.dumps, rows))

    assert list(client.system_metrics(f"{project}/r1")) == rows
    found = list(client.system_metrics(f"{project}/r1", keys=["_timestamp", "system.cpu"], samples=7))
    assert len(found) == 7
    assert found[0] == {"_timestamp": 0, "system.cpu": 0.0}


def test_more_measurements_than_were_asked_for_at_first_are_asked_for_again() -> None:
    transport = FakeTransport(events(12_000, 3), events(12_000, 4))

    assert len(list(iter_system_metrics(Session(transport), PATH))) == 4
    assert [sent["samples"] for _, sent in transport.sent] == [10_000, 12_000]


def test_console_lines_come_taken_apart_page_by_page(client: wb.Client, caller: Caller, project: str) -> None:
    lines = [f"2026-11-01T12:00:00.{n:06} line {n}" for n in range(5)]
    send(caller, project, "output.log", *lines, "ERROR 2026-11-01T12:00:01 failed = +1", "no form at all")
    before = client.stats.requests

    found = list(client.console_lines(f"{project}/r1"))

    assert client.stats.requests - before == 1
    assert [line.number for line in found] == list(range(7))
    assert (found[1].line, found[1].level) == ("line 1", "info")
    assert found[1].timestamp == datetime(2026, 11, 1, 12, 0, 0, 1, tzinfo=UTC)
    assert (found[5].level, found[5].line) == ("error", "failed = +1")
    assert (found[6].line, found[6].timestamp) == ("no form at all", None)
    assert list(iter_console_lines(client.session, client.run_path(f"{project}/r1"), page_size=2)) == found
    assert client.last_console_lines(f"{project}/r1", 2) == found[5:]


def test_a_console_that_comes_as_null_is_said_to_be_unknown() -> None:
    transport = FakeTransport({"project": {"run": {"logLines": None}}})

    with pytest.warns(CoverageWarning, match=r"null for the console lines of run 'acme/vision/r1'"):
        assert list(iter_console_lines(Session(transport), PATH)) == []


def test_a_time_that_cannot_be_read_does_not_hide_the_line() -> None:
    node = {"number": 0, "timestamp": "yesterday", "level": None, "label": "w1", "line": "x"}
    lines = {"pageInfo": {"hasNextPage": False, "endCursor": None}, "edges": [{"cursor": "c", "node": node}]}
    (line,) = iter_console_lines(Session(FakeTransport({"project": {"run": {"logLines": lines}}})), PATH)

    assert (line.timestamp, line.level, line.label, line.line) == (None, "info", "w1", "x")


def test_missing_runs_and_impossible_counts_are_refused(client: wb.Client, project: str) -> None:
    with pytest.raises(NotFound):
        next(client.system_metrics(f"{project}/nope"))
    with pytest.raises(NotFound):
        next(client.console_lines(f"{project}/nope"))
    with pytest.raises(UsageError):
        client.last_console_lines(f"{project}/r1", 0)
    with pytest.raises(UsageError):
        client.system_metrics(f"{project}/r1", samples=0)
