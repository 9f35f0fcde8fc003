"""What a server's own schema means for the packaged operations: asked without changing anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from graphql import GraphQLObjectType, GraphQLSchema, build_schema, introspection_from_schema, parse, validate

from tests.cli.conftest import Command
from tests.cli.real_command import RealCommand
from tests.fakes import data_reply, error_reply
from wbgql.cli.shared.command_operations import COMMAND_OPERATIONS
from wbgql.client import OPERATIONS
from wbgql.documents import Prepared, load_documents
from wbgql.erasure.operations import OPERATIONS as ERASURE_OPERATIONS
from wbgql.live_schema import Finding, check_live
from wbgql.resources import schema_file
from wbgql.server import RunningServer
from wbgql.wire.session import Session
from wbgql.wire.transport import Reply

DOCUMENTS = load_documents()


class ForeignServer:
    """Validates with a schema of its own and runs nothing. `.texts`: what was sent."""

    def __init__(self, schema: GraphQLSchema, *, introspects: bool) -> None:
        self.schema = schema
        self.introspects = introspects
        self.texts: list[str] = []

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self.texts.append(prepared.text)
        if "__schema" in prepared.text:
            if self.introspects:
                return data_reply(introspection_from_schema(self.schema))
            return error_reply("GraphQL introspection is not allowed", status=400)
        errors = [{"message": error.message} for error in validate(self.schema, parse(prepared.text))]
        return Reply(status=400, errors=errors) if errors else Reply(data=msgspec.Raw(b"{}"))

    def close(self) -> None:
        """Nothing to close."""


def changed(old: str, new: str) -> GraphQLSchema:
    """The SDL with one place changed."""
    text = schema_file().read_text(encoding="utf-8")
    assert old in text
    return build_schema(text.replace(old, new), assume_valid=True)


def finding(schema: GraphQLSchema, operation: str) -> Finding:
    """What a server with this schema, which it shows, means for one operation."""
    found = check_live(
        Session(ForeignServer(schema, introspects=True)), DOCUMENTS, (*OPERATIONS, *ERASURE_OPERATIONS)
    )
    return next(each for each in found.findings if each.operation == operation)


def lacking(type_: str = "Run", *fields: str) -> GraphQLSchema:
    """The SDL without some fields of a type."""
    schema = build_schema(schema_file().read_text(encoding="utf-8"))
    owner = schema.type_map[type_]
    assert isinstance(owner, GraphQLObjectType)
    for field in fields:
        del owner.fields[field]
    return schema


@pytest.mark.parametrize("introspects", [True, False])
def test_an_optional_field_that_is_missing_is_told_and_a_needed_one_is_a_failure(introspects: bool) -> None:
    server = ForeignServer(lacking("Run", "storageBytes", "tags"), introspects=introspects)

    found = check_live(Session(server), DOCUMENTS)

    by_name = {each.operation: each for each in found.findings}
    assert found.introspected is introspects
    assert set(by_name) == set(DOCUMENTS.names)
    assert (by_name["ListRunBytes"].outcome, by_name["ListRunBytes"].without) == (
        "works without",
        ("Run.storageBytes",),
    )
    assert by_name["ListRuns"].outcome == "does not work"
    assert "Cannot query field 'tags' on type 'Run'." in by_name["ListRuns"].reasons
    assert by_name["GetViewer"].outcome == "works"
    mutations = {each.outcome for each in found.findings if each.kind == "mutation"}
    assert ("not checked" in mutations) is not introspects


@pytest.mark.parametrize(
    "odd", ["extend type Query { __odd: Int }", "input Empty extend type Query { odd(a: Empty): Int }"]
)
def test_a_schema_that_is_invalid_elsewhere_is_checked_all_the_same(odd: str) -> None:
    text = schema_file().read_text(encoding="utf-8") + odd
    server = ForeignServer(build_schema(text, assume_valid=True), introspects=True)

    found = check_live(Session(server), DOCUMENTS)

    assert found.introspected
    assert {each.outcome for each in found.findings} == {"works"}


def test_nothing_that_could_run_is_sent_to_a_server_that_hides_its_schema() -> None:
    server = ForeignServer(lacking(), introspects=False)

    check_live(Session(server), DOCUMENTS)

    assert len(server.texts) > 40
    for text in server.texts[1:]:
        assert "wbgqlAsksForNoSuchField" in text
        assert "\nmutation" not in "\n" + text
        assert validate(server.schema, parse(text))


def test_a_server_that_answers_what_does_not_exist_is_asked_once(local_server: RunningServer) -> None:
    class Lenient(ForeignServer):
        def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
            self.texts.append(prepared.text)
            return error_reply("no", status=400) if "__schema" in prepared.text else data_reply({})

    server = Lenient(lacking(), introspects=False)

    found = check_live(Session(server), DOCUMENTS)

    assert {each.outcome for each in found.findings} == {"not checked"}
    assert len(server.texts) == 2


def test_what_a_server_that_names_its_first_mistake_only_does_not_fault_is_not_checked() -> None:
    class First(ForeignServer):
        def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
            reply = super().send(prepared, variables)
            return Reply(status=400, errors=reply.errors[:1]) if reply.errors else reply

    schema = lacking("Run", "storageBytes", "tags")

    found = check_live(Session(First(schema, introspects=False)), DOCUMENTS)
    whole = check_live(Session(ForeignServer(schema, introspects=False)), DOCUMENTS)

    broken = {each.operation for each in whole.findings if each.outcome == "does not work"}
    assert "ListRuns" in broken
    assert {each.operation for each in found.findings if each.outcome == "does not work"} == broken
    others = [each for each in found.findings if each.operation not in broken and each.kind == "query"]
    assert {each.outcome for each in others} == {"not checked"}
    assert {each.reasons for each in others} == {
        ("the server names one mistake only, which may hide others",)
    }


def test_every_operation_works_on_the_local_server(local_server: RunningServer, tmp_path: Path) -> None:
    outcome = RealCommand(local_server, tmp_path)("schema", "check", "--live", "--json")

    record = msgspec.json.decode(outcome.out)
    assert outcome.code == 0, outcome.err
    assert record["introspection"] is True
    assert {each["outcome"] for each in record["operations"]} == {"works"}
    assert len(record["operations"]) == len(DOCUMENTS.names)


def test_what_does_not_work_is_named_by_operation_and_command_and_exits_with_16(tmp_path: Path) -> None:
    server = ForeignServer(lacking("Run", "tags", "storageBytes"), introspects=True)

    outcome = Command(tmp_path, server=server)("schema", "check", "--live", "--format", "table")

    rows = {name.rstrip(): text for name, text in (line.split("  ", 1) for line in outcome.out.splitlines())}
    assert outcome.code == 16
    assert "ListRuns" in outcome.err
    assert "does not work: Cannot query field 'tags' on type 'Run'." in rows["ListRuns"]
    assert rows["ListRunBytes"].strip() == "works without Run.storageBytes"
    assert rows["wbgql whoami"].strip() == "works"
    assert (
        rows["wbgql storage"].strip().startswith("works in part; without Run.storageBytes; does not work: ")
    )
    assert "ListRuns" in rows["wbgql runs export"]
    assert {f"wbgql {words}" for words in COMMAND_OPERATIONS} | set(DOCUMENTS.names) <= rows.keys()


def test_what_could_not_be_checked_exits_with_10(tmp_path: Path) -> None:
    server = ForeignServer(lacking(), introspects=False)

    outcome = Command(tmp_path, server=server)("schema", "check", "--live", "--json")

    record = msgspec.json.decode(outcome.out)
    by_command = {each["command"]: each for each in record["commands"]}
    assert outcome.code == 10
    assert "DeleteRun" in outcome.err
    assert by_command["whoami"]["outcome"] == "works"
    assert by_command["runs tag"]["not_checked"] == ["UpsertRun"]


@pytest.mark.parametrize(
    ("old", "new", "operation", "says"),
    [
        ("  tags: [String!]\n", "  tags: String\n", "ListRuns", "tags is a String, not list"),
        ("  displayName: String\n", "  displayName: Int64\n", "ListRuns", "displayName is a Int64, not str"),
        ("  username: String\n", "  username: [String]\n", "GetViewer", "username is a list, not str"),
    ],
)
def test_a_field_of_another_type_does_not_work(old: str, new: str, operation: str, says: str) -> None:
    found = finding(changed(old, new), operation)

    assert found.outcome == "does not work"
    assert any(says in reason for reason in found.reasons), found.reasons


def test_a_field_that_may_be_null_works_unless_it_is() -> None:
    found = finding(changed("  hasNextPage: Boolean!\n", "  hasNextPage: Boolean\n"), "ListProjects")

    assert (found.outcome, found.unless) == (
        "works",
        ("data.projects.pageInfo.hasNextPage may be null, so its type must allow None",),
    )


@pytest.mark.parametrize(
    ("old", "new", "operation", "says"),
    [
        ("input DeleteRunInput {\n", "input DeleteRunInput {\n  why: String!\n", "DeleteRun", "why"),
        ("  deleteArtifacts: Boolean", "  alsoArtifacts: Boolean", "DeleteRun", "deleteArtifacts"),
    ],
)
def test_an_input_of_another_form_does_not_work(old: str, new: str, operation: str, says: str) -> None:
    found = finding(changed(old, new), operation)

    assert found.outcome == "does not work"
    assert any(says in reason for reason in found.reasons), found.reasons
