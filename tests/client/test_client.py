"""The facade: what it refuses to send, whatever operation it is handed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import wbgql as wb
from tests.fakes import FakeTransport
from wbgql.errors import NotApproved, UsageError
from wbgql.settings import Settings
from wbgql.wire.session import Session

OWN = """
mutation Sweep($filters: JSONString!) {
  ...Everything
}
fragment Everything on Mutation {
  gone: deleteRuns(input: { entityName: "acme", projectName: "vision", filters: "{}" }) { errors }
}
mutation Rename($id: String!) { upsertBucket(input: { id: $id, displayName: "x" }) { inserted } }
query Who { viewer { username } }
"""


def client(tmp_path: Path, transport: FakeTransport) -> wb.Client:
    (tmp_path / "own.graphql").write_text(OWN.replace("($filters: JSONString!)", ""))
    documents = wb.load_documents(tmp_path)
    session = wb.Session(transport, documents=documents)
    return wb.Client(settings=Settings(api_key="k" * 40), operations=[tmp_path], session=session)


def test_an_operation_of_ones_own_that_destroys_is_never_sent(tmp_path: Path) -> None:
    transport = FakeTransport()

    with pytest.raises(NotApproved, match=r"Sweep asks for deleteRuns"):
        client(tmp_path, transport).execute(wb.Operation("Sweep", dict))
    assert transport.sent == []


@pytest.mark.parametrize("name", ["DeleteRun", "DeleteFiles", "DeleteArtifact"])
def test_a_packaged_operation_that_destroys_goes_only_through_its_gate(tmp_path: Path, name: str) -> None:
    transport = FakeTransport()

    with pytest.raises(NotApproved):
        client(tmp_path, transport).execute(wb.Operation(name, dict), id="S-r1")
    assert transport.sent == []


def test_other_operations_of_ones_own_are_sent(tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = [{"upsertBucket": {"inserted": False}}, {"viewer": {"username": "ada"}}]
    transport = FakeTransport(*answers)
    own = client(tmp_path, transport)

    assert own.execute(wb.Operation("Rename", dict), id="S-r1") == answers[0]
    assert own.execute(wb.Operation("Who", dict)) == answers[1]


@pytest.mark.parametrize(
    "destroy",
    [
        lambda client: client.delete_run("r1"),
        lambda client: client.preview_delete("r1"),
        lambda client: client.delete_runs(["r1"]),
        lambda client: client.delete_files("r1", ["a.txt"]),
    ],
    ids=["run", "preview", "runs", "files"],
)
def test_the_default_project_completes_no_id_of_what_is_destroyed(destroy: Any) -> None:
    """The id may come from a list of another project: `for id in client.runs("ada/other").ids()`."""
    transport = FakeTransport()
    settings = Settings(api_key="k" * 40, entity="ada", project="default")
    client = wb.Client(settings=settings, session=wb.Session(transport))

    with pytest.raises(UsageError, match="run id 'r1' has no project"):
        destroy(client)
    assert transport.sent == []


def test_what_holds_a_key_or_a_connection_is_not_pickled_and_says_what_to_do() -> None:
    client = wb.Client(settings=Settings(api_key="k" * 40), session=Session(FakeTransport()))

    for held in (client, client.session, client.runs("acme/vision"), client.settings):
        with pytest.raises(TypeError, match=r"not pickled.*in each process"):
            pickle.dumps(held)
