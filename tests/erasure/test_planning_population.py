"""Which runs are meant, on servers that move, lie or ignore the filter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fake_runs import Change, RunsTransport, make_run
from tests.fakes import data_reply
from wbgql.erasure.planning.decisions import check_something_left, sift
from wbgql.erasure.planning.population import Population, find_by_ids, find_by_rule
from wbgql.errors import IgnoredWarning, NotFound, UnstablePopulation, UsageError
from wbgql.expressions import parse_expression
from wbgql.paths import ProjectPath, RunPath
from wbgql.progress import NoProgress
from wbgql.viewer import Rights
from wbgql.wire.session import Session
from wbgql.wire.transport import Reply

NOW = datetime(2026, 2, 1, tzinfo=UTC)
PATH = ProjectPath("acme", "vision")
RULE = parse_expression('state == "crashed"')


class Server(RunsTransport):
    """Knows its projects by name; `called` is what it calls the one that is asked for."""

    called: str | None = None

    def _GetProject(self, variables: Mapping[str, Any]) -> Reply:
        name = variables["project"]
        if name not in self.projects:
            return data_reply({"project": None})
        found = {
            "id": "P",
            "internalId": "1",
            "name": self.called or name,
            "entityName": variables["entity"],
            "createdAt": "2026-01-01T00:00:00Z",
            "readOnly": False,
            "runCount": len(self.projects[name]),
        }
        return data_reply({"project": found})


class Careless(Server):
    """Ignores every filter but that on the time of creation, when it lists and when it counts."""

    def _matching(self, variables: dict[str, Any]) -> list[dict[str, Any]] | None:
        return super()._matching(variables | {"filters": "{}"})


def crashed(number: int) -> dict[str, Any]:
    return make_run(number, state="crashed")


def add(number: int) -> Change:
    return lambda server: server.runs.append(crashed(number))


def find(transport: RunsTransport) -> Population:
    return find_by_rule(Session(transport), [PATH], RULE, now=NOW, progress=NoProgress())


def test_two_readings_that_agree_are_enough() -> None:
    transport = Server(crashed(1), make_run(2), crashed(3))

    found = find(transport)

    assert [run.path.run_id for run in found.runs] == ["r1", "r3"]
    assert transport.names_sent().count("ListRuns") == 2
    assert found.projects[PATH].run_count == 3
    assert (found.others, found.not_read) == ([], [])


def test_a_run_that_appears_between_two_readings_is_found_at_the_third() -> None:
    transport = Server(crashed(1), before={1: add(2)})

    found = find(transport)

    assert [run.path.run_id for run in found.runs] == ["r1", "r2"]
    assert transport.names_sent().count("ListRuns") == 3


def test_runs_that_come_with_every_reading_are_an_error() -> None:
    transport = Server(crashed(1), before={page: add(page + 2) for page in range(9)})

    with pytest.raises(UnstablePopulation, match="3 readings"):
        find(transport)


def test_runs_that_the_server_gives_against_the_rule_stay_and_are_named() -> None:
    found = find(Careless(crashed(1), make_run(2)))

    assert [run.path.run_id for run in found.runs] == ["r1"]
    assert [str(path) for path in found.others] == ["acme/vision/r2"]
    sifted = sift(found, {"acme": Rights("ada", "acme", "admin")}, [])
    assert [(run.path, run.reason) for run in sifted.excluded] == [("acme/vision/r2", "not_matching")]
    check_something_left(sifted)


def test_a_project_that_the_server_calls_otherwise_is_refused() -> None:
    transport = Server(crashed(1))
    transport.called = "Vision"

    with pytest.raises(UsageError, match="'acme/Vision'"):
        find(transport)


def test_ids_that_a_careless_server_adds_are_not_taken() -> None:
    transport = Careless(crashed(1), crashed(2), crashed(3))
    asked = [RunPath("acme", "vision", name) for name in ("r3", "r1")]

    with pytest.warns(IgnoredWarning, match="here 'r2'"):
        found = find_by_ids(Session(transport), asked, allow_missing=False)

    assert [run.path.run_id for run in found.runs] == ["r1", "r3"]


def test_every_missing_id_is_told_but_not_at_length() -> None:
    asked = [RunPath("acme", "vision", f"x{number}") for number in range(9)]

    with pytest.raises(NotFound, match="and 4 more"):
        find_by_ids(Session(Server(crashed(1))), asked, allow_missing=False)
    partly = find_by_ids(Session(Server(crashed(1))), asked, allow_missing=True)
    assert len(partly.not_read) == 9
