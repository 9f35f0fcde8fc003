"""What stands between an administrator and the server: authorities of their own, proxies, redirects."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.tls import Authority, reply, serving
from wbgql.cli.main import main
from wbgql.downloads.fetching import HttpFetcher
from wbgql.errors import ConfigError, InsecureTransportWarning, RequestError, ServerUnavailable
from wbgql.settings import Settings, resolve_settings
from wbgql.viewer import GET_VIEWER
from wbgql.wire.session import Session

KEY = "k" * 40
ADA = (
    b'{"data":{"viewer":{"id":"VXNlcjox","username":"ada","email":null,"entity":"ada","admin":true,'
    b'"teams":{"edges":[]}}}}'
)
VARIABLES = (
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"),
)


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[str]:
    with serving(reply(ADA), authority.issue()) as url:
        yield url


def ask(base_url: str, **settings: Any) -> str | None:
    """Ask who the key belongs to; a repetition ends the test."""
    made = Settings(base_url=base_url, api_key=KEY, timeout_s=5.0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Session.open(made, on_retry=refuse_retries) as session:
            viewer = session.execute(GET_VIEWER).viewer
    assert viewer is not None
    return viewer.username


def refuse_retries(error: RequestError, attempt: int, delay: float) -> None:
    raise AssertionError(f"attempt {attempt} is repeated: {error}")


def read(url: str, **settings: Any) -> bytes:
    """Read stored content at an address of the server."""
    fetcher = HttpFetcher(Settings(base_url=url, api_key=KEY, timeout_s=5.0, **settings))
    try:
        with fetcher.open(f"{url}/stored/file.bin?signature=s3cret") as chunks:
            return b"".join(chunks)
    finally:
        fetcher.close()


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_in_the_environment_is_used_for_requests_and_downloads(
    secure: str, authority: Authority, tmp_path: Path, variable: str
) -> None:
    environ = {variable: str(authority.bundle), "WANDB_BASE_URL": secure}
    found = resolve_settings(environ=environ, home=tmp_path, cwd=tmp_path)

    assert found.origin["ca_bundle"] == variable
    assert ask(secure, ca_bundle=found.ca_bundle) == "ada"
    assert read(secure, ca_bundle=found.ca_bundle) == ADA


def test_the_argument_beats_the_environment_and_an_empty_variable_is_unset(tmp_path: Path) -> None:
    one, other = tmp_path / "one.pem", tmp_path / "other.pem"
    one.touch()
    other.touch()
    environ = {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": str(one)}

    def bundle(**given: Any) -> str | None:
        return resolve_settings(environ=environ, home=tmp_path, cwd=tmp_path, **given).ca_bundle

    assert bundle() == str(one)
    assert bundle(ca_bundle=str(other)) == str(other)


def test_a_bundle_that_is_not_there_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'/no/such\.pem' does not exist: correct or unset SSL_CERT_FILE"):
        resolve_settings(environ={"SSL_CERT_FILE": "/no/such.pem"}, home=tmp_path, cwd=tmp_path)


def test_a_bundle_without_a_certificate_is_named(secure: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")

    with pytest.raises(ConfigError, match=r"empty\.pem.*holds no certificate"):
        ask(secure, ca_bundle=str(empty))
    with pytest.raises(ConfigError, match=r"empty\.pem.*holds no certificate"):
        read(secure, ca_bundle=str(empty))


def test_an_unknown_authority_is_not_retried_and_says_what_to_set(secure: str) -> None:
    for attempt in (ask, read):
        with pytest.raises(ServerUnavailable, match=r"self-signed certificate.*REQUESTS_CA_BUNDLE") as caught:
            attempt(secure)
        assert not caught.value.retryable
        assert "s3cret" not in str(caught.value)


def test_a_bundle_without_the_authority_of_this_server_is_named(secure: str, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")

    with pytest.raises(
        ServerUnavailable, match=r"CA bundle '.*stranger\.pem' .* does not hold its authority"
    ):
        ask(secure, ca_bundle=str(stranger.bundle))


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        ({"days": (-2, -1)}, "certificate has expired; the server's certificate must be renewed"),
        ({"days": (1, 2)}, "not yet valid; check the clock"),
        ({"host": "other.example"}, "base_url must use a name that the certificate holds"),
    ],
)
def test_a_certificate_that_is_wrong_is_explained_and_not_retried(
    authority: Authority, certificate: dict[str, Any], says: str
) -> None:
    with serving(reply(ADA), authority.issue(**certificate)) as url:
        for attempt in (ask, read):
            with pytest.raises(ServerUnavailable, match=says) as caught:
                attempt(url, ca_bundle=str(authority.bundle))
            assert not caught.value.retryable


def test_a_server_that_asks_for_a_client_certificate_is_explained(authority: Authority) -> None:
    with (
        serving(reply(ADA), authority.issue(), clients=authority.bundle) as url,
        pytest.raises(ServerUnavailable, match="may ask for a client certificate") as caught,
    ):
        ask(url, ca_bundle=str(authority.bundle))

    assert not caught.value.retryable


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_verification_can_be_switched_off_with_a_warning(secure: str, tmp_path: Path) -> None:
    environ = {"WANDB_INSECURE_DISABLE_SSL": "true", "WANDB_BASE_URL": secure, "WANDB_API_KEY": KEY}
    found = resolve_settings(environ=environ, home=tmp_path, cwd=tmp_path)

    with pytest.warns(InsecureTransportWarning, match=r"not verified \(WANDB_INSECURE_DISABLE_SSL\)"):
        session = Session.open(found)
    session.close()

    assert ask(secure, verify_tls=found.verify_tls) == "ada"
    assert read(secure, verify_tls=False) == ADA


@pytest.mark.parametrize(("text", "verified"), [("false", True), ("0", True), ("1", False), ("Yes", False)])
def test_the_switch_reads_the_words_of_the_sdk(tmp_path: Path, text: str, verified: bool) -> None:
    environ = {"WANDB_INSECURE_DISABLE_SSL": text}

    assert resolve_settings(environ=environ, home=tmp_path, cwd=tmp_path).verify_tls is verified


def test_a_switch_that_is_neither_on_nor_off_is_refused(tmp_path: Path) -> None:
    environ = {"WANDB_INSECURE_DISABLE_SSL": "maybe"}

    with pytest.raises(ConfigError, match=r"WANDB_INSECURE_DISABLE_SSL.*true or false.*'maybe'"):
        resolve_settings(environ=environ, home=tmp_path, cwd=tmp_path)


class Proxy:
    """A proxy that notes what it is asked, and answers with `status`."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append((f"{request.command} {request.path}", request.headers["Proxy-Authorization"]))
        reply(b"", self.status)(request)


