"""A machine's clock that jumps ahead destroys nothing before somebody says that it is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.caller import Caller
from tests.server.test_clocks import DELETE, make, undelete
from wbgql.server import clock_doubt, confirm_clock, purge, start
from wbgql.server.store.clocks import Reading, confirm, doubted_s, kept_doubt_s
from wbgql.server.store.database import Store

HOUR_S, DAY_S = 3600.0, 86400.0


@pytest.mark.parametrize(
    ("later", "doubted"),
    [
        (Reading(7 * DAY_S, 7 * DAY_S, "a"), 0.0),
        (Reading(7 * DAY_S, 600.0, "a"), 7 * DAY_S - 600.0),
        (Reading(HOUR_S, 600.0, "a"), 0.0),
        (Reading(DAY_S, 60.0, "b"), 0.0),
        (Reading(7 * DAY_S, 60.0, "b"), 7 * DAY_S),
        (Reading(-7 * DAY_S, 600.0, "a"), 0.0),
        (Reading(7 * DAY_S, -5.0, "a"), 7 * DAY_S),
    ],
    ids=["slept", "jumped", "set right", "restarted", "was off", "went back", "start without a name"],
)
def test_what_the_uptime_does_not_explain_is_in_doubt(tmp_path: Path, later: Reading, doubted: float) -> None:
    store = Store(tmp_path / "store")
    try:
        assert doubted_s(store, Reading(0.0, 0.0, "a")) == 0.0
        assert doubted_s(store, later) == kept_doubt_s(store) == doubted
    finally:
        store.close()


def test_a_doubt_adds_up_and_ends_when_the_clock_is_set_right_or_confirmed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    try:
        steps = [
            (0.0, 0.0),
            (0.9 * HOUR_S, 0.0),
            (1.8 * HOUR_S, 0.0),
            (3.8 * HOUR_S, 2 * HOUR_S),
            (10.0, 10.0),
        ]
        found = [doubted_s(store, Reading(wall, uptime, "a")) for wall, uptime in steps[:-1]]
        back = doubted_s(store, Reading(2 * HOUR_S, 2 * HOUR_S, "a"))
        doubted_s(store, Reading(99 * DAY_S, 2 * HOUR_S, "a"))
        confirm(store)

        assert found == pytest.approx([0.0, 0.0, 1.8 * HOUR_S, 1.8 * HOUR_S])
        assert back == 0.0
        assert kept_doubt_s(store) == 0.0
    finally:
        store.close()


def jump_ahead(data: Path, seconds: float) -> None:
    """Make the store remember a clock that was so much behind: the same as one that is ahead now."""
    store = Store(data)
    seen = json.loads(store.setting("clock_seen"))
    store.set_setting("clock_seen", json.dumps(seen | {"wall_s": seen["wall_s"] - seconds}))
    store.close()


def test_a_purge_waits_for_a_clock_that_jumped_and_not_for_one_that_was_advanced(tmp_path: Path) -> None:
    with start(tmp_path, retention_s=DAY_S, purge_interval_s=3600.0) as server:
        caller = Caller(server.base_url, server.api_key)
        storage_ids = make(caller, "a", "b")
        for storage_id in storage_ids:
            caller.ask(DELETE, id=storage_id)
        purge(tmp_path)
        server.advance(2 * DAY_S)
        jump_ahead(tmp_path, 10 * DAY_S)

        early, doubt = purge(tmp_path), clock_doubt(tmp_path)
        undelete(caller, {"name": "a"})
        confirmed = confirm_clock(tmp_path)
        late = purge(tmp_path)

        assert (early.runs, late.runs) == (0, 1)
        assert doubt == pytest.approx(10 * DAY_S, abs=60)
        assert confirmed == pytest.approx(10 * DAY_S, abs=60)
        assert caller.run("p", "a") is not None


def test_a_server_purges_on_with_the_time_that_is_sure(tmp_path: Path) -> None:
    with start(tmp_path, retention_s=DAY_S) as server:
        caller = Caller(server.base_url, server.api_key)
        (storage_id,) = make(caller, "a")
        caller.ask(DELETE, id=storage_id)
        purge(tmp_path)
        jump_ahead(tmp_path, 10 * DAY_S)
        server.advance(12 * DAY_S)

        assert purge(tmp_path).runs == 1
        assert clock_doubt(tmp_path) > 9 * DAY_S
