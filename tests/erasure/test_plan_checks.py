"""Plans that somebody edited: well-formed, and nothing that can be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.erasure.plans import KEY, make_plan, planned_artifact, planned_file, planned_run
from wbgql.erasure.case.files import load_plan, save_case
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.plan import Caps, Clock, PlannedFile, Project, Server, parse_plan
from wbgql.erasure.records.plan_reading import find_nonsense
from wbgql.errors import PlanChanged, UsageError
from wbgql.scalars import make_run_storage_id, parse_run_storage_id
from wbgql.server.projects.rows import make_id

_PROJECT = Project(path="admin", runs=1, matched=1, planned=1)


def _clock(seconds: int) -> Clock:
    return Clock(name="undelete_window", seconds=seconds, source="server")


def _server(url: str) -> Server:
    return Server(base_url=url, deployment=None, version=None, is_test=True)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"plan_id": "../../etc/x"}, "plan_id"),
        ({"plan_id": ""}, "plan_id"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"expires_at": "x"}, "expires_at"),
        ({"server": _server("not a url")}, "base_url"),
        ({"server": _server("http://[")}, "base_url"),
        ({"clocks": [_clock(-5)]}, r"clocks\[0\]"),
        ({"clocks": [_clock(10**15)]}, r"clocks\[0\]"),
        ({"projects": [_PROJECT]}, r"projects\[0\]"),
        ({"canaries": ["tag:x", "///"]}, r"canaries\[0\]"),
        ({"runs": [planned_run("")]}, r"runs\[0\]"),
        ({"runs": [planned_run("a", project="a/b")]}, r"runs\[0\]"),
        ({"runs": [planned_run("a"), planned_run("a")]}, r"runs\[1\].*twice"),
        ({"runs": [planned_run("a", artifacts=[planned_artifact("1", 1, with_runs=[7])])]}, r"runs\[0\]"),
    ],
)
def test_an_edited_plan_is_refused_and_its_values_are_not_quoted(changes: dict[str, Any], where: str) -> None:
    edited = msgspec.structs.replace(make_plan(planned_run("secret")), **changes)

    with pytest.raises(UsageError, match=where) as caught:
        parse_plan(encode(edited))

    assert "secret" not in str(caught.value)


def test_what_was_planned_is_read_as_it_was() -> None:
    plan = make_plan(planned_run("a"), planned_run("b", artifacts=[planned_artifact("1", 1, with_runs=[0])]))

    assert parse_plan(encode(plan)) == plan


def _version(**fields: Any) -> dict[str, Any]:
    return {"artifacts": [planned_artifact("1", 1, **fields)]}


@pytest.mark.parametrize(
    ("run", "where"),
    [
        ({"storage_id": make_run_storage_id("admin", "vision", "held")}, r"runs\[0\].*another run"),
        ({"storage_id": make_run_storage_id("admin", "other", "secret")}, r"runs\[0\].*another run"),
        ({"storage_id": make_run_storage_id("eve", "vision", "secret")}, r"runs\[0\].*another run"),
        ({"storage_id": make_id("Artifact", 7)}, r"runs\[0\].*another type"),
        ({"storage_id": ""}, r"runs\[0\].*empty"),
        (_version(id=make_id("File", 7)), r"artifacts\[0\].*another type"),
        (_version(id=make_id("ArtifactCollection", 7)), r"artifacts\[0\].*another type"),
        (_version(users=["storage-other"]), r"artifacts\[0\].*not in the plan"),
        (_version(type="wandb-history"), r"artifacts\[0\].*server's own"),
        (_version(reason="used_elsewhere"), r"artifacts\[0\].*keeps"),
        (_version(links=["shelf"]), r"artifacts\[0\].*links"),
        (_version(decision="unlink", reason="linked", links=[make_id("Artifact", 7)]), "another type"),
        ({"artifacts": [planned_artifact("1", 1), planned_artifact("1", 2)]}, r"artifacts\[1\].*twice"),
        ({"files": [PlannedFile(id=make_id("Artifact", 7), name="x", size_bytes=1)]}, r"files\[0\].*type"),
        ({"files": [planned_file("x"), planned_file("x")]}, r"files\[1\].*twice"),
    ],
)
def test_ids_that_contradict_the_plan_are_refused(run: dict[str, Any], where: str) -> None:
    plan = make_plan(planned_run("secret", **run))

    with pytest.raises(UsageError, match=where) as caught:
        parse_plan(encode(plan))

    assert "secret" not in str(caught.value)


def test_two_runs_of_one_storage_id_are_refused() -> None:
    twice = make_plan(planned_run("a", storage_id="same"), planned_run("b", storage_id="same"))

    with pytest.raises(UsageError, match=r"runs\[1\].*twice"):
        parse_plan(encode(twice))


def test_a_version_waits_for_every_run_that_uses_it() -> None:
    used = planned_artifact("1", 1, users=["storage-b"])
    plan = make_plan(planned_run("a", artifacts=[used]), planned_run("b"))

    with pytest.raises(UsageError, match="does not wait"):
        parse_plan(encode(plan))


@pytest.mark.parametrize("projects", [[], [Project(path="admin/vision", runs=40, matched=1, planned=0)]])
def test_projects_that_hide_runs_are_refused(projects: list[Project]) -> None:
    with pytest.raises(UsageError, match="`projects`"):
        parse_plan(encode(make_plan(planned_run("a"), projects=projects)))


def test_more_runs_than_the_cap_are_refused() -> None:
    plan = make_plan(planned_run("a"), planned_run("b"), caps=Caps(max_runs=1, max_percent=100))

    with pytest.raises(UsageError, match="max_runs"):
        parse_plan(encode(plan))


@given(st.tuples(*[st.text("abcXY.-_: ", min_size=1, max_size=8).filter(str.strip)] * 3))
def test_the_id_of_another_run_is_always_refused(names: tuple[str, str, str]) -> None:
    """Whatever names the swapped id decodes to."""
    storage_id = make_run_storage_id(*names)
    agrees = parse_run_storage_id(storage_id) == ("admin", "vision", "a")
    found = find_nonsense(make_plan(planned_run("a", storage_id=storage_id)))

    assert (found is None) == agrees


def test_ids_that_cannot_be_decoded_are_no_contradiction() -> None:
    plan = make_plan(planned_run("a", storage_id="9f31", artifacts=[planned_artifact("17", 1)]))

    assert parse_plan(encode(plan)) == plan


def test_totals_that_hide_runs_are_refused_when_a_plan_is_read(tmp_path: Path) -> None:
    plan = make_plan(planned_run("a"), planned_run("b"))
    totals = msgspec.structs.replace(plan.totals, planned=1, matched=1)
    save_case(tmp_path / "plan.json", msgspec.structs.replace(plan, totals=totals), KEY)

    with pytest.raises(PlanChanged, match="totals"):
        load_plan(tmp_path / "plan.json")
