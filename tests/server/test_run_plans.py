"""Pages made without the executor: whatever is selected, the answer is the executor's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bulk import BulkRun, write_runs
from wbgql.resources import schema_file
from wbgql.server import accounts, add_user
from wbgql.server.api.executor import Api
from wbgql.server.backend import Backend, Context
from wbgql.server.http.app import RESOLVERS, _json
from wbgql.server.runs import history, lines
from wbgql.server.settings import ServerSettings

KEY = "k" * 40
RUNS = (
    BulkRun(
        name="plain",
        tags=("a", 'quoted "b"', "ü"),
        config={"lr": 0.1, "deep": {"x": 1}, "_wandb": {"t": {"1": [1]}}},
        summary={"acc": 1, "a": {"b": [1, None]}, 'odd "key"': "ü\n", "nan": float("nan")},
        history=(
            {"_step": 0, "loss": 1.5},
            {"_step": 1, "loss": float("nan"), "pic": {"_type": "image-file"}},
        ),
        events=({"system.cpu": 3, "_timestamp": 1},),
        group="g",
        notes="n",
    ),
    BulkRun(name="empty", sweep="s", host="h", job_type="j"),
    BulkRun(name="huge", summary={"acc": 10**30, "lr": True}, history=({"_step": 0, "n": 10**25},)),
    BulkRun(name="rewritten", history=({"_step": 0, "half \ud800": 1},)),
)
SLOW = "running"
"""A field that a page leaves to the executor, and so everything beside it."""

PLAIN = (
    "__typename", "id", "name", "displayName", "state", "tags", "createdAt", "heartbeatAt", "updatedAt", "deletedAt", "group",
    "jobType", "sweepName", "host", "notes", "description", "commit", "github", "exitcode", "stopped", "historyLineCount",
    "eventsLineCount", "logLineCount", "storageBytes", "projectId", "readOnly", "historyKeys", "systemMetrics",
)  # fmt: skip
KEYS = st.lists(st.sampled_from(["acc", "a.b", "lr", "nan", 'odd "key"', "none", "_wandb"]), max_size=3)
ALIASES = st.sampled_from(["", "", "", "one", "other"])
WHEN = st.sampled_from(["", "", "", " @include(if: $yes)", " @skip(if: $yes)", " @include(if: false)"])
MISSING = object()


@pytest.fixture(scope="module")
def answer_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Asks documents in this process, as the HTTP side does."""
    data = tmp_path_factory.mktemp("plans")
    add_user(data, "admin", KEY, admin=True)
    write_runs(data, "p", RUNS)
    backend = Backend(ServerSettings(data=data))
    with backend.store.write() as db:
        db.execute("UPDATE runs SET exitcode = 3, stop_requested = 1 WHERE name = 'empty'")
        # As a chunk leaves them that was written over earlier lines.
        db.execute(
            "UPDATE run_texts SET history_keys = NULL"
            " WHERE run_id = (SELECT id FROM runs WHERE name = 'rewritten')"
        )
    api = Api(schema_file(), RESOLVERS)

    def ask(document: str, **variables: Any) -> tuple[dict[str, Any], bool]:
        with backend.store.read() as db:
            viewer = accounts.find_viewer(db, KEY)
            assert viewer is not None
            answer = api.execute(Context(backend, viewer, "", db), document, variables, None)
        assert answer.status == 200, answer.body
        edges = answer.body["data"]["project"]["runs"].get("edges", [])
        made_at_once = bool(edges) and isinstance(edges[0], msgspec.Struct)
        return json.loads(_json(answer.body).body)["data"]["project"]["runs"], made_at_once

    yield ask
    backend.close()


