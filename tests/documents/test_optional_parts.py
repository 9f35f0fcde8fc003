"""`@optional`: what is left out of a text, what a server says that it lacks, and what an answer holds then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from tests.caller import Caller
from tests.documents.test_documents import SDL, documents
from tests.fakes import FakeTransport, error_reply
from wbgql.documents import NOT_FETCHED, NamedObject, Operation, Prepared, Result, load_documents
from wbgql.documents.result_types import check_result_types
from wbgql.errors import DocumentError, ResponseError, SchemaMismatch
from wbgql.wire.connection import Connection
from wbgql.wire.session import Session

MORE_SDL = SDL.replace("state: State!  tags", "state: State!  owner: Project  tags").replace(
    "config: JSONString", "config(keys: [String!]): JSONString"
)
TEXT = """
# Runs of a project. Their sizes only inform.
query Runs($name: String!, $first: Int, $keys: [String!], $tags: Boolean!, $b: Boolean = true) {
  project(name: $name) { name size @optional runs(first: $first) { edges { node { ...Parts } } } }
}
fragment Parts on Run {
  id
  tags @include(if: $tags) @optional
  state @skip(if: $b)
  config(keys: $keys) @optional(args: ["keys"])
  owner @optional { ...Owner }
}
fragment Owner on Project { id size }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "queries").mkdir()
    (tmp_path / "wandb.graphql").write_text(MORE_SDL)
    return tmp_path / "queries"


def text_of(prepared: Prepared, missing: set[str], **variables: Any) -> str:
    """The text as it is sent, on one line; it is valid wherever the SDL is."""
    sent = prepared.fitted(variables, frozenset(missing))
    assert not validate(build_schema(MORE_SDL), parse(sent.text))
    assert all(f"${name}" in sent.text for name in sent.variables)
    return " ".join(sent.text.split())


def test_the_directive_is_never_sent(folder: Path) -> None:
    prepared = documents(folder, runs=TEXT).get("Runs")

    assert "@optional" not in prepared.text
    assert "@" not in text_of(prepared, set(), tags=True, b=False)


def test_a_part_that_is_switched_off_is_not_sent_and_its_variables_neither(folder: Path) -> None:
    prepared = documents(folder, runs=TEXT).get("Runs")

    assert text_of(prepared, set(), tags=False) == (
        "query Runs($name: String!, $first: Int, $keys: [String!]) { project(name: $name) { name size"
        " runs(first: $first) { edges { node { ...Parts } } } } }"
        " fragment Owner on Project { id size }"
        " fragment Parts on Run { id config(keys: $keys) owner { ...Owner } }"
    )
    assert "tags state" in text_of(prepared, set(), tags=True, b=False)


def test_a_missing_part_takes_its_fragments_and_variables_with_it(folder: Path) -> None:
    prepared = documents(folder, runs=TEXT).get("Runs")

    sent = text_of(prepared, {"Run.owner", "Run.config(keys:)"}, tags=False)

    assert "Owner" not in sent
    assert "$keys" not in sent
    assert "fragment Parts on Run { id config }" in sent


def test_the_nearest_optional_part_goes_for_what_is_missing_below_it(folder: Path) -> None:
    prepared = documents(folder, runs=TEXT).get("Runs")

    sent = text_of(prepared, {"Project.size"}, tags=False)

    assert "owner" not in sent
    assert "size" not in sent
    assert text_of(prepared, {"Run.id"}, tags=False) == text_of(prepared, set(), tags=False)


def test_a_fragment_on_a_type_of_another_name_is_asked_for_without_its_name(folder: Path) -> None:
    prepared = documents(folder, runs=TEXT).get("Runs")

    sent = text_of(prepared, {"Run"}, tags=False)

    assert "edges { node { ... { id config(keys: $keys) owner { ...Owner } } } }" in sent
    assert "fragment Parts" not in sent


def test_an_object_without_fields_is_still_asked_for(folder: Path) -> None:
    files = documents(folder, one="query One($b: Boolean!) { project(name: 1) { id @include(if: $b) } }")

    sent = files.get("One").fitted({"b": False}, frozenset())

    assert " ".join(sent.text.split()) == "query One { project(name: 1) { __typename } }"


