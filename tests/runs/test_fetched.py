"""What was not fetched of a run raises; what was fetched and is absent is None, or no key."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import wbgql as wb
from tests.fake_runs import RunsTransport, make_run
from tests.fakes import FakeTransport
from wbgql.cli.shared.exit_codes import USAGE, code_of
from wbgql.errors import FilterError, NotFetched
from wbgql.expressions import matches
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import Run, RunSelection, get_run
from wbgql.wire.session import Session

PATH = ProjectPath("acme", "vision")
NOW = datetime(2026, 3, 8, tzinfo=UTC)
WITH_ALL = make_run(1, host="node1", notes="subject 4711", config={"lr": 0.1, "b": 1}, summary={"acc": 0.9})


def select(*runs: dict[str, Any], **arguments: Any) -> RunSelection:
    return RunSelection(Session(RunsTransport(*runs)), PATH, **arguments)


def one(**arguments: Any) -> Run:
    (found,) = select(WITH_ALL, **arguments)
    return found


def test_the_error_is_neither_of_those_that_python_turns_into_a_default() -> None:
    listed = one()

    for error in (AttributeError, KeyError, LookupError):
        assert not issubclass(NotFetched, error)
    with pytest.raises(NotFetched) as caught:
        getattr(listed, "notes", None)
    assert code_of(caught.value) == USAGE
    assert str(caught.value) == (
        "run 'acme/vision/r1': notes was not fetched; list the runs with select=[wb.run.notes], or read this "
        "one with client.run('acme/vision/r1')"
    )


@pytest.mark.parametrize(
    "name", ["notes", "host", "duration_s", "updated_at", "config", "summary", "raw_config"]
)
def test_what_a_plain_list_does_not_fetch_raises(name: str) -> None:
    with pytest.raises(NotFetched, match="was not fetched"):
        getattr(one(), name)


@pytest.mark.parametrize("field", [wb.run.notes, wb.run.host, wb.config["lr"], wb.summary["acc"]], ids=str)
def test_a_field_that_was_not_selected_raises(field: Any) -> None:
    with pytest.raises(NotFetched):
        _ = one(select=[wb.summary["loss"]])[field]


def test_attributes_that_were_selected_are_there_and_null_ones_are_none() -> None:
    fields = [wb.run.notes, wb.run.host]
    first, second = select(WITH_ALL, make_run(2), select=fields)

    assert [(run.notes, run[wb.run.host]) for run in (first, second)] == [
        ("subject 4711", "node1"),
        (None, None),
    ]


def test_notes_travel_only_if_they_are_asked_for() -> None:
    transport = RunsTransport(WITH_ALL)
    session = Session(transport)
    for asked in ([wb.run.host], [wb.run.notes], "*"):
        list(RunSelection(session, PATH, select=asked))

    assert [sent["withNotes"] for _, sent in transport.sent] == [False, True, True]
    assert [sent["withDetails"] for _, sent in transport.sent] == [True, False, True]


def test_one_run_is_fetched_with_everything() -> None:
    node = {
        "id": "S", "name": "r1", "displayName": None, "state": None, "tags": None, "group": None,
        "jobType": None, "sweepName": None, "createdAt": "2026-01-01T00:00:00", "heartbeatAt": None,
        "user": None, "host": "node1", "updatedAt": "2026-01-02T00:00:00", "computeSeconds": 7,
        "notes": "subject 4711", "config": None, "summaryMetrics": None,
    }  # fmt: skip
    run = get_run(Session(FakeTransport({"project": {"run": node}})), RunPath("acme", "vision", "r1"))

    assert (run.notes, run.host, run.duration_s, run.updated_at.isoformat()) == (
        "subject 4711", "node1", 7, "2026-01-02T00:00:00+00:00",
    )  # fmt: skip
    assert (run.config, run.summary, run.raw_config, run.state, run.user) == ({}, {}, None, None, None)


def _matched(found: Any) -> object:
    match found:
        case {"b": value}:
            return value
    return None


LOOKUPS: dict[str, Callable[[Any], object]] = {
    "item": lambda found: found["b"],
    "get": lambda found: found.get("b"),
    "get with a default": lambda found: found.get("b", 0),
    "in": lambda found: "b" in found,
    "not in": lambda found: "b" not in found,
    "pop": lambda found: found.pop("b", None),
    "setdefault": lambda found: found.setdefault("b", 2),
    "match": _matched,
    "a copy": lambda found: copy.copy(found).get("b"),
    "a deep copy": lambda found: copy.deepcopy(found).get("b"),
    "its own copy": lambda found: found.copy().get("b"),
    "pickled": lambda found: pickle.loads(pickle.dumps(found)).get("b"),
}


@pytest.mark.parametrize("lookup", LOOKUPS.values(), ids=LOOKUPS)
def test_every_way_to_look_up_a_key_that_was_not_selected_raises(lookup: Callable[[Any], object]) -> None:
    config = one(select=[wb.config["lr"]]).config

    with pytest.raises(
        NotFetched, match=r"config\['b'\] was not fetched.*select=\[wb.config\['b'\], \.\.\.\]"
    ):
        lookup(config)


def test_a_selected_key_that_the_run_lacks_is_absent() -> None:
    config = one(select=[wb.config["lr"], wb.config["nosuch"]]).config

    assert (config["lr"], config.get("nosuch"), config.get("nosuch", 5), "nosuch" in config) == (
        0.1,
        None,
        5,
        False,
    )
    with pytest.raises(KeyError):
        _ = config["nosuch"]
    assert config.pop("nosuch", 1) == 1


def test_the_selected_keys_are_a_mapping_of_their_own() -> None:
    config = one(select=[wb.config["lr"], wb.config["nosuch"]]).config

    assert (dict(config), list(config), len(config), bool(config)) == ({"lr": 0.1}, ["lr"], 1, True)
    assert config == {"lr": 0.1}
    assert {**config, "x": 1} == config | {"x": 1} == {"lr": 0.1, "x": 1}
    assert json.loads(json.dumps(config)) == json.loads(msgspec.json.encode(config)) == {"lr": 0.1}
    assert msgspec.convert(config, dict[str, float]) == {"lr": 0.1}
    assert isinstance(config, Mapping)
    assert repr(config) == "Selected({'lr': 0.1}, asked=['lr', 'nosuch'])"


def test_a_whole_section_is_a_plain_dict() -> None:
    run = one(select="*")

    assert (type(run.config), run.config.get("nosuch"), run.summary) == (dict, None, {"acc": 0.9})


def test_what_came_for_the_order_or_the_filter_alone_does_not_count_as_selected() -> None:
    run = one(order=-wb.summary["acc"], where=wb.config["b"] == 1, select=[wb.config["lr"]])

    with pytest.raises(NotFetched):
        _ = run.summary
    with pytest.raises(NotFetched):
        run.config.get("b")


def test_a_server_that_sends_everything_changes_nothing() -> None:
    session = Session(RunsTransport(WITH_ALL, takes_keys=False))
    (run,) = RunSelection(session, PATH, select=[wb.config["lr"]])

    assert run.config == {"lr": 0.1}
    with pytest.raises(NotFetched):
        run.config.get("b")


def test_runs_can_be_copied_and_pickled() -> None:
    for again in (copy.copy(one()), copy.deepcopy(one()), pickle.loads(pickle.dumps(one()))):
        assert repr(again) == "Run('acme/vision/r1', state='finished')"
        with pytest.raises(NotFetched):
            _ = again.notes


def test_an_expression_over_a_run_refuses_to_guess() -> None:
    run = one(select=[wb.config["lr"]])

    assert matches(wb.config["lr"] < 1, run.to_document(), now=NOW)
    for expr in (wb.run.host == None, wb.config["b"].missing(), wb.summary["acc"] > 0):  # noqa: E711
        with pytest.raises(NotFetched):
            matches(expr, run.to_document(), now=NOW)


def test_notes_are_compared_by_the_client_only() -> None:
    runs = (WITH_ALL, make_run(2, notes="fine"), make_run(3))
    found = wb.run.notes.contains("4711")

    with pytest.raises(FilterError, match=r"notes: servers are not known to filter by it.*client_side=True"):
        select(*runs, where=found)
    for where in (found, 'notes.contains("4711")'):
        assert select(*runs, where=where, client_side=True).ids() == ["r1"]
    assert select(*runs, where="notes == None", client_side=True).ids() == ["r3"]


def test_notes_are_a_column_of_frames_and_files_where_they_are_selected(tmp_path: Any) -> None:
    selection = select(WITH_ALL, make_run(2), select=[wb.run.notes])

    assert selection.to_arrow().column("notes").to_pylist() == ["subject 4711", None]
    selection.to_jsonl(tmp_path / "runs.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert [line["notes"] for line in lines] == ["subject 4711", None]
    assert "notes" not in select(WITH_ALL).to_arrow().column_names


def test_a_frame_of_everything_has_every_attribute() -> None:
    table = select(WITH_ALL, select="*").to_arrow()

    assert {"notes", "host", "duration_s", "updated_at", "config.lr", "summary.acc"} <= set(
        table.column_names
    )
    assert table.column("notes").to_pylist() == ["subject 4711"]
