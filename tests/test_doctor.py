"""`wbgql doctor`: what it finds, that it only reads, and that its report tells no names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.real_command import RealCommand
from tests.fakes import error_reply
from wbgql.doctor import Examination, examine
from wbgql.documents import Prepared, load_documents
from wbgql.errors import ServerUnavailable
from wbgql.retry import RetryPolicy
from wbgql.server import RunningServer
from wbgql.session import Session
from wbgql.settings import Settings
from wbgql.transport import GqlTransport, Reply, Transport


class Recording(Transport):
    """Hands requests on; `.kinds` lists what they were."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.kinds: list[str] = []

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self.kinds.append(prepared.kind)
        assert not prepared.text.lstrip().startswith("mutation")
        return self.inner.send(prepared, variables)

    def close(self) -> None:
        self.inner.close()


def settings_of(server: RunningServer, **more: Any) -> Settings:
    return Settings(base_url=server.base_url, api_key=server.api_key, **more)


def levels(done: Examination) -> dict[str, str]:
    return {finding.check: finding.level for finding in done.findings}


def test_all_is_well_on_the_local_server_and_nothing_is_written(local_server: RunningServer) -> None:
    settings = settings_of(local_server)
    transport = Recording(GqlTransport(settings))

    done = examine(Session(transport), settings, load_documents())

    assert done.problems == []
    assert {"key", "rights", "latency", "clock", "server version", "retention", "schema"} <= levels(
        done
    ).keys()
    assert set(transport.kinds) == {"query"}
    assert len(transport.kinds) < 15


def test_a_clock_that_is_wrong_and_a_refused_key_are_problems(local_server: RunningServer) -> None:
    settings = settings_of(local_server)
    ahead = datetime.now(UTC) + timedelta(hours=2)

    skewed = examine(Session(GqlTransport(settings)), settings, load_documents(), now=ahead)
    stranger = Settings(base_url=local_server.base_url, api_key="x" * 40)
    refused = examine(Session(GqlTransport(stranger)), stranger, load_documents())

    assert levels(skewed)["clock"] == "problem"
    assert "behind" in next(each.found for each in skewed.findings if each.check == "clock")
    assert levels(refused)["key"] == "problem"


class Broken(Transport):
    """Fails in one way, whatever is asked."""

    def __init__(self, failure: Reply | Exception) -> None:
        self.failure = failure

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        if isinstance(self.failure, Exception):
            raise self.failure
        return self.failure

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=200, text="<html>sign in</html>"),
        Reply(status=403, text="forbidden"),
        error_reply("internal error", status=400),
        ServerUnavailable("refused", sent=False, passing=False),
        Reply(status=200, headers={"date": "yesterday"}),
    ],
)
def test_whatever_fails_is_a_finding(failure: Reply | Exception) -> None:
    settings = Settings(base_url="http://127.0.0.1:9", api_key="k" * 40)

    done = examine(Session(Broken(failure), policy=RetryPolicy(attempts=1)), settings, load_documents())

    assert "key" in {finding.check for finding in done.problems}
    assert "proxy" in levels(done)


def test_a_proxy_address_that_cannot_be_read_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://ada:hush@proxy.example:port")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(base_url="http://server.example", api_key="k" * 40)
    broken = Broken(Reply(status=403, text="forbidden"))

    done = examine(Session(broken), settings, load_documents())

    assert levels(done)["proxy"] == "problem"
    assert "hush" not in repr(done.findings)


def test_a_problem_exits_with_3(tmp_path: Path) -> None:
    outcome = Command(tmp_path, server=Broken(Reply(status=403, text="forbidden")))("doctor", "--json")

    assert outcome.code == 3
    assert "problem" in {row["level"] for row in json.loads(outcome.out)}


def test_the_report_is_private_new_and_tells_no_names(local_server: RunningServer, tmp_path: Path) -> None:
    command = RealCommand(local_server, tmp_path)
    report = tmp_path / "report.json"

    outcome = command("doctor", "--report", str(report))
    again = command("doctor", "--report", str(report))

    text = report.read_text()
    found = json.loads(text)
    assert outcome.code == 0, outcome.err
    assert text in outcome.err
    assert report.stat().st_mode & 0o777 == 0o600
    assert again.code != 0
    assert set(found["operations"]) == set(load_documents().names)
    assert found["deployment"] == "local"
    for secret in (local_server.base_url, "127.0.0.1", local_server.api_key, "admin"):
        assert secret not in text