SAYS = [
    ('Cannot query field "tags" on type "Run".', {"Run.tags"}, set()),
    ("Cannot query field 'tags' on type 'Run'. Did you mean 'state'?", {"Run.tags"}, set()),
    ("Field 'tags' doesn't exist on type 'Run'", {"Run.tags"}, set()),
    ('Cannot query field "tags" on type "RunNode".', {"Run.tags"}, set()),
    ('Unknown argument "keys" on field "Run.config".', {"Run.config(keys:)"}, set()),
    ('Unknown argument "keys" on field "config" of type "Run".', {"Run.config(keys:)"}, set()),
    ('Unknown argument "first" on field "Project.runs".', set(), {"Project.runs(first:)"}),
    ('Cannot query field "id" on type "Run".', set(), {"Run.id"}),
    ('Cannot query field "size" on type "Project".', {"Project.size"}, set()),
    ('Unknown type "Project".', {"Project"}, set()),
    ('Unknown type "Run".', {"Run"}, set()),
    ('Field "force" is not defined by type "RenameInput".', set(), {"RenameInput.force"}),
    (
        "Expected value of type 'RenameInput' not to include unknown field 'force', found: { force: 1 }.",
        set(),
        {"RenameInput.force"},
    ),
]


OFF = [
    "GraphQL introspection has been disabled, but the requested query contained the field '__type'.",
    "GraphQL introspection has been disabled, but the requested query contained the field 'fields'.",
    "GraphQL introspection is not allowed by Apollo Server, but the query contained __schema or __type.",
    "introspection disabled",
]


@pytest.mark.parametrize("message", OFF)
def test_a_server_that_shows_no_types_lacks_the_part_that_asks_for_one(folder: Path, message: str) -> None:
    text = (
        "query One($type: String!) { viewer { id } type: __type(name: $type) @optional { fields { name } } }"
    )
    prepared = documents(folder, one=text).get("One")

    assert prepared.variants is not None
    found = prepared.variants.lacks([message])

    assert found is not None
    assert not found.needed
    assert "__type" not in prepared.fitted({"type": "Run"}, found.optional).text


@pytest.mark.parametrize(("message", "optional", "needed"), SAYS)
def test_what_a_server_lacks_is_read_from_its_words(
    folder: Path, message: str, optional: set[str], needed: set[str]
) -> None:
    variants = documents(folder, runs=TEXT).get("Runs").variants

    assert variants is not None
    found = variants.lacks(["something else", message])
    assert found is not None
    assert (found.optional, found.needed) == (optional, needed)


@pytest.mark.parametrize(
    "message", ["internal error", 'Cannot query field "x" on type "Y".', 'Unknown type "Z".', "tags"]
)
def test_words_about_something_else_say_nothing(folder: Path, message: str) -> None:
    variants = documents(folder, runs=TEXT).get("Runs").variants

    assert variants is not None
    assert variants.lacks([message]) is None


BROKEN = [
    ("mutation M { rename(id: 1) { id @optional } }", "a mutation cannot have"),
    (
        "mutation M { rename(id: 1) { ...F } } fragment F on Project { id @optional }",
        "a mutation cannot have",
    ),
    ('query Q { project(name: 1) { runs(first: 1) @optional(args: ["first"]) { __typename } } }', "narrows"),
    ('query Q { project(name: 1) { runs @optional(args: ["first"]) { __typename } } }', "is not given"),
    ("query Q { project(name: 1) { runs @optional(args: []) { __typename } } }", "names no argument"),
    ('query Q { project(name: 1) { id @optional(arg: ["a"]) } }', "Unknown argument"),
    ('query Q { project(name: 1) { ... @optional(args: ["a"]) { id } } }', "belongs to a field"),
]


@pytest.mark.parametrize(("text", "reason"), BROKEN)
def test_a_document_that_breaks_the_rules_is_refused_with_its_line(
    folder: Path, text: str, reason: str
) -> None:
    with pytest.raises(DocumentError, match=reason) as caught:
        documents(folder, bad="\n" + text.replace("(name: 1)", '(name: "p")')).validate()

    assert caught.value.line == 2


class _Node(Result, frozen=True, kw_only=True):
    id: str
    tags: list[str] | None = NOT_FETCHED


