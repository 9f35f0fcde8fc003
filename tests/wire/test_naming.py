"""Answers about another object than the one that was asked for: reads report them, writes and deletions refuse."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from graphql import FieldNode, OperationDefinitionNode, VariableNode, parse, visit
from graphql.language import Visitor

from tests.fakes import FakeTransport
from tests.stored import World
from wbgql import Client
from wbgql.documents import Documents, Prepared, load_documents
from wbgql.documents.loading import NAMED
from wbgql.errors import RedirectWarning, ResponseError, UsageError
from wbgql.paths import RunPath
from wbgql.settings import Settings
from wbgql.wire.session import Session
from wbgql.wire.transport import GqlTransport, Reply

# A name is no name of the answer's: the version that `collection:alias` names is compared by its collection.
# A lookup of many ids answers in the order of its aliases, beside a control, and shows the state alone.
_COMPARED_ELSEWHERE = {("LookUpVersions", "artifact", "id")}


class LooseServer:
    """Hands requests on to the real server, and takes names for others: `old` for the project's, any case."""

    def __init__(self, settings: Settings, names: Mapping[str, str]) -> None:
        self._transport = GqlTransport(settings)
        self._names = names
        self.sent: list[str] = []

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self.sent.append(prepared.name)
        found = {
            name: self._names.get(value, value) if isinstance(value, str) else value
            for name, value in variables.items()
        }
        return self._transport.send(prepared, found)

    def close(self) -> None:
        self._transport.close()


@pytest.fixture
def loose(world: World) -> Iterator[tuple[Client, LooseServer]]:
    """A client of a server that knows the world's project as `old` too, and run r as R, collection ds as DS."""
    names = {"old": world.project, "R": "r", "Admin": "admin", "DS": "ds", "DS:v0": "ds:v0"}
    transport = LooseServer(world.client.settings, names)
    with Client(settings=world.client.settings, session=Session(transport)) as client:
        yield client, transport


def _filled(world: World) -> RunPath:
    path = RunPath("admin", world.project, "r")
    world.client.upsert_run(path, config={"a": 1}, state="finished")
    world.store("r", {"f.txt": b"x"})
    world.log("ds", {"a": b"1"}, runName="r")
    return path


