"""One thing at a time is changed in the answers that a command reads: see `tests.wire.changed_answers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.conftest import Command
from tests.fakes import RewritingTransport
from tests.wire.changed_answers import BAD, BELIEVED, COMMANDS, ENVELOPES, ODD, make_project, try_changes
from wbgql.client import Client
from wbgql.errors import ErrorsWarning, ResponseError
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings
from wbgql.wire.session import Session
from wbgql.wire.transport import GqlTransport, Reply


@pytest.fixture(scope="module")
def project(local_server: RunningServer) -> str:
    return make_project(local_server)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_changed_answer_ends_badly(
    name: str, project: str, local_server: RunningServer, tmp_path: Path
) -> None:
    kinds = {kind: ODD[kind] for kind in ("null", "text")}
    bad = [one for one in try_changes(name, project, local_server, tmp_path, kinds, {}) if one.ending in BAD]

    assert not bad


@pytest.mark.full
@pytest.mark.parametrize("name", COMMANDS)
def test_no_change_of_any_kind_ends_badly(
    name: str, project: str, local_server: RunningServer, tmp_path: Path
) -> None:
    tries = try_changes(name, project, local_server, tmp_path, {**ODD, "missing": None}, ENVELOPES)

    assert not [one for one in tries if one.ending in BAD and not BELIEVED.search(one.where)]


def add_error(data: Any, path: list[str | int] | None) -> Reply:
    error: dict[str, Any] = {"message": "passing trouble"}
    if path is not None:
        error["path"] = path
    return Reply(data=msgspec.Raw(json.dumps(data).encode()), errors=[error])


@pytest.mark.parametrize(
    "name", ["whoami", "runs list", "runs show", "runs count", "history", "fields", "storage"]
)
def test_errors_next_to_whole_data_are_a_warning(
    name: str, project: str, local_server: RunningServer, tmp_path: Path
) -> None:
    settings = Settings(base_url=local_server.base_url, api_key=local_server.api_key)
    informing = {
        "GetViewer",
        "ListRuns",
        "GetRun",
        "CompareCounts",
        "ScanHistory",
        "ListFields",
        "ListRunBytes",
    }

    def rewrite(operation: str, data: Any) -> Any:
        return add_error(data, None) if operation in informing else data

    argv = [part.format(path=project) for part in COMMANDS[name]]
    plain = Command(tmp_path, server=GqlTransport(settings))
    HoldRegister(tmp_path / "holds.json").create()
    expected = plain(*argv)

    outcome = Command(tmp_path, server=RewritingTransport(GqlTransport(settings), rewrite))(*argv)

    assert (outcome.code, outcome.out) == (expected.code, expected.out), outcome.err
    assert "passing trouble" in outcome.err


def test_an_error_about_a_null_and_errors_in_a_plan_stay_errors(
    project: str, local_server: RunningServer, tmp_path: Path
) -> None:
    settings = Settings(base_url=local_server.base_url, api_key=local_server.api_key)

    def withhold(operation: str, data: Any) -> Any:
        data["project"]["runs"]["edges"][0]["node"]["tags"] = None
        return add_error(data, ["project", "runs", "edges", 0, "node", "tags"])

    session = Session(RewritingTransport(GqlTransport(settings), withhold))
    with pytest.raises(ResponseError, match="passing trouble"):
        list(Client(settings=settings, session=session).runs(project))

    whole = Session(RewritingTransport(GqlTransport(settings), lambda _, data: add_error(data, None)))
    with pytest.warns(ErrorsWarning, match="passing trouble"):
        assert len(list(Client(settings=settings, session=whole).runs(project))) == 4
    with whole.deciding(), pytest.raises(ResponseError, match="passing trouble"):
        list(Client(settings=settings, session=whole).runs(project))