class _Project(NamedObject, frozen=True, kw_only=True):
    size: int = NOT_FETCHED
    runs: Connection[_Node] | None


class _Runs(Result, frozen=True):
    project: _Project | None


RUNS = Operation("Runs", _Runs)
SHORT = """
# Runs of a project. Their sizes only inform.
query Runs($name: String!) {
  project(name: $name) {
    name size @optional runs { pageInfo { hasNextPage } edges { node { id tags @optional } } } } }
"""


def test_the_type_of_an_optional_part_must_allow_that_it_is_unknown(folder: Path) -> None:
    text = 'query Sizes { project(name: "p") { size @optional } }'
    files = documents(folder, sizes=text)

    check_result_types(files, [Operation("Sizes", _LooseSizes)])
    with pytest.raises(
        DocumentError, match="size may be left out of the answer, so its field needs a default"
    ):
        check_result_types(files, [Operation("Sizes", _StrictSizes)])


class _Loose(Result, frozen=True, kw_only=True):
    size: int = NOT_FETCHED


class _LooseSizes(Result, frozen=True, kw_only=True):
    project: _Loose | None


class _Strict(Result, frozen=True, kw_only=True):
    size: int


class _StrictSizes(Result, frozen=True):
    project: _Strict | None


ANSWER = {
    "project": {"name": "p", "runs": {"pageInfo": {"hasNextPage": False}, "edges": [{"node": {"id": "r"}}]}}
}


def test_the_session_asks_again_without_the_part_and_remembers_it(folder: Path) -> None:
    transport = FakeTransport(
        error_reply('Cannot query field "size" on type "Project".', status=400),
        error_reply('Cannot query field "tags" on type "Run".', status=422),
        ANSWER,
        ANSWER,
    )
    session = Session(transport, documents=documents(folder, runs=SHORT))

    found = session.execute(RUNS, name="p").project
    again = session.execute(RUNS, name="p").project

    assert found is not None
    assert found.runs is not None
    assert found.size is NOT_FETCHED
    assert found.runs.nodes[0].tags is NOT_FETCHED
    assert again == found
    assert len(transport.sent) == 4
    assert session.missing == {"Project.size", "Run.tags"}
    assert session.through(lambda inner: inner).missing is session.missing


def test_a_missing_part_that_is_needed_is_named_with_the_server_and_what_it_was_for(folder: Path) -> None:
    transport = FakeTransport(error_reply('Cannot query field "id" on type "Run".', status=400))
    session = Session(transport, documents=documents(folder, runs=SHORT), address="https://w.example")

    with pytest.raises(
        SchemaMismatch, match=r"https://w\.example has no Run\.id, .*: Runs of a project; "
    ) as caught:
        session.execute(RUNS, name="p")

    assert caught.value.coordinates == ("Run.id",)
    assert caught.value.status == 400
    assert 'Cannot query field "id"' in str(caught.value)
    assert "Cannot query" not in caught.value.own_words


def test_a_server_that_refuses_what_was_left_out_already_is_not_asked_for_ever(folder: Path) -> None:
    refusal = error_reply('Cannot query field "size" on type "Project".', status=400)
    transport = FakeTransport(refusal, refusal)

    with pytest.raises(ResponseError, match="Cannot query field"):
        Session(transport, documents=documents(folder, runs=SHORT)).execute(RUNS, name="p")

    assert len(transport.sent) == 2


def test_errors_beside_data_are_no_refusal(folder: Path) -> None:
    transport = FakeTransport(error_reply('Cannot query field "size" on type "Project".', data=ANSWER))
    session = Session(transport, documents=documents(folder, runs=SHORT))

    with pytest.raises(ResponseError, match="Cannot query field"):
        session.execute(RUNS, name="p")
    assert not session.missing


def test_the_local_server_does_not_know_the_directive(caller: Caller) -> None:
    answer = caller.post("{ viewer { id @optional } }")

    assert answer.status_code == 400
    assert "@optional" in answer.json()["errors"][0]["message"]


def test_no_packaged_text_holds_the_directive() -> None:
    packaged = load_documents()

    assert [name for name in packaged.names if "@optional" in packaged.get(name).text] == []
