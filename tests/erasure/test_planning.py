"""Planning against the local server: who goes, who stays and why; nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.bulk import BulkRun, load_runs, make_run
from tests.caller import new_project
from tests.erasure.planner import REQUEST, WIDE, Team, everything, plan_runs, run_of
from tests.stored import World
from wbgql.client import Client
from wbgql.erasure.planning import Ask, make_plan
from wbgql.erasure.planning.caps import Canaries
from wbgql.erasure.reading.clocks import Declared, predict
from wbgql.erasure.reading.facts import read_run_facts
from wbgql.erasure.reading.fingerprints import is_run_as_planned
from wbgql.erasure.records.canonical import digest, encode
from wbgql.erasure.records.plan import Caps, parse_plan
from wbgql.errors import (
    CapExceeded,
    CoverageWarning,
    FilterError,
    Held,
    NotFound,
    PermissionDenied,
    UsageError,
)
from wbgql.expressions import parse_expression
from wbgql.paths import ProjectPath, RunPath, parse_project_path
from wbgql.runs import ProjectPattern
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings


@pytest.fixture
def register(tmp_path: Path) -> Path:
    return tmp_path / "holds.json"


def make_runs(world: World, **tags_of: list[str]) -> None:
    """Make finished runs with these tags."""
    for name, tags in tags_of.items():
        world.run(name)
        world.caller.upsert(world.project, name=name, tags=tags, state="finished")


def hold(register: Path, kind: str, value: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    HoldRegister(register).add(kind, value, reason="CASE-1", added_by="ada", now=now)


def test_a_plan_names_the_runs_that_match_and_freezes_the_rule(world: World, register: Path) -> None:
    make_runs(world, a=["subject:4711"], b=["subject:4711", "x"], c=[])
    now = datetime.now(UTC) + timedelta(minutes=1)

    plan = plan_runs(
        world.client,
        world.path,
        register=register,
        where='created_at < ago("5s") and "subject:4711" in tags',
        now=now,
    )

    assert [run.id for run in plan.runs] == ["a", "b"]
    assert [str(path) for path in plan.project_paths] == [world.path]
    assert (plan.projects[0].runs, plan.projects[0].matched, plan.projects[0].planned) == (3, 2, 2)
    instant = (now - timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%S")
    assert plan.rule.where is not None
    assert instant in plan.rule.where
    assert "ago" not in plan.rule.where
    assert str(parse_expression(plan.rule.where)) == plan.rule.where
    assert plan.rule.filters is not None
    assert instant in plan.rule.filters
    assert (plan.excluded, plan.not_read, plan.canaries) == ([], [], [])
    assert plan.request == REQUEST


def test_a_plan_says_by_whom_where_and_for_how_long(world: World, register: Path) -> None:
    make_runs(world, a=["x"], b=[])
    now = datetime(2026, 11, 24, tzinfo=UTC)

    plan = plan_runs(
        world.client, world.path, register=register, where='"x" in tags', now=now, ttl=timedelta(days=2)
    )

    assert (plan.planner.username, plan.planner.key_id) == ("admin", None)
    assert [(one.entity, one.role) for one in plan.rights] == [("admin", "instance admin")]
    assert (plan.server.base_url, plan.server.is_test) == (world.client.settings.base_url, True)
    assert plan.created_at.startswith("2026-11-24")
    plan.check_fresh(now + timedelta(days=1))
    assert plan.expires_at.startswith("2026-11-26")
    assert plan.holds == digest([])
    assert parse_plan(encode(plan)).digest == plan.digest


def test_the_fingerprints_of_a_plan_are_those_that_are_read_before_the_deletion(
    world: World, register: Path
) -> None:
    make_runs(world, a=["x"], b=[])
    world.log("net", {"w": b"1"}, runName="a")
    world.store("a", {"f.txt": b"12"})

    plan = plan_runs(world.client, world.path, register=register, where='"x" in tags')
    facts = read_run_facts(world.client.session, plan.runs[0].path)

    assert facts is not None
    assert is_run_as_planned(plan.runs[0], facts)


def test_files_are_in_a_plan_only_where_asked_for(world: World, register: Path) -> None:
    make_runs(world, a=["x"], b=[])
    world.store("a", {f"f{number:03}.txt": b"12" for number in range(60)})

    bare = plan_runs(world.client, world.path, register=register, where='"x" in tags')
    plan = plan_runs(world.client, world.path, register=register, where='"x" in tags', with_files=True)

    assert bare.runs[0].files == []
    assert len({file.name for file in plan.runs[0].files}) == 60
    assert plan.totals.files == 60
    assert {file.size_bytes for file in plan.runs[0].files} == {2}


def test_nothing_that_matches_is_a_plan_without_runs(world: World, register: Path) -> None:
    make_runs(world, a=[])

    plan = plan_runs(world.client, world.path, register=register, where='"x" in tags')

    assert (plan.runs, plan.totals.matched, plan.projects[0].runs) == ([], 0, 1)


def test_all_projects_that_a_pattern_names_are_read_and_what_is_not_visible_is_told(
    world: World, register: Path, local_server: RunningServer
) -> None:
    make_runs(world, a=["only-here"], b=[])
    other = World(local_server)
    make_runs(other, c=["only-here"], d=[])

    plan = plan_runs(world.client, ProjectPattern("admin"), register=register, where='"only-here" in tags')
    with pytest.warns(CoverageWarning, match="no-such"):
        partly = plan_runs(
            world.client, world.path, "admin/no-such", register=register, where='"only-here" in tags'
        )

    assert {str(path) for path in plan.project_paths} == {world.path, other.path}
    assert plan.rule.scopes == ["admin/*"]
    assert any("projects of 'admin' that this key cannot see" in line for line in plan.stays)
    assert [one.path for one in partly.not_read] == ["admin/no-such"]
    assert any("1 place named and not read" in line for line in partly.stays)
    with pytest.raises(NotFound):
        plan_runs(world.client, "admin/no-such", register=register, where='"x" in tags')


def test_runs_named_by_ids_are_looked_up_and_a_missing_one_is_an_error(world: World, register: Path) -> None:
    make_runs(world, a=[], b=[], c=[])
    ids = [RunPath("admin", world.project, name) for name in ("b", "a", "b")]
    gone = RunPath("admin", world.project, "gone")

    plan = plan_runs(world.client, register=register, ids=ids)

    assert [run.id for run in plan.runs] == ["a", "b"]
    assert (plan.rule.ids, plan.rule.where, plan.rule.filters) == (2, None, None)
    assert plan.rule.scopes == [world.path]
    with pytest.raises(NotFound, match="gone"):
        plan_runs(world.client, register=register, ids=[*ids, gone])
    with pytest.raises(NotFound, match="no-such"):
        plan_runs(world.client, register=register, ids=[*ids, RunPath("admin", "no-such", "a")])
    partly = plan_runs(world.client, register=register, ids=[*ids, gone], allow_missing=True)
    assert [one.path for one in partly.not_read] == [str(gone)]
    assert len(partly.runs) == 2


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "every run matches"),
        ({"where": '"x" in tags', "ids": [RunPath("admin", "p", "a")]}, "not both"),
        ({"where": '"x" in tags', "ttl": timedelta(0)}, "must be longer than 0 seconds"),
        ({"where": '"x" in tags', "caps": Caps(max_runs=0, max_percent=10)}, "must be at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    world: World, register: Path, asked: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        plan_runs(world.client, world.path, register=register, **asked)

    assert world.client.stats.requests == 0


def test_an_expression_that_the_server_would_misread_is_refused(world: World, register: Path) -> None:
    with pytest.raises(FilterError, match="dot"):
        plan_runs(world.client, world.path, register=register, where='config["a.b"] == 1')


def test_caps_by_count_and_by_percent_must_both_hold(world: World, register: Path) -> None:
    make_runs(world, **{f"r{number:02}": ["x"] if number < 3 else [] for number in range(20)})

    with pytest.raises(CapExceeded, match=r"3 of 20 runs .* at most 2 may"):
        plan_runs(
            world.client,
            world.path,
            register=register,
            where='"x" in tags',
            caps=Caps(max_runs=100, max_percent=10),
        )
    with pytest.raises(CapExceeded, match="3 runs would go, at most 2 may"):
        plan_runs(
            world.client,
            world.path,
            register=register,
            where='"x" in tags',
            caps=Caps(max_runs=2, max_percent=100),
        )
    plan = plan_runs(
        world.client,
        world.path,
        register=register,
        where='"x" in tags',
        caps=Caps(max_runs=3, max_percent=15),
    )
    assert len(plan.runs) == 3


def test_all_runs_of_a_project_go_only_where_it_is_named_or_confirmed(world: World, register: Path) -> None:
    make_runs(world, a=["x"], b=["x"])
    asked: list[tuple[str, int]] = []

    def confirm(path: ProjectPath, runs: int) -> bool:
        asked.append((str(path), runs))
        return True

    with pytest.raises(CapExceeded, match=f"all 2 runs of '{world.path}'.*--entire-project"):
        plan_runs(world.client, world.path, register=register, where='"x" in tags')
    with pytest.raises(CapExceeded, match="all 2 runs"):
        plan_runs(
            world.client, world.path, register=register, where='"x" in tags', entire=everything("admin/other")
        )
    confirmed = plan_runs(
        world.client, world.path, register=register, where='"x" in tags', confirm_entire=confirm
    )
    named = plan_runs(
        world.client,
        world.path,
        register=register,
        entire=everything(world.path),
        caps=Caps(max_runs=2, max_percent=10),
    )

    assert asked == [(world.path, 2)]
    assert confirmed.rule.entire_project
    assert [run.id for run in named.runs] == ["a", "b"]
    assert (named.rule.where, named.rule.entire_project) == (None, True)


def test_a_canary_that_matches_stops_everything_and_one_that_is_not_there_is_refused(
    world: World, register: Path
) -> None:
    make_runs(world, a=["x", "keep"], b=["x"], c=[])

    for canary in (f"{world.path}/b", "tag:keep"):
        with pytest.raises(CapExceeded, match="must never go"):
            plan_runs(
                world.client,
                world.path,
                register=register,
                where='"x" in tags',
                canaries=Canaries.parse([canary]),
            )
    with pytest.raises(NotFound, match="guards nothing"):
        plan_runs(
            world.client,
            world.path,
            register=register,
            where='"x" in tags',
            canaries=Canaries.parse([f"{world.path}/typo"]),
        )
    plan = plan_runs(
        world.client,
        world.path,
        register=register,
        where='"x" in tags',
        canaries=Canaries.parse(["tag:other", f"{world.path}/c"]),
    )
    assert plan.canaries == [f"{world.path}/c", "tag:other"]


def test_runs_under_a_hold_stay_and_the_plan_holds_the_registers_digest(world: World, register: Path) -> None:
    make_runs(world, a=["x"], b=["x"], c=["x", "legal-hold"], d=["x", "case"], e=[])
    hold(register, "run", f"{world.path}/b")
    hold(register, "tag", "case")

    plan = plan_runs(world.client, world.path, register=register, where='"x" in tags')

    assert [run.id for run in plan.runs] == ["a"]
    assert {(run.path[-1], run.reason) for run in plan.excluded} == {
        ("b", "held"),
        ("c", "held"),
        ("d", "held"),
    }
    assert "H1 (run, CASE-1)" in plan.excluded[0].detail
    assert plan.holds == digest(HoldRegister(register).read())
    assert (plan.totals.matched, plan.totals.planned, plan.totals.excluded) == (4, 1, 3)
    assert "3 runs: under a hold" in plan.stays


@pytest.mark.parametrize("kind", ["project", "user"])
def test_where_all_that_match_are_held_there_is_no_plan(world: World, register: Path, kind: str) -> None:
    make_runs(world, a=["x"], b=[])
    hold(register, kind, world.path if kind == "project" else "admin")

    with pytest.raises(Held, match="all 1 runs"):
        plan_runs(world.client, world.path, register=register, where='"x" in tags')


def test_a_register_that_cannot_be_read_holds_everything(world: World, register: Path) -> None:
    make_runs(world, a=["x"], b=[])
    register.write_text("{")

    with pytest.raises(Held, match="cannot be read"):
        plan_runs(world.client, world.path, register=register, where='"x" in tags')


def test_a_run_that_is_being_logged_is_planned_as_a_risk(world: World, register: Path) -> None:
    make_runs(world, b=[])
    world.run("a")
    world.caller.upsert(world.project, name="a", tags=["x"])
    world.caller.log(world.project, "a", {"loss": 1})

    plan = plan_runs(world.client, world.path, register=register, where='"x" in tags')

    assert plan.runs[0].state == "running"
    assert plan.runs[0].risks == ["logging"]
    assert plan.runs[0].history_lines == 1


def test_a_member_may_not_plan_what_others_made_unless_it_is_left_out(
    local_server: RunningServer, register: Path
) -> None:
    team = Team(local_server)

    with team.client("ann") as ann, team.client("boss") as boss:
        with pytest.raises(PermissionDenied, match="7 of 10 runs that match may not be deleted"):
            plan_runs(ann, team.path, register=register, where='"x" in tags')
        plan = plan_runs(ann, team.path, register=register, where='"x" in tags', only_permitted=True)
        by_admin = plan_runs(boss, team.path, register=register, where='"x" in tags')

    assert [run.id for run in plan.runs] == ["r0", "r1", "r2"]
    assert [run.reason for run in plan.excluded] == ["denied"] * 7
    assert [one.role for one in plan.rights] == ["member"]
    assert len(by_admin.runs) == 10


def test_a_project_that_is_read_only_for_the_key_gives_nothing(
    local_server: RunningServer, register: Path
) -> None:
    team = Team(local_server)

    with team.client("eve") as eve, pytest.raises(PermissionDenied, match="read-only"):
        plan_runs(eve, team.path, register=register, where='"x" in tags')


def test_clocks_are_the_servers_else_declared_else_unknown(world: World, register: Path) -> None:
    make_runs(world, a=["x"], b=[])
    now = datetime(2026, 11, 24, tzinfo=UTC)
    declared = Declared({"backups": 86400 * 30, "undelete_window": 1}, "operator")

    plan = plan_runs(
        world.client, world.path, register=register, where='"x" in tags', declared=declared, now=now
    )

    window, retention = plan.clock("undelete_window"), plan.clock("run_retention")
    assert (window.seconds, window.source) == (7 * 86400, "server")
    assert (retention.seconds, retention.source) == (7 * 86400, "server")
    assert plan.clock("artifact_collection").source == "unknown"
    backups = plan.clock("backups")
    assert (backups.seconds, backups.source, backups.declared_by) == (86400 * 30, "declared", "operator")
    assert backups.declared_at == plan.created_at
    assert predict(plan, now) == {
        "undelete_window": now + timedelta(days=7),
        "run_retention": now + timedelta(days=7),
        "artifact_collection": None,
        "backups": now + timedelta(days=30),
    }


def test_planning_sends_no_mutation(world: World, register: Path) -> None:
    make_runs(world, a=["x"], b=[])
    before = world.caller.run(world.project, "a")

    plan_runs(world.client, world.path, register=register, where='"x" in tags', caps=WIDE)

    assert world.caller.run(world.project, "a") == before
    assert run_of(plan_runs(world.client, world.path, register=register, where='"x" in tags'), "a")


def test_the_python_way_gives_a_plan_and_its_key(world: World, tmp_path: Path) -> None:
    make_runs(world, a=["x"], b=["x"], c=[])
    world.client.holds = HoldRegister(tmp_path / "none.json")
    ask = Ask(request=REQUEST, scope=[parse_project_path(world.path)], where='"x" in tags', caps=WIDE)

    plan, key = make_plan(world.client, ask)
    other, other_key = make_plan(world.client, ask)

    assert (len(plan.runs), plan.case_key_id) == (2, key.key_id)
    assert (plan.plan_id, key.key_id) != (other.plan_id, other_key.key_id)


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.full)])
def test_many_runs_take_few_requests(local_server: RunningServer, register: Path, count: int) -> None:
    project = new_project()

    def make(number: int) -> BulkRun:
        return replace(make_run(number), tags=["x"] if number < count else [])

    load_runs(local_server.data, project, count + 10, make=make)
    settings = Settings(base_url=local_server.base_url, api_key=local_server.api_key)

    with Client(settings=settings) as client:
        plan = plan_runs(
            client,
            f"admin/{project}",
            register=register,
            where='"x" in tags',
            caps=Caps(max_runs=count, max_percent=100),
        )
        requests = client.stats.requests

    assert len(plan.runs) == count
    assert [run.id for run in plan.runs] == sorted(run.id for run in plan.runs)
    pages = 2 * (count // 1000 + 2) + count // 50 + count // 500 + 1
    assert requests <= pages + 6
