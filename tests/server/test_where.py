"""Run filters as SQL: the samples, hostile input, runs, limits and messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.filter_tables import NULLS, from_ejson, open_database, select, store_documents, store_runs
from wbgql.server.filters.compile import (
    RUN_FIELDS,
    DocumentFields,
    FilterRefused,
    RunFields,
    compile_order,
    compile_where,
    index_sql,
)

SAMPLES = Path(__file__).parent.parent / "samples"
CASES = json.loads((SAMPLES / "filters.json").read_text())
ERROR_CASES = json.loads((SAMPLES / "filter_errors.json").read_text())
DOCUMENTS = DocumentFields()
COLUMN_OF_KEY = {
    "name": "name",
    "displayName": "display_name",
    "state": "state",
    "createdAt": "created_at",
    "heartbeatAt": "heartbeat_at",
    "group": "run_group",
    "jobType": "job_type",
    "username": "username",
    "sweep": "sweep_name",
    "duration": "duration",
}


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    with open_database() as connection:
        yield connection


def expected(case: dict[str, Any], nulls: str) -> list[int]:
    return case["match"] if nulls == "mongo" else case.get("sql3_match", case["match"])


def as_run(document: dict[str, Any]) -> dict[str, Any] | None:
    """The columns of a sample document, or None if no run can look like it."""
    columns: dict[str, Any] = {}
    for key, value in document.items():
        if key == "summary_metrics":
            columns["summary_values"] = value
        elif key == "config":
            if not all(isinstance(entry, dict) and entry.keys() == {"value"} for entry in value.values()):
                return None
            columns["config_values"] = {name: entry["value"] for name, entry in value.items()}
        elif key == "tags":
            columns["tags"] = value
        elif key not in COLUMN_OF_KEY or (isinstance(value, (int, list)) and key != "duration"):
            return None
        elif key.endswith("At") and value is not None:
            columns[COLUMN_OF_KEY[key]] = value.replace("Z", ".000000Z")
        else:
            columns[COLUMN_OF_KEY[key]] = value
    return columns


def fits_runs(case: dict[str, Any]) -> bool:
    if case["topic"] == "dates" or any(as_run(from_ejson(document)) is None for document in case["docs"]):
        return False
    nulls_in_columns = [key for doc in case["docs"] for key, value in doc.items() if value is None]
    return not (nulls_in_columns and "$exists" in json.dumps(case["filter"]))


RUN_CASES = [case for case in CASES if fits_runs(case)]


@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_samples_select_the_same_documents(
    database: apsw.Connection, case: dict[str, Any], nulls: str
) -> None:
    store_documents(database, [from_ejson(document) for document in case["docs"]])

    assert select(database, case["filter"], nulls=nulls) == expected(case, nulls), case["why"]


@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize("case", RUN_CASES, ids=lambda case: case["id"])
def test_samples_select_the_same_runs(database: apsw.Connection, case: dict[str, Any], nulls: str) -> None:
    store_runs(database, *[as_run(from_ejson(document)) or {} for document in case["docs"]])

    assert select(database, case["filter"], RUN_FIELDS, nulls) == expected(case, nulls), case["why"]
    assert select(database, case["filter"], RunFields(project_id=1), nulls) == expected(case, nulls)


def test_most_samples_fit_runs() -> None:
    assert len(RUN_CASES) > len(CASES) // 2


ACCEPTED = ({"$or": [{"$and": []}]},)


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: json.dumps(case["filter"]))
def test_malformed_samples_are_refused(database: apsw.Connection, case: dict[str, Any]) -> None:
    if case["filter"] in ACCEPTED:
        store_documents(database, case["docs"])
        assert select(database, case["filter"]) == list(range(len(case["docs"])))
        return
    with pytest.raises(FilterRefused):
        compile_where(case["filter"], DOCUMENTS)


MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["$eq", "a.0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=3)
            | st.sampled_from(
                ["$and", "$or", "$nor", "$not", "$in", "$gt", "$size", "$exists", "$regex", "$options"]
            )
            | st.sampled_from(
                ["$all", "$elemMatch", "$contains", "$eq", "$numberDouble", "a", "tags.0", "state"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@MANY
@given(filter_=ANYTHING)
def test_any_json_is_answered_or_refused(database: apsw.Connection, filter_: Any) -> None:
    store_documents(database, [{"a": [1, {"b": None}], "state": "x", "tags": ["y"]}])
    try:
        where = compile_where(filter_, DOCUMENTS)
    except FilterRefused:
        return
    selected = database.execute(f"SELECT id FROM documents WHERE {where.sql}", where.params).fetchall()
    assert len(selected) <= 1


# --- hostile keys ---------------------------------------------------------------------------

HOSTILE_PARTS = st.text(
    st.sampled_from(list("\"'\\$[]{}#?%@*/;-()0 \x00\x01\x1f\x7f\n\té漢😀\u2028.a")), max_size=6
).map(lambda text: text.replace(".", ""))
HOSTILE = [
    """a"b""",
    """a'b""",
    """a') OR 1=1 --""",
    """\\""",
    """\\\"""",
    "",
    "$",
    "[0]",
    "#-1",
    "\x00",
    "a\x00b",
    "\\u0041",
    "{}",
    "?",
]


