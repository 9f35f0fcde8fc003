"""The SQL of filters and an oracle in plain Python select the same documents."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import mongo_oracle
from tests.server.filter_tables import NULLS, from_ejson, open_database, select, store_documents, store_runs
from wbgql.server.filters.compile import IndexPath, RunFields, compile_where
from wbgql.server.filters.fields import path_literal

CASES = json.loads((Path(__file__).parent.parent / "samples" / "filters.json").read_text())
KEYS = st.sampled_from(["a", "b", "0", "1"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.5, 1.0, -0.0, 1e300, 2**53 + 1, math.inf, -math.inf]),
    st.sampled_from(["", "a", "b", "ab", "A", "1", "NaN", "Infinity", "[", "[1]", "{", "\\", "é", "a\nb"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
PLAIN_DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(".".join)


def to_operand(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$numberDouble": {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")}
    return value


FINITE = SCALARS.filter(lambda value: not (isinstance(value, float) and math.isinf(value)))
OPERAND_SCALARS = (SCALARS | st.just(math.nan)).map(to_operand)
CONTAINERS = st.lists(FINITE, max_size=2) | st.dictionaries(KEYS, FINITE, max_size=2)
OPERANDS = OPERAND_SCALARS | CONTAINERS
REGEXES = st.sampled_from(["a", "^a", "b$", "A|b", "[0-9]", ".", "^$", "é"])


SIMPLE_OPERATORS = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne"]), OPERANDS),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), OPERAND_SCALARS),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(OPERANDS, max_size=3)),
    st.tuples(st.just("$all"), st.lists(OPERANDS, max_size=2)),
    st.tuples(st.just("$exists"), st.booleans()),
    st.tuples(st.just("$size"), st.integers(0, 3)),
    st.tuples(st.just("$regex"), REGEXES),
    st.tuples(st.just("$contains"), st.sampled_from(["", "a", "A", "["])),
)


@st.composite
def operators(draw: st.DrawFn) -> dict[str, Any]:
    return dict(draw(st.lists(SIMPLE_OPERATORS, min_size=1, max_size=2)))


@st.composite
def operands(draw: st.DrawFn) -> Any:
    return draw(OPERANDS)


OPERATORS = operators()
ELEMENT_FILTERS = OPERATORS | st.dictionaries(PATHS, operands() | OPERATORS, max_size=2)
ELEM_MATCH = st.fixed_dictionaries({"$elemMatch": ELEMENT_FILTERS})
NOT = st.fixed_dictionaries({"$not": OPERATORS | ELEM_MATCH})
NOT_NOT = st.fixed_dictionaries({"$not": NOT})
ALL_ELEM_MATCH = st.fixed_dictionaries({"$all": st.lists(ELEM_MATCH, min_size=1, max_size=2)})
CONDITION = operands() | OPERATORS | ELEM_MATCH | NOT | NOT_NOT | ALL_ELEM_MATCH


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    return draw(st.dictionaries(PATHS, CONDITION, min_size=1, max_size=2))


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(st.fixed_dictionaries({name: members}) for name in ("$and", "$or", "$nor"))


FILTERS = st.recursive(conditions(), combined, max_leaves=4)
MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    with open_database() as connection:
        yield connection


@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_oracle_agrees_with_the_samples(case: dict[str, Any], nulls: str) -> None:
    documents = [from_ejson(document) for document in case["docs"]]

    got = [n for n, doc in enumerate(documents) if mongo_oracle.matches(doc, case["filter"], nulls=nulls)]

    wanted = case["match"] if nulls == "mongo" else case.get("sql3_match", case["match"])
    assert got == wanted, case["why"]


@MANY
@given(documents=st.lists(PLAIN_DOCUMENTS, min_size=1, max_size=6), filter_=FILTERS)
def test_sql_and_the_oracle_select_the_same(database: apsw.Connection, documents: Any, filter_: Any) -> None:
    store_documents(database, documents)

    for nulls in NULLS:
        wanted = [n for n, doc in enumerate(documents) if mongo_oracle.matches(doc, filter_, nulls=nulls)]
        assert select(database, filter_, nulls=nulls) == wanted, (nulls, filter_)


@MANY
@given(documents=st.lists(PLAIN_DOCUMENTS, min_size=1, max_size=6), filter_=FILTERS)
def test_places_known_to_hold_no_array_change_nothing(
    database: apsw.Connection, documents: Any, filter_: Any
) -> None:
    store_runs(database, *({"summary_values": document} for document in documents))
    below = _below("summary_metrics", filter_)
    paths = compile_where(below, RunFields(1)).index_paths
    arrayless = frozenset(path for path in paths if not _any_array(database, path))

    for nulls in NULLS:
        wanted = select(database, below, RunFields(1), nulls)
        assert select(database, below, RunFields(1, arrayless=arrayless), nulls) == wanted, (nulls, filter_)


def _below(key: str, filter_: dict[str, Any]) -> dict[str, Any]:
    return {
        name if name.startswith("$") else f"{key}.{name}": [_below(key, one) for one in value]
        if name.startswith("$")
        else value
        for name, value in filter_.items()
    }


def _any_array(database: apsw.Connection, path: IndexPath) -> bool:
    place = f"{path.column}, {path_literal(path.parts)}"
    return bool(database.execute(f"SELECT 1 FROM runs WHERE json_type({place}) = 'array'").get)


@pytest.mark.full
@settings(MANY, max_examples=4000)
@given(documents=st.lists(PLAIN_DOCUMENTS, min_size=1, max_size=6), filter_=FILTERS)
def test_sql_and_the_oracle_select_the_same_at_length(
    database: apsw.Connection, documents: Any, filter_: Any
) -> None:
    store_documents(database, documents)

    for nulls in NULLS:
        wanted = [n for n, doc in enumerate(documents) if mongo_oracle.matches(doc, filter_, nulls=nulls)]
        assert select(database, filter_, nulls=nulls) == wanted, (nulls, filter_)
