"""Servers whose schema lacks what not every server has: what commands and objects say then."""

from __future__ import annotations

import pytest

from tests.caller import new_project
from tests.lacking import LackingTransport
from wbgql.erasure.probing import Probe
from wbgql.holds import HoldRegister
from wbgql.paths import ProjectPath
from wbgql.server import RunningServer
from wbgql.session import Session
from wbgql.settings import Settings
from wbgql.transport import GqlTransport
from wbgql.viewer import Retention, get_retention, get_server_info, get_undo_window


@pytest.fixture
def settings(local_server: RunningServer) -> Settings:
    return Settings(base_url=local_server.base_url, api_key=local_server.api_key)


def session(settings: Settings, *coordinates: str) -> Session:
    return Session(LackingTransport(GqlTransport(settings), *coordinates))


def test_what_a_server_does_not_say_of_itself_is_unknown(settings: Settings) -> None:
    lacks = ("ServerInfo.latestLocalVersionInfo", "ServerInfo.features", "ServerInfo.dataRetentionDuration")
    with session(settings, *lacks) as old:
        info = get_server_info(old)
        assert info is not None
        assert (info.version, info.update, info.enabled_features) == (None, None, [])
        assert get_retention(old) == Retention("wbgql-local", None)
        assert get_undo_window(old) is None
    with session(settings, *lacks, "ServerInfo.deploymentId") as old:
        assert get_retention(old) == Retention(None, None)


def test_the_probe_tells_no_field_from_null(settings: Settings, tmp_path) -> None:
    register = HoldRegister(tmp_path / "holds.json")
    register.create()
    with session(settings, "Run.deletedAt") as old:
        profile = Probe(old, ProjectPath("admin", f"{new_project()}-probe"), register).run(settings.base_url)

    assert profile.answer("deleted_at") == "no_field"
    assert profile.answer("run_after_delete") == "null"
