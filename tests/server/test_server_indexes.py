"""Indexes on demand: built when a key is asked for again, dropped by a purge, built anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import apsw
import pytest

from tests.bulk import load_runs
from tests.caller import Caller
from wbgql.server import RunningServer, purge, start
from wbgql.server.filters.compile import RunFields, compile_order, compile_where
from wbgql.server.runs.indexes import INDEX_FROM_RUNS, INDEX_FROM_USES

BEST = """
query Best($filters: JSONString) {
  project(name: "many", entityName: "admin") {
    runCount(filters: $filters)
    runs(first: 3, filters: $filters, order: "-summary_metrics.acc") { edges { node { id name } } }
  }
}
"""
FILTERS = json.dumps({"summary_metrics.acc": {"$gt": 0.9}})


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start(tmp_path_factory.mktemp("many"), retention_s=0) as server:
        load_runs(server.data, "many", INDEX_FROM_RUNS + 500)
        yield server


def indexes(server: RunningServer) -> list[str]:
    connection = apsw.Connection(str(server.data / "wbgql.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE name LIKE 'runs_summary_values_%'"
    ).fetchall()
    connection.close()
    return [name for (name,) in names]


def ask(server: RunningServer) -> Any:
    return Caller(server.base_url, server.api_key).ask(BEST, filters=FILTERS)["project"]


def test_a_key_gets_an_index_once_it_is_asked_for_again_and_the_answer_stays(many: RunningServer) -> None:
    first = ask(many)
    for _ in range(INDEX_FROM_USES):
        assert ask(many) == first

    (index,) = indexes(many)
    assert index.startswith("runs_summary_values_value_")
    assert first["runCount"] == sum(
        number * 7919 % 997 / 997 > 0.9 for number in range(INDEX_FROM_RUNS + 500)
    )


def test_a_purge_drops_the_index_and_the_next_question_builds_it_again(many: RunningServer) -> None:
    before = ask(many)
    caller = Caller(many.base_url, many.api_key)
    doomed = before["runs"]["edges"][0]["node"]["id"]
    caller.ask("mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", id=doomed)

    assert purge(many.data, now=datetime.now(UTC) + timedelta(seconds=5)).runs == 1
    assert indexes(many) == []

    assert ask(many)["runCount"] == before["runCount"] - 1
    assert len(indexes(many)) == 1


def test_an_index_of_an_earlier_version_is_replaced(many: RunningServer) -> None:
    wanted = ask(many)
    for _ in range(INDEX_FROM_USES):
        ask(many)
    (name,) = indexes(many)
    db = apsw.Connection(str(many.data / "wbgql.sqlite"))
    made = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).get
    db.execute(f'DROP INDEX "{name}"')
    db.execute(f"""CREATE INDEX "{name}" ON runs(project_id, json_extract(summary_values, '$."acc"'))""")

    assert ask(many) == wanted
    assert db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).get == made
    db.close()


def test_the_order_s_index_is_preferred_to_that_of_a_common_state(many: RunningServer) -> None:
    for _ in range(INDEX_FROM_USES):
        ask(many)
    fields = RunFields(project_id=1)
    where = compile_where({"summary_metrics.acc": {"$gt": 0.5}, "state": "finished"}, fields)
    by = compile_order("-summary_metrics.acc", fields)
    sql = f"SELECT name FROM runs WHERE project_id = ? AND {where.sql} ORDER BY {by.sql} LIMIT 100"
    db = apsw.Connection(str(many.data / "wbgql.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)

    steps = [step[3] for step in db.execute(f"EXPLAIN QUERY PLAN {sql}", (1, *where.params))]
    db.close()

    assert f"SEARCH runs USING INDEX {indexes(many)[0]} (project_id=? AND <expr>>?)" in steps
    assert not any("TEMP B-TREE" in step for step in steps)


@pytest.mark.parametrize(
    "extra",
    [{}, {"state": "finished"}, {"$or": [{"group": "group-1"}, {"group": "group-2"}]}, {"tags": "baseline"}],
)
def test_a_count_by_several_keys_is_the_same_by_their_indexes(many: RunningServer, extra: Any) -> None:
    document = (
        'query C($f: JSONString) { project(name: "many", entityName: "admin") { runCount(filters: $f) } }'
    )
    both = [{"summary_metrics.acc": {"$gt": 0.3}}, {"config.seed": {"$lt": 2000}}, extra]
    filters = json.dumps({"$or": [{"$and": both}]})
    caller = Caller(many.base_url, many.api_key)
    names = [
        edge["node"]["name"]
        for edge in caller.ask(
            """query N($f: JSONString) { project(name: "many", entityName: "admin") {
              runs(first: 1000, filters: $f) { edges { node { name } } } } }""",
            f=json.dumps({"$and": [*both, {"config.seed": {"$lt": 900}}]}),
        )["project"]["runs"]["edges"]
    ]

    counts = {caller.ask(document, f=filters)["project"]["runCount"] for _ in range(3 * INDEX_FROM_USES)}
    narrowed = json.dumps({"$and": [*both, {"config.seed": {"$lt": 900}}]})

    assert len(counts) == 1
    assert caller.ask(document, f=narrowed)["project"]["runCount"] == len(names) > 0


COUNT = 'query C($f: JSONString) { project(name: "many", entityName: "admin") { runCount(filters: $f) } }'


def test_conditions_on_several_keys_get_an_index_of_them_all(many: RunningServer) -> None:
    caller = Caller(many.base_url, many.api_key)
    conditions = [{"summary_metrics.acc": {"$gt": 0.3}}, {"config.seed": {"$lt": 2000}}]
    db = apsw.Connection(str(many.data / "wbgql.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)

    def count(*wanted: Any) -> int:
        return int(caller.ask(COUNT, f=json.dumps({"$and": wanted}))["project"]["runCount"])

    def joint() -> list[str]:
        sql = "SELECT name FROM sqlite_schema WHERE name GLOB 'runs_joint_*'"
        return [name for (name,) in db.execute(sql).fetchall()]

    # Once each for the keys alone, and once together without an index of both.
    counts = {count(*conditions) for _ in range(3 * INDEX_FROM_USES)}
    counts |= {count(*reversed(conditions)) for _ in range(2)}

    assert len(joint()) == 1
    before = counts.pop()
    assert not counts
    assert 0 < before < 2000
    assert count(*conditions, {"tags": "baseline"}) < before
    assert count(*conditions, {"summary_metrics.acc": {"$lt": 0.2}}) == 0
    assert count({"$or": conditions}) > before
    assert count({"$nor": conditions}) < before
    assert purge_one(many, caller) > 0
    assert joint() == []
    assert count(*conditions) == before - 1
    db.close()


def purge_one(server: RunningServer, caller: Caller) -> int:
    """Delete a run that the conditions above match, and purge it."""
    document = """query N($f: JSONString) { project(name: "many", entityName: "admin") {
        runs(first: 1, filters: $f) { edges { node { id } } } } }"""
    filters = json.dumps({"$and": [{"summary_metrics.acc": {"$gt": 0.3}}, {"config.seed": {"$lt": 2000}}]})
    (edge,) = caller.ask(document, f=filters)["project"]["runs"]["edges"]
    caller.ask(
        "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", id=edge["node"]["id"]
    )
    return purge(server.data, now=datetime.now(UTC) + timedelta(seconds=5)).runs


def test_a_key_within_objects_is_counted_by_its_index_until_an_array_stands_on_the_way(
    many: RunningServer,
) -> None:
    caller = Caller(many.base_url, many.api_key)
    document = """query N($f: JSONString) { project(name: "many", entityName: "admin") { runCount(filters: $f)
        runs(first: 1000, filters: $f) { totalCount edges { node { config(keys: ["model"]) } } } } }"""
    filters = json.dumps({"$and": [{"config.model.layers": {"$gte": 48}}, {"config.seed": {"$lt": 2400}}]})

    def found() -> tuple[int, int, list[Any]]:
        project = caller.ask(document, f=filters)["project"]
        configs = [json.loads(edge["node"]["config"]) for edge in project["runs"]["edges"]]
        layers = [config["model"]["value"] for config in configs]
        assert project["runs"]["totalCount"] == project["runCount"]
        return project["runCount"], len(layers), layers

    answers = [found() for _ in range(3 * INDEX_FROM_USES)]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == answers[0][1] > 90
    db = apsw.Connection(str(many.data / "wbgql.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    made = db.execute("SELECT group_concat(sql) FROM sqlite_schema WHERE name GLOB 'runs_joint_*'").get
    db.close()
    assert '"model"."layers"' in made, "both conditions are answered by one index"

    config = {"model": {"value": [{"layers": 1}, {"layers": 50}]}, "seed": {"value": 1}}
    caller.upsert("many", name="array", config=config)

    count, listed, layers = found()
    assert count == listed == answers[0][0] + 1
    assert config["model"]["value"] in layers


def test_a_count_by_a_frequent_value_stays_right_when_an_array_comes(many: RunningServer) -> None:
    caller = Caller(many.base_url, many.api_key)
    filters = json.dumps({"config.model.layers": {"$in": [3, 4]}, "config.lr": 0.1})

    def count() -> int:
        return int(caller.ask(COUNT, f=filters)["project"]["runCount"])

    (before,) = {count() for _ in range(3 * INDEX_FROM_USES)}
    assert before > 10
    for name, lr, layers in (("one", [0.5, 0.1], 3), ("two", 0.1, ["x", 4]), ("three", [0.5], 3)):
        config = {"lr": {"value": lr}, "model": {"value": {"layers": layers}}}
        caller.upsert("many", name=f"frequent-{name}", config=config)

    assert count() == before + 2
