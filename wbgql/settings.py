"""Where the server is and who asks: settings as one value, read as the W&B SDK reads them.

Reads files; the environment and the folders come in as arguments (`default_settings` passes
the process's own).
"""

from __future__ import annotations

import configparser
import ipaddress
import json
import math
import netrc
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from wbgql.errors import AuthenticationError, ConfigError, RedirectRefused
from wbgql.extras import installed_version
from wbgql.limits import Limits
from wbgql.secrecy import Unshown, hide

DEFAULT_BASE_URL = "https://api.wandb.ai"
_FORGE_BASE_URL = "https://api.forge.coreweave.com"
DEFAULT_TIMEOUT_S = 30.0

# The hosts of W&B's own multi-tenant server.
CLOUD_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")

# Hosts that serve the same deployment: `wandb login` may have stored the key under either.
# Source: wandb SDK 0.31.0 `sdk/lib/urls.py`, FORGE_HOSTS (2026-11).
_SAME_DEPLOYMENT = {
    "api.wandb.ai": "api.forge.coreweave.com",
    "api.forge.coreweave.com": "api.wandb.ai",
    "api.qa.wandb.ai": "api.qa.forge.coreweave.com",
    "api.qa.forge.coreweave.com": "api.qa.wandb.ai",
}
_FORGE_PROXIES = ("forge.coreweave.com", "qa.forge.coreweave.com")
_FORGE_PROXY_PATH = "/api/wandb"

# Source: wandb SDK 0.31.0 `sdk/wandb_settings.py`, validate_project (2026-11).
_NOT_IN_PROJECT = "/\\#?%:"
_MAX_PROJECT_LENGTH = 128

# requests reads the first two, OpenSSL and the SDK's own process the third.
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

