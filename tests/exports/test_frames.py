"""Frames out of pages of nodes: schemas, kinds, mixed types, memory."""

from __future__ import annotations

import gc
import json
import math
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbgql.errors import UsageError
from wbgql.frames import Attribute, Batches, FrameWarning, Layout, TextKeys, checked_kinds, to_table
from wbgql.frames.arrays import attribute_array, key_arrays
from wbgql.frames.decoding import AllKeysReader, KeyReader


class Node(NamedTuple):
    name: str
    text: str | None
    created_at: str = "2026-01-02T03:04:05Z"


def layout(*keys: tuple[str, ...], wrapped: bool = False, **kinds: tuple[Any, ...]) -> Layout:
    texts = TextKeys("s", lambda page: [node.text for node in page], keys or None, wrapped=wrapped)
    attributes = (
        Attribute("name", "string", lambda page: [node.name for node in page]),
        Attribute("created_at", "time", lambda page: [node.created_at for node in page]),
    )
    return Layout(attributes, (texts,), {f"s.{key}": kind for key, kind in kinds.items()})


def pages(*texts: Sequence[Any]) -> list[list[Node]]:
    return [
        [Node(f"{number}-{row}", None if text is None else json.dumps(text)) for row, text in enumerate(page)]
        for number, page in enumerate(texts)
    ]


def test_a_table_has_a_row_for_each_node_and_null_where_a_key_is_missing() -> None:
    table = to_table(pages([{"a": 1.5}, {"b": 1}], [None, {"a": 2}]), layout(("a",)))

    assert table.column_names == ["name", "created_at", "s.a"]
    assert table["name"].to_pylist() == ["0-0", "0-1", "1-0", "1-1"]
    assert table["s.a"].to_pylist() == [1.5, None, None, 2.0]
    assert table["created_at"][0].as_py() == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_zero_rows_give_the_same_schema_as_rows_where_types_are_known() -> None:
    shape = layout(("a",), ("b",), a=("number",), b=("number", "string"))

    empty, full = to_table([], shape), to_table(pages([{"a": 1, "b": "x"}]), shape)

    assert empty.schema == full.schema
    assert full.column_names[2:] == ["s.a", "s.b", "s.b:string"]


def test_a_key_that_nobody_saw_is_a_column_of_null_numbers() -> None:
    table = to_table(pages([{"b": 1}]), layout(("a",)))

    assert table.schema.field("s.a").type == pa.float64()
    assert table["s.a"].null_count == 1


def test_mixed_types_stay_apart_in_columns_of_their_own() -> None:
    rows = [{"lr": 0.1}, {"lr": "auto"}, {"lr": True}, {"lr": [1]}, {"lr": 3}]

    table = to_table(pages(rows), layout(("lr",)))

    assert table.column_names[2:] == ["s.lr", "s.lr:boolean", "s.lr:string", "s.lr:json"]
    assert table["s.lr"].to_pylist() == [0.1, None, None, None, 3.0]
    assert table["s.lr:boolean"].to_pylist() == [None, None, True, None, None]
    assert table["s.lr:string"].to_pylist() == [None, "auto", None, None, None]
    assert table["s.lr:json"].to_pylist() == [None, None, None, "[1]", None]


def test_a_value_of_a_type_that_has_no_column_is_null_and_warned_of() -> None:
    with pytest.warns(FrameWarning, match=r"s\.lr \(1\)"):
        table = to_table(pages([{"lr": 1}, {"lr": "auto"}]), layout(("lr",), lr=("number",)))

    assert table["s.lr"].to_pylist() == [1.0, None]


def test_a_column_declared_as_json_holds_every_value() -> None:
    table = to_table(pages([{"lr": 1}, {"lr": "auto"}, {"lr": {"a": 1}}]), layout(("lr",), lr=("json",)))

    assert table["s.lr"].to_pylist() == ["1", '"auto"', '{"a":1}']


