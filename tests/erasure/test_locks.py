"""One job per target; several workers of one job only on PostgreSQL; nothing stays locked by the dead."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.erasure.stages import Stage
from tests.forked import call_forked, needs_fork
from wbgql.erasure.case.locks import Hold, hold_job
from wbgql.erasure.ledger import Ledger
from wbgql.errors import Locked

Take = Callable[..., AbstractContextManager[Hold]]


@pytest.fixture
def take(database: str, open_ledger: Callable[[], Ledger]) -> Take:
    """Takes locks as another process would: with connections of its own."""

    names = (f"w{number}" for number in itertools.count())

    def take_(job: str, *targets: str, executor: str | None = None) -> AbstractContextManager[Hold]:
        engine, executor = open_ledger().engine, executor or next(names)
        return hold_job(engine, database, job, executor, targets or ("t1",), stamp=lambda: "now")

    return take_


def test_d4_16_a_target_has_one_job(take: Take):
    with (
        take("one", "t1", "t2"),
        pytest.raises(Locked, match="same project"),
        take("two", "t2", "t3"),
    ):
        pass


def test_d4_16_other_targets_and_the_same_ones_later_are_free(take: Take):
    with take("one", "t1") as hold, take("two", "t2", executor="v"):
        assert hold.alone
    with take("two", "t1") as hold:
        assert hold.alone


@needs_fork
def test_a_forked_process_holds_nothing_and_gives_nothing_back(take: Take):
    held = take("one", "t1")
    hold = held.__enter__()
    hold.check()

    assert call_forked(lambda: held.__exit__(None, None, None)) is False
    assert "StoreError: this process was forked" in call_forked(hold.check)

    hold.check()
    with pytest.raises(Locked), take("two", "t1"):
        pass
    held.__exit__(None, None, None)
    with take("two", "t1"):
        pass


def test_a_file_has_one_worker(take: Take, database: str):
    if not database.startswith("sqlite"):
        pytest.skip("PostgreSQL lets several workers in")
    with take("one"), pytest.raises(Locked), take("one", executor="v"):
        pass


def test_postgresql_lets_a_second_worker_in_once_the_first_has_started(take: Take, database: str):
    if database.startswith("sqlite"):
        pytest.skip("a file has one worker")
    with take("one", executor="w1") as first:
        assert first.alone
        first.share()
        with take("one", executor="w2") as second:
            assert not second.alone
            assert not first.is_dead("w2")
            assert not second.is_dead("w1")
            first.check()
            second.check()
        assert first.is_dead("w2")
        assert first.is_dead("never there")


def test_d4_16_a_job_whose_workers_are_gone_gives_its_targets_up(take: Take):
    with take("one", "t1") as hold:
        hold.share()
    with take("two", "t1") as hold:
        hold.share()
        with pytest.raises(Locked), take("one", "t1", executor="v"):
            pass


def test_d4_16_a_second_job_on_the_same_project_sends_nothing(stage: Stage):
    stage.make("a", "b", "stays")
    first = stage.case(["a"], plan_id="first")
    second = stage.case(["a", "b"], plan_id="second")
    target = f"{first.plan.server.base_url} admin/{stage.world.project}"
    ledger = first.ledger

    with (
        hold_job(ledger.engine, ledger.url, "first", "w", [target], stamp=lambda: "now"),
        pytest.raises(Locked),
    ):
        stage.apply(second)

    assert stage.proxy.mutations == []
    assert not second.ledger.has("second")
