"""Raw filter dicts: reading, linting and evaluating them."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wbgql.errors import FilterError
from wbgql.filters import filter_matches, lint_filter, make_matcher, parse_filter_json

SAMPLES = Path(__file__).parents[1] / "samples"


def decoded(value: Any) -> Any:
    """Turn extended JSON's {"$numberDouble": "NaN"} into floats."""
    if isinstance(value, dict):
        if value.keys() == {"$numberDouble"}:
            return float(value["$numberDouble"])
        return {key: decoded(item) for key, item in value.items()}
    return [decoded(item) for item in value] if isinstance(value, list) else value


CASES = [decoded(case) for case in json.loads((SAMPLES / "filters.json").read_text())]
BROKEN = [
    case for case in json.loads((SAMPLES / "filter_errors.json").read_text()) if case["verdict"] == "raises"
]
# On runs, dates are instants, infinities are text, and tags have no positions.
NOT_ON_RUNS = {"f126", "f128", "f213", "f215", "f217", "f219", "f271", "f273"}


def matched(case: dict[str, Any], **options: Any) -> list[int]:
    return [i for i, doc in enumerate(case["docs"]) if filter_matches(case["filter"], doc, **options)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_filter_matches_by_mongodbs_rules(case):
    assert matched(case, dialect="mongodb") == case["match"]


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["id"] not in NOT_ON_RUNS], ids=lambda case: case["id"]
)
def test_filter_matches_runs_by_the_same_rules(case):
    assert matched(case) == case["match"]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case["why"])
def test_make_matcher_refuses_what_it_cannot_check(case):
    with pytest.raises(FilterError):
        make_matcher(case["filter"], dialect="mongodb")


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case["why"])
def test_lint_refuses_malformed_filters(case):
    with pytest.raises(FilterError, match=r"^\$"):
        lint_filter(case["filter"])


def test_filter_matches_compares_dates_as_instants():
    run = {"createdAt": "2024-01-01T00:00:00"}

    assert filter_matches({"createdAt": {"$gte": "2024-01-01T01:00:00+01:00"}}, run)
    assert filter_matches({"created_at": "2024-01-01T00:00:00.000Z"}, run)
    assert not filter_matches({"createdAt": {"$gt": "2024-01-01T00:00:00Z"}}, run)


@pytest.mark.parametrize("key", ["config.lr", "config.lr.value"])
@pytest.mark.parametrize(
    "config", [{"lr": 0.1}, {"lr": {"value": 0.1}}, {"lr": {"value": 0.1, "desc": None}}]
)
def test_filter_matches_config_in_every_spelling(key, config):
    assert filter_matches({key: 0.1}, {"config": config})


def test_elem_match_does_not_look_into_arrays_in_arrays():
    nested, flat = {"l": [[1]]}, {"l": [1, [2]]}

    def holds(test, document):
        return filter_matches({"l": {"$elemMatch": test}}, document, dialect="mongodb")

    assert not holds({"$gt": 0}, nested)
    assert holds({"$gt": 0}, flat)
    assert not holds({"$in": [2]}, flat)
    assert holds({"$eq": [2]}, flat)
    assert holds({"$size": 1}, nested)
    assert holds({"$elemMatch": {"$gt": 0}}, nested)


@pytest.mark.parametrize("value", ["2024-01-01", "2024-01-01T00:00:00"])
@pytest.mark.parametrize("key", ["created_at", "createdAt"])
def test_lint_lets_created_at_without_a_zone_pass_as_scripts_write_it(key, value):
    (warning,) = lint_filter({key: {"$gt": value}})

    assert "no time zone" in warning
    assert "read as UTC" in warning


def test_lint_warns_of_what_re2_refuses():
    assert "not in RE2" in lint_filter({"displayName": {"$regex": "^(?!tmp)"}})[0]


def test_filter_matches_takes_the_word_of_config_wrapped():
    run = {"config": {"a": {"value": 3}}}

    assert filter_matches({"config.a": 3}, run)
    assert not filter_matches({"config.a": 3}, run, config_wrapped=False)
    assert filter_matches({"config.a.value.value": 3}, run, config_wrapped=False)