def test_whole_numbers_beyond_a_float_are_kept_where_an_integer_is_declared() -> None:
    big = 2**60 + 1

    table = to_table(pages([{"seed": big}, {"seed": 2.0}]), layout(("seed",), seed=("integer",)))

    assert table["s.seed"].to_pylist() == [big, 2]


def test_nan_is_a_number_as_a_bare_word_and_as_the_text_that_is_stored() -> None:
    page = [
        Node("a", '{"x": NaN}'),
        Node("b", '{"x": "NaN"}'),
        Node("c", '{"x": "-Infinity"}'),
        Node("d", '{"x": 1}'),
    ]

    values = to_table([page], layout(("x",)))["s.x"].to_pylist()

    assert all(math.isnan(value) for value in values[:2])
    assert values[2:] == [-math.inf, 1.0]


def test_a_number_too_large_for_a_float_is_the_text_that_stands_for_infinity_in_a_column_of_texts() -> None:
    arrays, strangers = key_arrays([math.inf, "x", -math.inf, math.nan], ["string"])

    assert (arrays["string"].to_pylist(), strangers) == (["Infinity", "x", "-Infinity", "NaN"], 0)


def test_a_text_that_is_no_json_gives_nulls_and_a_warning() -> None:
    with pytest.warns(FrameWarning, match="1 texts cannot be read as JSON"):
        table = to_table([[Node("a", "{broken"), Node("b", '{"x": 1}')]], layout(("x",)))

    assert table["s.x"].to_pylist() == [None, 1.0]


def test_every_key_comes_sorted_and_internal_ones_are_left_out() -> None:
    shape = layout(wrapped=True)
    rows = [{"b": {"value": 1}, "_wandb": {"value": {}}}, {"a": {"value": "x", "desc": None}}]

    table = to_table(pages([rows[0]], [rows[1]]), shape)

    assert table.column_names[2:] == ["s.a", "s.b"]
    assert table.select(["s.a", "s.b"]).to_pylist() == [{"s.a": None, "s.b": 1.0}, {"s.a": "x", "s.b": None}]


def test_a_key_named_like_another_column_gets_a_name_of_its_own() -> None:
    table = to_table(pages([{"a": 1, "a:string": 2}, {"a": "x"}]), layout(("a",), ("a:string",)))

    assert table.column_names[2:] == ["s.a", "s.a:string", "s.a:string:"]


def test_batches_keep_the_schema_of_the_first_page() -> None:
    batches = Batches(pages([{"a": 1}], [{"a": "x"}], [{"a": 2}]), layout(("a",)))

    with pytest.warns(FrameWarning, match=r"s\.a \(1\)"):
        found = list(batches)

    assert {batch.schema for batch in found} == {batches.schema}
    assert pa.Table.from_batches(found)["s.a"].to_pylist() == [1.0, None, 2.0]


def test_nested_and_dotted_keys_are_found_and_dead_ends_are_null() -> None:
    reader = KeyReader([("m", "a"), ("x.y",), ("m", "a", "b")], wrapped=False)

    found = reader.read(['{"m": {"a": 1}, "x.y": 2}', '{"x": {"y": 3}}', '{"m": 7}', None])

    assert found[("m", "a")] == [1, None, None, None]
    assert found[("x.y",)] == [2, 3, None, None]
    assert found[("m", "a", "b")] == [None, None, None, None]


def test_reading_rows_does_not_set_off_the_collector() -> None:
    # A container for each row would: with polars, gql and the like imported that is 50 ms a time.
    reader = KeyReader([("a",), ("b",)], wrapped=False)
    texts = [f'{{"a": {number}, "b": 0.5}}' for number in range(20_000)]
    reader.read(texts[:1])

    before = gc.get_stats()[0]["collections"]
    found = reader.read(texts)
    collections = gc.get_stats()[0]["collections"] - before

    assert found[("a",)] == list(range(20_000))
    assert collections <= 1


def test_a_config_entry_without_its_wrapper_is_the_value_itself() -> None:
    reader = KeyReader([("a",)], wrapped=True)

    assert reader.read(['{"a": {"value": 1}}', '{"a": {"inner": 2}}', '{"a": 3}'])[("a",)] == [
        1,
        {"inner": 2},
        3,
    ]


