"""Documents: loading, validation, preparation, and the check of result types."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from graphql import OperationDefinitionNode, parse

from wbgql.documents import NOT_FETCHED, Documents, Operation, Result, load_documents, load_schema
from wbgql.documents.result_types import check_result_types
from wbgql.errors import DocumentError
from wbgql.wire.connection import Connection

SDL = """
scalar JSONString
scalar Int64
scalar DateTime
scalar JSON
type Query { project(name: String!): Project  node(id: ID!): Node  nodes: [Node!]!  found: Found }
type Mutation { rename(id: ID!, to: String = "x"): Project }
interface Node { id: ID! }
union Found = Project | Run
enum State { RUNNING FINISHED }
type Project implements Node { id: ID!  name: String!  size: Int64!  runs(first: Int): RunConnection }
type Run implements Node {
  id: ID!  state: State!  tags: [String!]  config: JSONString  createdAt: DateTime!  keys: JSON
  loss: Float!  starred: Boolean!  grid: [[Int!]!]!
}
type RunConnection { edges: [RunEdge!]!  pageInfo: PageInfo! }
type RunEdge { node: Run!  cursor: String! }
type PageInfo { hasNextPage: Boolean!  endCursor: String }
"""

LIST_RUNS = """
# Comments are for people.
query ListRuns($project: String!, $first: Int = 10) {
  project(name: $project) { ...ProjectParts runs(first: $first) {
    pageInfo { hasNextPage endCursor } edges { cursor node { ...RunParts } } } }
}
fragment ProjectParts on Project { id name }
fragment RunParts on Run { id ...StateParts }
fragment StateParts on Run { state }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "queries").mkdir()
    (tmp_path / "wandb.graphql").write_text(SDL)
    return tmp_path / "queries"


def documents(folder: Path, **files: str) -> Documents:
    for name, text in files.items():
        (folder / f"{name}.graphql").write_text(text)
    return Documents((folder,), schema=folder.parent / "wandb.graphql")


def test_get_gives_the_operation_with_all_the_fragments_it_needs_and_no_others(folder: Path) -> None:
    files = documents(folder, runs=LIST_RUNS, other='query Other { project(name: "x") { ...ProjectParts } }')

    prepared = files.get("Other")

    defined = [
        item.name.value for item in parse(prepared.text).definitions if hasattr(item, "name") and item.name
    ]
    assert defined == ["Other", "ProjectParts"]
    assert files.get("ListRuns").text.count("fragment ") == 3
    assert "#" not in files.get("ListRuns").text


def test_get_tells_kind_variables_file_and_line(folder: Path) -> None:
    files = documents(folder, runs=LIST_RUNS.replace("= 10", "= 10, $filters: [JSONString!]"))

    prepared = files.get("ListRuns")

    assert (prepared.kind, prepared.file, prepared.line) == ("query", str(folder / "runs.graphql"), 3)
    declared = {name: (item.type, item.required) for name, item in prepared.variables.items()}
    assert declared == {
        "project": ("String!", True),
        "first": ("Int", False),
        "filters": ("[JSONString!]", False),
    }


def test_a_non_null_variable_with_a_default_need_not_be_given(folder: Path) -> None:
    files = documents(
        folder, a='mutation Rename($id: ID!, $to: String! = "x") { rename(id: $id, to: $to) { id } }'
    )

    variables = files.get("Rename").variables

    assert files.get("Rename").kind == "mutation"
    assert [item.required for item in variables.values()] == [True, False]


def test_an_unknown_operation_names_those_that_come_near(folder: Path) -> None:
    with pytest.raises(DocumentError, match=r"no operation 'ListRun' .*did you mean 'ListRuns'"):
        documents(folder, runs=LIST_RUNS).get("ListRun")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("query A {\n  project(name: ) { id } }", 2, "Unexpected"),
        ("\n{ nodes { id } }", 2, "no name"),
        ("type Query { a: Int }", 1, "not types"),
        ("\n\nsubscription S { nodes { id } }", 3, "subscription"),
        (
            "query A { nodes { id } }\nquery A { nodes { id } }",
            2,
            r"'A' is already defined in .*bad\.graphql:1",
        ),
    ],
)
def test_a_broken_file_is_named_with_its_line(folder: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason) as caught:
        _ = documents(folder, bad=text).names

    assert (caught.value.file, caught.value.line) == (str(folder / "bad.graphql"), line)


