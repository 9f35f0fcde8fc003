"""`wbgql query`: any operation of one's own, held to the SDL; nothing that destroys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wbgql.errors import DocumentError, NotApproved, UsageError
from wbgql.own_operations import parse_variables, read_own_operation

SWEEPS = """
query Sweeps($entity: String!, $project: String!, $first: Int = 5, $filters: JSONString, $ids: [String!]) {
  project(entityName: $entity, name: $project) { ...P runs(first: $first, filters: $filters, names: $ids) { edges { node { name } } } }
}
fragment P on Project { id name }
"""
TWO = "query A { viewer { id } }\nquery B { viewer { username } }\n"
TAG = 'mutation Tag($id: String!) { upsertBucket(input: {id: $id, notes: "x"}) { inserted } }'


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "own.graphql") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_query_sends_the_operation_and_prints_the_data(command, write) -> None:
    text = 'query Mine($entity: String!, $first: Int) { project(entityName: $entity, name: "vision") { id runs(first: $first) { edges { node { name } } } } }'
    answer = {"project": {"id": "1", "runs": {"edges": [{"node": {"name": "é"}}]}}}
    got = command("query", write(text), "--var", "entity=5", "--vars", '{"first": 2}', answers=[answer])

    assert (got.code, json.loads(got.out)) == (0, answer)
    assert got.sent == [("Mine", {"entity": "5", "first": 2})]


def test_a_name_of_ours_may_be_theirs_and_our_fragments_may_be_spread(command, write) -> None:
    text = "query ListRuns($p: String) { project(name: $p) { runs(first: 1) { pageInfo { ...PageParts } } } }"
    got = command("query", write(text), answers=[{"project": None}])

    assert (got.code, got.operations) == (0, ["ListRuns"])


def test_one_of_several_operations_is_named(command, write) -> None:
    file = write(TWO)

    assert command("query", file, "--operation", "B", answers=[{"viewer": None}]).operations == ["B"]
    unnamed, wrong = command("query", file), command("query", file, "--operation", "C")
    assert (unnamed.code, wrong.code) == (2, 2)
    assert "it holds A, B: say which" in unnamed.err
    assert "no operation 'C'" in wrong.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "query A { viewer { idd } }",
            "own.graphql:1: Cannot query field 'idd' on type 'User'. Did you mean 'id'",
        ),
        ("query A { viewer { id }", "own.graphql:1: Syntax Error"),
        ("{ viewer { id } }", "own.graphql:1: the operation has no name"),
        ("", "own.graphql:1: Syntax Error"),
        ("fragment F on User { id }", "own.graphql"),
        ("query A { viewer { ...Nope } }", "Unknown fragment 'Nope'"),
    ],
)
def test_a_broken_file_is_told_with_its_line_and_nothing_is_sent(command, write, text, said) -> None:
    got = command("query", write(text))

    assert (got.code, got.sent) == (2, [])
    assert said in got.err.replace('"', "'")


@pytest.mark.parametrize("missing", ["nowhere.graphql", ".", ""])
def test_a_file_that_cannot_be_read_is_a_usage_error(command, missing) -> None:
    got = command("query", missing)

    assert (got.code, got.sent) == (2, [])
    assert "cannot be read" in got.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--var", "entity"), "variable 'entity' has no value"),
        (("--var", "entity=a", "--var", "entity=b"), "'entity' is given twice"),
        (("--var", "entity=a"), "$project: String! must be given"),
        (("--var", "entty=a"), "no variable 'entty'"),
        (("--vars", "[1]"), "not a JSON object"),
        (("--vars", "{"), "are not JSON"),
        (("--vars", '{"entity": NaN, "project": "p"}'), "cannot be sent as JSON"),
    ],
)
def test_bad_variables_are_told_before_anything_is_sent(command, write, argv, said) -> None:
    got = command("query", write(SWEEPS), *argv)

    assert (got.code, got.sent) == (2, [])
    assert said in got.err


def test_variables_are_text_where_text_is_due_and_json_elsewhere(write) -> None:
    own = read_own_operation(Path(write(SWEEPS)))
    texts = ["entity=5", "project=true", "first=7", 'filters={"a": 1}', 'ids=["x"]']

    assert parse_variables(own, texts, None) == {
        "entity": "5", "project": "true", "first": 7, "filters": '{"a": 1}', "ids": ["x"],
    }  # fmt: skip


def test_a_mutation_needs_the_word(command, write) -> None:
    file = write(TAG)
    refused = command("query", file, "--var", "id=x")
    sent = command(
        "query", file, "--var", "id=x", "--mutation", answers=[{"upsertBucket": {"inserted": False}}]
    )

    assert (refused.code, refused.sent) == (7, [])
    assert "Tag is a mutation (upsertBucket): say so with --mutation" in refused.err
    assert (sent.code, sent.operations) == (0, ["Tag"])


@pytest.mark.parametrize(
    "text",
    [
        'mutation D { deleteRun(input: {id: "x"}) { clientMutationId } }',
        'mutation D { safe: deleteRun(input: {id: "x"}) { clientMutationId } }',
        'mutation D { ...F } fragment F on Mutation { ... on Mutation { deleteFiles(input: {files: ["x"]}) { success } } }',
        'mutation D { stopRun(input: {id: "x"}) { success } deleteRun(input: {id: "x"}) { clientMutationId } }',
    ],
)
def test_nothing_that_destroys_is_sent_however_it_is_written(command, write, text) -> None:
    got = command("query", write(text), "--mutation", "--yes", "--host", "api.wandb.ai")

    assert (got.code, got.sent) == (7, [])
    assert "`wbgql files delete`" in got.err if "deleteFiles" in text else "`wbgql runs delete`" in got.err


def test_the_library_refuses_what_destroys_as_well(command, write) -> None:
    file = write('mutation D { deleteRun(input: {id: "x"}) { clientMutationId } }')

    from tests.fakes import FakeTransport
    from wbgql.client import Client
    from wbgql.settings import Settings
    from wbgql.wire.session import Session

    transport = FakeTransport()
    client = Client(settings=Settings(api_key="k" * 40), session=Session(transport), holds=command.register)
    with pytest.raises(NotApproved):
        client.query(file, allow_mutation=True)
    assert transport.sent == []


UNDELETE = 'mutation U { undeleteRuns(input: {projectName: "p", entityName: "e", filters: "{}"}) { clientMutationId } }'


def test_what_reaches_far_needs_the_host(command, write) -> None:
    file = write(UNDELETE)
    answer = {"undeleteRuns": {"clientMutationId": None}}
    alone = command("query", file, "--mutation")
    elsewhere = command("query", file, "--mutation", "--yes", "--host", "other.example")
    meant = command("query", file, "--mutation", "--yes", "--host", "api.wandb.ai", answers=[answer])
    typed = command(
        "query", file, "--mutation", interactive=True, stdin="send U to api.wandb.ai\n", answers=[answer]
    )

    assert [(got.code, got.sent) for got in (alone, elsewhere)] == [(7, []), (7, [])]
    assert [got.operations for got in (meant, typed)] == [["U"], ["U"]]
    assert "api.wandb.ai (from test file)" in meant.err


def test_a_mutation_is_not_sent_twice(command, write) -> None:
    from wbgql.errors import ServerUnavailable

    got = command(
        "query", write(TAG), "--var", "id=x", "--mutation", answers=[ServerUnavailable("gone", sent=True)]
    )

    assert (got.code, len(got.sent)) == (9, 1)


def test_the_output_goes_to_a_file_whole(command, write, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    got = command(
        "query", write("query A { viewer { id } }"), "-o", str(target), answers=[{"viewer": {"id": "1"}}]
    )

    assert (got.code, got.out, json.loads(target.read_text())) == (0, "", {"viewer": {"id": "1"}})


def test_reading_refuses_unknown_names_and_bad_variables(write) -> None:
    with pytest.raises(DocumentError):
        read_own_operation(Path(write(TWO)))
    with pytest.raises(UsageError):
        parse_variables(read_own_operation(Path(write(TWO)), "A"), ["x=1"], None)
