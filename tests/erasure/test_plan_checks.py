"""Plans that somebody edited: well-formed, and nothing that can be meant."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.erasure.plans import make_plan, planned_artifact, planned_run
from wbgql.erasure.canonical import encode
from wbgql.erasure.plans import Clock, Project, Server, parse_plan
from wbgql.errors import UsageError

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
