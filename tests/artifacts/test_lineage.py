"""Lineage: walked fully over pages and circles, as rows and as Mermaid text that cannot be broken out of."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeTransport, page
from tests.stored import version
from wbgql.artifacts.lineage import Lineage, Node, escape_label, get_version, iter_users, walk_lineage
from wbgql.errors import NotFound, UsageError
from wbgql.paths import RunPath
from wbgql.wire.session import Session


def run_node(name: str) -> dict:
    return {
        "id": f"id-{name}",
        "name": name,
        "displayName": None,
        "state": "finished",
        "user": None,
        "project": {"name": "vision", "entityName": "acme"},
    }


def users_page(*names: str, cursor: str | None = None, total: int | None = None) -> dict:
    count = len(names) if total is None else total
    return {
        "artifact": {
            "usedBy": page([run_node(name) for name in names], cursor=cursor) | {"totalCount": count}
        }
    }


def artifacts_page(*nodes: dict) -> dict:
    return {"project": {"run": {"artifacts": page(list(nodes)) | {"totalCount": len(nodes)}}}}


def chain(world) -> None:
    """raw -> prepare -> ds -> train, evaluate -> net (by train)."""
    for name in ("prepare", "train", "evaluate"):
        world.run(name)
    raw = world.log("raw", {"r": b"raw"})
    world.use(raw, "prepare")
    data = world.log("ds", {"d": b"data"}, runName="prepare")
    world.use(data, "train")
    world.use(data, "evaluate")
    world.log("net", {"w": b"net"}, runName="train", artifactTypeName="model")


def named(found: Lineage, prefix: str) -> set[tuple[str, str, str, int]]:
    rows = found.rows()
    return {
        (row["from"].removeprefix(prefix), row["edge"], row["to"].removeprefix(prefix), row["depth"])
        for row in rows
    }


def test_a_version_is_walked_up_and_down_to_the_end(world):
    chain(world)

    found = world.client.lineage(f"{world.path}/ds:v0")

    assert named(found, f"{world.path}/") == {
        ("prepare", "logged", "ds:v0", -1),
        ("raw:v0", "used", "prepare", -2),
        ("ds:v0", "used", "train", 1),
        ("ds:v0", "used", "evaluate", 1),
        ("train", "logged", "net:v0", 2),
    }
    assert found.unwalked == set()


def test_only_one_direction_is_walked_where_one_is_asked_for(world):
    chain(world)

    up = world.client.lineage(f"{world.path}/net:v0", direction="up")
    down = world.client.lineage(f"{world.path}/net:v0", direction="down")

    assert {row["edge"] for row in up.rows()} == {"logged", "used"}
    assert len(up.rows()) == 4
    assert down.rows() == []


def test_the_walk_can_start_at_a_run(world):
    chain(world)

    found = world.client.lineage(RunPath("admin", world.project, "train"), depth=1)

    assert named(found, f"{world.path}/") == {
        ("ds:v0", "used", "train", -1),
        ("train", "logged", "net:v0", 1),
    }


def test_depth_ends_the_walk_and_says_where(world):
    chain(world)

    found = world.client.lineage(f"{world.path}/ds:v0", depth=1)

    assert len(found.rows()) == 3
    assert {found.nodes[key].label.removeprefix(f"{world.path}/") for key in found.unwalked} == {
        "prepare",
        "train",
        "evaluate",
    }


def test_a_circle_ends(world):
    world.run("r1")
    first = world.log("a", {"x": b"1"}, runName="r1")
    world.use(first, "r1")

    found = world.client.lineage(f"{world.path}/a:v0")

    assert {(row["from_kind"], row["edge"]) for row in found.rows()} == {
        ("run", "logged"),
        ("artifact", "used"),
    }


def test_every_page_of_the_users_is_read():
    transport = FakeTransport(users_page("a", "b", cursor="c1", total=3), users_page("c", total=3))

    assert [run.name for run in iter_users(Session(transport), "id")] == ["a", "b", "c"]
    assert [sent["after"] for _, sent in transport.sent] == [None, "c1"]


def test_more_users_than_a_page_on_a_real_server(world):
    made = world.log("ds", {"a": b"1"})
    for number in range(105):
        world.run(f"r{number}")
        world.use(made, f"r{number}")

    found = world.client.lineage(f"{world.path}/ds:v0", depth=1)

    assert len(found.rows()) == 105


def test_users_that_cannot_be_seen_are_counted():
    transport = FakeTransport({"artifact": version(0)}, users_page("a", total=3), artifacts_page())
    session = Session(transport)

    found = walk_lineage(session, get_version(session, "id0"), direction="down")

    assert found.hidden == {"id0": 2}


def test_a_run_that_vanishes_on_the_way_stays_as_gone():
    transport = FakeTransport({"artifact": version(0)}, users_page("a"), {"project": {"run": None}})
    session = Session(transport)

    found = walk_lineage(session, get_version(session, "id0"), direction="down")

    assert [node.gone for node in found.nodes.values()] == [False, True]
    assert "class n1 gone" in found.to_mermaid()


def test_a_deleted_run_is_no_part_of_the_lineage(world):
    chain(world)
    world.delete_run("prepare")

    found = world.client.lineage(f"{world.path}/ds:v0", direction="up")

    assert found.rows() == []
    assert [node.user for node in found.nodes.values()] == ["admin"]


def test_a_run_or_version_that_is_not_there_is_an_error(world):
    world.log("ds", {"a": b"1"})

    with pytest.raises(NotFound, match="no run"):
        world.client.lineage(RunPath("admin", world.project, "nope"))
    with pytest.raises(NotFound, match="no artifact"):
        get_version(world.client.session, "QXJ0aWZhY3Q6OTk5OTk5")


@pytest.mark.parametrize("options", [{"depth": 0}, {"direction": "sideways"}])
def test_a_walk_that_cannot_be_meant_is_refused(options):
    session = Session(FakeTransport())

    with pytest.raises(UsageError, match=next(iter(options))):
        walk_lineage(session, RunPath("e", "p", "r"), **options)


def test_rows_become_arrow_with_the_same_columns_for_none(world):
    chain(world)

    full = world.client.lineage(f"{world.path}/ds:v0").to_arrow()
    empty = world.client.lineage(f"{world.path}/net:v0", direction="down").to_arrow()

    assert full.num_rows == 5
    assert empty.schema == full.schema


def test_mermaid_names_every_node_and_edge(world):
    chain(world)

    text = world.client.lineage(f"{world.path}/ds:v0").to_mermaid()

    assert text.startswith("flowchart LR\n")
    assert len(re.findall(r"-->\|(?:used|logged)\|", text)) == 5
    assert f'n0["{world.path}/ds:v0 (dataset)"]' in text


@given(st.text(max_size=30))
def test_no_label_breaks_out_of_its_quotes(text):
    label = escape_label(text)

    assert not re.search(r'["<>`\n\r\\]', label)
    assert not re.search(r"&|#(?!\d+;)", label)


def test_a_hostile_name_stays_one_label():
    lineage = Lineage("k", {"k": Node("k", "artifact", 'a"] --> b["<script>alert(1)</script>')})

    lines = lineage.to_mermaid().splitlines()

    assert len(lines) == 3
    assert lines[1].count('"') == 2
    assert "<script>" not in lines[1]
