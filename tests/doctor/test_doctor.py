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
from tests.documents.test_live_schema import ForeignServer, lacking
from tests.fakes import error_reply
from wbgql.doctor import Examination, examine
from wbgql.documents import Prepared, load_documents
from wbgql.errors import ServerUnavailable
from wbgql.server import RunningServer
from wbgql.settings import Settings
from wbgql.wire.retry import RetryPolicy
from wbgql.wire.session import Session
from wbgql.wire.transport import GqlTransport, Reply, Transport


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
    assert [finding for finding in done.findings if finding.level != "ok" and not finding.do] == []


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
    assert "host" not in found
    assert {"Run.tags", "Run.config(keys:)", "DeleteRunInput.id"} <= set(found["present"])
    assert found["absent"] == []
    for secret in (local_server.base_url, "127.0.0.1", local_server.api_key, '"admin"', str(tmp_path)):
        assert secret not in text


def test_the_report_names_what_the_schema_lacks_and_the_host_if_asked(tmp_path: Path) -> None:
    server = ForeignServer(lacking("Run", "storageBytes", "tags"), introspects=True)
    hidden = ForeignServer(lacking("Run", "storageBytes", "tags"), introspects=False)
    reports = []
    for number, one in enumerate((server, hidden)):
        path = tmp_path / f"{number}.json"
        Command(tmp_path, server=one)("doctor", "--report", str(path), "--with-host")
        reports.append(json.loads(path.read_text()))

    for report in reports:
        assert report["absent"] == ["Run.storageBytes", "Run.tags"]
        assert report["host"] == "api.wandb.ai"
        assert "Run.name" in report["present"]
        assert not set(report["absent"]) & set(report["present"])


def test_no_word_of_a_server_gets_into_the_report(tmp_path: Path) -> None:
    class Talkative(ForeignServer):
        def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
            if "__schema" not in prepared.text and "wbgqlAsks" not in prepared.text:
                return error_reply("ada@acme.example may not: key s3cret", status=403)
            reply = super().send(prepared, variables)
            name = "Cannot query field 'ada' on type 'Acme'."
            return Reply(status=400, errors=[*(reply.errors or ()), {"message": name}])

    path = tmp_path / "report.json"
    outcome = Command(tmp_path, server=Talkative(lacking(), introspects=False))(
        "doctor", "--json", "--report", str(path)
    )

    text = path.read_text()
    assert outcome.code == 3
    for secret in ("ada", "acme", "Acme", "s3cret", "api.wandb.ai"):
        assert secret not in text
    assert outcome.err.index('"format"') < outcome.err.index("written to")


def test_with_host_without_a_report_is_a_usage_error(tmp_path: Path) -> None:
    outcome = Command(tmp_path, server=Broken(Reply(status=403, text="no")))("doctor", "--with-host")

    assert outcome.code == 2
    assert "--report" in outcome.err