def test_a_name_defined_in_two_files_names_both(folder: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        _ = documents(folder, a="\nfragment F on Run { id }", b="fragment F on Run { id }").names

    assert f"{folder / 'b.graphql'}:1" in str(caught.value)
    assert f"{folder / 'a.graphql'}:2" in str(caught.value)


def test_validate_names_the_file_and_line_of_the_first_mistake_and_counts_the_rest(folder: Path) -> None:
    bad = "query Bad {\n  nodes {\n    id\n    colour\n    size } }"

    with pytest.raises(DocumentError, match=r"Cannot query field 'colour'.*\(and 1 more\)") as caught:
        documents(folder, a=LIST_RUNS, bad=bad).validate()

    assert (caught.value.file, caught.value.line) == (str(folder / "bad.graphql"), 4)


def test_users_operations_are_validated_at_once_and_may_spread_our_fragments(
    folder: Path, tmp_path: Path
) -> None:
    documents(folder, runs=LIST_RUNS)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "mine.graphql").write_text('query Mine { project(name: "p") { ...ProjectParts } }')
    options: dict[str, Any] = {"schema": tmp_path / "wandb.graphql", "packaged": folder}

    assert load_documents(mine, **options).names == ("ListRuns", "Mine")

    (mine / "mine.graphql").write_text('query Mine { project(name: "p") { ...Nothing } }')
    with pytest.raises(DocumentError, match="Nothing"):
        load_documents(mine, **options)
    assert load_documents(mine, validate=False, **options).names == ("ListRuns", "Mine")


@pytest.mark.parametrize("fill", ["nothing there", "empty", "not text"])
def test_a_folder_without_readable_documents_is_refused(tmp_path: Path, fill: str) -> None:
    folder = tmp_path / "q"
    if fill != "nothing there":
        folder.mkdir()
    if fill == "not text":
        (folder / "a.graphql").write_bytes(b"query \xff\xfe")

    with pytest.raises(DocumentError) as caught:
        _ = Documents((folder,)).names

    assert str(caught.value.file).startswith(str(folder))


@pytest.mark.parametrize(
    ("sdl", "reason"),
    [("type Query {", "Syntax Error"), ("type Query { a: Nope }", "Nope"), ("scalar A", "Query")],
)
def test_a_broken_sdl_is_named(tmp_path: Path, sdl: str, reason: str) -> None:
    (tmp_path / "bad.graphql").write_text(sdl)

    with pytest.raises(DocumentError, match=reason) as caught:
        load_schema(tmp_path / "bad.graphql")

    assert caught.value.file == str(tmp_path / "bad.graphql")


def test_the_packaged_documents_are_parsed_once_per_process_and_fit_the_sdl() -> None:
    packaged = load_documents()

    packaged.validate()

    assert load_documents() is packaged
    assert all(isinstance(packaged.operation_node(name), OperationDefinitionNode) for name in packaged.names)
    assert len(packaged.names) > 10


class Run(Result, frozen=True):
    id: str
    state: str


class Project(Result, frozen=True):
    id: str
    name: str
    runs: Connection[Run] | None


class ListRuns(Result, frozen=True):
    project: Project | None


def test_a_result_type_that_fits_its_operation_passes(folder: Path) -> None:
    check_result_types(documents(folder, runs=LIST_RUNS), [Operation("ListRuns", ListRuns)])


def test_a_result_that_is_no_struct_is_not_looked_into(folder: Path) -> None:
    check_result_types(documents(folder, runs=LIST_RUNS), [Operation("ListRuns", dict)])