# What may be shown of the settings, but for the value of the key.
SHOWN = (
    "base_url",
    "api_key",
    "identity_token_file",
    "entity",
    "project",
    "timeout_s",
    "ca_bundle",
    "verify_tls",
)

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one client. `origin` says where each came from; `repr` hides the key.

    A key that is a plain text stays readable in the caller's own frames of a traceback with local variables;
    hand in `wbgql.secrecy.Secret(key)`, or let `default_settings` read it, where that matters.

    `api_key`, `entity` and `project` are None where nobody set them. Without a key, the token in
    `identity_token_file` (a JWT) signs requests, see `credentials.Credentials`. `timeout_s` bounds
    connecting, and each wait for more of the answer; `limits` bound the whole answer. `ca_bundle` is a file
    or folder of certificate authorities that takes the place of the packaged ones (`certifi`). Without
    `verify_tls` nothing proves that the server is the one that `base_url` names.
    """

    base_url: str = DEFAULT_BASE_URL
    api_key: str | None = None
    identity_token_file: str | None = None
    credentials_file: str | None = None
    entity: str | None = None
    project: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    ca_bundle: str | None = None
    verify_tls: bool = True
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def deployment(self) -> str:
        """See `deployment_of`."""
        return deployment_of(self.base_url)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", _check_base_url(self.base_url))
        object.__setattr__(self, "api_key", hide(self.api_key))
        _check_api_key(self.api_key)
        _check_name("entity", self.entity, not_in="/")
        _check_name("project", self.project, not_in=_NOT_IN_PROJECT)
        if not (self.timeout_s > 0 and math.isfinite(self.timeout_s)):
            raise ConfigError(f"timeout_s must be a positive number of seconds, not {self.timeout_s!r}")
        for name, value in self.extra_headers.items():
            _check_header(name, value)
        if self.ca_bundle is not None and not Path(self.ca_bundle).exists():
            origin = self.origin.get("ca_bundle", "ca_bundle")
            raise ConfigError(f"the CA bundle {self.ca_bundle!r} does not exist: correct or unset {origin}")

    def __repr__(self) -> str:
        key = None if self.api_key is None else "***"
        return (
            f"Settings(base_url={self.base_url!r}, api_key={key}, entity={self.entity!r}, "
            f"project={self.project!r}, timeout_s={self.timeout_s!r}, "
            f"ca_bundle={self.ca_bundle!r}, verify_tls={self.verify_tls!r}, "
            f"extra_headers={sorted(self.extra_headers)!r})"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("settings may hold an API key and are not pickled: read them again in each process")

    def require_api_key(self) -> str:
        """Return the API key.

        Raises:
            AuthenticationError: there is none; the message says where to set it.
        """
        if self.api_key is None:
            raise AuthenticationError(
                f"no API key for {self.base_url!r}: set WANDB_API_KEY, run `wandb login --host "
                f"{self.base_url}`, or pass api_key="
            )
        return self.api_key


def deployment_of(base_url: str) -> str:
    """Return the host of an address with its port; one name for hosts that serve the same deployment."""
    host = urlsplit(base_url).netloc.lower()
    return min(host, _SAME_DEPLOYMENT.get(host, host), key=lambda name: "forge" in name)


def is_same_server(one: str, other: str) -> bool:
    """Whether two addresses lead to one deployment: what was planned at one may be done at the other."""
    paths = [urlsplit(address).path.rstrip("/") for address in (one, other)]
    return deployment_of(one) == deployment_of(other) and paths[0] == paths[1]


def default_settings(**overrides: Any) -> Settings:
    """Resolve the settings of this process; `overrides` are `resolve_settings`'s arguments.

    Raises:
        ConfigError: as `resolve_settings`.
    """
    return resolve_settings(
        **overrides,
        sdk_version=lambda: installed_version("wandb"),
        environ=os.environ,
        home=Path.home(),
        cwd=Path.cwd(),
    )


def default_address(sdk_version: str | None) -> str:
    """Return the address that the wandb SDK of a version uses without settings; None: it is not installed.

    From 0.31 on it is `https://api.forge.coreweave.com`, before and without an SDK `https://api.wandb.ai`.
    Both serve the same deployment.

    Source: wandb SDK 0.31.0 `sdk/lib/urls.py`, DEFAULT_BASE_URL (2026-11).
    """
    numbers = [int(part) for part in re.findall(r"\d+", sdk_version or "")[:2]]
    return _FORGE_BASE_URL if numbers >= [0, 31] else DEFAULT_BASE_URL


def resolve_settings(
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    entity: str | None = None,
    project: str | None = None,
    timeout_s: float | None = None,
    ca_bundle: str | None = None,
    limits: Limits | None = None,
    sdk_version: Callable[[], str | None] = lambda: None,
    environ: Mapping[str, str],
    home: Path,
    cwd: Path,
) -> Settings:
    """Settle each setting: argument, then environment, then settings file, then default.

    Settings files: `wandb/settings` (or `.wandb/settings`) below `cwd`, then the user's,
    `WANDB_CONFIG_DIR/settings` or `~/.config/wandb/settings`. The key: argument,
    WANDB_API_KEY or WANDB_IDENTITY_TOKEN_FILE (not both), netrc entry of the server's `host` or `host:port`
    (of api.wandb.ai too for api.forge.coreweave.com), settings file, netrc entry of the cloud's other host; a
    key in a settings file is for the server that the environment and the files name, and is not sent to
    another one given as an argument. Without an address: that of the installed SDK (`default_address`), for
    whose version `sdk_version` is then asked. The CA bundle: argument, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE,
    SSL_CERT_FILE. An empty variable counts as unset.

    Raises:
        ConfigError: a value is malformed, or a file cannot be read. The message never shows contents.
        AuthenticationError: the API key is empty or malformed.

    Source: wandb SDK 0.31.0 `sdk/wandb_setup.py`, `sdk/lib/wbauth/authenticate.py` and
    `wbnetrc.py` (2026-11). The SDK warns of broken files and goes on; this refuses them.
    """
    api_key, environ = hide(api_key), Unshown(environ)  # no frame of a traceback shows them
    sources = _Sources(environ, list(_read_settings_files(environ, home, cwd)), sdk_version)
    url, url_origin = sources.find("base_url", base_url, "WANDB_BASE_URL")
    # An empty argument is an unset shell variable, and must not lead to W&B's own server.
    if url is None:
        url, installed = sources.default_url, sdk_version()
        url_origin = url_origin if installed is None else f"default of wandb {installed}"
    url = _check_base_url(url)
    key, key_origin = sources.find_key(api_key, url, home)
    token_file, token_origin = sources.find_identity_token(key_origin)
    if token_file is not None:
        key, key_origin = None, "default"
    found_entity, entity_origin = sources.find("entity", entity, "WANDB_ENTITY")
    found_project, project_origin = sources.find("project", project, "WANDB_PROJECT")
    timeout, timeout_origin = sources.find_timeout(timeout_s)
    bundle, bundle_origin = sources.find_ca_bundle(ca_bundle)
    insecure, insecure_origin = sources.find("insecure_disable_ssl", None, "WANDB_INSECURE_DISABLE_SSL")
    verified = not _parse_switch(insecure or "false", insecure_origin)
    if key is not None or token_file is not None:
        secret_origin = key_origin if token_file is None else token_origin
        sources.check_workspace(url, url_origin, secret_origin, home)
        if not verified:
            sources.check_workspace_tls(url, insecure_origin, secret_origin)
    origin = {
        "base_url": url_origin,
        "api_key": key_origin,
        "identity_token_file": token_origin,
        "entity": entity_origin,
        "project": project_origin,
        "timeout_s": timeout_origin,
        "ca_bundle": bundle_origin,
        "verify_tls": insecure_origin,
    }
    return Settings(
        base_url=url,
        api_key=key,
        identity_token_file=token_file,
        credentials_file=str(_credentials_file(environ, home)) if token_file is not None else None,
        entity=found_entity,
        project=found_project,
        timeout_s=timeout,
        ca_bundle=bundle,
        verify_tls=verified,
        extra_headers=_extra_headers(environ),
        limits=limits or Limits.from_environ(environ),
        origin=MappingProxyType(origin),
    )


def insecure_transport_warning(settings: Settings) -> str | None:
    """Return a warning if others on the way to the server could read the key, else None."""
    url = urlsplit(settings.base_url)
    if url.scheme == "https" and not settings.verify_tls:
        origin = settings.origin.get("verify_tls", "verify_tls")
        return (
            f"the certificate of {settings.base_url!r} is not verified ({origin}), so another server could "
            "take its place and read the key: name the CA of the server in REQUESTS_CA_BUNDLE instead"
        )
    if url.scheme != "http" or _is_loopback(url.hostname or ""):
        return None
    return f"the API key travels unencrypted to {settings.base_url!r}: use https where the server offers it"


def tls_verification(settings: Settings) -> bool | str:
    """Return how requests must verify certificates, as its `verify`. Reads the CA bundle.

    Raises:
        ConfigError: the CA bundle is a file that holds no certificate, or cannot be read.
    """
    if not settings.verify_tls or settings.ca_bundle is None:
        return settings.verify_tls
    if Path(settings.ca_bundle).is_file():
        import ssl  # noqa: PLC0415 - 10 ms that a client without a bundle saves

        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=settings.ca_bundle)
        except OSError as error:  # ssl's own errors are of this kind
            origin = settings.origin.get("ca_bundle", "ca_bundle")
            reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else _reason(error)
            raise ConfigError(
                f"the CA bundle {settings.ca_bundle!r} ({origin}) cannot be used: {reason}"
            ) from error
    return settings.ca_bundle


class _Sources:
    """The environment and the settings files, nearest first."""

    def __init__(
        self,
        environ: Mapping[str, str],
        files: list[tuple[Path, Mapping[str, str]]],
        sdk_version: Callable[[], str | None],
    ) -> None:
        self._sdk_version = sdk_version
        self._environ = environ
        self._files = files

    @property
    def default_url(self) -> str:
        """The address of the installed SDK. Reading its metadata takes some ms, so only where it counts."""
        return default_address(self._sdk_version())

    def find(self, name: str, argument: str | None, variable: str) -> tuple[str | None, str]:
        """The value of a setting and where it came from."""
        if argument is not None:
            return argument, "argument"
        if value := self._environ.get(variable):
            return value, variable
        return self._find_in_files(name)

    def _find_in_files(self, name: str) -> tuple[str | None, str]:
        for path, settings in self._files:
            if value := settings.get(name):
                return value, str(path)
        return None, "default"

    def find_key(self, argument: str | None, base_url: str, home: Path) -> tuple[str | None, str]:
        if argument is not None:
            return argument, "argument"
        if key := hide(self._environ.get("WANDB_API_KEY") or None):
            return key, "WANDB_API_KEY"
        if self._environ.get("WANDB_IDENTITY_TOKEN_FILE"):
            return None, "default"  # no file is read for a key that would not be used
        path, netloc = _netrc_file(self._environ, home), urlsplit(base_url).netloc
        twin = _SAME_DEPLOYMENT.get(netloc)
        if key := hide(_read_netrc(path, netloc)):
            return key, str(path)
        if base_url == _FORGE_BASE_URL and twin is not None and (key := hide(_read_netrc(path, twin))):
            return key, str(path)
        configured, _ = self.find("base_url", None, "WANDB_BASE_URL")
        if _check_base_url(configured or self.default_url) == base_url:
            found, origin = self._find_in_files("api_key")
            if found:
                return hide(found), origin
        # The SDK does not look further. The two hosts of W&B's cloud are one deployment, with the same keys.
        key = hide(_read_netrc(path, twin)) if twin is not None else None
        return (None, "default") if key is None else (key, str(path))

    def find_identity_token(self, key_origin: str) -> tuple[str | None, str]:
        """The file of the identity token, unless the key is an argument.

        Raises:
            AuthenticationError: WANDB_API_KEY is set too, as the SDK refuses it.
        """
        file = self._environ.get("WANDB_IDENTITY_TOKEN_FILE")
        if not file or key_origin == "argument":
            return None, "default"
        if key_origin == "WANDB_API_KEY":
            raise AuthenticationError("WANDB_API_KEY and WANDB_IDENTITY_TOKEN_FILE are both set: unset one")
        return file, "WANDB_IDENTITY_TOKEN_FILE"

    def check_workspace(self, url: str, url_origin: str, key_origin: str, home: Path) -> None:
        """Check that no file of the current folder sends a key that is not its own to another server.

        A folder comes with what somebody else put into it (a clone, an archive). A netrc entry that names the
        server is a key for it.

        Raises:
            RedirectRefused: it does; the message names both origins.
        """
        workspace = self._workspace
        if workspace is None or url_origin != workspace or key_origin == workspace:
            return
        if url == self._without_workspace("base_url"):
            return
        netrc_path = _netrc_file(self._environ, home)
        if key_origin == str(netrc_path) and _names_host(netrc_path, urlsplit(url).netloc):
            return
        raise RedirectRefused(
            f"{workspace!r}, a file of the current folder, sends requests to {url!r}, but the API key comes "
            f"from {key_origin}; nothing was sent. If you trust this server with the key, name it: "
            f"--base-url {url}, base_url= or WANDB_BASE_URL",
            base_url=url,
            settings_file=workspace,
            key_origin=key_origin,
        )

    def check_workspace_tls(self, url: str, insecure_origin: str, key_origin: str) -> None:
        """Check that no file of the current folder takes the protection from a key that is not its own.

        Raises:
            ConfigError: it does; the message names both origins.
        """
        if insecure_origin == self._workspace != key_origin:
            raise ConfigError(
                f"{insecure_origin!r}, a file of the current folder, sets insecure_disable_ssl for {url!r}, "
                f"but the API key comes from {key_origin}; nothing was sent. If you mean it, set "
                "WANDB_INSECURE_DISABLE_SSL=true"
            )

    @property
    def _workspace(self) -> str | None:
        """The settings file of the current folder, None where it is the user's own file."""
        (workspace, _), *others = self._files
        return None if any(workspace.resolve() == path.resolve() for path, _ in others) else str(workspace)

    def _without_workspace(self, name: str) -> str:
        found = next((value for _, settings in self._files[1:] if (value := settings.get(name))), None)
        return _check_base_url(found or self.default_url)

    def find_ca_bundle(self, argument: str | None) -> tuple[str | None, str]:
        """Where the certificate authorities are, as requests and OpenSSL look for them."""
        if argument is not None:
            return argument, "argument"
        for variable in _CA_VARIABLES:
            if path := self._environ.get(variable):
                return path, variable
        return None, "default"

    def find_timeout(self, argument: float | None) -> tuple[float, str]:
        if argument is not None:
            return argument, "argument"
        text = self._environ.get("WANDB_HTTP_TIMEOUT")
        if not text:
            return DEFAULT_TIMEOUT_S, "default"
        try:
            return float(text), "WANDB_HTTP_TIMEOUT"
        except ValueError as error:
            raise ConfigError(f"WANDB_HTTP_TIMEOUT must be a number of seconds, not {text!r}") from error


