"""Applying a plan on the local server: what goes, what stays, and what is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.erasure.real_plans import real_case, real_plan
from tests.stored import World
from wbgql.erasure.applying import Applied, Ask, Options, apply
from wbgql.erasure.case import Case
from wbgql.erasure.journals import find_break
from wbgql.erasure.limiting import Limits
from wbgql.erasure.plans import Plan
from wbgql.holds import HoldRegister

NOW = datetime(2026, 2, 1, tzinfo=UTC)
QUICK = Options(limits=Limits(rate=1000.0), quiet_budget_s=1.5)


@pytest.fixture
def world(world: World, tmp_path: Path) -> World:
    world.client.holds = HoldRegister(tmp_path / "holds.json")
    world.client.holds.create()
    return world


@pytest.fixture
def open_case(tmp_path: Path) -> Iterator[Callable[[Plan], Case]]:
    opened: list[Case] = []

    def open_(plan: Plan) -> Case:
        opened.append(real_case(tmp_path, plan))
        return opened[-1]

    yield open_
    for case in opened:
        case.close()


def run_plan(world: World, case: Case, options: Options = QUICK, **fields) -> Applied:
    return apply(case, world.client, Ask(digest=case.plan.digest, **fields), options=options)


def visible(world: World) -> set[str]:
    return {run.id for run in world.client.runs(world.path)}


def finish(world: World, name: str) -> None:
    world.caller.stream(world.project, name, complete=True, exitcode=0).raise_for_status()


def made(world: World, *names: str) -> None:
    for name in names:
        world.run(name)
        finish(world, name)


def outcomes(case: Case) -> dict[tuple[str, int], tuple[str | None, str | None]]:
    return {(a.kind, a.number): (a.outcome, a.detail) for a in case.ledger.latest(case.job)}


def test_exactly_the_planned_runs_are_hidden(world, open_case):
    made(world, "a", "b", "c", "stays")
    case = open_case(real_plan(world, ["a", "b", "c"]))
    started = time.monotonic()

    done = run_plan(world, case)

    assert done.counts == {"run": {"hidden": 3}}
    assert done.state == "applied"
    assert visible(world) == {"stays"}
    assert time.monotonic() - started < 30
    kinds = [entry.kind for entry in case.ledger.entries(case.job)]
    assert kinds.count("intent") == kinds.count("outcome") == 3
    assert kinds[0] == "job_created"
    assert kinds[-1] == "applied"
    assert find_break(case.ledger.entries(case.job), case.ledger.head(case.job)) is None


def test_the_same_call_again_changes_nothing(world, open_case):
    made(world, "a", "stays")
    case = open_case(real_plan(world, ["a"]))
    first = run_plan(world, case)
    head = case.ledger.head(case.job)

    assert run_plan(world, case) == first
    assert case.ledger.head(case.job) == head
