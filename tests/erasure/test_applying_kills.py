"""Workers that are killed: nothing is lost, nothing is recorded twice, nothing outside the plan is touched.

Each worker is the real command in a process of its own; the proxy kills it when it sees a certain request.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.erasure.fault_proxy import Fault, Request
from tests.erasure.real_plans import real_artifact, real_run
from tests.erasure.stages import Stage, kinds, outcomes
from tests.erasure.zygote import Zygote
from wbgql.erasure.case.case import Case
from wbgql.erasure.records.actions import GONE

BOUNDARIES = [
    (operation, place)
    for operation in ("GetRunFacts", "DeleteRun", "LookUpRun", "GetArtifactFacts", "DeleteArtifact")
    for place in ("before", "after")
]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.close()


class Workers:
    """Starts `wbgql erase apply` for a case, as often as needed."""

    def __init__(self, zygote: Zygote, stage: Stage, case: Case) -> None:
        self._zygote = zygote
        self._stage = stage
        self._case = case
        self.pids: list[int] = []

    def start(self, *more: str) -> int:
        """Start one; its pid."""
        case, settings = self._case, self._stage.client.settings
        argv = [
            *("erase", "apply", str(case.path), "--digest", case.plan.digest, "--database", case.ledger.url),
            *("--yes", "--host", settings.base_url.removeprefix("http://"), "--rate", "1000", *more),
        ]
        environ = os.environ | {
            "WANDB_BASE_URL": settings.base_url,
            "WANDB_API_KEY": settings.api_key or "",
            "WBGQL_HOLDS": str(self._stage.holds.path),
        }
        number = len(self.pids)
        out, err = (self._stage.folder / f"{name}{number}" for name in ("out", "err"))
        self.pids.append(self._zygote.start(argv, dict(environ), out, err))
        return self.pids[-1]

    def wait(self, pid: int) -> tuple[int, str]:
        """Wait for one; its exit code and what it said."""
        code = self._zygote.wait(pid)
        said = (self._stage.folder / f"err{self.pids.index(pid)}").read_text()
        assert "Traceback" not in said, said
        return code, said

    def run(self, *more: str) -> tuple[int, str]:
        """Start one and wait for it."""
        return self.wait(self.start(*more))

    def kill_last(self) -> None:
        """Kill the one that was started last; called by the proxy while it waits for an answer."""
        os.kill(self.pids[-1], signal.SIGKILL)
        time.sleep(0.05)


@pytest.fixture
def job(stage: Stage) -> Case:
    """Six runs, of which two logged versions; two more stay."""
    names = [f"r{number}" for number in range(6)]
    stage.make(*names, "stays", "other")
    runs = []
    for place, name in enumerate(names):
        artifacts = []
        if place < 2:
            version = stage.world.log(f"net{place}", {"f": name.encode()}, runName=name)
            artifacts = [real_artifact(stage.world, version, place + 1)]
        runs.append(real_run(stage.world, name, artifacts=artifacts))
    return stage.case(runs)


def check_converged(stage: Stage, case: Case) -> None:
    """All is gone, each thing by one applied mutation, each recorded once, in one whole chain."""
    assert all(outcome in GONE for _, outcome, _ in outcomes(case))
    assert stage.visible() == {"stays", "other"}
    sent = Counter((name, given["id"]) for name, given, status in stage.proxy.mutations)
    assert set(sent.values()) == {1}
    planned = {run.storage_id for run in case.plan.runs}
    planned |= {one.id for run in case.plan.runs for one in run.artifacts}
    assert {thing for _, thing in sent} == planned
    assert kinds(case).count("outcome") == len(planned)


def test_d4_1_kill_at_every_boundary_of_an_item(zygote: Zygote, stage: Stage, job: Case):
    workers = Workers(zygote, stage, job)
    for operation, place in BOUNDARIES:
        seen: list[Request] = []

        def choose(request: Request, operation: str = operation, place: str = place, seen: Any = seen) -> Any:
            if request.operation != operation or seen:
                return None
            seen.append(request)
            if place == "before":
                return Fault(before=workers.kill_last, forward=False)
            return Fault(after=workers.kill_last)

        stage.proxy.choose = choose
        code, _ = workers.run()
        assert code == -signal.SIGKILL, (operation, place)
        assert seen

    stage.proxy.choose = lambda _request: None
    code, said = workers.run()

    assert code == 0, said
    check_converged(stage, job)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 20))])
def test_d4_1_kills_at_random_moments(zygote: Zygote, stage: Stage, job: Case, seed: int):
    chance = random.Random(seed)
    workers = Workers(zygote, stage, job)
    for _ in range(5):
        left = [chance.randint(1, 25)]
        fault = chance.choice(
            [Fault(before=workers.kill_last, forward=False), Fault(after=workers.kill_last)]
        )

        def choose(_request: Request, left: list[int] = left, fault: Fault = fault) -> Fault | None:
            left[0] -= 1
            return fault if left[0] == 0 else None

        stage.proxy.choose = choose
        code, said = workers.run()
        assert code in (0, -signal.SIGKILL), said
    stage.proxy.choose = lambda _request: None

    code, said = workers.run()

    assert code == 0, said
    check_converged(stage, job)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 9), (signal.SIGINT, 130)])
def test_a_signal_ends_it_after_the_item_in_work(
    zygote: Zygote, stage: Stage, job: Case, number: int, code: int
):
    workers = Workers(zygote, stage, job)
    sent: list[int] = []

    def choose(request: Request) -> Fault | None:
        if request.operation == "DeleteRun" and not sent:
            sent.append(request.number)
            return Fault(before=lambda: os.kill(workers.pids[-1], number))
        return None

    stage.proxy.choose = choose
    got, said = workers.run("--workers", "1")

    assert got == code, said
    states = [outcome for _, outcome, _ in outcomes(job)]
    assert states.count("hidden") == 1
    assert kinds(job)[-1] == "paused"
    assert workers.run()[0] == 0
    check_converged(stage, job)


def test_two_workers_on_one_postgresql_and_one_of_them_is_killed(zygote: Zygote, stage: Stage, postgres: str):
    names = [f"r{number:03}" for number in range(130)]
    stage.make(*names, "stays", "other")
    case = stage.case(names, database=postgres)
    workers = Workers(zygote, stage, case)

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + 60
        while len(stage.proxy.mutations) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(stage.proxy.mutations) >= count

    # One batch of 100 and one of 30. Each worker has one thread: the first takes the first batch.
    first = workers.start("--workers", "1", "--rate", "30")
    wait_for(3)
    second = workers.start("--workers", "1", "--rate", "200")
    wait_for(14)
    os.kill(first, signal.SIGKILL)
    code, said = workers.wait(second)

    assert code == 0, said
    assert workers.wait(first)[0] == -signal.SIGKILL
    check_converged(stage, case)
    starts = [entry.body["executor"] for entry in case.ledger.entries(case.job) if entry.kind == "started"]
    assert len(set(starts)) == 2


def test_a_second_process_on_a_file_is_locked_out(zygote: Zygote, stage: Stage, job: Case):
    workers = Workers(zygote, stage, job)
    stage.proxy.choose = lambda request: Fault(delay_s=3.0) if request.operation == "DeleteRun" else None
    first = workers.start("--workers", "1")
    deadline = time.monotonic() + 60
    while not any(request.operation == "DeleteRun" for request in stage.proxy.requests):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    code, said = workers.run()

    assert code == 11, said
    stage.proxy.choose = lambda _request: None
    assert workers.wait(first)[0] == 0
    check_converged(stage, job)


def test_d4_24_the_command_says_nothing_personal(zygote: Zygote, stage: Stage):
    canary = "canary-9913"
    stage.make(f"run-{canary}", "stays", "other", displayName=canary, tags=[canary], notes=canary)
    version = stage.world.log("net", {canary: canary.encode()}, runName=f"run-{canary}")
    run = real_run(stage.world, f"run-{canary}", artifacts=[real_artifact(stage.world, version, 1)])
    case = stage.case([run])

    code, said = Workers(zygote, stage, case).run()

    assert code == 0
    assert canary not in said
    journal = b"".join(str(entry).encode() for entry in case.ledger.entries(case.job))
    assert canary.encode() not in journal
