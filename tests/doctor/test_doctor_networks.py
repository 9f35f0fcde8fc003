"""`wbgql doctor` on ways to a server that do not work: each is a finding that says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tls import Authority, reply, serving, tunnel
from tests.wire.test_networks import ADA, VARIABLES, Proxy
from wbgql.cli.main import main
from wbgql.doctor import Finding

KEY = "k" * 40


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but those of the test."""
    for name in (*VARIABLES, "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[str]:
    with serving(reply(ADA), authority.issue()) as url:
        yield url


def examine(capsys: pytest.CaptureFixture[str], base_url: str) -> dict[str, Finding]:
    """What `wbgql doctor` finds, by check. Each that is not well must say what to do."""
    code = main(["doctor", "--json", "--timeout", "5", "--base-url", base_url])
    out = capsys.readouterr().out
    found = [Finding(**each) for each in json.loads(out)]
    assert code == (3 if any(each.level == "problem" for each in found) else 0)
    assert [each for each in found if each.level != "ok" and not each.do] == []
    assert KEY not in out
    return {each.check: each for each in found}


def test_an_unknown_authority_is_told_once_with_what_to_set(
    secure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = examine(capsys, secure)

    assert found["tls"].level == "problem"
    assert "self-signed certificate" in found["tls"].found
    assert "REQUESTS_CA_BUNDLE" in found["tls"].do
    assert (found["key"].level, found["key"].do) == ("note", "see tls")
    assert "does not answer" in found["server"].found


def test_a_certificate_is_looked_at(
    secure: str, authority: Authority, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))

    found = examine(capsys, secure)

    assert found["tls"].found.startswith("TLSv1")
    assert "renew" in found["tls"].do  # it ends tomorrow
    assert found["key"].level == "ok"


def test_a_certificate_is_looked_at_through_a_proxy(
    secure: str, authority: Authority, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        unknown = examine(capsys, secure)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
        known = examine(capsys, secure)

    assert known["proxy"].found == proxy.removeprefix("http://")
    assert known["tls"].found.startswith("TLSv1")
    assert known["key"].level == "ok"
    assert (unknown["tls"].level, unknown["key"].do) == ("problem", "see tls")


def test_an_expired_certificate_and_one_of_another_name_say_what_to_do(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    with serving(reply(ADA), authority.issue(days=(-2, -1))) as url:
        expired = examine(capsys, url)
    with serving(reply(ADA), authority.issue("other.example")) as url:
        other = examine(capsys, url)

    assert "must be renewed" in expired["tls"].do
    assert "a name that the certificate holds" in other["tls"].do


@pytest.mark.parametrize("base_url", ["https://wandb.example.test", "http://wandb.example.test"])
def test_a_proxy_that_wants_a_password_is_a_finding_without_it(
    base_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Proxy(407)) as url:
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, url.replace("http://", "http://eve:pr0xypass@"))
        found = examine(capsys, base_url)

    assert found["key"].level == "problem"
    assert "407 Proxy Authentication Required" in found["key"].found
    assert "http://USER:PASSWORD@HOST:PORT" in found["key"].do
    assert "pr0xypass" not in repr(found)


def test_a_host_that_nobody_knows_and_a_port_that_nobody_serves(capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("https://wandb.invalid", "http://127.0.0.1:9"):
        found = examine(capsys, url)

        assert found["key"].level == "problem"
        assert "cannot connect" in found["key"].found
        assert "check the host and the port of base_url" in found["key"].do


def test_no_key_is_a_finding_and_the_way_to_the_server_is_examined_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    with serving(reply(b'{"errors":[{"message":"not logged in"}]}', 401, Date="yesterday")) as url:
        found = examine(capsys, url)

    assert [check for check, each in found.items() if each.level == "problem"] == ["key"]
    assert "wandb login --host http://127.0.0.1" in found["key"].do
    assert "not examined" in found["server"].found
    assert found["clock"].level == "note"


def test_a_refused_key_says_where_it_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(reply(b'{"errors":[{"message":"not logged in"}]}', 401)) as url:
        found = examine(capsys, url)

    assert [check for check, each in found.items() if each.level == "problem"] == ["key"]
    assert "comes from WANDB_API_KEY" in found["key"].do
    assert {found[check].do for check in ("latency", "server", "schema")} == {"see key"}


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("WANDB_BASE_URL", "https://w.example/graphql", "use 'https://w.example'"),
        ("WANDB_BASE_URL", "https://wandb.ai", "use https://api.wandb.ai"),
        ("REQUESTS_CA_BUNDLE", "/no/such.pem", "correct or unset REQUESTS_CA_BUNDLE"),
        ("WANDB_API_KEY", "not a key", "copy it again"),
    ],
)
def test_settings_that_cannot_be_used_are_a_finding(
    variable: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)

    code = main(["doctor", "--json"])
    (found,) = json.loads(capsys.readouterr().out)

    assert code == 3
    assert (found["check"], found["level"]) == ("settings", "problem")
    assert says in found["found"]
    assert "run `wbgql doctor` again" in found["do"]
    assert "not a key" not in found["found"]
