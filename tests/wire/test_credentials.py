"""Identity tokens: exchanged for access tokens, kept where the SDK keeps them, and never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import responses

from wbgql.client import Client
from wbgql.errors import AuthenticationError, ConfigError, RedirectRefused, ServerUnavailable, WbgqlError
from wbgql.settings import Settings, resolve_settings
from wbgql.wire.credentials import Credentials

BASE = "https://wandb.example"
TOKEN_URL = f"{BASE}/oidc/token"
JWT = "aaaa.bbbb.cccc"
ACCESS = "access-token-0123456789"


def settings(tmp_path: Path, **more: Any) -> Settings:
    file = tmp_path / "token.jwt"
    if not file.exists():
        file.write_text(f"{JWT}\n")
    kept = str(tmp_path / "kept" / "credentials.json")
    return Settings(base_url=BASE, identity_token_file=str(file), credentials_file=kept, **more)


def grant(expires_in: float = 3600) -> None:
    responses.post(TOKEN_URL, json={"access_token": ACCESS, "expires_in": expires_in})


@responses.activate
def test_a_request_carries_the_access_token_and_no_key(tmp_path: Path) -> None:
    grant()
    responses.post(f"{BASE}/graphql", json={"data": {"viewer": None}})

    with pytest.raises(AuthenticationError):  # the stand-in knows nobody
        Client(settings=settings(tmp_path)).viewer()

    exchange, asked = (call.request for call in responses.calls)
    body = exchange.body.decode() if isinstance(exchange.body, bytes) else str(exchange.body)
    assert parse_qs(body) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "assertion": [JWT],
    }
    assert "Authorization" not in exchange.headers
    assert asked.headers["Authorization"] == f"Bearer {ACCESS}"


@responses.activate
def test_an_access_token_is_kept_as_the_sdk_keeps_it_and_used_until_five_minutes_before_its_end(
    tmp_path: Path,
) -> None:
    grant()
    given = settings(tmp_path)
    kept = Path(given.credentials_file or "")
    kept.parent.mkdir()
    other = {"expires_at": "2030-01-01 00:00:00", "access_token": "other"}
    kept.write_text(json.dumps({"credentials": {"https://other.example": other}}))

    first = Credentials(given, now=lambda: 1000.0).authorization()
    again = Credentials(given, now=lambda: 1000.0 + 3299).authorization()
    entries = json.loads(kept.read_text())["credentials"]
    Credentials(given, now=lambda: 1000.0 + 3300).authorization()

    assert str(first) == str(again) == f"Bearer {ACCESS}"
    assert entries == {
        "https://other.example": other,
        BASE: {"expires_at": "1970-01-01 01:16:40", "access_token": ACCESS},
    }
    assert kept.stat().st_mode & 0o777 == 0o600
    assert len(responses.calls) == 2


@responses.activate
@pytest.mark.parametrize(
    "content", ["", "[]", '{"credentials": 1}', '{"credentials": {"https://wandb.example": {}}}']
)
def test_an_odd_credentials_file_is_written_again(tmp_path: Path, content: str) -> None:
    grant()
    given = settings(tmp_path)
    kept = Path(given.credentials_file or "")
    kept.parent.mkdir()
    kept.write_text(content)

    assert Credentials(given).authorization() == f"Bearer {ACCESS}"
    assert json.loads(kept.read_text())["credentials"][BASE]["access_token"] == ACCESS


@responses.activate
@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        ({"status": 401, "json": {"error": "invalid_grant", "error_description": f"bad {JWT}"}}, AuthenticationError, "invalid_grant: bad \\*"),
        ({"status": 404, "body": "<html>"}, AuthenticationError, "HTTP 404"),
        ({"status": 200, "body": "<html>sign in</html>"}, AuthenticationError, "API keys only"),
        ({"status": 302, "headers": {"Location": "https://evil.example/"}}, AuthenticationError, "HTTP 302"),
        ({"status": 503}, ServerUnavailable, "HTTP 503"),
        ({"status": 429}, ServerUnavailable, "HTTP 429"),
        ({"body": requests.ConnectionError("reset")}, ServerUnavailable, "exchanging the identity token"),
    ],
)  # fmt: skip
def test_a_failed_exchange_says_why_and_sends_nothing_else(
    tmp_path: Path, answer: dict[str, Any], kind: type[WbgqlError], says: str
) -> None:
    responses.post(TOKEN_URL, **answer)

    with pytest.raises(kind, match=says) as failed:
        Credentials(settings(tmp_path)).authorization()

    assert JWT not in str(failed.value)
    assert {call.request.url for call in responses.calls} == {TOKEN_URL}
    assert not getattr(failed.value, "sent", False)


@pytest.mark.parametrize("content", [None, "", "two words", "\u00e9"])
def test_a_file_without_a_token_is_named(tmp_path: Path, content: str | None) -> None:
    given = settings(tmp_path)
    file = Path(given.identity_token_file or "")
    if content is None:
        file.unlink()
    else:
        file.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigError, match=r"token\.jwt"):
        Credentials(given).authorization()


def resolve(tmp_path: Path, environ: dict[str, str], **given: Any) -> Settings:
    return resolve_settings(environ=environ, home=tmp_path, cwd=tmp_path / "work", **given)


def test_an_identity_token_of_the_environment_comes_before_netrc(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login u password " + "k" * 40)

    found = resolve(tmp_path, {"WANDB_IDENTITY_TOKEN_FILE": "/t.jwt"})

    assert (found.api_key, found.identity_token_file) == (None, "/t.jwt")
    assert found.credentials_file == str(tmp_path / ".config/wandb/credentials.json")
    assert found.origin["identity_token_file"] == "WANDB_IDENTITY_TOKEN_FILE"


def test_the_key_of_an_argument_comes_before_an_identity_token_and_two_in_the_environment_are_refused(
    tmp_path: Path,
) -> None:
    environ = {"WANDB_IDENTITY_TOKEN_FILE": "/t.jwt", "WANDB_CREDENTIALS_FILE": "~/c.json"}

    found = resolve(tmp_path, environ, api_key="k" * 40)

    assert (found.api_key, found.identity_token_file) == ("k" * 40, None)
    assert resolve(tmp_path, environ).credentials_file == str(tmp_path / "c.json")
    with pytest.raises(AuthenticationError, match="both set: unset one"):
        resolve(tmp_path, environ | {"WANDB_API_KEY": "k" * 40})


def test_a_file_of_the_folder_does_not_lead_an_identity_token_away(tmp_path: Path) -> None:
    (tmp_path / "work" / "wandb").mkdir(parents=True)
    (tmp_path / "work" / "wandb" / "settings").write_text("[default]\nbase_url = https://evil.example\n")

    with pytest.raises(RedirectRefused, match="WANDB_IDENTITY_TOKEN_FILE"):
        resolve(tmp_path, {"WANDB_IDENTITY_TOKEN_FILE": "/t.jwt"})