@pytest.mark.parametrize("base_url", ["https://wandb.example.test", "http://wandb.example.test"])
def test_a_proxy_that_wants_a_password_says_so_once(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(407)
    with serving(proxy) as url:
        secret = url.replace("http://", "http://eve:pr0xypass@")
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, secret)
        for attempt in (ask, read):
            with pytest.raises(
                RequestError, match=r"407 Proxy Authentication Required.*HTTPS_PROXY"
            ) as caught:
                attempt(base_url)
            assert not caught.value.retryable
            assert "pr0xypass" not in str(caught.value)

    assert len(proxy.asked) == 2
    assert {credentials for _, credentials in proxy.asked} == {
        "Basic " + base64.b64encode(b"eve:pr0xypass").decode()
    }


def test_a_proxy_that_forbids_the_server_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Proxy(403)) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        with pytest.raises(ServerUnavailable, match=r"proxy refused a tunnel.*HTTP 403") as caught:
            ask("https://wandb.example.test")

    assert not caught.value.retryable


def test_a_server_in_no_proxy_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(407)
    with serving(proxy) as proxy_url, serving(reply(ADA)) as url:
        monkeypatch.setenv("HTTP_PROXY", proxy_url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

        assert ask(url) == "ada"
        assert read(url) == ADA

    assert proxy.asked == []


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://w.example/graphql", "set base_url to 'https://w.example'"),
        ("https://w.example/", "set base_url to 'https://w.example'"),
        ("https://sso.example/login?state=s3cret", "to 'https://sso.example/login', which is no GraphQL"),
        ("/login?next=s3cret", "a sign-in page stands before the server"),
    ],
)
def test_a_redirect_says_where_the_server_is(location: str, says: str) -> None:
    with (
        serving(reply(b"", 301, Location=location)) as url,
        pytest.raises(RequestError, match=says) as caught,
    ):
        ask(url)

    assert "s3cret" not in str(caught.value)


def test_a_byte_order_mark_is_accepted() -> None:
    with serving(reply(b"\xef\xbb\xbf" + ADA)) as url:
        assert ask(url) == "ada"


@pytest.mark.parametrize("text", ["https://w.example/graphql", "https://w.example/graphql/"])
def test_the_address_of_the_endpoint_is_not_that_of_the_server(text: str) -> None:
    with pytest.raises(ConfigError, match=r"GraphQL endpoint: use 'https://w\.example'"):
        Settings(base_url=text)


def test_the_command_line_says_in_one_line_what_the_certificate_lacks(
    secure: str, authority: Authority, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", secure)
    monkeypatch.setenv("WANDB_API_KEY", KEY)

    assert main(["whoami"]) == 9
    refused = capsys.readouterr().err
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    assert main(["whoami", "--json"]) == 0

    assert refused.count("\n") == 1
    assert "REQUESTS_CA_BUNDLE" in refused
    assert '"from": "REQUESTS_CA_BUNDLE"' in capsys.readouterr().out
