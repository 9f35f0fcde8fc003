"""Settings: who wins, what is refused, and that a key never shows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from wbgql.errors import AuthenticationError, ConfigError
from wbgql.settings import (
    Settings,
    default_settings,
    insecure_transport_warning,
    is_same_server,
    resolve_settings,
)

KEY = "0123456789abcdef0123456789abcdef01234567"
OTHER_KEY = "fedcba9876543210fedcba9876543210fedcba98"


class Machine:
    """A home, a working folder and an environment to resolve settings in."""

    def __init__(self, root: Path) -> None:
        self.home, self.cwd = root / "home", root / "work"
        self.environ: dict[str, str] = {}
        self.home.mkdir()
        self.cwd.mkdir()

    def write(self, path: str, text: str) -> Path:
        file = self.home.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def resolve(self, **arguments: Any) -> Settings:
        return resolve_settings(**arguments, environ=self.environ, home=self.home, cwd=self.cwd)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_with_nothing_set_the_defaults_hold(machine: Machine) -> None:
    config = machine.resolve()

    assert config == Settings(origin=config.origin)
    assert (config.base_url, config.api_key, config.entity) == ("https://api.wandb.ai", None, None)
    assert set(config.origin.values()) == {"default"}


def test_argument_beats_environment_beats_workspace_file_beats_user_file_beats_default(
    machine: Machine,
) -> None:
    user = machine.write(
        "home/.config/wandb/settings", "[default]\nentity = from-user\nproject = from-user\n"
    )
    assert machine.resolve().entity == "from-user"
    assert machine.resolve().origin["entity"] == str(user)

    workspace = machine.write("work/wandb/settings", "[default]\nentity = from-workspace\n")
    config = machine.resolve()
    assert (config.entity, config.project) == ("from-workspace", "from-user")
    assert config.origin["entity"] == str(workspace)

    machine.environ["WANDB_ENTITY"] = "from-env"
    assert machine.resolve().entity == "from-env"
    assert machine.resolve().origin["entity"] == "WANDB_ENTITY"

    assert machine.resolve(entity="from-argument").entity == "from-argument"
    assert machine.resolve(entity="from-argument").origin["entity"] == "argument"


def test_an_empty_variable_counts_as_unset(machine: Machine) -> None:
    machine.environ.update(WANDB_ENTITY="", WANDB_API_KEY="", WANDB_BASE_URL="", WANDB_HTTP_TIMEOUT="")

    assert machine.resolve() == Settings(origin=machine.resolve().origin)


def test_an_empty_base_url_given_as_argument_does_not_lead_to_the_default_server(machine: Machine) -> None:
    with pytest.raises(ConfigError, match="base_url must look like"):
        machine.resolve(base_url="")


def test_a_host_header_cannot_name_another_server(machine: Machine) -> None:
    machine.environ["WANDB__EXTRA_HTTP_HEADERS"] = '{"Host": "other.example"}'

    with pytest.raises(ConfigError, match="Host header"):
        machine.resolve()


def test_wandb_config_dir_moves_the_users_file(machine: Machine) -> None:
    machine.write("home/.config/wandb/settings", "[default]\nentity = here\n")
    machine.write("home/elsewhere/settings", "[default]\nentity = there\n")
    machine.environ["WANDB_CONFIG_DIR"] = "~/elsewhere"

    assert machine.resolve().entity == "there"


def test_a_dot_wandb_folder_takes_the_place_of_wandb(machine: Machine) -> None:
    machine.write("work/wandb/settings", "[default]\nentity = visible\n")
    machine.write("work/.wandb/settings", "[default]\nentity = hidden\n")

    assert machine.resolve().entity == "hidden"


def test_other_sections_and_percent_signs_in_a_settings_file_do_no_harm(machine: Machine) -> None:
    machine.write("work/wandb/settings", "[other]\nentity = x\n[default]\nmode = 100%\n")

    assert machine.resolve().entity is None


@pytest.mark.parametrize(
    ("text", "line"),
    [(f"api_key = {KEY}\n", 1), (f"[default]\nentity = a\n{KEY}\n", 3), (f"[default]\na=1\na={KEY}\n", 3)],
)
def test_a_broken_settings_file_is_named_with_its_line_but_never_quoted(
    machine: Machine, text: str, line: int
) -> None:
    path = machine.write("work/wandb/settings", text)

    with pytest.raises(ConfigError) as caught:
        machine.resolve()

    assert f"{path}:{line}" in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_settings_file_that_is_a_folder_is_refused(machine: Machine) -> None:
    (machine.cwd / "wandb" / "settings").mkdir(parents=True)

    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        machine.resolve()


def netrc(machine: str, key: str = KEY) -> str:
    return f"machine {machine}\n  login user\n  password {key}\n"


@pytest.mark.parametrize(
    ("base_url", "machine_name"),
    [
        (None, "api.wandb.ai"),
        ("http://localhost:8080", "localhost:8080"),
        ("https://wandb.acme.example/", "wandb.acme.example"),
        ("https://wandb.acme.example:8443/prefix", "wandb.acme.example:8443"),
        (None, "api.forge.coreweave.com"),
        ("https://api.forge.coreweave.com", "api.wandb.ai"),
        ("https://forge.coreweave.com/api/wandb", "api.forge.coreweave.com"),
        (None, "default-entry"),
    ],
)
def test_the_key_comes_from_the_netrc_entry_of_the_server(
    machine: Machine, base_url: str | None, machine_name: str
) -> None:
    entry = netrc(machine_name).replace("machine default-entry", "default")
    path = machine.write("home/.netrc", netrc("elsewhere.example", OTHER_KEY) + entry)

    config = machine.resolve(base_url=base_url)

    assert (config.api_key, config.origin["api_key"]) == (KEY, str(path))


def test_a_key_for_one_port_is_not_sent_to_another(machine: Machine) -> None:
    machine.write("home/.netrc", netrc("localhost:8080"))

    assert machine.resolve(base_url="http://localhost:8081").api_key is None


def test_argument_beats_environment_beats_netrc_beats_settings_file_for_the_key(machine: Machine) -> None:
    file = machine.write("home/.config/wandb/settings", "[default]\napi_key = from-file\n")
    assert machine.resolve().api_key == "from-file"
    assert machine.resolve().origin["api_key"] == str(file)

    machine.write("home/.netrc", netrc("api.wandb.ai", "from-netrc"))
    assert machine.resolve().api_key == "from-netrc"

    machine.environ["WANDB_API_KEY"] = "from-env"
    assert machine.resolve().api_key == "from-env"
    assert machine.resolve(api_key="from-argument").api_key == "from-argument"


def test_a_key_in_a_settings_file_is_only_for_the_server_that_the_settings_name(machine: Machine) -> None:
    machine.write(
        "home/.config/wandb/settings", f"[default]\napi_key = {KEY}\nbase_url = https://w.example/\n"
    )

    assert machine.resolve().api_key == KEY
    assert machine.resolve(base_url="https://w.example").api_key == KEY
    assert machine.resolve(base_url="https://other.example").api_key is None


def test_netrc_may_be_elsewhere_or_have_its_windows_name(machine: Machine) -> None:
    machine.write("home/_netrc", netrc("api.wandb.ai", "windows"))
    assert machine.resolve().api_key == "windows"

    machine.write("home/secrets/keys", netrc("api.wandb.ai", "named"))
    machine.environ["NETRC"] = "~/secrets/keys"
    assert machine.resolve().api_key == "named"


def test_a_netrc_entry_without_a_password_counts_as_none(machine: Machine) -> None:
    machine.write("home/.netrc", "machine api.wandb.ai\n  login user\n")

    assert machine.resolve().api_key is None


def test_a_broken_netrc_is_named_with_its_line_but_never_quoted(machine: Machine) -> None:
    path = machine.write("home/.netrc", f"machine api.wandb.ai\n  login user\n  pasword {KEY}\n")

    with pytest.raises(ConfigError) as caught:
        machine.resolve()

    assert str(caught.value).startswith(f"{path}:3")
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "tab\there", "ключ" * 10, f" {KEY}"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        Settings(api_key=key)

    assert not key or key not in str(caught.value)


def test_repr_hides_the_key_and_the_values_of_headers() -> None:
    config = Settings(api_key=KEY, extra_headers={"X-Proxy-Token": "s3cret"})

    assert "api_key=***" in repr(config)
    assert "X-Proxy-Token" in repr(config)
    assert KEY not in f"{config!r} {config}"
    assert "s3cret" not in f"{config!r} {config}"
    assert "api_key=None" in repr(Settings())


def test_a_missing_key_says_where_it_may_be_set() -> None:
    with pytest.raises(
        AuthenticationError, match=r"no API key for 'http://localhost:1'.*WANDB_API_KEY.*wandb login"
    ):
        Settings(base_url="http://localhost:1").require_api_key()
    assert Settings(api_key=KEY).require_api_key() == KEY


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://w.example/", "https://w.example"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://w.example/prefix//", "https://w.example/prefix"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("https://forge.coreweave.com/api/wandb/", "https://api.forge.coreweave.com"),
        (" https://w.example ", "https://w.example"),
    ],
)
def test_base_url_is_normalised(text: str, url: str) -> None:
    assert Settings(base_url=text).base_url == url


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must look like"),
        ("w.example", "must look like"),
        ("ftp://w.example", "must look like"),
        ("https://", "must look like"),
        ("https://w.example:99999", "host and port"),
        ("https://[::1", "host and port"),
        ("https://w.example?x=1", "without"),
        ("https://w.example/#x", "without"),
        ("https://w.exa mple", "must look like"),
        ("https://w.example/\x00", "must look like"),
        ("https://wandb.ai", "is the app.*https://api.wandb.ai"),
        ("https://app.wandb.ai", "is the app"),
        ("http://api.wandb.ai", "not encrypted"),
        ("https://forge.coreweave.com", "use https://api.forge.coreweave.com"),
    ],
)
def test_a_base_url_that_cannot_be_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Settings(base_url=text)


def test_credentials_in_the_url_are_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="leave them out") as caught:
        Settings(base_url=f"https://api:{KEY}@w.example")

    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [{"entity": "a/b"}, {"entity": " "}, {"project": "a:b"}, {"project": "a?b"}, {"project": "a" * 129},
     {"project": "a\nb"}, {"entity": ""}, {"project": " padded"}],
)  # fmt: skip
def test_a_name_the_server_would_not_take_is_refused(names: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(names))):
        Settings(**names)  # type: ignore[arg-type]  # names only


def test_the_timeout_comes_from_argument_or_environment(machine: Machine) -> None:
    machine.environ["WANDB_HTTP_TIMEOUT"] = "7.5"

    assert machine.resolve().timeout_s == 7.5
    assert machine.resolve(timeout_s=3).timeout_s == 3
    machine.environ["WANDB_HTTP_TIMEOUT"] = "soon"
    with pytest.raises(ConfigError, match="WANDB_HTTP_TIMEOUT must be a number of seconds, not 'soon'"):
        machine.resolve()


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan, math.inf])
def test_a_timeout_that_is_no_time_is_refused(timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="timeout_s"):
        Settings(timeout_s=timeout_s)


def test_a_service_account_says_for_whom_it_acts(machine: Machine) -> None:
    machine.environ.update(
        WANDB_USERNAME="ada",
        WANDB_USER_EMAIL="ada@acme.example",
        WANDB__EXTRA_HTTP_HEADERS='{"X-Proxy": "1"}',
    )

    assert machine.resolve().extra_headers == {
        "X-WANDB-USERNAME": "ada",
        "X-WANDB-USER-EMAIL": "ada@acme.example",
        "X-Proxy": "1",
    }


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"a": 1}',
        '{"a": "b\\r\\nc: d"}',
        '{"a b": "c"}',
        '{"": "c"}',
        '{"authorization": "Basic s3cret"}',
    ],
)
def test_headers_that_cannot_be_sent_are_refused_without_their_values(machine: Machine, text: str) -> None:
    machine.environ["WANDB__EXTRA_HTTP_HEADERS"] = text

    with pytest.raises(ConfigError, match=r"HTTP_HEADERS|header") as caught:
        machine.resolve()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("base_url", "warned"),
    [
        ("https://w.example", False),
        ("http://w.example", True),
        ("http://10.0.0.7:8080", True),
        ("http://localhost:8080", False),
        ("http://run.localhost", False),
        ("http://127.0.0.2", False),
        ("http://[::1]:8080", False),
        ("http://127.0.0.1.w.example", True),
    ],
)
def test_a_key_that_would_travel_unencrypted_is_warned_of(base_url: str, warned: bool) -> None:
    assert (insecure_transport_warning(Settings(base_url=base_url)) is not None) == warned


def test_default_config_takes_arguments_over_this_process() -> None:
    config = default_settings(base_url="http://127.0.0.1:9", api_key=KEY, entity="ada", timeout_s=1)

    assert (config.base_url, config.api_key, config.entity) == ("http://127.0.0.1:9", KEY, "ada")
    assert config.origin["base_url"] == "argument"


@pytest.mark.parametrize(
    ("installed", "address"),
    [
        (None, "https://api.wandb.ai"),
        ("0.30.9", "https://api.wandb.ai"),
        ("0.31.0", "https://api.forge.coreweave.com"),
        ("0.32.0rc1", "https://api.forge.coreweave.com"),
        ("1.0", "https://api.forge.coreweave.com"),
        ("unknown", "https://api.wandb.ai"),
    ],
)
def test_the_default_address_is_that_of_the_installed_sdk(
    tmp_path: Path, installed: str | None, address: str
) -> None:
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login u password " + "k" * 40)

    found = resolve_settings(environ={}, home=tmp_path, cwd=tmp_path, sdk_version=lambda: installed)

    assert (found.base_url, found.api_key) == (address, "k" * 40)
    assert found.deployment == "api.wandb.ai"
    assert found.origin["base_url"] == ("default" if installed is None else f"default of wandb {installed}")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://api.wandb.ai", "https://api.forge.coreweave.com/", True),
        ("https://API.wandb.ai", "https://api.wandb.ai", True),
        ("https://api.wandb.ai/a", "https://api.forge.coreweave.com", False),
        ("https://api.wandb.ai", "https://api.wandb.ai.example", False),
        ("https://w.acme.com:8443", "https://w.acme.com", False),
    ],
)
def test_two_names_of_one_deployment_are_one_server(one: str, other: str, same: bool) -> None:
    assert is_same_server(one, other) is same