READS: dict[str, Callable[[Client, str, str], Any]] = {
    "run": lambda client, project, run: client.run(run),
    "runs": lambda client, project, run: list(client.runs(project)),
    "count": lambda client, project, run: client.runs(project).count(),
    "fields": lambda client, project, run: list(client.fields(project)),
    "files": lambda client, project, run: list(client.files(run)),
    "scan": lambda client, project, run: list(client.scan_history(run)),
    "sample": lambda client, project, run: client.sample_history(run, ["loss"]),
    "history": lambda client, project, run: list(client.history([run], keys=["loss"])),
    "exports": lambda client, project, run: client.history_exports(run),
    "metrics": lambda client, project, run: list(client.system_metrics(run)),
    "console": lambda client, project, run: list(client.console_lines(run)),
    "last lines": lambda client, project, run: client.last_console_lines(run, 2),
    "versions": lambda client, project, run: list(client.artifacts(project)),
    "collection": lambda client, project, run: list(client.artifacts(project, collection="ds")),
    "artifact": lambda client, project, run: client.artifact(f"{project}/ds:v0"),
    "types": lambda client, project, run: list(client.artifact_types(project)),
    "collections": lambda client, project, run: list(client.artifact_collections(project)),
    "logged": lambda client, project, run: list(client.logged_artifacts(run)),
    "used": lambda client, project, run: list(client.used_artifacts(run)),
    "lineage": lambda client, project, run: client.lineage(client.run_path(run)),
    "storage": lambda client, project, run: client.storage(project),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_of_a_renamed_project_reports_its_name(
    world: World, loose: tuple[Client, LooseServer], read: Callable[[Client, str, str], Any]
) -> None:
    _filled(world)

    with pytest.warns(RedirectWarning, match=rf"'admin/old[^']*' to 'admin/{world.project}"):
        read(loose[0], "admin/old", "admin/old/r")


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_by_the_real_names_says_nothing(
    world: World, loose: tuple[Client, LooseServer], read: Callable[[Client, str, str], Any]
) -> None:
    path = _filled(world)

    with warnings.catch_warnings():
        warnings.simplefilter("error", RedirectWarning)
        read(loose[0], str(path.project_path), str(path))


def test_what_is_returned_carries_the_real_path(world: World, loose: tuple[Client, LooseServer]) -> None:
    path = _filled(world)
    client = loose[0]

    with pytest.warns(RedirectWarning):
        assert client.run("Admin/old/R").path == path
    with pytest.warns(RedirectWarning):
        assert [run.path for run in client.runs("admin/old")] == [path]
    with pytest.warns(RedirectWarning):
        assert client.artifact("admin/old/DS:v0").path == f"{path.project_path}/ds:v0"


def test_a_difference_in_case_is_reported(world: World, loose: tuple[Client, LooseServer]) -> None:
    path = _filled(world)
    client = loose[0]

    with pytest.warns(RedirectWarning, match=rf"'{path.project_path}/R' to '{path}'"):
        client.run(f"{path.project_path}/R")
    with pytest.warns(RedirectWarning, match=rf"'{path.project_path}/DS' to '{path.project_path}/ds'"):
        client.artifact(f"{path.project_path}/DS:v0")
    with pytest.warns(RedirectWarning, match="'Admin' to 'admin'"):
        list(client.projects("Admin"))


def test_a_list_of_several_pages_is_reported_once(world: World, loose: tuple[Client, LooseServer]) -> None:
    for number in range(5):
        world.client.upsert_run(f"{world.path}/r{number}", state="finished")

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert len(list(loose[0].runs("admin/old", page_size=2))) == 5

    assert [str(one.message)[:32] for one in seen] == ["the server resolved 'admin/old' "]


WRITES: dict[str, Callable[[Client, str], Any]] = {
    "upsert": lambda client, run: client.upsert_run(run, notes="x"),
    "set_tags": lambda client, run: client.set_tags(run, ["x"]),
    "add_tags": lambda client, run: client.add_tags(run, "x"),
    "remove_tags": lambda client, run: client.remove_tags(run, "x"),
    "set_config": lambda client, run: client.set_config(run, {"a": 2}),
    "set_summary": lambda client, run: client.set_summary(run, {"a": 2}),
    "delete_run": lambda client, run: client.delete_run(run),
    "delete_runs": lambda client, run: client.delete_runs([run]),
    "delete_files": lambda client, run: client.delete_files(run, ["f.txt"]),
    "delete_artifact": lambda client, run: client.delete_artifact(
        f"{run.rpartition('/')[0]}/ds:v0", delete_aliases=True
    ),
    "undelete_runs": lambda client, run: client.undelete_runs(run.rpartition("/")[0], ["r"]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("asked", ["admin/old/r", "Admin/{project}/r"])
def test_a_write_or_deletion_refuses_another_path_and_sends_nothing(
    world: World, loose: tuple[Client, LooseServer], write: Callable[[Client, str], Any], asked: str
) -> None:
    _filled(world)
    client, transport = loose

    with pytest.raises(UsageError, match=r"the server resolved .*othing was (changed|deleted|done)"):
        write(client, asked.format(project=world.project))

    kinds = {name: load_documents().get(name).kind for name in transport.sent}
    assert set(kinds.values()) == {"query"}


def test_a_new_run_is_not_made_in_a_renamed_project(world: World, loose: tuple[Client, LooseServer]) -> None:
    _filled(world)

    with pytest.raises(UsageError, match="use that path"):
        loose[0].upsert_run("admin/old/new")

    assert [run.id for run in world.client.runs(world.path)] == ["r"]


def test_a_version_in_a_collection_of_another_case_is_not_deleted(
    world: World, loose: tuple[Client, LooseServer]
) -> None:
    path = _filled(world)

    with pytest.raises(UsageError, match=f"to '{path.project_path}/ds:v0'; use that path"):
        loose[0].delete_artifact(f"{path.project_path}/DS:v0", delete_aliases=True)


def test_another_run_or_version_is_no_answer() -> None:
    run = {
        "project": {
            "name": "p",
            "entityName": "e",
            "run": {"id": "s", "name": "other", "createdAt": "2026-01-01T00:00:00"},
        }
    }
    session = Session(FakeTransport(run, {"artifact": {"id": "theirs", "files": None}}))
    client = Client(settings=Settings(base_url="http://x", api_key="k" * 40), session=session)

    with pytest.raises(ResponseError, match="answered with run 'other' where 'mine' was asked for"):
        client.run("e/p/mine")
    from wbgql.artifacts import iter_artifact_files

    with pytest.raises(ResponseError, match="answered with artifact 'theirs' where 'ours' was asked for"):
        list(iter_artifact_files(session, "ours"))


def test_an_operation_of_ones_own_is_compared_too(
    world: World, loose: tuple[Client, LooseServer], tmp_path: Path
) -> None:
    _filled(world)
    file = tmp_path / "own.graphql"
    file.write_text(
        "query Own($e: String!, $p: String!) { project(entityName: $e, name: $p) { name entityName } }"
    )

    with pytest.warns(RedirectWarning, match=f"'admin/old' to 'admin/{world.project}'"):
        loose[0].query(file, {"e": "admin", "p": "old"})


def test_every_packaged_query_asks_for_the_names_of_what_it_names() -> None:
    documents = load_documents()

    missing = [
        (name, *where)
        for name in documents.names
        if documents.get(name).kind == "query"
        for where in _not_repeated(documents, name)
        if (name, *where) not in _COMPARED_ELSEWHERE
    ]

    assert missing == []


def test_every_result_type_holds_the_names_that_are_compared() -> None:
    from wbgql.client import OPERATIONS

    documents = load_documents()
    for operation in OPERATIONS:
        for echo in documents.get(operation.name).echoes:
            kind: Any = operation.result
            for key in echo.path:
                found = {field.encode_name: field.type for field in msgspec.structs.fields(_struct(kind))}
                assert key in found, f"{operation.name}: {'.'.join(echo.path)}"
                kind = found[key]


def _struct(kind: Any) -> Any:
    return next(
        (
            one
            for one in getattr(kind, "__args__", ())
            if isinstance(one, type) and issubclass(one, msgspec.Struct)
        ),
        kind,
    )


def _not_repeated(documents: Documents, name: str) -> set[tuple[str, str]]:
    """Named fields of an operation, with the names that they are asked for by and do not repeat."""
    named: set[tuple[str, str, str]] = set()

    class Collect(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            if node.name.value in NAMED and node.selection_set:
                given = {
                    one.name.value: one.value.name.value
                    for one in node.arguments or ()
                    if isinstance(one.value, VariableNode)
                }
                named.update(
                    (node.name.value, one, given[one]) for one in NAMED[node.name.value] if one in given
                )

    document = parse(documents.get(name).text)
    assert isinstance(document.definitions[0], OperationDefinitionNode)
    visit(document, Collect())
    repeated = {(echo.path[-1], echo.variable) for echo in documents.get(name).echoes}
    return {(field, argument) for field, argument, variable in named if (argument, variable) not in repeated}