def check_key_is_reached_alone(database: apsw.Connection, parts: list[str]) -> None:
    def nest(path: list[str], value: Any) -> dict[str, Any]:
        return {path[0]: nest(path[1:], value) if len(path) > 1 else value}

    other = [*parts[:-1], parts[-1] + "x"]
    values = [nest(parts, 1), nest(other, 1), nest(parts, [1]), nest(parts, 0), {}]
    store_runs(database, *[{"summary_values": value} for value in values])
    key = "summary_metrics." + ".".join(parts)

    def answers() -> list[list[int]]:
        filters = [{key: 1}, {key: {"$gt": 0}}, {key: {"$lt": 1}}, {key: {"$in": [1, "x"]}}, {key: None}]
        return [select(database, filter_, RunFields(project_id=1)) for filter_ in filters]

    wanted = [[0, 2], [0, 2], [3], [0, 2], [1, 4]]
    assert answers() == wanted
    paths = compile_where({key: {"$gt": 0}}, RUN_FIELDS).index_paths
    assert bool(paths) == ("\0" not in key)
    for path in paths:
        database.execute(index_sql(path))
    try:
        assert answers() == wanted
    finally:
        for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'index'").fetchall():
            database.execute(f'DROP INDEX "{name}"')


@pytest.mark.parametrize("key", HOSTILE, ids=repr)
def test_hostile_keys_reach_their_value_and_no_other(database: apsw.Connection, key: str) -> None:
    check_key_is_reached_alone(database, [key])
    check_key_is_reached_alone(database, ["a", key, "b"])


@MANY
@given(parts=st.lists(HOSTILE_PARTS, min_size=1, max_size=3))
def test_any_key_reaches_its_value_and_no_other(database: apsw.Connection, parts: list[str]) -> None:
    check_key_is_reached_alone(database, parts)


@pytest.mark.parametrize("text", ["x') OR 1=1 --", "\x00", "?", "'; DROP TABLE runs; --"])
def test_operands_never_become_sql(database: apsw.Connection, text: str) -> None:
    store_runs(database, {"name": "a"}, {"name": text, "config_values": {"k": text}})

    assert select(database, {"name": text}, RUN_FIELDS) == [1]
    assert select(database, {"config.k": {"$contains": text}}, RUN_FIELDS) == [1]
    assert select(database, {"config.k": {"$in": [text]}}, RUN_FIELDS) == [1]


# --- runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["config.lr", "config.lr.value"])
def test_config_is_found_with_and_without_the_wrapper(database: apsw.Connection, key: str) -> None:
    store_runs(
        database, {"config_values": {"lr": 0.1}}, {"config_values": {"lr": 0.2}}, {"config_values": {}}
    )

    assert select(database, {key: {"$gt": 0.15}}, RUN_FIELDS) == [1]


def test_nested_config_is_found_with_and_without_the_wrapper(database: apsw.Connection) -> None:
    store_runs(database, {"config_values": {"m": {"value": 1}}}, {"config_values": {"m": {"depth": 2}}})

    assert select(database, {"config.m.value.depth": 2}, RUN_FIELDS) == [1]
    assert select(database, {"config.m.depth": 2}, RUN_FIELDS) == [1]
    assert select(database, {"config.m.value.value": 1}, RUN_FIELDS) == [0]


