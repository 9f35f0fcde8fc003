"""What stands between these settings and a day's work: each finding with what to do about it. Only reads."""

from __future__ import annotations

import re
import ssl
import statistics
import warnings
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from wbgql.documents import Documents, Operation
from wbgql.errors import (
    AuthenticationError,
    PermissionDenied,
    RateLimited,
    RequestError,
    SchemaMismatch,
    ServerUnavailable,
    WbgqlError,
)
from wbgql.extras import installed_version
from wbgql.progress import Progress
from wbgql.settings import CLOUD_HOSTS, SHOWN, Settings, insecure_transport_warning, tls_verification
from wbgql.viewer import LOCAL_DEPLOYMENT, Viewer, get_retention, get_rights, get_server_info, get_viewer
from wbgql.wire.http_failures import explain_failure, proxy_refusal
from wbgql.wire.retry import RetryPolicy
from wbgql.wire.transport import ObservedTransport, Reply

if TYPE_CHECKING:
    from wbgql.live_schema import LiveCheck
    from wbgql.wire.session import Session

Level = Literal["ok", "note", "problem"]

_SAMPLES = 5
_SKEW_S = 30
_CERTIFICATE_DAYS = 21
_VERSION = re.compile(r"v?\d[\w.+-]{0,39}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. `do`: what to do about it, empty where nothing is to be done."""

    check: str
    level: Level
    found: str
    do: str = ""


class _Seen:
    """The headers of the last answer, and how long each was waited for."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {}
        self.waits_s: list[float] = []

    def note(self, reply: Reply) -> None:
        self.headers = reply.headers
        if reply.wait_s is not None:
            self.waits_s.append(reply.wait_s)


@dataclass
class Examination:
    """What was found. `viewer` and `schema`: None if they could not be asked."""

    findings: list[Finding]
    facts: dict[str, Any]
    viewer: Viewer | None = None
    schema: LiveCheck | None = None

    @property
    def problems(self) -> list[Finding]:
        """The findings that keep something from working."""
        return [finding for finding in self.findings if finding.level == "problem"]


def examine(
    session: Session,
    settings: Settings,
    documents: Documents,
    operations: Iterable[Operation[Any]] = (),
    *,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> Examination:
    """Examine settings, the way to the server, the key, the server and its schema.

    About ten requests, or one more for each query if the server hides its schema; one if the server does not
    answer at all. Queries only. What fails is a finding and ends nothing. `operations`: see `check_live`.
    """
    seen = _Seen()
    # A fault that passes is told after one more attempt, so that nobody waits for a diagnosis.
    asked = session.through(
        lambda transport: ObservedTransport(transport, seen.note), policy=RetryPolicy(attempts=2)
    )
    done = Examination([], {"at": (now or datetime.now(UTC)).isoformat(timespec="seconds")})
    done.facts |= {"wbgql": installed_version("wbgql"), "sdk": installed_version("wandb")}
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("settings", lambda: _settings(settings)),
        ("proxy", lambda: _proxy(settings)),
        ("tls", lambda: _tls(settings, now or datetime.now(UTC))),
        ("key", lambda: _key(asked, settings, done)),
        ("rights", lambda: _rights(asked, settings, done)),
        ("clock", lambda: _clock(seen, now or datetime.now(UTC))),
        ("rate limits", lambda: _rate(seen, done)),
        ("latency", lambda: _latency(asked, seen)),
        ("server", lambda: _server(asked, settings, done)),
        ("schema", lambda: _schema(asked, documents, operations, done, progress)),
    ]
    for name, check in checks:
        if name == "latency" and not _has_key(settings):
            skipped = "the server and its schema were not examined"
            done.findings.append(Finding("server", "note", skipped, "see key"))
            break
        try:
            done.findings += check()
        except WbgqlError as error:
            finding = _failed(name, error, settings)
            known = next((each for each in done.problems if each.found == finding.found), None)
            if known is not None:
                why = f"not examined, for the same reason as {known.check}"
                finding = Finding(name, "note", why, f"see {known.check}")
            done.findings.append(finding)
            if isinstance(error, ServerUnavailable) and error.status is None:
                left = "the server does not answer, so that nothing else was examined"
                do = "correct the problems above, then run `wbgql doctor` again"
                done.findings.append(Finding("server", "note", left, do))
                break
    return done


def examine_refused_settings(error: WbgqlError) -> Examination:
    """Return the finding that there are no usable settings, and why. Sends nothing."""
    found = Finding(
        "settings", "problem", str(error), "correct that, then run `wbgql doctor` again: it examines the rest"
    )
    facts = {"wbgql": installed_version("wbgql"), "sdk": installed_version("wandb")}
    return Examination([found], {"at": datetime.now(UTC).isoformat(timespec="seconds"), **facts})


def _failed(check: str, error: WbgqlError, settings: Settings) -> Finding:
    """What an error means, and what to do about it."""
    where = repr(urlsplit(settings.base_url).netloc)
    if isinstance(error, ServerUnavailable) and error.status is None and error.__cause__ is not None:
        failure = explain_failure(error.__cause__, where, settings)
        return Finding(check, "problem", failure.reason, failure.advice or _advice(error, settings))
    if isinstance(error, RequestError) and error.status == 407:
        refusal = proxy_refusal(where)
        return Finding(check, "problem", refusal.reason, refusal.advice)
    operation = error.operation if isinstance(error, RequestError) else None
    found = str(error).removeprefix(f"{operation}: ")
    return Finding(check, "problem", found, _advice(error, settings))


def _advice(error: WbgqlError, settings: Settings) -> str:
    match error:
        case AuthenticationError() if settings.identity_token_file is not None:
            return f"renew the identity token in {settings.identity_token_file!r}"
        case AuthenticationError():
            origin = settings.origin.get("api_key", "the caller")
            return (
                f"the key comes from {origin}: copy it again from the user settings page of the server, or "
                f"run `wandb login --relogin --host {settings.base_url}`"
            )
        case PermissionDenied():
            return "ask the server's admin why this key, or requests from this network, are refused"
        case RateLimited():
            return "wait a minute, then run `wbgql doctor` again"
        case ServerUnavailable():
            return "try again later; if it stays, ask the server's operator"
        case SchemaMismatch():
            return "`wbgql schema check --live` says what else the server lacks"
        case RequestError():
            origin = settings.origin.get("base_url", "the caller")
            return (
                f"base_url comes from {origin}: it must be the address of the API, without /graphql, and no "
                "sign-in page may stand before it"
            )
        case _:
            return "correct the setting that it names"


def make_report(done: Examination, *, host: str | None = None) -> dict[str, Any]:
    """Return what may be sent to others: versions, and which coordinates the schema has and lacks.

    It holds no name, key or id, no text of the server but its version, and no host but a given one.
    """
    schema, version = done.schema, done.facts.get("server_version")
    operations = [] if schema is None else schema.findings
    return {
        "format": "wbgql-doctor-report-1",
        **{name: done.facts.get(name) for name in ("at", "wbgql", "sdk", "deployment", "limits")},
        "server_version": version if version and _VERSION.fullmatch(version) else None,
        **({"host": host} if host is not None else {}),
        "introspection": None if schema is None else schema.introspected,
        "operations": {each.operation: each.outcome for each in operations},
        "present": [] if schema is None else sorted(schema.present),
        "absent": [] if schema is None else sorted(schema.absent),
        "levels": {finding.check: finding.level for finding in done.findings},
    }


def _settings(settings: Settings) -> Iterator[Finding]:
    for name in SHOWN:
        value, origin = getattr(settings, name), settings.origin.get(name, "the caller")
        if value is not None:
            yield Finding(name, "ok", f"from {origin}" if name == "api_key" else f"{value} (from {origin})")
    warning = insecure_transport_warning(settings)
    if warning is not None:
        yield Finding("transport", "problem", warning, "use https")


def _find_proxy(settings: Settings) -> SplitResult | None:
    """The proxy that requests would use. Raises ValueError, whose words may repeat a password."""
    from requests.utils import get_environ_proxies, select_proxy  # noqa: PLC0415 - as where requests are sent

    proxy = select_proxy(settings.base_url, get_environ_proxies(settings.base_url))
    if not proxy:
        return None
    url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    url.port  # noqa: B018  # raises for what is no port
    return url


def _proxy(settings: Settings) -> Iterator[Finding]:
    try:
        url = _find_proxy(settings)
    except ValueError:
        yield Finding(
            "proxy", "problem", "the proxy's address cannot be read", "correct HTTPS_PROXY or HTTP_PROXY"
        )
        return
    yield Finding("proxy", "ok", "none" if url is None else f"{url.hostname}:{url.port or ''}".rstrip(":"))


def _tls(settings: Settings, now: datetime) -> Iterator[Finding]:
    if urlsplit(settings.base_url).scheme != "https":
        yield Finding("tls", "note", "none: the address is http", "use https, except on loopback")
        return
    verify = tls_verification(settings)
    if verify is False:
        yield Finding("tls", "problem", "certificates are not verified", "name the CA in REQUESTS_CA_BUNDLE")
        return
    import certifi  # noqa: PLC0415 - comes with requests
    from requests.exceptions import SSLError  # noqa: PLC0415

    authority = verify if isinstance(verify, str) else certifi.where()
    where = repr(urlsplit(settings.base_url).netloc)
    try:
        version, ends = _look_at_certificate(settings, authority)
    except ssl.SSLError as error:
        failure = explain_failure(SSLError(error), where, settings)
        yield Finding("tls", "problem", failure.reason, failure.advice)
        return
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        found = f"the certificate could not be looked at: {reason.lower()}"
        yield Finding("tls", "note", found, "see key, whose request goes the same way and checks it")
        return
    days = int((ends - now.timestamp()) // 86400)
    level: Level = "ok" if days > _CERTIFICATE_DAYS else "note"
    yield Finding(
        "tls",
        level,
        f"{version}, verified against {authority}; the certificate ends in {days} days",
        "" if level == "ok" else "ask the server's operator to renew it",
    )


def _look_at_certificate(settings: Settings, authority: str) -> tuple[str | None, float]:
    """Return the version of TLS, and when the certificate ends, through the proxy if there is one."""
    folder = Path(authority).is_dir()
    context = ssl.create_default_context(
        cafile=None if folder else authority, capath=authority if folder else None
    )
    url, proxy = urlsplit(settings.base_url), _find_proxy(settings)
    host, port = url.hostname or "", url.port or 443
    if proxy is None:
        connection = HTTPSConnection(host, port, timeout=settings.timeout_s, context=context)
    elif proxy.scheme != "http":
        raise ValueError(f"it is behind a proxy that is reached by {proxy.scheme}")
    else:
        connection = HTTPSConnection(
            proxy.hostname or "", proxy.port or 80, timeout=settings.timeout_s, context=context
        )
        name, password = unquote(proxy.username or ""), unquote(proxy.password or "")
        token = b64encode(f"{name}:{password}".encode()).decode()
        connection.set_tunnel(host, port, {"Proxy-Authorization": f"Basic {token}"} if name else {})
    with closing(connection):
        connection.connect()
        peer = connection.sock.getpeercert() or {}
        return connection.sock.version(), ssl.cert_time_to_seconds(str(peer.get("notAfter")))


def _key(session: Session, settings: Settings, done: Examination) -> Iterator[Finding]:
    if not _has_key(settings):
        do = f"set WANDB_API_KEY, or run `wandb login --host {settings.base_url}`"
        yield Finding("key", "problem", f"there is no API key for {settings.base_url!r}", do)
        with suppress(AuthenticationError, PermissionDenied):
            get_viewer(session)  # whether the server answers can be asked without one
        return
    viewer = done.viewer = get_viewer(session)
    yield Finding("key", "ok", f"{viewer.username}, teams: {', '.join(viewer.team_names) or 'none'}")


def _rights(session: Session, settings: Settings, done: Examination) -> Iterator[Finding]:
    if done.viewer is None:
        return
    entity = settings.entity or done.viewer.entity
    if entity is None:
        yield Finding("rights", "note", "no entity is set", "set WANDB_ENTITY to see the role in it")
        return
    role = get_rights(session, entity).role
    if role is None:
        do = "ask an admin of the entity whether this key may delete the runs of others"
        yield Finding("rights", "note", f"{entity}: the server does not say", do)
    elif role in ("instance admin", "admin", "owner"):
        yield Finding("rights", "ok", f"{entity}: {role}; may delete every run there")
    else:
        what = "only runs that this key's owner created can be deleted"
        yield Finding("rights", "note", f"{entity}: {role}; {what}", "use an admin's key for erasure")


def _has_key(settings: Settings) -> bool:
    return settings.api_key is not None or settings.identity_token_file is not None


def _latency(session: Session, seen: _Seen) -> Iterator[Finding]:
    seen.waits_s.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say was said when the key was checked
        for _ in range(_SAMPLES):
            get_viewer(session)
    waits = [round(1000 * wait) for wait in seen.waits_s]
    yield Finding(
        "latency", "ok", f"median {statistics.median(waits):g} ms of {len(waits)} requests" if waits else "?"
    )


def _clock(seen: _Seen, now: datetime) -> Iterator[Finding]:
    date = seen.headers.get("date")
    try:
        skew_s = (parsedate_to_datetime(date or "") - now).total_seconds()
    except (TypeError, ValueError):
        do = "compare the clocks by hand: windows and expiries depend on them"
        yield Finding("clock", "note", "the server sends no time", do)
        return
    found = (
        f"the server's clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} this machine's"
    )
    if abs(skew_s) <= _SKEW_S:
        yield Finding("clock", "ok", found)
    else:
        yield Finding(
            "clock", "problem", found, "set this machine's clock: windows and expiries depend on it"
        )


def _rate(seen: _Seen, done: Examination) -> Iterator[Finding]:
    limits = {
        name: value for name, value in seen.headers.items() if name.startswith(("ratelimit", "x-ratelimit"))
    }
    done.facts["limits"] = sorted(limits)
    told = ", ".join(f"{name}: {value}" for name, value in sorted(limits.items()))
    yield Finding("rate limits", "ok", told or "the server sends no rate-limit headers")


def _server(session: Session, settings: Settings, done: Examination) -> Iterator[Finding]:
    retention = get_retention(session)
    deployment = retention.deployment_id
    kind, why = _kind(settings, deployment)
    done.facts["deployment"] = kind
    yield Finding("deployment", "ok", f"{kind}: {why}")
    info = get_server_info(session)
    version = None if info is None else info.version
    done.facts["server_version"] = version
    yield Finding("server version", "ok", version or "the server does not say")
    if info is not None and info.update is not None:
        yield Finding("server update", "note", f"{info.update} is out", "read its release notes")
    yield Finding("wandb SDK", "ok", done.facts["sdk"] or "not installed: wbgql does not need it")
    kept = retention.data_retention_duration
    if kept is None:
        do = "ask the operator for how long deleted runs can be restored"
        yield Finding("retention", "note", "the server does not say", do)
    elif deployment == LOCAL_DEPLOYMENT:
        yield Finding("retention", "ok", f"deleted runs can be restored for {kept} s")
    else:
        do = "ask the operator for its unit: wbgql reads no window from it"
        yield Finding("retention", "note", f"{kept}, without a unit", do)


def _kind(settings: Settings, deployment_id: str | None) -> tuple[str, str]:
    host = urlsplit(settings.base_url).hostname or ""
    if deployment_id == LOCAL_DEPLOYMENT:
        return "local", "the server calls itself so"
    if host in CLOUD_HOSTS:
        return "SaaS", "the address is W&B's own"
    if host.endswith(".wandb.io"):
        return "Dedicated Cloud", "the address ends in .wandb.io"
    return "unknown", "self-managed, or another server: nothing it says tells which"


def _schema(
    session: Session,
    documents: Documents,
    operations: Iterable[Operation[Any]],
    done: Examination,
    progress: Progress | None,
) -> Iterator[Finding]:
    from wbgql.live_schema import check_live  # noqa: PLC0415 - imports graphql-core

    done.schema = found = check_live(session, documents, operations, progress=progress)
    counts = Counter(each.outcome for each in found.findings)
    told = ", ".join(f"{outcome}: {count}" for outcome, count in counts.items())
    if broken := found.named("does not work"):
        do = "`wbgql schema check --live` says why, and which commands that concerns"
        yield Finding("schema", "problem", f"{told}: {', '.join(broken)}", do)
    elif found.named("not checked"):
        do = "`wbgql schema check --live` says which; an admin of the server can allow introspection"
        yield Finding("schema", "note", told, do)
    else:
        yield Finding("schema", "ok", told)