def one(type_: Any, *, default: Any = msgspec.NODEFAULT) -> Any:
    """A result type whose `found` holds one field `it`."""
    fields: Any = [("it", type_)] if default is msgspec.NODEFAULT else [("it", type_, default)]
    inner = msgspec.defstruct("Inner", fields, bases=(Result,), frozen=True, kw_only=True)
    node = msgspec.defstruct("Node", [("node", inner)], bases=(Result,), frozen=True)
    runs = msgspec.defstruct("Runs", [("edges", list[node])], bases=(Result,), frozen=True)  # type: ignore[valid-type]  # made above
    project = msgspec.defstruct("Project", [("runs", runs | None)], bases=(Result,), frozen=True)
    return msgspec.defstruct("Root", [("project", project | None)], bases=(Result,), frozen=True)


def check_one(folder: Path, selection: str, type_: Any, **default: Any) -> None:
    edges = f"edges {{ node {{ {selection} }} }}"
    query = f'query One($b: Boolean = true) {{ project(name: "p") {{ runs {{ {edges} }} }} }}'
    check_result_types(documents(folder, one=query), [Operation("One", one(type_, **default))])


@pytest.mark.parametrize(
    ("selection", "type_"),
    [
        ("it: id", str),
        ("it: id", str | None),
        ("it: state", str),
        ("it: state", Literal["RUNNING", "FINISHED", "NEW"]),
        ("it: tags", list[str] | None),
        ("it: tags", tuple[str, ...] | None),
        ("it: config", str | None),
        ("it: config", Any),
        ("it: config", msgspec.Raw),
        ("it: createdAt", str),
        ("it: createdAt", datetime),
        ("it: keys", dict[str, int] | None),
        ("it: loss", float),
        ("it: starred", bool),
        ("it: grid", list[list[int]]),
    ],
)
def test_a_type_that_holds_every_answer_fits(folder: Path, selection: str, type_: Any) -> None:
    check_one(folder, selection, type_)


@pytest.mark.parametrize(
    ("selection", "type_", "reason"),
    [
        ("it: id", int, "data.project.runs.edges\\[\\].node.it is a ID, not int"),
        ("it: config", str, "may be null"),
        ("it: config", dict[str, Any] | None, "is a JSONString, not dict"),
        ("it: tags", str | None, "is a list, not str"),
        ("it: tags", list[int] | None, r"it\[\] is a String, not int"),
        ("it: grid", list[int], "is a list, not int"),
        ("it: state", Literal["RUNNING"], "may also be 'FINISHED'"),
        ("it: state", int, "is the enum State"),
        ("it: loss", int, "is a Float, not int"),
        ("it: starred", str, "is a Boolean, not str"),
        ("it: createdAt", int, "is a DateTime, not int"),
        ("it: keys", dict[str, int], "may be null"),
        ("it: id state", str, "node.state is selected, but Inner has no field"),
        ("__typename", str, "node.it is required by Inner, but not selected"),
        ("it: id @include(if: $b)", str, "may be left out"),
        ("... @skip(if: $b) { it: id }", str, "may be left out"),
    ],
)
def test_a_type_that_some_answer_would_not_fit_is_refused(
    folder: Path, selection: str, type_: Any, reason: str
) -> None:
    with pytest.raises(DocumentError, match=reason) as caught:
        check_one(folder, selection, type_)

    assert "One: " in str(caught.value)
    assert caught.value.file == str(folder / "one.graphql")


def test_a_field_that_may_be_left_out_needs_a_default_and_one_sure_selection_is_enough(folder: Path) -> None:
    check_one(folder, "it: id @include(if: $b)", str, default=NOT_FETCHED)
    check_one(folder, "it: id @include(if: $b) ... { it: id }", str)


class AnyNode(Result, frozen=True, kw_only=True):
    id: str
    name: str | None = NOT_FETCHED


class StrictNode(Result, frozen=True, kw_only=True):
    id: str
    name: str


class Nodes(Result, frozen=True):
    nodes: list[AnyNode]