@pytest.mark.parametrize(
    "operand",
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00.000Z"],
)
def test_instants_compare_whatever_their_zone(database: apsw.Connection, operand: str) -> None:
    instants = ["2026-01-31T11:59:59.999999Z", "2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00.000001Z"]
    store_runs(database, *[{"created_at": instant} for instant in instants])

    assert select(database, {"created_at": operand}, RUN_FIELDS) == [1]
    assert select(database, {"createdAt": {"$gt": operand}}, RUN_FIELDS) == [2]
    assert select(database, {"createdAt": {"$nin": [operand]}}, RUN_FIELDS) == [0, 2]


def test_a_bare_date_is_its_first_moment(database: apsw.Connection) -> None:
    store_runs(
        database, {"created_at": "2026-01-30T23:59:59.999999Z"}, {"created_at": "2026-01-31T00:00:00.000000Z"}
    )

    assert select(database, {"createdAt": {"$gte": "2026-01-31"}}, RUN_FIELDS) == [1]


@pytest.mark.parametrize(
    "operand", ["yesterday", "", 1704067200, True, "0001-01-01T00:00:00+14:00", ["2026-01-01"]]
)
def test_a_malformed_date_is_refused_with_its_place(operand: Any) -> None:
    with pytest.raises(FilterRefused, match=r"^\$\.createdAt\.\$gt: .*not an ISO-8601 instant"):
        compile_where({"createdAt": {"$gt": operand}}, RUN_FIELDS)


@pytest.mark.parametrize(
    "key", ["summary.loss", "Name", "State", "created", "state.x", "duration.x", "", "entity.x"]
)
def test_an_unknown_column_is_refused(key: str) -> None:
    with pytest.raises(FilterRefused, match="invalid column"):
        compile_where({key: 1}, RUN_FIELDS)
    with pytest.raises(FilterRefused, match="invalid column"):
        compile_order(f"+{key}", RUN_FIELDS)


@pytest.mark.parametrize(
    "filter_",
    [{"id": "a"}, {"id": {"$ne": "b"}}, {"id": None}, {"$nor": [{"id": "b"}]}, {"id": {"$exists": False}}],
)
def test_a_condition_on_id_matches_nothing(database: apsw.Connection, filter_: Any) -> None:
    store_runs(database, {"name": "a"})

    assert select(database, filter_, RUN_FIELDS) == []


def test_a_stored_nan_is_found_by_its_string_and_by_number_but_in_no_range(database: apsw.Connection) -> None:
    store_runs(database, *[{"summary_values": {"loss": loss}} for loss in ("NaN", "Infinity", 0.5)])
    loss = "summary_metrics.loss"

    assert select(database, {loss: "NaN"}, RUN_FIELDS) == [0]
    assert select(database, {loss: {"$numberDouble": "NaN"}}, RUN_FIELDS) == [0]
    assert select(database, {loss: {"$in": [{"$numberDouble": "Infinity"}]}}, RUN_FIELDS) == [1]
    assert select(database, {"$or": [{loss: {"$gte": 0}}, {loss: {"$lt": 0}}]}, RUN_FIELDS) == [2]


def test_contains_looks_at_case_and_takes_no_wildcards(database: apsw.Connection) -> None:
    store_runs(database, *[{"display_name": name} for name in ("a%b", "axb", "A%B")], {"tags": ["a%b"]})

    assert select(database, {"displayName": {"$contains": "a%"}}, RUN_FIELDS) == [0]
    assert select(database, {"tags": {"$contains": "%b"}}, RUN_FIELDS) == [3]


def test_a_regex_of_plain_letters_is_still_a_search(database: apsw.Connection) -> None:
    store_runs(database, *[{"display_name": name} for name in ("base-adam", "ADAM", "sgd")])

    assert select(database, {"displayName": {"$regex": "adam"}}, RUN_FIELDS) == [0]
    assert select(database, {"displayName": {"$regex": "adam", "$options": "i"}}, RUN_FIELDS) == [0, 1]


def test_a_regex_that_backtracks_elsewhere_is_answered_at_once(database: apsw.Connection) -> None:
    store_runs(database, {"display_name": "a" * 5000 + "b"})

    assert select(database, {"displayName": {"$regex": "^(a+)+$"}}, RUN_FIELDS) == []


