"""The SDL: it builds, the wandb SDK's documents are valid against it, its nullability is the known one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    NamedTypeNode,
    build_schema,
    execute_sync,
    is_specified_scalar_type,
    parse,
    print_ast,
    validate,
    validate_schema,
)
from graphql.language import Visitor, visit

from tests.sdk_documents import SdkDocument, binary_documents, collect, package_dir, python_documents
from wbgql.resources import schema_file


@cache
def sdl() -> str:
    return schema_file().read_text(encoding="utf-8")


@cache
def schema() -> GraphQLSchema:
    return build_schema(sdl())


def field(path: str) -> str:
    """The type of `Type.field` or `Type.field(argument)`, as the SDL writes it."""
    owner, name, argument = re.fullmatch(r"(\w+)\.(\w+)(?:\((\w+)\))?", path).groups()
    definition = schema().type_map[owner].fields[name]
    return str(definition.args[argument].type if argument else definition.type)


# The SDL by itself


def test_the_sdl_is_a_valid_schema():
    assert validate_schema(schema()) == []


def test_the_custom_scalars_are_those_of_the_server():
    scalars = {
        name
        for name, type_ in schema().type_map.items()
        if type_.__class__.__name__ == "GraphQLScalarType" and not is_specified_scalar_type(type_)
    }

    assert scalars == {"JSONString", "JSON", "DateTime", "Int64", "Duration"}


def test_no_type_is_declared_that_nothing_leads_to():
    reached, waiting = set(), [schema().query_type, schema().mutation_type]
    while waiting:
        type_ = waiting.pop()
        if type_.name not in reached:
            reached.add(type_.name)
            waiting += neighbours(type_)

    unreached = {name for name in schema().type_map if not name.startswith("__")} - reached
    assert unreached == set()


def neighbours(type_: object) -> Iterator[object]:
    for member in getattr(type_, "fields", {}).values():
        yield named(member.type)
        yield from (named(argument.type) for argument in getattr(member, "args", {}).values())
    yield from getattr(type_, "types", ())
    yield from getattr(type_, "interfaces", ())
    if isinstance(type_, GraphQLInterfaceType):
        yield from schema().get_possible_types(type_)


def named(type_: object) -> object:
    return named(type_.of_type) if hasattr(type_, "of_type") else type_


def test_every_connection_has_edges_with_a_cursor_and_a_node():
    connections = [
        type_
        for name, type_ in schema().type_map.items()
        if name.endswith("Connection") and isinstance(type_, GraphQLObjectType)
    ]

    assert len(connections) > 20
    for connection in connections:
        edge = named(connection.fields["edges"].type)
        assert str(connection.fields["edges"].type) == f"[{edge.name}!]!", connection.name
        assert str(edge.fields["cursor"].type) == "String!", edge.name
        assert "node" in edge.fields, edge.name


@pytest.mark.parametrize("name", sorted(schema().mutation_type.fields))
def test_every_mutation_takes_one_input_object(name):
    arguments = schema().mutation_type.fields[name].args

    assert list(arguments) == ["input"]
    assert isinstance(named(arguments["input"].type), GraphQLInputObjectType)


def test_the_server_limits_stand_beside_the_input_fields():
    constraints = schema().type_map["UpsertBucketInput"].fields["name"].ast_node.directives

    assert [(directive.name.value, directive.arguments[0].value.value) for directive in constraints] == [
        ("constraints", "128")
    ]


# Nullability: what decoders and resolvers rely on


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("Query.viewer", "User"),
        ("Query.serverInfo", "ServerInfo"),
        ("Query.project", "Project"),
        ("Query.model", "Project"),
        ("Query.models", "ProjectConnection"),
        ("Query.task", "Task"),
        ("Project.run", "Run"),
        ("Project.bucket", "Run"),
        ("Project.runs", "RunConnection"),
        ("Project.runs(filters)", "JSONString"),
        ("Project.runs(order)", "String"),
        ("Project.runCount", "Int!"),
        ("Project.runActiveCount", "Int!"),
        ("Project.fields", "ProjectFieldConnection!"),
        ("Project.tagCounts", "[RunTagCount!]!"),
        ("Project.runKeySuggestions", "[RunKeySuggestion!]!"),
        ("Project.internalId", "ID!"),
        ("Run.id", "ID!"),
        ("Run.name", "String!"),
        ("Run.displayName", "String"),
        ("Run.state", "String"),
        ("Run.tags", "[String!]"),
        ("Run.config", "JSONString"),
        ("Run.config(keys)", "[String!]"),
        ("Run.config(dotBehavior)", "DotBehavior"),
        ("Run.summaryMetrics(keys)", "[String!]"),
        ("Run.history", "[String!]!"),
        ("Run.history(minStep)", "Int64"),
        ("Run.sampledHistory", "[JSON!]!"),
        ("Run.sampledHistory(specs)", "[JSONString!]!"),
        ("Run.parquetHistory", "ParquetHistory!"),
        ("Run.events", "[String!]!"),
        ("Run.historyKeys", "JSON"),
        ("Run.logLines", "LogLineConnection"),
        ("Run.files", "FileConnection"),
        ("Run.inputArtifacts", "InputArtifactConnection"),
        ("Run.outputArtifacts", "ArtifactConnection"),
        ("Run.createdAt", "DateTime!"),
        ("Run.deletedAt", "DateTime"),
        ("Run.projectId", "ID!"),
        ("Run.storageBytes", "Int64!"),
        ("RunConnection.totalCount", "Int!"),
        ("RunEdge.node", "Run!"),
        ("FileEdge.node", "File"),
        ("FileConnection.totalCount", "Int"),
        ("ArtifactEdge.node", "Artifact"),
        ("VersionedArtifactEdge.node", "Artifact!"),
        ("Artifact.files", "FileConnection"),
        ("Artifact.createdBy", "Initiator"),
        ("UpsertBucketPayload.bucket", "Run"),
        ("UpsertBucketInput.tags", "[String]"),
        ("DeleteRunInput.id", "ID!"),
        ("DeleteRunPayload.clientMutationId", "String"),
        ("DeleteRunsInput.filters", "JSONString!"),
        ("UndeleteRunsInput.filters", "JSONString!"),
        ("ModifyRunsInput.filters", "JSONString"),
        ("MoveRunsPayload.task", "Task!"),
        ("DeleteFilesInput.files", "[ID!]!"),
        ("DeleteFilesInput.projectId", "Int"),
        ("DeleteModelInput.id", "String!"),
        ("ServerInfo.features", "[ServerFeature]!"),
        ("ServerInfo.dataRetentionDuration", "Duration!"),
        ("ServerInfo.deploymentId", "String"),
        ("Sweep.config", "String!"),
    ],
)
def test_type_and_nullability(path, type_):
    assert field(path) == type_


def test_deleting_a_run_keeps_its_artifacts_unless_told():
    for name in ("DeleteRunInput", "DeleteRunsInput"):
        default = schema().type_map[name].fields["deleteArtifacts"].ast_node.default_value
        assert print_ast(default) == "false"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ArtifactState", {"COMMITTED", "DELETED", "PENDING"}),
        ("ArtifactDigestAlgorithm", {"MANIFEST_MD5", "MANIFEST_XXH128"}),
        ("DotBehavior", {"KEEP_ALL_DOT_VALUES", "SKIP_FIRST_DOT_VALUE"}),
        ("TaskState", {"FAILED", "FINISHED", "PENDING", "RUNNING"}),
        ("AlertSeverity", {"ERROR", "INFO", "WARN"}),
    ],
)
def test_enum_values(name, values):
    enum = schema().type_map[name]

    assert isinstance(enum, GraphQLEnumType)
    assert set(enum.values) == values


# What the wandb SDK sends


def documents() -> tuple[SdkDocument, ...]:
    return collect()[0]


def parsed(document: SdkDocument) -> DocumentNode:
    return parse(document.text)


def test_every_document_of_the_sdk_is_valid():
    wrong = {
        f"{document.source}: {document.name}": [error.message for error in errors]
        for document in documents()
        if (errors := validate(schema(), parsed(document)))
    }

    assert wrong == {}


def test_every_type_that_the_sdk_names_is_declared():
    names = {name for document in documents() for name in types_named_in(parsed(document))}

    assert {"Run", "ArtifactCollectionMembership", "JSONString", "UpsertModelInput"} <= names
    assert names - set(schema().type_map) == set()


def types_named_in(document: DocumentNode) -> set[str]:
    names = set()

    class Names(Visitor):
        def enter_named_type(self, node: NamedTypeNode, *_: object) -> None:
            names.add(node.name.value)

    visit(document, Names())
    return names


@pytest.mark.parametrize(
    ("operation", "source"),
    [
        ("UpsertBucket", "bin/wandb-core"),
        ("RunResumeStatus", "bin/wandb-core"),
        ("CreateArtifactFiles", "bin/wandb-core"),
        ("Runs", "apis/public/runs.py"),
        ("DeleteRun", "apis/public/runs.py"),
        ("UpsertSweep", "apis/public/sweeps.py"),
        ("UseArtifact", "sdk/artifacts/_gqlutils.py"),
        ("ArtifactMembershipByName", "sdk/artifacts/_generated/operations.py"),
        ("GetViewer", "apis/_generated/operations.py"),
        ("GetEntityAutomations", "automations/_generated/operations.py"),
    ],
)
def test_the_collection_holds_the_documents_of_each_part_of_the_sdk(operation, source):
    assert (operation, source) in {(document.name, document.source) for document in documents()}


def test_no_document_of_the_sdk_escapes_the_collection():
    assert collect()[1] == ()

    heads = set()
    for file in package_dir().rglob("*.py"):
        heads |= set(
            re.findall(r"^\s*(?:query|mutation) (\w+) *\(\s*\$", file.read_text("utf-8"), re.MULTILINE)
        )
    assert len(heads) > 80
    assert heads - {document.name for document in documents()} == set()


def test_documents_carry_the_fragments_that_they_spread():
    lightweight = [
        {node.name.value for node in parsed(document).definitions if isinstance(node, FragmentDefinitionNode)}
        for document in documents()
        if document.name == "Runs"
    ]

    assert sorted(lightweight, key=sorted) == [{"LightweightRunFragment"}, {"RunFragment"}]


# Source: the struct tags in `wandb-core` of SDK 0.31.0: all fields, whether a feature asks for them or not.
SENT_BY_THE_BINARY = {
    "CreateArtifactInput": {
        "aliases": [{"alias": "latest", "artifactCollectionName": "c"}],
        "artifactCollectionName": "c",
        "artifactCollectionNames": None,
        "artifactTypeName": "dataset",
        "clientID": "x",
        "clientMutationId": None,
        "description": None,
        "digest": "d",
        "digestAlgorithm": "MANIFEST_MD5",
        "distributedID": None,
        "enableDigestDeduplication": True,
        "entityName": "e",
        "historyStep": 0,
        "labels": None,
        "metadata": "{}",
        "projectName": "p",
        "runName": "r",
        "sequenceClientID": "y",
        "storageRegion": None,
        "tags": [{"attributes": None, "tagCategoryName": None, "tagName": "t"}],
        "ttlDurationSeconds": None,
    },
    "CreateArtifactFilesInput": {
        "artifactFiles": [
            {
                "artifactID": "a",
                "artifactManifestID": None,
                "digest": "d",
                "md5": "m",
                "mimetype": None,
                "name": "n",
                "uploadPartsInput": [{"hexMD5": "h", "partNumber": 1}],
            }
        ],
        "clientMutationId": None,
        "cloudRegionID": None,
        "digestAlgorithm": "MANIFEST_MD5",
        "storageLayout": "V2",
    },
    "UseArtifactInput": {
        "artifactEntityName": "e",
        "artifactID": "a",
        "artifactProjectName": "p",
        "clientMutationId": None,
        "entityName": "e",
        "projectName": "p",
        "runName": "r",
        "usedAs": None,
    },
    "ArtifactManifestEntryInput": {
        "birthArtifactID": None,
        "digest": "d",
        "name": "n",
        "ref": None,
        "size": 1,
    },
}


@pytest.mark.parametrize("name", SENT_BY_THE_BINARY)
def test_input_objects_take_all_that_the_sdk_sends(name):
    takes_it = parse(f"query ($input: {name}!) {{ __typename }}")

    result = execute_sync(schema(), takes_it, variable_values={"input": SENT_BY_THE_BINARY[name]})

    assert result.errors is None
    assert result.data == {"__typename": "Query"}


def test_input_objects_refuse_what_they_do_not_know():
    takes_it = parse("query ($input: DeleteRunInput!) { __typename }")

    result = execute_sync(schema(), takes_it, variable_values={"input": {"id": "x", "purge": True}})

    assert "purge" in result.errors[0].message


# The collector itself

BRANCHES = '''
FIELDS = "id name"

def send(api, deep, tag):
    names = ["$id: ID!"]
    if tag:
        names.append("$tag: String")
    api.execute(f"""query One({", ".join(names)}) {{ node {{ {FIELDS} {"more" if deep else "less"} }} }}""")
'''


def test_the_collector_follows_every_choice_of_a_template():
    found, missed = python_documents(BRANCHES)

    assert missed == []
    assert sorted(found) == [
        "query One($id: ID!) { node { id name less } }",
        "query One($id: ID!) { node { id name more } }",
        "query One($id: ID!, $tag: String) { node { id name less } }",
        "query One($id: ID!, $tag: String) { node { id name more } }",
    ]


def test_the_collector_leaves_out_the_template_itself():
    found, _ = python_documents('T = "query One { _X_ }"\nU = T.replace("_X_", "id")\n')

    assert found == ["query One { id }"]


def test_the_collector_says_what_it_cannot_render():
    found, missed = python_documents('def send(api, what):\n    api.execute(f"query One {{ {what()} }}")\n')

    assert found == []
    assert len(missed) == 1


def test_the_collector_takes_constants_from_the_calls_of_a_function():
    code = (
        'def load(fragment):\n    return f"query One {{ ...F }} {fragment}"\n\n'
        'def main():\n    load("fragment F on Query { a }")\n'
    )

    assert python_documents(code) == (["query One { ...F } fragment F on Query { a }"], [])


def test_the_collector_reads_a_document_and_its_fragments_out_of_a_binary():
    one = "query One {\n\ta { ... F }\n}\nfragment F on A {\n\tb\n}"
    two = "query Two ($x: ID!) { c }"

    assert binary_documents(f"\0noise\n{one}\ncrypto/{two}\0{{".encode()) == [one, two]