def _read_settings_files(
    environ: Mapping[str, str], home: Path, cwd: Path
) -> Iterator[tuple[Path, Mapping[str, str]]]:
    dot_wandb = cwd / ".wandb"
    config_dir = environ.get("WANDB_CONFIG_DIR")
    user_dir = _expand(config_dir, home) if config_dir else home / ".config" / "wandb"
    for path in ((dot_wandb if dot_wandb.exists() else cwd / "wandb") / "settings", user_dir / "settings"):
        yield path, _read_settings(path)


def _read_settings(path: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return _EMPTY
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings file {str(path)!r} cannot be read: {_reason(error)}") from error
    except configparser.Error as error:
        # The parser's own message quotes the line, which may hold a key: `from None` as well.
        where = f"{path}:{_line_of(error)}"
        raise ConfigError(f"{where}: not a settings file, mend it or delete it") from None
    # Source: the SDK knows this one section, `sdk/lib/settings_file.py` (0.31.0, 2026-11).
    return dict(parser.items("default")) if parser.has_section("default") else _EMPTY


def _line_of(error: configparser.Error) -> int:
    # A missing section header is a ParsingError too, but has `lineno` and no `errors`.
    lineno = getattr(error, "lineno", None)
    if isinstance(lineno, int):
        return lineno
    lines = getattr(error, "errors", None)
    return int(lines[0][0]) if lines else 1


def _netrc_file(environ: Mapping[str, str], home: Path) -> Path:
    if named := environ.get("NETRC"):
        return _expand(named, home)
    unix, windows = home / ".netrc", home / "_netrc"
    return windows if windows.exists() and not unix.exists() else unix


def _credentials_file(environ: Mapping[str, str], home: Path) -> Path:
    """Where access tokens are kept, as the SDK has it.

    Source: wandb SDK 0.31.0 `env.py`, `sdk/wandb_settings.py` (2026-11).
    """
    named = environ.get("WANDB_CREDENTIALS_FILE")
    return _expand(named, home) if named else home / ".config" / "wandb" / "credentials.json"


def _names_host(path: Path, netloc: str) -> bool:
    """Whether netrc has an entry of this server's own, not only its default."""
    hosts = netrc.netrc(str(path)).hosts
    return any(machine in hosts for machine in (netloc, _SAME_DEPLOYMENT.get(netloc, netloc)))


def _read_netrc(path: Path, netloc: str) -> str | None:
    """The password netrc holds for a server, whoever the user; None without an entry."""
    try:
        entries = netrc.netrc(str(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except netrc.NetrcParseError as error:
        # The parser's own message quotes the token it stumbled over, which may be the key.
        raise ConfigError(f"{path}:{error.lineno or 1}: not a netrc file, mend it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"netrc file {str(path)!r} cannot be read: {_reason(error)}") from error
    found = entries.authenticators(netloc)
    return (found[2] or None) if found else None


def _extra_headers(environ: Mapping[str, str]) -> Mapping[str, str]:
    """What a service account sends to say for whom it acts, and what a proxy may ask for.

    Source: wandb SDK 0.31.0: WANDB_USERNAME, WANDB_USER_EMAIL, WANDB__EXTRA_HTTP_HEADERS (2026-11).
    """
    headers = _parse_headers(environ.get("WANDB__EXTRA_HTTP_HEADERS") or "{}")
    for variable, name in (
        ("WANDB_USERNAME", "X-WANDB-USERNAME"),
        ("WANDB_USER_EMAIL", "X-WANDB-USER-EMAIL"),
    ):
        if value := environ.get(variable):
            headers[name] = value
    return MappingProxyType(headers)


def _parse_headers(text: str) -> dict[str, str]:
    try:
        headers = json.loads(text)
    except ValueError:
        headers = None
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise ConfigError("WANDB__EXTRA_HTTP_HEADERS must be a JSON object of texts")
    return headers


def _parse_switch(text: str, origin: str) -> bool:
    """Whether a switch is on; the words are those of the SDK (pydantic's)."""
    if text.strip().lower() in ("1", "true", "t", "yes", "y", "on"):
        return True
    if text.strip().lower() in ("0", "false", "f", "no", "n", "off"):
        return False
    raise ConfigError(f"{origin}: insecure_disable_ssl must be true or false, not {text!r}")


def _expand(text: str, home: Path) -> Path:
    path = Path(text)
    return home.joinpath(*path.parts[1:]) if path.parts[:1] == ("~",) else path


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else "not UTF-8"


def _check_base_url(text: str) -> str:
    """The URL without a trailing slash, or ConfigError; credentials in it are never shown."""
    text = text.strip()
    try:
        url = urlsplit(text)
        credentials, host = "@" in url.netloc, url.hostname or ""
        url.port  # noqa: B018  # raises for what is no port
    except ValueError as error:
        raise ConfigError("base_url is not a URL: check its host and port") from error
    if credentials:
        raise ConfigError("base_url holds a user name or password: set WANDB_API_KEY and leave them out")
    if url.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        raise ConfigError(f"base_url must look like https://host or https://host:port, not {text!r}")
    if url.query or url.fragment:
        raise ConfigError(f"base_url {text!r} must end with the host or a path, without ? and #")
    _check_is_api(url, text, host)
    return f"https://api.{host}" if host in _FORGE_PROXIES else text.rstrip("/")


def _check_is_api(url: SplitResult, text: str, host: str) -> None:
    """Refuse the address of the app, or of the endpoint, where that of the API is asked for."""
    if url.path.rstrip("/").endswith("/graphql"):
        whole = text.rstrip("/").removesuffix("/graphql")
        raise ConfigError(f"base_url {text!r} is the address of the GraphQL endpoint: use {whole!r}")
    is_proxy = url.scheme == "https" and url.port is None and url.path.rstrip("/") == _FORGE_PROXY_PATH
    if host in _FORGE_PROXIES and not is_proxy:
        raise ConfigError(f"base_url {text!r} is the app, not the API: use https://api.{host}")
    if host == "wandb.ai" or host.endswith(".wandb.ai"):
        if "api." not in host:
            raise ConfigError(f"base_url {text!r} is the app, not the API: use {DEFAULT_BASE_URL}")
        if url.scheme != "https":
            raise ConfigError(f"base_url {text!r} is not encrypted: use {DEFAULT_BASE_URL}")


def _check_api_key(key: str | None) -> None:
    """Refuse what cannot be a key, without showing it.

    Source: the SDK also asks for 40 characters or more (`sdk/lib/wbauth/validation.py`, 0.31.0,
    2026-11); other servers make shorter ones, so that is left to the server.
    """
    if key is None:
        return
    if not key:
        raise AuthenticationError("the API key is empty")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise AuthenticationError("the API key holds a blank or a character that no key has; copy it again")


def _check_name(what: str, name: str | None, *, not_in: str) -> None:
    if name is None:
        return
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise ConfigError(f"{what} {name!r} is empty, padded with blanks, or cannot be seen")
    if found := sorted(set(name) & set(not_in)):
        raise ConfigError(f"{what} {name!r} cannot hold {' '.join(found)}")
    if len(name) > _MAX_PROJECT_LENGTH:
        raise ConfigError(f"{what} is {len(name)} characters long, at most {_MAX_PROJECT_LENGTH}: {name!r}")


def _check_header(name: str, value: str) -> None:
    """Refuse a header that could not be sent, or would smuggle in another."""
    token = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    sendable = value.isprintable() and value == value.strip() and all(ord(char) < 256 for char in value)
    if not token or not sendable:
        raise ConfigError(f"HTTP header {name!r}: the name or its value cannot be sent")
    if name.lower() == "authorization":
        raise ConfigError("the Authorization header is made from the API key: set WANDB_API_KEY")
    if name.lower() == "host":
        raise ConfigError("the Host header would name another server than base_url: set WANDB_BASE_URL")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
