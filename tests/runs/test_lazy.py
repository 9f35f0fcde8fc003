"""Lists that are read as they are used: no length, no truth value, and nothing sent to say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import wbgql as wb
from tests.cli.answers import run, runs
from tests.fakes import FakeTransport
from tests.stored import World
from wbgql.errors import NotRead, UsageError
from wbgql.settings import Settings

LISTS: dict[str, Callable[[wb.Client], Any]] = {
    "runs": lambda client: client.runs("acme/vision", where="state == 'failed'"),
    "verified": lambda client: client.runs("acme/vision").verified(),
    "projects": lambda client: client.projects("acme"),
    "fields": lambda client: client.fields("acme/vision"),
    "files": lambda client: client.files("acme/vision/r1", pattern="media/%"),
    "artifacts": lambda client: client.artifacts("acme/vision", type="model"),
    "artifact_types": lambda client: client.artifact_types("acme/vision"),
    "artifact_collections": lambda client: client.artifact_collections("acme/vision"),
    "logged_artifacts": lambda client: client.logged_artifacts("acme/vision/r1"),
    "used_artifacts": lambda client: client.used_artifacts("acme/vision/r1"),
    "orphans": lambda client: client.orphans("acme/vision"),
    "scan_history": lambda client: client.scan_history("acme/vision/r1", keys=["loss"]),
    "history": lambda client: client.history(client.runs("acme/vision")),
    "history_of_paths": lambda client: client.history(["acme/vision/r1"]),
    "matching_runs": lambda client: (
        client.history("acme/vision/r1").where(wb.step["loss"] > 1).matching_runs()
    ),
    "system_metrics": lambda client: client.system_metrics("acme/vision/r1"),
    "console_lines": lambda client: client.console_lines("acme/vision/r1"),
}


def client(*answers: Any) -> tuple[wb.Client, FakeTransport]:
    transport = FakeTransport(*answers)
    return wb.Client(settings=Settings(api_key="k" * 40), session=wb.Session(transport)), transport


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "ask", [len, bool, lambda one: one[-1], lambda one: one[1:3]], ids=["len", "bool", "-1", "1:3"]
)
def test_what_is_not_read_yet_is_not_guessed(name: str, ask: Callable[[Any], Any]) -> None:
    here, transport = client()
    one = LISTS[name](here)

    with pytest.raises(NotRead, match=r"before it is read: `.*`") as caught:
        ask(one)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, UsageError)
    assert repr(one) in str(caught.value)
    assert transport.sent == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("runs", """RunSelection('acme/vision', where='state == "failed"', order='+created_at')"""),
        ("files", "<LazyList of files('acme/vision/r1', pattern='media/%'), read as it is used>"),
        ("artifacts", "<LazyList of artifacts('acme/vision', type='model'), read as it is used>"),
        ("scan_history", "HistoryScan('acme/vision/r1', keys=('loss',))"),
        ("history_of_paths", "HistorySelection('1 runs')"),
    ],
)
def test_repr_says_what_is_asked_for(name: str, shown: str) -> None:
    assert repr(LISTS[name](client()[0])) == shown


def test_repr_of_a_selection_shows_path_filter_order_and_limit() -> None:
    here, transport = client()
    selection = here.runs(
        ["acme/vision", "acme/audio"],
        filters={"state": "failed"},
        order='-summary["loss"]',
        select=["host"],
        limit=3,
    )

    assert repr(selection) == (
        "RunSelection('acme/vision, acme/audio', filters={'state': 'failed'}, "
        """order='-summary["loss"]', select=('host',), limit=3)"""
    )
    assert transport.sent == []


def test_list_reads_a_selection_without_a_request_for_its_length() -> None:
    here, transport = client(runs(run("a"), run("b")), runs(run("a"), run("b")), runs(run("a"), run("b")))
    selection = here.runs("acme/vision")

    for made in (list(selection), tuple(selection), sorted(selection, key=lambda given: given.id)):
        assert [one.id for one in made] == ["a", "b"]
    assert len(transport.sent) == 3


def test_places_of_a_selection_cost_one_request_and_slices_none() -> None:
    here, transport = client(runs(run("a")), runs(*map(run, "abc")))
    selection = here.runs("acme/vision", limit=10)

    assert selection[0].id == "a"
    assert selection[2].id == "c"
    assert [sent["first"] for _, sent in transport.sent] == [1, 3]
    assert (selection[:3].limit, selection[:20].limit, selection[:].limit) == (3, 10, 10)
    assert len(transport.sent) == 2


def test_a_place_behind_the_last_run_is_an_index_error() -> None:
    here, transport = client(runs(run("a")))

    with pytest.raises(IndexError, match="has no place 3: it gave 1 runs"):
        here.runs("acme/vision")[3]
    with pytest.raises(IndexError, match="has no place 0: it gave 0 runs"):
        here.runs("acme/vision")[:0][0]
    assert len(transport.sent) == 1


def test_a_selection_cannot_say_what_is_in_it() -> None:
    here, transport = client()

    with pytest.raises(NotRead, match=r"look among `paths\(\)` or `ids\(\)`"):
        assert "r1" in here.runs("acme/vision")
    assert transport.sent == []


def test_lists_are_read_once_and_go_on_where_they_stopped(world: World) -> None:
    world.run("r1")
    world.store("r1", {f"{number}.txt": b"x" for number in range(4)})
    files = world.client.files(f"{world.path}/r1", pattern="%.txt")

    first = next(files)
    rest = list(files)
    assert len({first.name, *(file.name for file in rest)}) == 4
    assert (len(rest), list(files)) == (3, [])
