"""`wbgql erase policy` against the local server: mark, keep, sweep; nothing is deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.erasing import Erase
from tests.stored import World
from wbgql.cli.shared import exit_codes
from wbgql.erasure.case.files import load_plan
from wbgql.server import RunningServer

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = NOW + timedelta(days=3)


@pytest.fixture
def stage(world: World) -> World:
    """Twenty runs: `r00` to `r03` failed, the others finished."""
    for number in range(20):
        world.run(f"r{number:02}")
        state = "failed" if number < 4 else "finished"
        world.caller.upsert(world.project, name=f"r{number:02}", state=state)
    return world


@pytest.fixture
def policy(stage: World, tmp_path: Path) -> Path:
    path = tmp_path / "retention.yaml"
    rule = {
        "name": "failed",
        "projects": [stage.path],
        "where": 'state == "failed"',
        "grace": "1d",
        "owner": "platform team",
        "request": "RET-7",
        "basis": "retention",
        "max_percent": 20,
    }
    path.write_text(json.dumps({"rules": [rule]}))  # JSON is YAML
    return path


def erase_at(server: RunningServer, folder: Path, now: datetime) -> Erase:
    return Erase(server, folder, now)


@pytest.fixture
def today(local_server: RunningServer, tmp_path: Path) -> Erase:
    return erase_at(local_server, tmp_path, NOW)


@pytest.fixture
def later(local_server: RunningServer, tmp_path: Path) -> Erase:
    return erase_at(local_server, tmp_path, LATER)


def tags(world: World, name: str) -> list[str]:
    found: list[str] = world.caller.run(world.project, name)["tags"]
    return found


def tag(world: World, name: str, *wanted: str) -> None:
    world.caller.upsert(world.project, name=name, tags=list(wanted), state="failed")


def test_check_lists_the_rules_and_names_what_is_wrong(today: Erase, policy: Path) -> None:
    good = today("policy", "check", str(policy))
    policy.write_text("rules: [{name: x}]")
    bad = today("policy", "check", str(policy))

    assert (good.code, good.rows[0]["rule"], good.rows[0]["grace"]) == (0, "failed", "1d")
    assert bad.code == exit_codes.USAGE
    assert "rule 1 ('x')" in bad.err
    assert today("policy", "check", str(policy) + "x").code == exit_codes.STORE


def test_marking_is_a_dry_run_unless_applied_and_says_who_should_be_told(
    today: Erase, stage: World, policy: Path
) -> None:
    today.register.add("run", f"{stage.path}/r03", reason="CASE", added_by="ada", now=NOW)
    dry = today("policy", "mark", str(policy))
    assert tags(stage, "r00") == []

    done = today("policy", "mark", str(policy), "--apply")
    again = today("policy", "mark", str(policy), "--apply")

    day = (NOW + timedelta(days=1)).date().isoformat()
    assert (dry.code, done.code, again.code) == (0, 0, 0)
    assert "--apply" in dry.err
    assert [(row["outcome"], row["count"]) for row in dry.rows] == [("would_mark", 3), ("held", 1)]
    assert [(row["outcome"], row["count"]) for row in done.rows] == [("marked", 3), ("held", 1)]
    assert [(row["outcome"], row["count"]) for row in again.rows] == [("already", 3), ("held", 1)]
    assert (done.rows[0]["user"], done.rows[0]["tag"]) == ("admin", f"erase-after:{day}")
    assert done.rows[0]["runs"] == [f"{stage.path}/r0{number}" for number in range(3)]
    assert tags(stage, "r00") == [f"erase-after:{day}"]
    assert (tags(stage, "r03"), tags(stage, "r05")) == ([], [])


def test_a_rule_that_would_mark_more_than_it_may_marks_nothing(
    today: Erase, stage: World, policy: Path
) -> None:
    policy.write_text(policy.read_text().replace("20", "5"))

    got = today("policy", "mark", str(policy), "--apply")

    assert got.code == exit_codes.CAP
    assert tags(stage, "r00") == []


def test_a_sweep_plans_what_is_still_marked_when_the_day_has_passed_and_deletes_nothing(
    today: Erase, later: Erase, stage: World, policy: Path, tmp_path: Path
) -> None:
    assert today("policy", "mark", str(policy), "--apply").code == 0
    tag(stage, "r01")  # taken off: kept
    tag(stage, "r02", "erase-after:2999-01-01", *tags(stage, "r02"))  # put off: kept
    tag(stage, "r03", "erase-after:some-day", *tags(stage, "r03"))  # no date: kept
    plans = tmp_path / "plans"

    early = today("policy", "sweep", str(policy), "-o", str(plans))
    swept = later("policy", "sweep", str(policy), "-o", str(plans))
    waits = later("policy", "sweep", str(policy), "-o", str(plans))

    assert (early.code, early.rows[0]["runs"]) == (0, 0)
    assert swept.code == exit_codes.OK, swept.err
    assert "no date, and stay" in swept.err
    plan = load_plan(plans / "failed.json")
    assert [run.id for run in plan.runs] == ["r00"]
    assert (plan.request.reference, plan.caps.max_percent) == ("RET-7", 20)
    assert swept.rows[0]["digest"] == plan.digest
    assert "waits to be approved" in waits.err
    assert stage.caller.run(stage.project, "r00") is not None


def test_a_sweep_names_the_approvers_that_are_configured(
    today: Erase, later: Erase, stage: World, policy: Path, tmp_path: Path
) -> None:
    assert today("policy", "mark", str(policy), "--apply").code == 0
    officer, listed = str(tmp_path / "officer.pem"), str(tmp_path / "approvers.json")
    today("key", "new", officer)
    today("approvers", "make", "-o", listed, "--key", f"{officer}.pub", "--role", "officer")
    later.environ["WBGQL_APPROVERS"] = listed

    swept = later("policy", "sweep", str(policy), "-o", str(tmp_path / "plans"))

    assert swept.code == exit_codes.OK, swept.err
    assert load_plan(tmp_path / "plans" / "failed.json").approvers is not None


def test_one_rule_that_fails_does_not_keep_the_others_from_their_work(
    today: Erase, stage: World, policy: Path
) -> None:
    rules = json.loads(policy.read_text())["rules"]
    rules.insert(0, rules[0] | {"name": "elsewhere", "projects": ["admin/no-such-project"]})
    policy.write_text(json.dumps({"rules": rules}))

    got = today("policy", "mark", str(policy), "--apply")

    assert got.code == exit_codes.PARTIAL
    assert "elsewhere" in got.err
    assert tags(stage, "r00") != []