@pytest.mark.parametrize(
    ("stored", "text"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_filter_matches_reads_non_finite_numbers_as_stored_text(stored, text):
    run = {"summary_metrics": {"loss": stored}}

    assert filter_matches({"summary_metrics.loss": text}, run)
    assert not filter_matches({"summary_metrics.loss": {"$gt": 0}}, run)


@pytest.mark.parametrize(
    "filters",
    [
        {"id": "a"},
        {"state": {"$near": 1}},
        {"summary.loss": 1},
        {"$where": "1"},
        {"createdAt": {"$gt": 17}},
        [],
    ],
)
def test_filter_matches_never_guesses(filters):
    with pytest.raises(FilterError):
        filter_matches(filters, {"name": "a"})


@pytest.mark.parametrize("key", ["keys_info.keys.loss", "inputArtifacts"])
def test_filter_matches_refuses_keys_that_were_not_fetched(key):
    with pytest.raises(FilterError, match="cannot be checked"):
        filter_matches({key: {"$exists": False}}, {"name": "a"})


@pytest.mark.parametrize(
    ("filters", "place", "advice"),
    [
        ({"$and": [{"id": "a"}]}, "$.$and[0].id", "write name"),
        ({"summary.loss": 1}, "$.summary.loss", "write summary_metrics.loss"),
        ({"Name": "a"}, "$.Name", "write displayName"),
        ({"State": "finished"}, "$.State", "write state"),
        ({"loss": 1}, "$.loss", "summary_metrics.loss or config.loss"),
        ({"val/acc": {"$gt": 1}}, "$.val/acc", "summary_metrics.val/acc"),
        ({"displayname": "a"}, "$.displayname", "displayName"),
        ({"config['lr']": 1}, "$.config['lr']", "config.name"),
        ({"config.": 1}, "$.config.", "config.name"),
        ({"tags.0": "a"}, "$.tags.0", "write tags"),
        ({"state": {"$eqq": 1}}, "$.state.$eqq", "$eq"),
        ({"state": {"$not": {"$eq": 1}}}, "$.state.$not", "$nor"),
        ({"tags": {"$all": ["a"]}}, "$.tags.$all", "$and"),
        ({"tags": ["a"]}, "$.tags", '{"$and": [{"tags": "a"}'),
        ({"tags": {"$in": [["a"]]}}, "$.tags.$in[0]", "$and"),
        ({"state": {"$or": [{}]}}, "$.state.$or", "stands above keys"),
        ({"$gt": 1}, "$.$gt", "below a key"),
        ({"$ands": []}, "$.$ands", "$and"),
        ({"$or": {"state": 1}}, "$.$or", "not a list"),
        ({"state": {"$nin": "finished"}}, "$.state.$nin", "not a list"),
        ({"summary_metrics.loss": math.nan}, "$.summary_metrics.loss", '"NaN"'),
        ({"summary_metrics.loss": {"$lt": math.inf}}, "$.summary_metrics.loss.$lt", '"Infinity"'),
        ({"summary_metrics.loss": {"$lt": None}}, "$.summary_metrics.loss.$lt", "no order"),
        ({"summary_metrics.loss": {"$lt": 1, "x": 2}}, "$.summary_metrics.loss", "cannot be compared"),
        ({"heartbeatAt": {"$gt": "2024-01-01"}}, "$.heartbeatAt.$gt", '"2024-01-01T00:00:00Z"'),
        ({"heartbeat_at": {"$gt": "yesterday"}}, "$.heartbeat_at.$gt", "not an instant"),
        ({"createdAt": {"$gt": 1704067200}}, "$.createdAt.$gt", "not an instant"),
        ({"createdAt": datetime(2024, 1, 1, tzinfo=UTC)}, "$.createdAt", "no JSON form"),
        ({"config.x": {1}}, "$.config.x", "no JSON form"),
        ({"displayName": {"$regex": 4}}, "$.displayName.$regex", "not text"),
        ({"displayName": {"$contains": ""}}, "$.displayName.$contains", "not empty"),
        ({"config.x": {"$exists": "yes"}}, "$.config.x.$exists", "true nor false"),
        ({"config.x": {}}, "$.config.x", "$exists"),
        ({1: 2}, "$", "not text"),
        ("state", "$", "not an object"),
    ],
)
def test_lint_says_where_and_what_to_write(filters, place, advice):
    with pytest.raises(FilterError) as caught:
        lint_filter(filters)

    assert str(caught.value).startswith(f"{place}: ")
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("filters", "word"),
    [
        ({"displayName": {"$regex": "^a"}}, "reads every run|read every run"),
        ({"state": {"$ne": "finished"}}, "null"),
        ({"host": {"$nin": ["a"]}}, "null"),
        ({"$nor": [{"state": "finished"}]}, "null"),
        ({"state": "Finished"}, "'finished'"),
        ({"config.a.b.c.d.e": 1}, "3 dots"),
        ({"summary_metrics.a.b.c.d.e.f": 1}, "4 dots"),
        ({"$or": []}, "empty list"),
        ({"host": {"$in": []}}, "empty list"),
        ({"config.lr": None}, "null"),
        ({"inputArtifacts": "a"}, "not documented"),
        ({"displayName": {"$regex": "a", "$options": "i"}}, "not documented"),
        ({"summary_metrics": {"$exists": True}}, "names no key"),
    ],
)
def test_lint_warns(filters, word):
    assert any(re.search(word, warning) for warning in lint_filter(filters))


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"state": "finished", "config.lr": 0.1, "config.lr.value": {"$gt": 0, "$lt": 1}},
        {"summary_metrics.val/acc": {"$exists": True}, "keys_info.keys.loss": {"$exists": True}},
        {"display_name": "a", "job_type": "b", "created_at": {"$gt": "2024-01-01T00:00:00Z"}},
        {"$or": [{"tags": None}, {"tags": {"$ne": "x"}}]},
        {"$and": [{"host": {"$ne": None}}, {"host": {"$nin": ["a", "b"]}}]},
        {"$or": [{"host": None}, {"$nor": [{"host": {"$contains": "a"}}]}]},
        {"host": {"$gt": "a", "$ne": "b"}},
        {"config.a.b.c.d": 1, "summary_metrics.a.b.c.d.e": 1},
    ],
)
def test_lint_is_silent_about_portable_filters(filters):
    assert lint_filter(filters) == []


