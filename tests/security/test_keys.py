"""A key goes only where its owner sent it, and no traceback shows it."""

from __future__ import annotations

import io
import os
import pty
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import responses
from click.testing import CliRunner
from rich.console import Console
from rich.traceback import Traceback

import wbgql as wb
from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.cli.shared.confirmed import is_confirmed, remember
from wbgql.downloads.fetching import HttpFetcher
from wbgql.erasure.records.keys import PrivateKey, read_key, write_key
from wbgql.errors import ConfigError, RedirectRefused
from wbgql.limits import Limits
from wbgql.secrecy import Secret, Unshown, basic_authorization
from wbgql.settings import Settings, resolve_settings
from wbgql.wire.retry import RetryPolicy

KEY = "0123456789abcdef" * 6
EVIL = "https://evil.example"


def write_files(tmp_path: Path, *, workspace: str = "", user: str = "", netrc: str = "") -> dict[str, Path]:
    home, cwd = tmp_path / "home", tmp_path / "work"
    for file, text in ((cwd / "wandb/settings", workspace), (home / ".config/wandb/settings", user)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[default]\n{text}\n")
    (home / ".netrc").write_text(netrc)
    return {"home": home, "cwd": cwd}


def resolve(
    tmp_path: Path, *, workspace: str = "", user: str = "", netrc: str = "", **given: Any
) -> Settings:
    folders = write_files(tmp_path, workspace=workspace, user=user, netrc=netrc)
    return resolve_settings(**{"environ": {}, **folders, **given})


ELSEWHERE: list[dict[str, Any]] = [
    {"environ": {"WANDB_API_KEY": KEY}},
    {"api_key": KEY},
    {"netrc": f"default login user password {KEY}\n"},
    {"user": f"api_key = {KEY}"},
]


@pytest.mark.parametrize("source", ELSEWHERE)
def test_a_file_of_the_folder_does_not_redirect_a_key_from_elsewhere(
    tmp_path: Path, source: dict[str, Any]
) -> None:
    with pytest.raises(RedirectRefused) as refused:
        resolve(tmp_path, workspace=f"base_url = {EVIL}", **source)

    message = str(refused.value)
    assert str(tmp_path / "work/wandb/settings") in message
    assert any(
        origin in message for origin in ("WANDB_API_KEY", "argument", ".netrc", ".config/wandb/settings")
    )
    assert (refused.value.base_url, KEY in message) == (EVIL, False)


@pytest.mark.parametrize(
    "named", [{"base_url": EVIL}, {"environ": {"WANDB_BASE_URL": EVIL}}, {"user": f"base_url = {EVIL}"}]
)
def test_an_address_that_the_user_names_is_confirmed(tmp_path: Path, named: dict[str, Any]) -> None:
    found = resolve(tmp_path, workspace=f"base_url = {EVIL}", api_key=KEY, **named)

    assert (found.base_url, found.api_key) == (EVIL, KEY)


@pytest.mark.parametrize(
    ("workspace", "netrc"),
    [(f"base_url = {EVIL}\napi_key = {KEY}", ""), (f"base_url = {EVIL}", f"machine evil.example login u password {KEY}")],
)  # fmt: skip
def test_a_key_for_this_server_goes_there(tmp_path: Path, workspace: str, netrc: str) -> None:
    assert resolve(tmp_path, workspace=workspace, netrc=netrc).api_key == KEY


def test_a_file_of_the_folder_without_a_key_sends_nothing_of_anybody(tmp_path: Path) -> None:
    assert resolve(tmp_path, workspace=f"base_url = {EVIL}").api_key is None


@pytest.mark.parametrize("source", ELSEWHERE)
def test_a_file_of_the_folder_does_not_turn_off_verification(tmp_path: Path, source: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="insecure_disable_ssl"):
        resolve(tmp_path, workspace="insecure_disable_ssl = true", **source)


def shown(call: Callable[[], object]) -> str:
    """What a traceback with all local variables shows of a failing call, in rich's and in Python's own."""
    try:
        call()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is shown
        console = Console(width=400, record=True, file=io.StringIO())
        trace = Traceback.from_exception(
            type(error), error, error.__traceback__, show_locals=True, locals_max_string=80, max_frames=200
        )
        console.print(trace)
        plain = traceback.TracebackException.from_exception(error, capture_locals=True)
        return console.export_text() + "".join(plain.format())
    raise AssertionError("the call did not fail")


def settings(**more: Any) -> Settings:
    return Settings(base_url="http://127.0.0.1:9", api_key=KEY, timeout_s=0.2, limits=Limits(), **more)


@pytest.mark.parametrize("secret", [Secret(KEY), basic_authorization(KEY)])
def test_a_secret_is_not_shown_in_whole_or_in_part(secret: Secret) -> None:
    assert [repr(secret), repr(secret[:80]), repr([secret]), f"{secret!r}"] == [
        "'***'",
        "'***'",
        "['***']",
        "'***'",
    ]
    assert repr(Unshown({"WANDB_API_KEY": KEY})) == "<1 values>"


WRONG: dict[str, dict[str, Any]] = {
    "a timeout that is no number": {"environ": {"WANDB_HTTP_TIMEOUT": "soon"}},
    "a CA bundle that is missing": {"ca_bundle": "/nowhere/ca.pem"},
    "a project with a slash": {"project": "a/b"},
    "a header that cannot be sent": {"environ": {"WANDB__EXTRA_HTTP_HEADERS": '{"a b": "x"}'}},
    "a switch that is no switch": {"environ": {"WANDB_INSECURE_DISABLE_SSL": "perhaps"}},
    "a redirect by a file of the folder": {"workspace": f"base_url = {EVIL}"},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("source", ELSEWHERE)
def test_no_traceback_of_settings_shows_the_key(tmp_path: Path, source: dict[str, Any], wrong: str) -> None:
    given = source | WRONG[wrong]
    environ = source.get("environ", {}) | WRONG[wrong].get("environ", {})
    folders = write_files(tmp_path, **{name: given.pop(name, "") for name in ("workspace", "user", "netrc")})
    # The frames of this test would show what it hands in.
    arguments: Any = Unshown(given | folders | {"environ": environ})

    text = shown(lambda: resolve_settings(**arguments))

    assert "ConfigError" in text or "RedirectRefused" in text
    assert KEY[:40] not in text.replace(f'KEY = "{KEY}"', "")


def test_no_traceback_shows_the_environment_of_a_command_or_a_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    make_key = PrivateKey.from_seed(b"s" * 32)
    write_key(tmp_path / "ada.key", make_key, "right")

    assert KEY not in repr(App())
    text = shown(lambda: read_key(tmp_path / "ada.key", lambda: KEY[:60]))

    assert "NotApproved" in text
    assert KEY[:40] not in text.replace(f'KEY = "{KEY}"', "")


@responses.activate
def test_no_traceback_of_a_request_shows_the_key() -> None:
    responses.post("http://127.0.0.1:9/graphql", body=ConnectionResetError("reset"))
    responses.get("http://127.0.0.1:9/file", status=401)
    policy = RetryPolicy(attempts=1)
    session = wb.Session.open(settings(), policy=policy)
    fetcher = HttpFetcher(settings())

    def fetch() -> None:
        with fetcher.open("http://127.0.0.1:9/file"):
            pass

    calls = (
        lambda: session.execute(wb.Operation("GetViewer", dict)),
        fetch,
    )
    token = str(basic_authorization(KEY)).removeprefix("Basic ")
    for call in calls:
        text = shown(call)
        assert "Traceback" in text
        for part in (KEY[:40], token[:40]):
            assert part not in text.replace(f'KEY = "{KEY}"', ""), text[-3000:]


@pytest.mark.parametrize(
    ("interactive", "typed", "code", "sent"),
    [(True, EVIL, 0, True), (True, "y", 2, False), (True, "", 2, False), (False, EVIL, 2, False)],
)
@responses.activate
def test_a_redirect_is_confirmed_by_typing_the_address(
    tmp_path: Path, interactive: bool, typed: str, code: int, sent: bool
) -> None:
    viewer = {"id": "VQ==", "username": "ada", "entity": "ada", "admin": False, "flags": "{}"}
    viewer |= {"teams": {"edges": []}, "name": "Ada", "email": "ada@example.com", "organizations": []}
    responses.post(f"{EVIL}/graphql", json={"data": {"viewer": viewer, "serverInfo": None}})

    def make_client(**given: Any) -> wb.Client:
        environ = {"WANDB_API_KEY": KEY}
        return wb.Client(settings=resolve(tmp_path, workspace=f"base_url = {EVIL}", environ=environ, **given))

    kept = tmp_path / "config/confirmed.json"
    environ = {"WBGQL_CONFIRMED": str(kept)}
    app = App(make_client=make_client, is_interactive=lambda: interactive, environ=environ)
    with CliRunner().isolation(input=f"{typed}\n") as (_, err, _):
        ended = main(("whoami",), app)
        said = err.getvalue().decode()

    assert (ended, bool(responses.calls)) == (code, sent), said
    assert "wandb/settings" in said
    assert KEY not in said
    assert kept.exists() == sent
    later = App(make_client=make_client, is_interactive=lambda: False, environ=environ)
    with CliRunner().isolation():
        assert main(("whoami",), later) == code, "a typed address is not asked for again"


def refusal(settings_file: Path, **changes: str) -> RedirectRefused:
    facts = {"base_url": EVIL, "settings_file": str(settings_file), "key_origin": "WANDB_API_KEY"}
    return RedirectRefused("refused", **{**facts, **changes})


def test_a_confirmed_redirect_counts_for_the_same_folder_address_and_key_only(tmp_path: Path) -> None:
    kept, settings_file = tmp_path / "config/confirmed.json", tmp_path / "wandb/settings"
    remember(kept, refusal(settings_file))

    assert kept.stat().st_mode & 0o777 == 0o600
    assert is_confirmed(kept, refusal(settings_file))
    others = (
        refusal(tmp_path / "b/wandb/settings"),
        refusal(settings_file, base_url=f"{EVIL}:8443"),
        refusal(settings_file, key_origin="argument"),
    )
    assert not any(is_confirmed(kept, other) for other in others)
    kept.chmod(0o622)
    assert not is_confirmed(kept, refusal(settings_file)), "others may write it"
    kept.chmod(0o600)
    kept.write_text("[{}")
    assert not is_confirmed(kept, refusal(settings_file))


def test_the_address_is_typed_once_at_a_terminal(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # not listening: a request is refused at once
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        folders = write_files(tmp_path, workspace=f"base_url = {url}")
        kept = tmp_path / "confirmed.json"
        environ = {"PATH": os.environ["PATH"], "HOME": str(folders["home"]), "WANDB_API_KEY": KEY}
        environ |= {"WBGQL_CONFIRMED": str(kept)}
        command = [sys.executable, "-m", "wbgql", "--timeout", "1", "whoami"]
        master, slave = pty.openpty()
        try:
            with subprocess.Popen(
                command, cwd=folders["cwd"], env=environ, stdin=slave, stdout=slave, stderr=slave
            ) as asked:
                said = b""
                while b"type the address" not in said:
                    said += os.read(master, 4096)
                os.write(master, f"{url}\n".encode())
                while b"to revoke it" not in said:
                    said += os.read(master, 4096)
                asked.kill()
        finally:
            os.close(master)
            os.close(slave)

    assert KEY.encode() not in said
    assert url in kept.read_text()
    assert KEY not in kept.read_text()
    assert is_confirmed(kept, refusal(folders["cwd"] / "wandb/settings", base_url=url))
