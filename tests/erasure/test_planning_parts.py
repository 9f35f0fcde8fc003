"""The pure parts of planning: caps, clocks, canaries, order, decisions, words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbgql.erasure.planning.assembling import Node, order_versions
from wbgql.erasure.planning.caps import Canaries, check_caps, percent_cap, refuse_whole, whole_projects
from wbgql.erasure.planning.decisions import Circumstances, Policy, Verdict, decide, may_go
from wbgql.erasure.planning.details import OutputFacts
from wbgql.erasure.reading.clocks import parse_declared, parse_span
from wbgql.erasure.records.plan import Caps, Project
from wbgql.errors import CapExceeded, UsageError
from wbgql.paths import RunPath


def project(runs: int, planned: int, path: str = "acme/vision") -> Project:
    return Project(path=path, runs=runs, matched=planned, planned=planned)


# ---- caps ----


@given(st.integers(1, 10_000), st.integers(0, 100))
def test_the_percent_cap_never_rounds_up_but_lets_one_run_go(runs: int, percent: int) -> None:
    cap = percent_cap(runs, percent)

    assert cap >= 1
    assert cap == 1 or cap * 100 <= runs * percent
    assert (cap + 1) * 100 > runs * percent


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50))), st.integers(1, 100), st.integers(0, 100))
def test_both_caps_must_hold(sizes: list[tuple[int, int]], max_runs: int, max_percent: int) -> None:
    projects = [project(runs, min(runs, planned), f"acme/{n}") for n, (runs, planned) in enumerate(sizes)]
    caps = Caps(max_runs=max_runs, max_percent=max_percent)
    too_many = sum(one.planned for one in projects) > max_runs
    too_much = any(one.planned > percent_cap(one.runs, max_percent) for one in projects)

    if not too_many and not too_much:
        check_caps(projects, caps, ())
        return
    with pytest.raises(CapExceeded) as caught:
        check_caps(projects, caps, ())
    assert ("--max-runs" in str(caught.value)) == too_many
    named = {one.path for one in projects}
    if not too_many:
        check_caps(projects, caps, named)  # named to go as a whole: the percentage does not bind


def test_a_whole_project_is_told_from_most_of_one_and_from_an_empty_one() -> None:
    projects = [project(3, 3, "a/b"), project(3, 2, "a/c"), project(0, 0, "a/d")]

    assert [one.path for one in whole_projects(projects, ())] == ["a/b"]
    assert whole_projects(projects, {"a/b"}) == []
    refuse_whole([])
    with pytest.raises(CapExceeded, match="--entire-project a/b"):
        refuse_whole(projects[:1])


def test_canaries_are_runs_or_tags() -> None:
    canaries = Canaries.parse(["acme/vision/r1", "tag:keep me"])

    canaries.check([(RunPath("acme", "vision", "r2"), ("other",))])
    for path, tags in [("r1", ()), ("r2", ("keep me",))]:
        with pytest.raises(CapExceeded, match="1 runs that must never go"):
            canaries.check([(RunPath("acme", "vision", path), tags)])
    for text in ("r1", "vision/r1", "tag:", "a/b/c/d"):
        with pytest.raises(UsageError):
            Canaries.parse([text])


# ---- clocks ----


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)]
)
def test_spans_are_read(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "7 d", "99999w", "\u0667d"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_span(text)


def test_clocks_are_declared_by_somebody() -> None:
    declared = parse_declared(["undelete_window=7d", "backups=30d"], " data steward ")

    assert declared is not None
    assert declared.seconds == {"undelete_window": 604_800, "backups": 2_592_000}
    assert declared.by == "data steward"
    assert parse_declared([], None) is None
    for texts, by in ((["undelete=7d"], "x"), (["backups=1d"] * 2, "x"), (["backups=1d"], None), ([], "x")):
        with pytest.raises(UsageError):
            parse_declared(texts, by)


# ---- order ----


@st.composite
def lineages(draw: st.DrawFn) -> list[Node]:
    """Versions that runs logged and other runs used; without a circle, or with."""
    circles = draw(st.booleans())
    count = draw(st.integers(0, 12))
    nodes = []
    for number in range(count):
        logger = draw(st.integers(0, count))
        users = draw(st.lists(st.integers(0 if circles else logger + 1, 2 * count), max_size=4))
        nodes.append(Node(f"v{number}", [f"r{logger}"], [f"r{user}" for user in users]))
    return nodes


@given(lineages())
def test_every_version_has_one_place_and_stands_behind_its_dependents(nodes: list[Node]) -> None:
    order = order_versions(nodes)

    assert sorted(order.values()) == list(range(1, len(nodes) + 1))
    logged = {run: [node.id for node in nodes if run in node.loggers] for node in nodes for run in node.users}
    edges = [
        (node.id, made) for node in nodes for run in node.users for made in logged[run] if made != node.id
    ]
    broken = [(version, made) for version, made in edges if order[made] > order[version]]
    if not _has_circle(edges):
        assert broken == []


def _has_circle(edges: list[tuple[str, str]]) -> bool:
    left = set(edges)
    while left:
        sources = {version for version, _ in left}
        ends = [edge for edge in left if edge[1] not in sources]
        if not ends:
            return True
        left.difference_update(ends)
    return False


def test_independent_versions_keep_their_order_and_a_chain_is_turned_round() -> None:
    alone = [Node(name, ["r"], []) for name in "abc"]
    chain = [Node("raw", ["r1"], ["r2"]), Node("clean", ["r2"], ["r3"]), Node("model", ["r3"], [])]

    assert list(order_versions(alone)) == ["a", "b", "c"]
    assert list(order_versions(chain)) == ["model", "clean", "raw"]


def test_a_run_that_uses_what_it_logged_keeps_nothing_waiting() -> None:
    assert list(order_versions([Node("a", ["r"], ["r"]), Node("b", ["r"], ["r"])])) == ["a", "b"]


# ---- decisions ----


def output(**fields: Any) -> OutputFacts:
    made = {
        "id": "a1",
        "digest": "d",
        "state": "COMMITTED",
        "artifactType": {"name": "model"},
        "createdBy": {"__typename": "Run", "id": "r1"},
        "versionIndex": 0,
        "size": 1,
        "artifactSequence": {"id": "c1", "name": "net", "project": {"name": "vision", "entityName": "acme"}},
        "aliases": [],
        "artifactMemberships": {"edges": [membership("c1")]},
        "usedBy": {"totalCount": 0, "pageInfo": {"hasNextPage": False}, "edges": []},
        "files": None,
    }
    return msgspec.convert(made | fields, OutputFacts)


def membership(collection: str, *aliases: str, entity: str = "acme") -> dict[str, Any]:
    project = {"name": "vision", "entityName": entity}
    found = [{"alias": alias} for alias in aliases]
    return {
        "node": {"artifactCollection": {"id": collection, "name": "n", "project": project}, "aliases": found}
    }


def linked(*memberships: dict[str, Any]) -> dict[str, Any]:
    aliases = [alias for edge in memberships for alias in edge["node"]["aliases"]]
    return {"aliases": aliases, "artifactMemberships": {"edges": list(memberships)}}


def circumstances(**fields: Any) -> Circumstances:
    known: dict[str, Any] = {
        "planned": {"r1", "r2"},
        "loggers": ["r1"],
        "used_beyond": False,
        "protected": {},
        "has_holds": False,
    }
    return Circumstances(**known | fields)


UNLINK, ALL = Policy(unlink=True), Policy(unlink=True, aliased="erase")
USER = {"createdBy": {"__typename": "User"}}


@pytest.mark.parametrize(
    ("fields", "known", "policy", "expected"),
    [
        ({}, {}, Policy(), ("erase", "exclusive")),
        ({"state": "DELETED"}, {}, ALL, ("keep", "already_deleted")),
        ({"state": "PENDING"}, {}, ALL, ("keep", "not_decidable")),
        ({"artifactType": {"name": "wandb-events"}}, {}, ALL, ("keep", "system")),
        ({"createdBy": {"__typename": "Run", "id": "r9"}}, {}, ALL, ("keep", "logged_elsewhere")),
        ({}, {"loggers": ["r1", "r9"]}, ALL, ("keep", "logged_elsewhere")),
        ({}, {"loggers": ["r1", "r2"]}, Policy(), ("erase", "exclusive")),
        (USER, {}, Policy(), ("erase", "exclusive")),
        (USER, {"has_holds": True}, ALL, ("keep", "not_decidable")),
        ({"createdBy": None}, {"has_holds": True}, ALL, ("keep", "not_decidable")),
        ({}, {"used_beyond": True}, ALL, ("keep", "used_elsewhere")),
        (linked(membership("c1", "latest")), {}, Policy(), ("erase", "exclusive")),
        (linked(membership("c1", "best")), {}, UNLINK, ("keep", "aliased")),
        (linked(membership("c1", "best")), {}, ALL, ("erase", "aliased")),
        (linked(membership("c1"), membership("p", "prod")), {}, Policy(), ("keep", "linked")),
        (linked(membership("c1"), membership("p", "prod")), {}, UNLINK, ("unlink", "linked")),
        (linked(membership("c1", "best"), membership("p")), {}, UNLINK, ("keep", "aliased")),
        (linked(membership("c1", "best"), membership("p")), {}, ALL, ("unlink", "linked")),
        (linked(membership("c1", "prod")), {"protected": {"acme": {"prod"}}}, ALL, ("manual", "protected")),
        (linked(membership("c1", "prod")), {"protected": {"other": {"prod"}}}, ALL, ("erase", "aliased")),
        (linked(membership("c1", "prod")), {"protected": {"acme": None}}, ALL, ("keep", "not_decidable")),
        (
            linked(membership("c1"), membership("p", "prod", entity="registry")),
            {"protected": {"registry": {"prod"}}},
            ALL,
            ("manual", "protected"),
        ),
        (
            {"artifactMemberships": {"edges": [{"node": {"artifactCollection": None, "aliases": []}}]}},
            {},
            ALL,
            ("manual", "linked"),
        ),
    ],
)
def test_the_first_reason_that_holds_decides(
    fields: dict[str, Any], known: dict[str, Any], policy: Policy, expected: tuple[str, str]
) -> None:
    assert decide(output(**fields), circumstances(**known), policy) == expected


def test_only_what_may_go_is_looked_into_further() -> None:
    assert may_go(output(), {"r1"})
    assert may_go(output(**USER), {"r1"})
    assert not may_go(output(), {"r2"})
    assert not may_go(output(state="PENDING"), {"r1"})
    assert not may_go(output(artifactType={"name": "wandb-history"}), {"r1"})
    assert not Verdict("manual", "linked").goes
