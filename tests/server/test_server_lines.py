"""Lines by their place: whatever order chunks come in, and however often, the result is the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wbgql.scalars import to_safe_json
from wbgql.server.runs import history, lines
from wbgql.server.runs import values as run_values
from wbgql.server.store.database import Store

CHUNKS = st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(0, 9), max_size=6)), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=True) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(tmp_path_factory.mktemp("lines"))
    yield opened
    opened.close()


SHARED = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 12), st.integers(0, 6)), max_size=8)


@given(SHARED)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_of_several_writers_are_counted_once_each(store, chunks):
    """In shared mode each writer numbers its own lines, from 0 or from where the others were."""
    written: set[tuple[int, int]] = set()
    with store.write() as db:
        db.execute("DELETE FROM runs")
        db.execute(
            "INSERT INTO runs (id, project_id, name, state, created_at, heartbeat_at, updated_at, user_id, username)"
            " VALUES (7, 1, 'r', 'running', '', '', '', 1, 'u')"
        )
        for table in ("lines", "history"):
            db.execute(f"DELETE FROM {table}")
        for writer, offset, size in chunks:
            for stream in (lines.CONSOLE, lines.EVENTS, lines.HISTORY):
                for _ in range(2):
                    lines.write(db, 7, stream, writer, offset, ["{}"] * size)
            written |= {(writer, number) for number in range(offset, offset + size)}
        counts = db.execute("SELECT log_lines, events_lines, history_lines FROM runs").get
        listed = lines.count(db, 7, lines.CONSOLE)
        db.execute("DELETE FROM runs")

    assert counts == (len(written),) * 3
    assert listed == len(written)


@given(CHUNKS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_are_what_was_written_last_at_each_place(store, chunks):
    expected: dict[int, str] = {}
    with store.write() as db:
        db.execute("DELETE FROM lines")
        for offset, content in chunks:
            text = [str(value) for value in content]
            for _ in range(2):
                lines.write(db, 1, lines.CONSOLE, 0, offset, text)
            expected |= dict(enumerate(text, offset))

        assert lines.read(db, 1, lines.CONSOLE) == sorted(expected.items())
        assert lines.tail(db, 1, lines.CONSOLE, 2) == [line for _, line in sorted(expected.items())][-2:]


@given(st.lists(st.dictionaries(st.sampled_from(["_step", "a", "b.c"]), VALUES, max_size=3), max_size=6))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_keys_counted_chunk_by_chunk_are_those_counted_at_once(store, rows):
    text = [json.dumps(row) for row in rows]
    at_once = history.Keys()
    at_once.add([lines.parse_row(line) for line in text])

    with store.write() as db:
        db.execute("DELETE FROM run_texts")
        db.execute("INSERT INTO run_texts (run_id) VALUES (1)")
        for offset, line in enumerate(text):
            history.update_keys(db, 1, offset, [line], overwrites=False)
        kept = db.execute("SELECT history_keys FROM run_texts").get

    assert json.dumps(history.Keys.from_json(kept).answer()) == json.dumps(at_once.answer())


@pytest.mark.parametrize(
    "line", ["", "[]", "1", "{", "null", '{"_step": "x"}', '{"_step": 1e400}', '{"_step": NaN}']
)
def test_a_row_without_a_step_is_kept_and_never_fatal(line):
    assert lines.step_of(line) is None


@given(st.lists(st.integers()), st.integers(-1, 40))
def test_a_sample_keeps_order_and_both_ends(items, samples):
    picked = history.pick(items, samples)

    assert len(picked) == (len(items) if samples <= 0 else min(samples, len(items)))
    remaining = iter(items)
    assert all(any(one is other for other in remaining) for one in picked)
    if len(picked) > 1:
        assert (picked[0], picked[-1]) == (items[0], items[-1])


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_values_for_filters_are_strict_json_whatever_is_logged(summary):
    text = run_values.summary_values(run_values.parse_object(json.dumps(summary), "summary"))

    assert json.loads(text, parse_constant=pytest.fail) == to_safe_json(summary)


def test_a_key_is_dug_out_literally_first_then_by_its_dots():
    assert run_values.dig({"a.b": 1, "a": {"b": 2}}, "a.b") == (True, 1)
    assert run_values.dig({"a": {"b.c": 3}}, "a.b.c") == (True, 3)
    assert run_values.dig({"a": 1}, "a.b") == (False, None)


def test_half_a_surrogate_pair_is_stored_as_a_question_mark():
    assert json.loads(run_values.summary_values({"a": "\ud800"})) == {"a": "?"}


def test_an_infinite_step_is_not_the_last_one():
    keys = history.Keys()
    keys.add([{"_step": 3}, {"_step": float("inf")}])

    assert keys.last_step == 3