class StrictNodes(Result, frozen=True):
    nodes: list[StrictNode]


def test_a_field_of_a_narrower_type_needs_a_default(folder: Path) -> None:
    files = documents(folder, nodes="query Nodes { nodes { id ... on Project { name } } }")

    check_result_types(files, [Operation("Nodes", Nodes)])
    with pytest.raises(DocumentError, match=r"nodes\[\].name may be left out"):
        check_result_types(files, [Operation("Nodes", StrictNodes)])


class TaggedProject(Result, frozen=True, tag_field="__typename", tag="Project"):
    name: str


class TaggedRun(Result, frozen=True, tag_field="__typename", tag="Run"):
    state: str


class Found(Result, frozen=True):
    found: TaggedProject | TaggedRun | None


def test_structs_tagged_by_typename_are_checked_each_against_its_own_type(folder: Path) -> None:
    parts = "... on Project { name } ... on Run { state }"
    check = [Operation("Found", Found)]

    check_result_types(documents(folder, found=f"query Found {{ found {{ __typename {parts} }} }}"), check)
    with pytest.raises(DocumentError, match="__typename tells TaggedProject apart, but is not selected"):
        check_result_types(documents(folder, found=f"query Found {{ found {{ {parts} }} }}"), check)
    with pytest.raises(DocumentError, match=r"found\.state is required by TaggedRun"):
        check_result_types(
            documents(folder, found="query Found { found { __typename ... on Project { name } } }"), check
        )


def test_results_ignore_fields_they_do_not_know_and_read_graphql_names() -> None:
    class Named(Result, frozen=True):
        display_name: str

    assert msgspec.json.decode(b'{"displayName": "a", "more": 1}', type=Named) == Named(display_name="a")


@pytest.mark.parametrize("selection", ["id", "id it: state @include(if: $b)"])
@pytest.mark.parametrize("default", [None, "", 0])
def test_what_may_be_left_out_must_not_look_null_or_empty(folder: Path, selection: str, default: Any) -> None:
    inner = msgspec.defstruct(
        "Inner", [("id", str), ("it", Any, default)], bases=(Result,), frozen=True, kw_only=True
    )
    node = msgspec.defstruct("Node", [("nodes", list[inner | None])], bases=(Result,), frozen=True)  # type: ignore[valid-type]  # made above
    query = f"query One($b: Boolean = true) {{ nodes {{ {selection} }} }}".replace("state", "id")

    with pytest.raises(DocumentError, match=r"nodes\[\]\.it may be left out.*must be NOT_FETCHED"):
        check_result_types(documents(folder, one=query), [Operation("One", node)])


def test_a_field_is_repeated_with_its_variable_and_nothing_else(tmp_path: Path) -> None:
    text = """
    query Find($p: String!, $r: String!) {
      project(name: $p) { c: run(name: $p) { id } r: run(name: $r) @repeat(times: 2) { id name } }
    }
    """
    (tmp_path / "own.graphql").write_text(text)

    prepared = load_documents(tmp_path).get("Find")

    assert list(prepared.variables) == ["p", "r0", "r1"]
    assert "repeat" not in prepared.text
    assert " ".join(prepared.text.split()) == (
        "query Find($p: String!, $r0: String!, $r1: String!) { project(name: $p) { c: run(name: $p) { id }"
        " r0: run(name: $r0) { id name } r1: run(name: $r1) { id name } } }"
    )


@pytest.mark.parametrize(
    "field", ["run(name: $r) @repeat(times: 2) { id }", "x: run(name: $r) @repeat(times: 2) { id }"]
)
def test_a_repeated_field_without_a_variable_of_its_name_is_refused(tmp_path: Path, field: str) -> None:
    (tmp_path / "own.graphql").write_text(f"query Find($r: String!) {{ project(name: $r) {{ {field} }} }}")

    with pytest.raises(DocumentError, match=r"own.graphql:1: Find: @repeat\(times: N\) belongs on a field"):
        load_documents(tmp_path)
