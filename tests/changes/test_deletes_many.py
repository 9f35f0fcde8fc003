"""Hiding many runs of two projects on the local server, through a proxy that fails as servers do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.changes.test_deletes_parts import finished
from tests.erasure.fault_proxy import Fault, FaultProxy, Request, always, proxied
from tests.fakes import FakeClock
from tests.stored import World
from wbgql.client import Client
from wbgql.errors import PartialError
from wbgql.paths import RunPath
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings
from wbgql.wire.session import Session

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def proxy(local_server: RunningServer) -> Iterator[FaultProxy]:
    with proxied(local_server.base_url) as running:
        yield running


@pytest.fixture
def client(local_server: RunningServer, proxy: FaultProxy, tmp_path: Path) -> Client:
    settings = Settings(base_url=proxy.base_url, api_key=local_server.api_key)
    clock = FakeClock()
    session = Session.open(settings, clock=clock, sleep=clock.sleep)
    return Client(settings=settings, session=session, holds=HoldRegister(tmp_path / "holds.json"))


@pytest.fixture
def runs(local_server: RunningServer, world: World) -> list[RunPath]:
    """Twelve finished runs in two projects, taken in turn."""
    worlds = (world, World(local_server))
    return [finished(worlds[number % 2], f"r{number:02}") for number in range(12)]


def test_a_429_and_errors_on_single_mutations_cost_no_run(client: Client, proxy: FaultProxy, runs) -> None:
    faults = {
        2: Fault(forward=False, status=429, headers={"Retry-After": "0.2"}, body=b"{}"),
        4: Fault(status=500, body=b'{"errors":[{"message":"An internal error occurred"}]}'),  # applied
        6: Fault(forward=False, status=502, body=b"bad gateway"),  # not applied
        9: Fault(cut="reset"),  # applied
    }
    proxy.choose = lambda request: faults.get(request.nth) if request.operation == "DeleteRun" else None

    outcomes = client.delete_runs(runs, rate=1000.0)

    assert [one.path for one in outcomes] == [str(path) for path in runs]
    assert {one.outcome for one in outcomes} == {"hidden"}
    assert sum(not one.answered for one in outcomes) == 2
    applied = Counter(variables["id"] for _, variables, _ in proxy.mutations)
    assert len(applied) == 12
    assert set(applied.values()) == {1}


def test_runs_that_fail_are_grouped_and_the_others_are_hidden(
    client: Client, proxy: FaultProxy, runs
) -> None:
    client.holds.add("run", str(runs[0]), reason="CASE-1", added_by="ada", now=NOW)
    client.add_tags(runs[3], "legal-hold")
    client.add_tags(runs[4], "legal-hold")
    gone = RunPath(runs[0].entity, runs[0].project, "never-there")

    def fail_on_one(request: Request) -> Fault | None:
        is_it = request.operation == "LookUpRun" and request.variables["run"] == runs[5].run_id
        return (
            Fault(status=500, body=b'{"errors":[{"message":"An internal error occurred"}]}')
            if is_it
            else None
        )

    proxy.choose = fail_on_one
    with pytest.raises(PartialError) as caught:
        client.delete_runs([*runs, gone], rate=1000.0)

    outcomes = Counter(one.outcome for one in (*caught.value.done, *caught.value.failed))
    assert outcomes == {"hidden": 8, "held": 3, "failed": 1, "absent_before": 1}
    assert f"2 held ({runs[3]}, {runs[4]}): it carries the tag 'legal-hold'" in str(caught.value)
    assert f"1 held ({runs[0]}): it is held by H1" in str(caught.value)
    assert "9 of 13 runs are done, 4 are not" in str(caught.value)


def test_a_server_that_fails_on_every_mutation_is_left_alone_after_five_runs(
    client: Client, proxy: FaultProxy, runs
) -> None:
    proxy.choose = always(
        "DeleteRun", Fault(forward=False, status=403, body=b'{"errors":[{"message":"no"}]}')
    )

    outcomes = client.delete_runs(runs, rate=1000.0, check=False)

    assert Counter(one.outcome for one in outcomes) == {"denied": 5, "not_tried": 7}
    assert sum(request.operation == "DeleteRun" for request in proxy.requests) == 5


def test_many_absent_runs_cost_requests_per_project_and_a_preview_one_for_25(
    client: Client, proxy: FaultProxy, runs
) -> None:
    absent = [RunPath(runs[0].entity, runs[0].project, f"x{number}") for number in range(30)]

    client.preview_deletes([*runs, *absent])
    previewed = Counter(request.operation for request in proxy.requests)
    proxy.forget()
    outcomes = client.delete_runs(absent, rate=1000.0)
    asked = Counter(request.operation for request in proxy.requests)

    assert previewed["LookUpManyRuns"] == 3  # 36 runs of one project and 6 of the other
    assert previewed["LookUpRun"] == 0
    assert {one.outcome for one in outcomes} == {"absent_before"}
    assert asked["LookUpRun"] == 30
    projects = {name for one in outcomes for name in one.searched}
    assert asked["FindRuns"] == len(projects)