def test_deep_and_circular_filters_are_refused():
    circle: dict[str, Any] = {}
    circle["$and"] = [circle]

    with pytest.raises(FilterError, match="nested deeper"):
        lint_filter(circle)
    with pytest.raises(FilterError, match="nested deeper"):
        make_matcher(circle)


def test_parse_filter_json_reads_an_object():
    assert parse_filter_json('{"state": {"$in": ["a", null]}}') == {"state": {"$in": ["a", None]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"state": }', "line 1 column 11"),
        ('{\n "state" "x"}', "line 2 column 10"),
        ('{"a": NaN}', '"NaN"'),
        ('{"a": -Infinity}', '"-Infinity"'),
        ('{"tags": "a", "tags": "b"}', "stands twice"),
        ("[1]", "write an object"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_parse_filter_json_says_what_is_wrong(text, message):
    with pytest.raises(FilterError, match=re.escape(message)):
        parse_filter_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["state", "$and", "$or", "$nor", "$gt", "$in", "$ne", "$regex", "config.a", "tags"]
            )
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON)
def test_what_lint_accepts_can_be_matched(filters):
    try:
        lint_filter(filters)
    except FilterError:
        return

    assert filter_matches(filters, {"name": "a"}) in (True, False)


@settings(deadline=None)
@given(st.text())
def test_parse_filter_json_raises_nothing_but_filter_errors(text):
    try:
        found = parse_filter_json(text)
    except FilterError:
        return
    assert isinstance(found, dict)
