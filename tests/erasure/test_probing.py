"""A probe answers what a server does, touches nothing that was there, and leaves nothing visible."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.caller import new_project
from tests.cli.real_command import RealCommand
from tests.fakes import FakeTransport, data_reply, error_reply
from wbgql.client import Client
from wbgql.documents import Prepared
from wbgql.erasure.probing.probe import HeaderRecorder, Probe
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.profile import parse_profile
from wbgql.errors import Held, UsageError
from wbgql.paths import ProjectPath
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings
from wbgql.wire.session import Session
from wbgql.wire.transport import GqlTransport, Reply


@pytest.fixture
def register(tmp_path: Path) -> HoldRegister:
    made = HoldRegister(tmp_path / "holds.json")
    made.create()
    return made


@pytest.fixture
def settings(local_server: RunningServer) -> Settings:
    return Settings(base_url=local_server.base_url, api_key=local_server.api_key)


def test_it_finds_out_how_the_local_server_deletes(settings, register, caller):
    project = ProjectPath("admin", f"{new_project()}-probe")
    recorder = HeaderRecorder(GqlTransport(settings))
    with Session(recorder) as session:
        profile = Probe(session, project, register, headers=recorder).run(settings.base_url)

    answers = {answer.question: answer.answer for answer in profile.answers}
    unanswered = {"artifacts_of_run", "system_artifacts", "file_urls"}
    assert {question for question, answer in answers.items() if answer == "unanswered"} == unanswered
    expected = {
        "run_after_delete": "null",
        "list_after_delete": "not_listed",
        "deleted_at": "null",
        "second_delete": "ok",
        "id_refused": "refused",
        "undelete": "works",
        "undelete_honours_filter": "yes",
        "undelete_window": str(7 * 86400),
        "storage_tree": "not_in_schema",
    }
    assert answers.items() >= expected.items()
    assert (profile.is_test, profile.deployment, profile.role) == (True, "wbgql-local", "instance admin")
    assert parse_profile(encode(profile)) == profile
    assert profile.answer("second_delete") == "ok"
    runs = caller.ask(
        'query Count($p: String!) { project(entityName: "admin", name: $p) { runCount } }', p=project.project
    )
    assert runs["project"]["runCount"] == 0


def test_a_project_that_is_there_is_left_alone(settings, register, world):
    world.run("somebodys")
    with Client(settings=settings) as client, pytest.raises(UsageError, match="is there already"):
        Probe(client.session, ProjectPath("admin", world.project), register).run(settings.base_url)

    assert world.caller.run(world.project, "somebodys") is not None


def test_a_hold_stops_it_before_anything_is_made(settings, register, caller):
    project = new_project()
    register.add("project", f"admin/{project}", reason="CASE-1", added_by="test", now=datetime.now(UTC))
    with Client(settings=settings) as client, pytest.raises(Held):
        Probe(client.session, ProjectPath("admin", project), register).run(settings.base_url)

    assert caller.run(project, "any") is None


def test_runs_that_cannot_be_hidden_answer_nothing_and_are_told(settings, register, refusing_session):
    session, project = refusing_session
    profile = Probe(session, project, register).run(settings.base_url)

    answers = {answer.question: (answer.answer, answer.detail) for answer in profile.answers}
    for question in ("run_after_delete", "second_delete", "undelete_honours_filter"):
        assert answers[question][0] == "unanswered"
    assert answers["run_after_delete"][1] == "PermissionDenied 403"
    assert profile.left[-1] == "2 runs that could not be hidden: delete them by hand"


@pytest.fixture
def refusing_session(settings: Settings) -> Iterator[tuple[Session, ProjectPath]]:
    """A session whose server lets nobody delete."""
    with Session(NoDeletes(GqlTransport(settings))) as session:
        yield session, ProjectPath("admin", new_project())


class NoDeletes:
    """A transport in front of a server that refuses `deleteRun`."""

    def __init__(self, inner: GqlTransport) -> None:
        self._inner = inner

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        if prepared.name == "DeleteRun":
            return error_reply("permission denied", status=403)
        return self._inner.send(prepared, variables)

    def close(self) -> None:
        self._inner.close()


def test_headers_are_remembered_from_good_answers_only():
    good = data_reply({"viewer": None}, headers={"ratelimit-remaining": "10", "date": "x"})
    bad = error_reply("slow down", status=429)
    recorder = HeaderRecorder(FakeTransport(good, bad))
    prepared = type("Prepared", (), {"name": "GetViewer"})()

    recorder.send(prepared, {})
    recorder.send(prepared, {})

    assert (recorder.seen, recorder.answers) == ({"ratelimit-remaining"}, 1)


def test_what_is_no_profile_is_refused():
    with pytest.raises(UsageError, match="not a profile"):
        parse_profile(b"{}")


@pytest.mark.sdk
def test_the_command_needs_consent_and_writes_a_profile(local_server, tmp_path):
    command = RealCommand(local_server, tmp_path)
    host = local_server.base_url.removeprefix("http://")
    file = tmp_path / "profile.json"

    refused = command("erase", "probe", "-o", str(file))
    done = command("erase", "probe", "-o", str(file), "--yes", "--host", host)

    assert (refused.code, "pass --yes --host" in refused.err) == (7, True)
    assert done.code == 0, done.err
    printed = json.loads(done.out)
    assert printed["digest"] == parse_profile(file.read_bytes()).digest
    assert printed["answers"]["undelete_honours_filter"] == "yes"
    assert {name: printed["answers"][name] for name in ("artifacts_of_run", "file_urls")} == {
        "artifacts_of_run": "stay",
        "file_urls": "absent",
    }
    assert "left on the server: 3 runs" in done.err
    assert "could not be" not in done.err


def test_without_the_sdk_only_what_needs_it_is_unanswered(local_server, tmp_path):
    command = RealCommand(local_server, tmp_path)
    host = local_server.base_url.removeprefix("http://")

    done = command("erase", "probe", "--without-sdk", "--yes", "--host", host)

    answers = json.loads(done.out)["answers"]
    unanswered = {"artifacts_of_run", "system_artifacts", "file_urls"}
    assert {question for question, answer in answers.items() if answer == "unanswered"} == unanswered
