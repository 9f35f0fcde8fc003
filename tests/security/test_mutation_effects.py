"""No operation of the caller's own destroys data behind the back of rights and holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLNonNull, GraphQLSchema

import wbgql as wb
from tests.fakes import FakeTransport
from wbgql.documents.effects import EFFECTS, Call
from wbgql.errors import NotApproved
from wbgql.settings import Settings

SCHEMA = wb.load_documents().schema


def input_type(schema: GraphQLSchema, mutation: str) -> GraphQLInputObjectType:
    assert schema.mutation_type is not None
    kind = schema.mutation_type.fields[mutation].args["input"].type
    kind = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    assert isinstance(kind, GraphQLInputObjectType)
    return kind


def mutations() -> list[str]:
    assert SCHEMA.mutation_type is not None
    return sorted(SCHEMA.mutation_type.fields)


def test_each_mutation_of_the_sdl_has_a_row() -> None:
    assert sorted(EFFECTS) == mutations()


def test_arguments_in_the_table_are_those_of_the_sdl() -> None:
    for name, effect in EFFECTS.items():
        assert effect.losing <= input_type(SCHEMA, name).fields.keys(), name


def test_what_the_sdl_says_replaces_a_whole_value_counts_as_losing() -> None:
    replacing = {
        (name, argument)
        for name in mutations()
        for argument, field in input_type(SCHEMA, name).fields.items()
        if "Replaces" in (field.description or "")
    }

    assert len(replacing) >= 2
    for name, argument in replacing:
        assert EFFECTS[name].destroys or argument in EFFECTS[name].losing, (name, argument)


def test_names_that_say_they_destroy_are_believed() -> None:
    words = ("delete", "unlink", "purge", "remove", "rewind", "move")
    named = [name for name in mutations() if name.startswith(words)]

    assert len(named) > 15
    assert [name for name in named if not EFFECTS[name].destroys] == []


def test_a_mutation_that_the_table_lacks_counts_as_destroying() -> None:
    assert Call("emptyProject").destroying({}) == "emptyProject"


def client(folder: Path, text: str, transport: FakeTransport) -> wb.Client:
    folder.mkdir(exist_ok=True)
    (folder / "own.graphql").write_text(text, encoding="utf-8")
    documents = wb.load_documents(folder)
    session = wb.Session(transport, documents=documents)
    return wb.Client(settings=Settings(api_key="k" * 40), operations=[folder], session=session)


def spellings(name: str) -> list[str]:
    """A mutation in the ways it can be written: plain, under an alias, through fragments. `@` is its number."""
    kind = input_type(SCHEMA, name).name
    call = f"{name}(input: $input) {{ __typename }}"
    return [
        f"mutation M@($input: {kind}!) {{ {call} }}",
        f"mutation M@($input: {kind}!) {{ safe: {call} }}",
        f"mutation M@($input: {kind}!) {{ ...F@ }} fragment F@ on Mutation {{ ... on Mutation {{ {call} }} }}",
    ]


def test_nothing_that_destroys_is_sent_however_it_is_written(tmp_path: Path) -> None:
    """Each mutation that destroys, in three spellings, with each argument that makes it destroy."""
    tries: list[tuple[str, dict[str, Any]]] = []
    for name, effect in EFFECTS.items():
        if effect.destroys or effect.losing:
            losing = sorted(effect.losing) or ["clientMutationId"]
            tries += [(text, {"input": {each: None}}) for text in spellings(name) for each in losing]
    texts = [text.replace("@", str(number)) for number, (text, _given) in enumerate(tries)]
    transport = FakeTransport()
    own = client(tmp_path / "own", "\n".join(texts), transport)

    for number, (_text, given) in enumerate(tries):
        with pytest.raises(NotApproved, match="which can destroy data"):
            own.execute(wb.Operation(f"M{number}", dict), **given)
    assert (len(tries) >= 120, transport.sent) == (True, [])


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ('mutation M { upsertBucket(input: {id: "x", jobProgram: "a.py"}) { inserted } }', {}),
        ('mutation M($p: String = "a.py") { upsertBucket(input: {id: "x", jobProgram: $p}) { inserted } }', {}),
        ("mutation M($p: String) { upsertBucket(input: {jobProgram: $p}) { inserted } }", {"p": None}),
        ('mutation M($i: UpsertBucketInput = {tags: []}) { upsertBucket(input: $i) { inserted } }', {}),
        ("mutation M($i: UpsertBucketInput!) { upsertBucket(input: $i) { inserted } }", {"i": "text"}),
        ('mutation M { updateArtifact(input: {artifactID: "x", ttlDurationSeconds: 1}) { __typename } }', {}),
        ('mutation M { modifyRuns(input: {ids: ["x"], removeTags: ["legal-hold"]}) { __typename } }', {}),
        ('mutation M { a: stopRun(input: {id: "x"}) { success } b: upsertBucket(input: {tags: []}) { inserted } }', {}),
    ],
)  # fmt: skip
def test_arguments_are_found_wherever_they_stand(tmp_path: Path, text: str, given: dict[str, Any]) -> None:
    transport = FakeTransport()
    own = client(tmp_path / "own", text, transport)

    with pytest.raises(NotApproved, match="which can destroy data"):
        own.execute(wb.Operation("M", dict), **given)
    assert transport.sent == []


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ('mutation M($n: String) { upsertBucket(input: {id: "x", notes: $n}) { inserted } }', {"n": "a"}),
        ("mutation M($p: String) { upsertBucket(input: {jobProgram: $p}) { inserted } }", {}),
        ("mutation M($i: UpsertBucketInput!) { upsertBucket(input: $i) { inserted } }", {"i": {"notes": "a"}}),
        ('mutation M { modifyRuns(input: {ids: ["x"], addTags: ["a"]}) { __typename } }', {}),
    ],
)  # fmt: skip
def test_what_keeps_the_data_is_sent(tmp_path: Path, text: str, given: dict[str, Any]) -> None:
    answer = {"upsertBucket": {"inserted": False}}
    transport = FakeTransport(answer)

    assert client(tmp_path / "own", text, transport).execute(wb.Operation("M", dict), **given) == answer
    assert len(transport.sent) == 1


def test_a_file_of_ones_own_is_checked_with_its_variables(tmp_path: Path) -> None:
    transport = FakeTransport({"upsertBucket": {"inserted": False}})
    text = "mutation M($i: UpsertBucketInput!) { upsertBucket(input: $i) { inserted } }"
    own, file = client(tmp_path / "own", text, transport), tmp_path / "own" / "own.graphql"

    with pytest.raises(NotApproved, match=r"upsertBucket\(jobProgram\), which can destroy data"):
        own.query(file, {"i": {"id": "x", "jobProgram": "a.py"}}, allow_mutation=True)
    assert transport.sent == []
    assert own.query(file, {"i": {"id": "x", "notes": "a"}}, allow_mutation=True)


def test_the_packaged_upsert_is_checked_like_others(tmp_path: Path) -> None:
    transport = FakeTransport()
    own = client(tmp_path / "own", "query Q { viewer { id } }", transport)

    with pytest.raises(NotApproved, match=r"upsertBucket\(config\).*`wbgql runs update`"):
        own.execute(wb.Operation("UpsertRun", dict), id="x", config=json.dumps({}))
    assert transport.sent == []