@st.composite
def fields(draw: Any) -> str:
    """One field of a run, perhaps renamed, left out by a directive, or inside a fragment."""
    name = draw(st.sampled_from([*PLAIN, "config", "summaryMetrics", "wandbConfig", "user", "project"]))
    alias, given, inner = draw(ALIASES), "", ""
    if name in ("config", "summaryMetrics", "wandbConfig"):
        keys = draw(st.one_of(st.none(), KEYS, st.just("$keys"), st.just('"acc"')))
        given = "" if keys is None else f"(keys: {keys if isinstance(keys, str) else json.dumps(keys)})"
    if name == "user":
        inner = f" {{ {draw(st.sampled_from(['username', 'name id', 'id admin __typename', 'name name']))} }}"
    if name == "project":
        inner = f" {{ {draw(st.sampled_from(['name', 'entityName id', '__typename n: name']))} }}"
    # An alias of its own for each field and argument, so that what repeats goes together.
    label = f"{alias}{name.strip('_')}{crc32(given.encode()) if given else ''}: " if alias or given else ""
    text = f"{label}{name}{given}{draw(WHEN)}{inner}"
    form = draw(
        st.sampled_from(
            ["{}", "{}", "... on Run {{ {} }}", "... on Node {{ id }} {}", "... @include(if: $yes) {{ {} }}"]
        )
    )
    return form.format(text)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(fields(), min_size=1, max_size=8),
    st.booleans(),
    KEYS,
    st.sampled_from(["cursor", "at: cursor __typename", ""]),
)
def test_a_page_is_what_the_executor_makes_of_it(answer_of, selected, yes, keys, beside):
    document = """query P($yes: Boolean!, $keys: [String!]) { project(entityName: "admin", name: "p") {
        runs(order: "+created_at") { edges { %s node { ...Parts %s %s } } pageInfo { endCursor hasNextPage } } } }
        fragment Parts on Run { always: name nothing: host @include(if: $yes) keys: config(keys: $keys) }"""
    quick, made_at_once = answer_of(document % (beside, " ".join(selected), ""), yes=yes, keys=keys)
    whole, also = answer_of(document % (beside, " ".join(selected), SLOW), yes=yes, keys=keys)

    assert made_at_once
    assert not also
    assert all(edge["node"].pop(SLOW, MISSING) is not MISSING for edge in whole["edges"])
    assert json.dumps(quick) == json.dumps(whole)


def test_repeated_fields_are_made_at_once(answer_of):
    twice = """{ project(entityName: "admin", name: "p") { runs { edges { node { name user { name } } } edges {
        cursor node { name id user { username } ...More } } } } } fragment More on Run { user { id } name }"""

    answer, made_at_once = answer_of(twice)

    assert made_at_once
    assert list(answer["edges"][0]) == ["node", "cursor"]
    assert list(answer["edges"][0]["node"]) == ["name", "user", "id"]
    assert list(answer["edges"][0]["node"]["user"]) == ["name", "username", "id"]


def test_two_connections_and_two_lists_of_edges_are_kept_apart(answer_of):
    document = """{ project(entityName: "admin", name: "p") { runs(first: 1, order: "+name") {
        a: edges { node { name } } b: edges { node { id summaryMetrics(keys: "acc") } } edges { cursor } } } }"""

    answer, _ = answer_of(document)

    assert answer["a"] == [{"node": {"name": "empty"}}]
    assert answer["b"][0]["node"]["summaryMetrics"] == "{}"
    assert [list(edge) for edge in answer["edges"]] == [["cursor"]]


def test_an_answer_beside_that_one_encoder_refuses_is_encoded_by_the_other(answer_of):
    """A Struct is no dict, and the standard library's encoder knows none."""
    page, _ = answer_of(
        '{ project(entityName: "admin", name: "p") { runs { edges { node { name tags } } } } }'
    )
    record = msgspec.defstruct("Record", ["name"], gc=False)(name=msgspec.Raw(b'["x"]'))

    beside = {"edges": [record], "half": "\ud800"}
    with pytest.raises(UnicodeEncodeError):
        msgspec.json.encode(beside)
    body = json.loads(_json(beside).body)

    assert body == {"edges": [{"name": ["x"]}], "half": "\ud800"}
    assert page["edges"]


def test_keys_of_history_kept_in_the_earlier_form_are_read_and_gone_on_with():
    earlier = {
        "rows": 2,
        "lastStep": 4,
        "keys": {"a": {"types": {"string": 1, "number": 2}, "monotonic": False, "previous": 7}},
    }

    kept = history.Keys.from_json(json.dumps(earlier))
    kept.add([lines.parse_row('{"_step": 5, "a": "x"}'), lines.parse_row('{"_step": 6, "a": "y"}')])

    assert kept.answer() == {
        "keys": {
            "a": {
                "typeCounts": [{"type": "string", "count": 3}, {"type": "number", "count": 2}],
                "monotonic": False,
                "previousValue": 7,
            },
            "_step": {"typeCounts": [{"type": "number", "count": 2}], "monotonic": True, "previousValue": 6},
        },
        "lastStep": 6,
        "sets": [],
    }
    assert history.Keys.from_json(kept.to_json()).answer() == kept.answer()


def test_keys_of_a_rewritten_history_may_hold_half_a_surrogate_pair(answer_of):
    """They are counted anew, and a page's edges go through one encoder only."""
    document = """{ project(entityName: "admin", name: "p") { runs(filters: "{\\"name\\": \\"rewritten\\"}") {
        edges { node { historyKeys %s } } } } }"""

    quick, made_at_once = answer_of(document % "")
    whole, _ = answer_of(document % SLOW)

    assert made_at_once
    keys = quick["edges"][0]["node"]["historyKeys"]
    assert set(keys["keys"]) == {"_step", "half \ud800"}
    assert keys == whole["edges"][0]["node"]["historyKeys"]