# --- limits and messages --------------------------------------------------------------------


def nested(depth: int, wrap: Any) -> Any:
    filter_: Any = {"a": 1}
    for _ in range(depth):
        filter_ = wrap(filter_)
    return filter_


def by_nor(inner: Any) -> Any:
    return {"$nor": [inner, {"b": 2}]}


def by_elem_match(inner: Any) -> Any:
    return {"a.b.c": {"$elemMatch": inner}}


@pytest.mark.parametrize(("wrap", "limit"), [(by_nor, 40), (by_elem_match, 8)])
def test_nesting_is_answered_up_to_the_limit(database: apsw.Connection, wrap: Any, limit: int) -> None:
    store_documents(database, [{"a": 2, "b": 2}])

    assert select(database, nested(limit, wrap)) in ([], [0])
    for depth in (60, 2000):
        with pytest.raises(FilterRefused):
            compile_where(nested(depth, wrap), DOCUMENTS)


def test_a_refusal_of_something_large_is_short() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    for filter_ in (deep, ["x" * 10_000] * 1000, {"$or": "y" * 10_000}):
        with pytest.raises(FilterRefused) as caught:
            compile_where(filter_, RUN_FIELDS)
        assert len(str(caught.value)) < 1000


def test_a_nested_operand_is_refused() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    with pytest.raises(FilterRefused, match="nested deeper"):
        compile_where({"a": deep}, DOCUMENTS)
    not_not: Any = {"$eq": 1}
    for _ in range(500):
        not_not = {"$not": not_not}
    with pytest.raises(FilterRefused, match="nested deeper"):
        compile_where({"a": not_not}, DOCUMENTS)


def test_large_filters_are_answered_up_to_the_limit(database: apsw.Connection) -> None:
    store_runs(database, {"name": "n3", "config_values": {"k": 3}})
    members = [{"name": f"n{number}"} for number in range(200)]

    assert select(database, {"$or": members}, RUN_FIELDS) == [0]
    assert select(database, {"name": {"$in": [f"n{number}" for number in range(10_000)]}}, RUN_FIELDS) == [0]
    assert select(database, {"config.k": {"$in": list(range(10_000))}}, RUN_FIELDS) == [0]
    assert select(database, {"config.k": {"$nin": [4.5, "x", *range(4, 9_000)]}}, RUN_FIELDS) == [0]
    with pytest.raises(FilterRefused, match="conditions"):
        compile_where({"$or": members * 3}, RUN_FIELDS)
    with pytest.raises(FilterRefused, match="values"):
        compile_where({"name": {"$in": ["x"] * 10_001}}, RUN_FIELDS)
    with pytest.raises(FilterRefused, match="too long"):
        compile_where({"$or": [{"config." + "a." * 45 + str(n): n} for n in range(200)]}, RUN_FIELDS)


@pytest.mark.parametrize(
    ("filter_", "message"),
    [
        ({"$and": [{"state": {"$foo": 1}}]}, "$.$and[0].state.$foo: unknown operator"),
        ({"state": {"$gt": []}}, "$.state.$gt: needs a number, string, boolean or null to compare with"),
        ({"state": {"$in": 3}}, "$.state.$in: needs an array, not 3"),
        ({"state": {"$nin": 3}}, "$.state.$nin: needs an array, not 3"),
        ({"state": {"$eq": 1, "x": 2}}, "$.state.x: a key beside operators"),
        (
            {"state": {"$regex": "a", "$options": "x"}},
            "$.state.$regex: $options 'x' is not known, use i, m or s",
        ),
        ({"state": float("nan")}, "$.state.$eq: nan: not JSON, send the string 'NaN'"),
        ({"state": "\ud800"}, "$.state.$eq: '\\ud800': not valid Unicode"),
        ({"config.\ud800": 1}, "$.config.\ud800: 'config.\\ud800': not valid Unicode"),
        (None, "$: must be an object, not None"),
        ([], "$: must be an object, not []"),
        ({"$nor": []}, "$.$nor: empty, send {} to match everything"),
    ],
)
def test_a_refusal_says_where_and_why(filter_: Any, message: str) -> None:
    with pytest.raises(FilterRefused) as caught:
        compile_where(filter_, RUN_FIELDS)

    assert str(caught.value) == message