_KEYS = st.text(min_size=1, max_size=4).filter(lambda key: "." not in key and key != "_wandb")
_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=2)
)


@given(st.lists(st.none() | st.dictionaries(_KEYS, _VALUES, max_size=4), max_size=6))
def test_reading_every_key_agrees_with_plain_json(rows: list[dict[str, Any] | None]) -> None:
    texts = [None if row is None else json.dumps(row) for row in rows]

    found = AllKeysReader(wrapped=False, hidden=frozenset({"_wandb"})).read(texts)

    expected = [{} if row is None else json.loads(json.dumps(row)) for row in rows]
    for (key,), values in found.items():
        assert repr(values) == repr([row.get(key) for row in expected])
    assert {key for (key,) in found} == {key for row in expected for key in row}


@given(st.lists(_VALUES, max_size=8), st.sampled_from([None, ("number",), ("number", "string"), ("json",)]))
def test_no_value_crashes_and_none_is_lost_in_silence(values: list[Any], kinds: Any) -> None:
    arrays, strangers = key_arrays(values, kinds)

    for array in arrays.values():
        array.validate(full=True)
        assert len(array) == len(values)
    kept = sum(len(array) - array.null_count for array in arrays.values())
    assert kept + strangers == sum(value is not None for value in values)


@given(
    st.lists(st.none() | st.text(max_size=5), max_size=8) | st.text(max_size=5).map(lambda text: [text] * 8)
)
def test_texts_come_through_as_they_are(values: list[str | None]) -> None:
    array = attribute_array(values, "string")

    array.validate(full=True)
    assert array.to_pylist() == [
        None if value is None else value.encode("utf-8", "replace").decode() for value in values
    ]


def test_instants_of_every_form_are_read() -> None:
    forms = ["2026-01-02T03:04:05", "2026-01-02T03:04:05.123456789Z", "2026-01-02T05:04:05+02:00", None]

    found = attribute_array(forms, "time").to_pylist()

    whole = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found == [whole, whole.replace(microsecond=123456), whole, None]


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no such type 'float': column 'config\.lr'"):
        checked_kinds({"config.lr": "float"})


_MILLION = """
import json, resource, sys
from pathlib import Path
from wbgql.frames import Attribute, Batches, Layout, TextKeys, write_file
class Node:
    __slots__ = ("name", "text")
def page(number):
    nodes = []
    for row in range(1000):
        node = Node()
        node.name = f"run-{number}-{row}"
        node.text = json.dumps({f"k{key}": number + row / 1000 for key in range(20)})
        nodes.append(node)
    return nodes
keys = tuple((f"k{key}",) for key in range(20))
layout = Layout(
    (Attribute("id", "string", lambda page: [node.name for node in page]),),
    (TextKeys("s", lambda page: [node.text for node in page], keys),),
)
def measure(pages):
    rows = write_file(Path(sys.argv[1]), Batches(map(page, range(pages)), layout), "parquet")
    return rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([measure(40), measure(int(sys.argv[2]))]))
"""


def _peaks(tmp_path: Any, pages: int) -> list[tuple[int, float]]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_MILLION), str(tmp_path / "out.parquet"), str(pages)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[tuple[int, float]] = json.loads(done.stdout)
    return found


def test_memory_does_not_grow_with_the_rows_written(tmp_path: Any) -> None:
    (_, before), (rows, after) = _peaks(tmp_path, 200)

    assert rows == 200_000
    assert after - before < 15, f"{before} MB with 40,000 rows, {after} MB with 200,000"


@pytest.mark.full
def test_a_million_rows_of_twenty_columns_hold_a_few_pages(tmp_path: Any) -> None:
    (_, before), (rows, after) = _peaks(tmp_path, 1000)

    assert rows == 1_000_000
    assert after - before < 15, f"{before} MB with 40,000 rows, {after} MB with a million"
