"""Deleting artifact versions and files on the local server, through a proxy that loses what networks lose."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.erasure.fault_proxy import Fault, FaultProxy, always, on, proxied
from tests.stored import World
from wbgql.client import Client
from wbgql.deletes import iter_outputs
from wbgql.errors import Held, Kept, NotFound, PartialError, RequestError, ResponseError, UsageError
from wbgql.paths import RunPath
from wbgql.safety.holds import HoldRegister
from wbgql.settings import Settings
from wbgql.wire.session import Session

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOST = Fault(status=502, body=b"")


@pytest.fixture
def proxy(local_server) -> Iterator[FaultProxy]:
    with proxied(local_server.base_url) as running:
        yield running


@pytest.fixture
def client(local_server, proxy: FaultProxy, tmp_path: Path) -> Client:
    settings = Settings(base_url=proxy.base_url, api_key=local_server.api_key)
    session = Session.open(settings, sleep=lambda _seconds: None)
    return Client(settings=settings, session=session, holds=HoldRegister(tmp_path / "holds.json"))


def hold(client: Client, kind: str, value: str) -> None:
    client.holds.add(kind, value, reason="CASE-1", added_by="ada", now=NOW)


def finished(world: World, name: str = "r1") -> RunPath:
    """Make a run that logged a row and ended; the server makes its history an artifact of its own."""
    path = world.run(name)
    world.caller.log(world.project, name, {"loss": 1.0, "_step": 0})
    assert world.caller.stream(world.project, name, complete=True, exitcode=0).status_code == 200
    return path


# ---- artifact versions ----


def test_a_version_is_deleted_by_its_path_and_shown_to_be_gone(world, client, proxy) -> None:
    run = world.run("r1")
    first = world.log("net", {"a": b"1"}, runName="r1")
    world.log("net", {"a": b"2"}, runName="r1")

    done = client.delete_artifact(f"{world.path}/net:v0")

    assert (done.path, done.outcome, done.id, done.state) == (
        f"{world.path}/net:v0",
        "deleted",
        first,
        "DELETED",
    )
    assert proxy.applied("DeleteArtifact", id=first) == 1
    assert [one.path for one in client.artifacts(world.path, collection="net")] == [f"{world.path}/net:v1"]
    assert [one.path for one in iter_outputs(client.session, run)] == [f"{world.path}/net:v1"]
    with pytest.raises(NotFound):
        client.delete_artifact(f"{world.path}/net:v0")


def test_an_id_and_a_listed_version_are_taken_too(world, client) -> None:
    world.run("r1")
    first, second = (world.log("net", {"a": text}, runName="r1") for text in (b"1", b"2"))

    assert client.delete_artifact(first).id == first
    assert client.delete_artifact(client.artifact(f"{world.path}/net:v1")).id == second


def test_the_number_of_a_version_is_no_alias_that_keeps_it(world, client, proxy) -> None:
    world.run("r1")
    first = world.log("net", {"a": b"1"}, runName="r1")
    world.log("net", {"a": b"2"}, runName="r1")

    version = client.artifact(f"{world.path}/net:v0")
    assert [alias.alias for alias in version.aliases] == ["v0"]
    assert version.alias_names == ()
    assert client.delete_artifact(version).outcome == "deleted"
    assert proxy.applied("DeleteArtifact", id=first, deleteAliases=False) == 1


def test_latest_moves_by_itself_and_other_aliases_must_be_given_up(world, client, proxy) -> None:
    world.run("r1")
    world.log("net", {"a": b"1"}, runName="r1", aliases=["latest", "best"])

    with pytest.raises(Kept, match="has the aliases best"):
        client.delete_artifact(f"{world.path}/net:v0")
    assert proxy.mutations == []
    assert client.delete_artifact(f"{world.path}/net:v0", delete_aliases=True).outcome == "deleted"


@pytest.mark.parametrize("kind", ["run", "project", "tag", "user"])
def test_a_hold_on_the_run_that_made_it_or_on_its_project_holds_it(world, client, proxy, kind) -> None:
    world.run("r1")
    world.caller.upsert(world.project, name="r1", tags=["subject:1"])
    world.log("net", {"a": b"1"}, runName="r1")
    values = {"run": f"{world.path}/r1", "project": world.path, "tag": "subject:1", "user": "admin"}
    hold(client, kind, values[kind])

    with pytest.raises(Held):
        client.delete_artifact(f"{world.path}/net:v0")
    assert proxy.mutations == []


def test_a_version_without_a_known_run_is_held_while_there_are_holds(world, client) -> None:
    world.log("net", {"a": b"1"})
    hold(client, "run", "other/project/run")

    with pytest.raises(Held, match="made by no run that is known"):
        client.delete_artifact(f"{world.path}/net:v0")


def test_a_system_artifact_is_kept_without_a_request_that_the_server_would_refuse(
    world, client, proxy
) -> None:
    run = finished(world)
    mine = world.log("net", {"a": b"1"}, runName="r1")
    (system,) = [one for one in iter_outputs(client.session, run) if one.is_system]

    outcomes = client.delete_artifacts([system, mine], check=False)

    assert [one.outcome for one in outcomes] == ["kept", "deleted"]
    assert "the server's own" in outcomes[0].reason
    assert proxy.applied("DeleteArtifact") == 1


def test_a_lost_answer_is_looked_up_and_sent_once_more_only_if_it_was_not_applied(
    world, client, proxy
) -> None:
    world.run("r1")
    first, second = (world.log("net", {"a": text}, runName="r1") for text in (b"1", b"2"))

    proxy.choose = on("DeleteArtifact", LOST)
    applied = client.delete_artifact(first)
    proxy.forget()
    proxy.choose = on("DeleteArtifact", Fault(forward=False, status=502, body=b""))
    sent_again = client.delete_artifact(second)

    assert (applied.outcome, applied.answered) == ("deleted", False)
    assert (sent_again.outcome, sent_again.answered) == ("deleted", True)
    assert proxy.applied("DeleteArtifact", id=second) == 1


def test_a_429_is_waited_out(world, client, proxy) -> None:
    world.run("r1")
    first = world.log("net", {"a": b"1"}, runName="r1")
    slow = Fault(forward=False, status=429, body=b"", headers={"Retry-After": "0.2"})
    proxy.choose = on("DeleteArtifact", slow, slow)

    assert client.delete_artifacts([first])[0].outcome == "deleted"


def test_a_deletion_that_is_acknowledged_and_not_done_is_an_error(world, client, proxy) -> None:
    world.run("r1")
    first = world.log("net", {"a": b"1"}, runName="r1")
    taken = b'{"data":{"deleteArtifact":{"artifact":{"id":"x","state":"DELETED"}}}}'
    proxy.choose = always("DeleteArtifact", Fault(forward=False, status=200, body=taken))

    with pytest.raises(ResponseError, match="acknowledged"):
        client.delete_artifact(first)


def test_null_with_a_project_that_vanished_proves_nothing(world, client, proxy) -> None:
    world.run("r1")
    first = world.log("net", {"a": b"1"}, runName="r1")
    blind = Fault(change=lambda _: {"data": {"artifact": None, "project": None}})
    proxy.choose = always("LookUpVersion", blind)

    (outcome,) = client.delete_artifacts([first], check=False)

    assert outcome.outcome == "unknown"
    assert "rights may have been lost" in outcome.reason


# ---- files ----


def test_files_are_deleted_by_name_and_shown_to_be_gone(world, client, proxy) -> None:
    run = finished(world)
    world.store("r1", {"a.txt": b"1", "b.txt": b"2"})

    done = client.delete_files(run, ["a.txt", "none.txt"])

    assert (done.gone, done.absent_before) == (["a.txt"], ["none.txt"])
    assert [file.name for file in client.files(run)] == ["b.txt"]
    assert proxy.applied("DeleteFiles") == 1


def test_more_files_than_one_request_takes(world, client, proxy) -> None:
    run = finished(world)
    names = [f"f{number:03}.txt" for number in range(130)]
    world.store("r1", dict.fromkeys(names, b"1"))

    assert client.delete_files(run, names).gone == names
    assert proxy.applied("DeleteFiles") == 2


@pytest.mark.parametrize("success", ["false", "null"])
def test_a_file_of_which_no_success_is_said_is_looked_up(world, client, proxy, success) -> None:
    run = finished(world)
    world.store("r1", {"a.txt": b"1"})
    refused = b'{"data":{"deleteFiles":{"success":%s}}}' % success.encode()
    proxy.choose = always("DeleteFiles", Fault(forward=False, status=200, body=refused))

    with pytest.raises(PartialError, match=r"a\.txt"):
        client.delete_files(run, ["a.txt"])

    proxy.choose = on("DeleteFiles", *[None] * 2, Fault(status=200, body=refused))
    assert client.delete_files(run, ["a.txt"]).gone == ["a.txt"]


def test_a_file_that_was_replaced_since_it_was_listed_is_not_deleted(world, client, proxy) -> None:
    run = finished(world)
    world.store("r1", {"a.txt": b"1"})
    (listed,) = client.files(run)
    client.delete_files(run, ["a.txt"])
    world.store("r1", {"a.txt": b"2"})

    with pytest.raises(UsageError, match="or was replaced since it was listed"):
        client.delete_files(run, [listed])
    assert proxy.applied("DeleteFiles") == 1


def test_a_held_run_keeps_its_files(world, client, proxy) -> None:
    run = finished(world)
    world.store("r1", {"a.txt": b"1"})
    hold(client, "run", str(run))

    with pytest.raises(Held):
        client.delete_files(run, ["a.txt"])
    assert proxy.mutations == []


def test_a_look_that_fails_after_the_mutation_says_that_it_was_sent(world, client, proxy) -> None:
    run = finished(world)
    world.store("r1", {"a.txt": b"1"})
    proxy.choose = on("ListFiles", None, *[Fault(status=500, body=b"{}")] * 6)

    with pytest.raises(RequestError) as caught:
        client.delete_files(run, ["a.txt"])
    assert caught.value.maybe_applied


def test_a_hold_on_the_project_it_is_linked_into_keeps_a_version(world, client, proxy) -> None:
    world.run("r1")
    first = world.log("net", {"a": b"1"}, runName="r1")
    world.caller.upsert(f"{world.project}-registry", name="other")
    given = {
        "artifactID": first,
        "entityName": "admin",
        "projectName": f"{world.project}-registry",
        "artifactPortfolioName": "models",
        "aliases": [],
    }
    link = "mutation L($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex } }"
    world.caller.ask(link, input=given)
    hold(client, "project", f"{world.path}-registry")

    with pytest.raises(Held):
        client.delete_artifact(f"{world.path}/net:v0", delete_links=True, delete_aliases=True)
    assert proxy.applied("DeleteArtifact", id=first) == 0
