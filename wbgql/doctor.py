"""What stands between these settings and a day's work: each finding with what to do about it. Only reads."""

from __future__ import annotations

import ssl
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from wbgql.documents import Documents
from wbgql.errors import RequestError, WbgqlError
from wbgql.extras import installed_version
from wbgql.settings import CLOUD_HOSTS, SHOWN, Settings, insecure_transport_warning, tls_verification
from wbgql.transport import ObservedTransport, Reply
from wbgql.viewer import LOCAL_DEPLOYMENT, get_retention, get_rights, get_server_info, get_viewer

if TYPE_CHECKING:
    from wbgql.live_schema import LiveCheck
    from wbgql.session import Session

Level = Literal["ok", "note", "problem"]

_SAMPLES = 5
_SKEW_S = 30
_CERTIFICATE_DAYS = 21


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
    """What was found. `schema`: per operation, None if it could not be asked. `report`: see `make_report`."""

    findings: list[Finding]
    facts: dict[str, Any]
    schema: LiveCheck | None = None

    @property
    def problems(self) -> list[Finding]:
        """The findings that keep something from working."""
        return [finding for finding in self.findings if finding.level == "problem"]


def examine(
    session: Session, settings: Settings, documents: Documents, *, now: datetime | None = None
) -> Examination:
    """Examine settings, the way to the server, the key, the server and its schema.

    About ten requests, or one more for each query if the server hides its schema. Queries only. What fails is
    a finding and ends nothing.
    """
    seen = _Seen()
    asked = session.through(lambda transport: ObservedTransport(transport, seen.note))
    done = Examination([], {"at": (now or datetime.now(UTC)).isoformat(timespec="seconds")})
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("settings", lambda: _settings(settings)),
        ("proxy", lambda: _proxy(settings)),
        ("tls", lambda: _tls(settings, now or datetime.now(UTC))),
        ("key", lambda: _key(asked, settings)),
        ("latency", lambda: _latency(asked, seen)),
        ("clock", lambda: _clock(seen, now or datetime.now(UTC))),
        ("rate limits", lambda: _rate(seen, done)),
        ("server", lambda: _server(asked, settings, done)),
        ("schema", lambda: _schema(asked, documents, done)),
    ]
    for name, check in checks:
        try:
            done.findings += check()
        except RequestError as error:
            done.findings.append(Finding(name, "problem", str(error), "check the address and the key"))
        except WbgqlError as error:
            done.findings.append(Finding(name, "problem", str(error)))
    return done


def make_report(done: Examination) -> dict[str, Any]:
    """Return what may be sent to others: versions, and what the schema has and lacks.

    It holds no host, name, key or id.
    """
    schema = done.schema
    operations = [] if schema is None else schema.findings
    return {
        "format": "wbgql-doctor-report-1",
        **{
            name: done.facts.get(name)
            for name in ("at", "wbgql", "sdk", "deployment", "server_version", "limits")
        },
        "introspection": None if schema is None else schema.introspected,
        "operations": {each.operation: each.outcome for each in operations},
        "absent": sorted({name for each in operations for name in each.without}),
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


def _proxy(settings: Settings) -> Iterator[Finding]:
    from requests.utils import get_environ_proxies, select_proxy  # noqa: PLC0415 - as where requests are sent

    proxy = select_proxy(settings.base_url, get_environ_proxies(settings.base_url))
    try:
        url = urlsplit(proxy or "")
        found = f"{url.hostname}:{url.port or ''}".rstrip(":") if proxy else "none"
    except ValueError:  # its message may repeat a password
        yield Finding(
            "proxy", "problem", "the proxy's address cannot be read", "correct HTTPS_PROXY or HTTP_PROXY"
        )
        return
    yield Finding("proxy", "ok", found)


def _tls(settings: Settings, now: datetime) -> Iterator[Finding]:
    url = urlsplit(settings.base_url)
    if url.scheme != "https":
        yield Finding("tls", "note", "none: the address is http", "use https, except on loopback")
        return
    verify = tls_verification(settings)
    if verify is False:
        yield Finding("tls", "problem", "certificates are not verified", "name the CA in REQUESTS_CA_BUNDLE")
        return
    import socket  # noqa: PLC0415

    import certifi  # noqa: PLC0415 - comes with requests

    authority = verify if isinstance(verify, str) else certifi.where()
    folder = Path(authority).is_dir()
    try:
        context = ssl.create_default_context(
            cafile=None if folder else authority, capath=authority if folder else None
        )
        address = (url.hostname or "", url.port or 443)
        with (
            closing(socket.create_connection(address, timeout=settings.timeout_s)) as plain,
            context.wrap_socket(plain, server_hostname=url.hostname) as connection,
        ):
            ends = ssl.cert_time_to_seconds(str((connection.getpeercert() or {}).get("notAfter")))
            version = connection.version()
    except (OSError, ValueError) as error:
        yield Finding(
            "tls",
            "note",
            f"the certificate could not be looked at from here: {error}",
            "a proxy in between is a usual reason; requests check it all the same",
        )
        return
    days = int((ends - now.timestamp()) // 86400)
    level: Level = "ok" if days > _CERTIFICATE_DAYS else "note"
    yield Finding(
        "tls",
        level,
        f"{version}, verified against {authority}; the certificate ends in {days} days",
        "" if level == "ok" else "ask the server's operator to renew it",
    )


def _key(session: Session, settings: Settings) -> Iterator[Finding]:
    viewer = get_viewer(session)
    yield Finding("key", "ok", f"{viewer.username}, teams: {', '.join(viewer.team_names) or 'none'}")
    entity = settings.entity or viewer.entity
    if entity is None:
        yield Finding("rights", "note", "no entity is set", "set WANDB_ENTITY to see the role in it")
        return
    role = get_rights(session, entity).role
    if role is None:
        yield Finding(
            "rights", "note", f"{entity}: the server does not say", "deletions of others' runs may fail"
        )
    elif role in ("instance admin", "admin", "owner"):
        yield Finding("rights", "ok", f"{entity}: {role}; may delete every run there")
    else:
        what = "only runs that this key's owner created can be deleted"
        yield Finding("rights", "note", f"{entity}: {role}; {what}", "use an admin's key for erasure")


def _latency(session: Session, seen: _Seen) -> Iterator[Finding]:
    seen.waits_s.clear()
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
        yield Finding("clock", "note", "the server sends no time", "clock skew is unknown")
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
    sdk = installed_version("wandb")
    done.facts |= {"deployment": kind, "wbgql": installed_version("wbgql"), "sdk": sdk}
    yield Finding("deployment", "note" if kind == "unknown" else "ok", f"{kind}: {why}")
    info = get_server_info(session)
    version = None if info is None else info.version
    done.facts["server_version"] = version
    yield Finding("server version", "ok", version or "the server does not say")
    if info is not None and info.update is not None:
        yield Finding("server update", "note", f"{info.update} is out", "read its release notes")
    yield Finding("wandb SDK", "ok", sdk or "not installed: wbgql does not need it")
    kept = retention.data_retention_duration
    if kept is None:
        do = "ask the operator for how long deleted runs can be restored"
        yield Finding("retention", "note", "the server does not say", do)
    elif deployment == LOCAL_DEPLOYMENT:
        yield Finding("retention", "ok", f"deleted runs can be restored for {kept} s")
    else:
        yield Finding("retention", "note", f"{kept}, without a unit", "no window is read from it")


def _kind(settings: Settings, deployment_id: str | None) -> tuple[str, str]:
    host = urlsplit(settings.base_url).hostname or ""
    if deployment_id == LOCAL_DEPLOYMENT:
        return "local", "the server calls itself so"
    if host in CLOUD_HOSTS:
        return "SaaS", "the address is W&B's own"
    if host.endswith(".wandb.io"):
        return "Dedicated Cloud", "the address ends in .wandb.io"
    return "unknown", "self-managed, or another server: nothing it says tells which"


def _schema(session: Session, documents: Documents, done: Examination) -> Iterator[Finding]:
    from wbgql.live_schema import check_live  # noqa: PLC0415 - imports graphql-core

    done.schema = found = check_live(session, documents)
    by_outcome: dict[str, list[str]] = {}
    for each in found.findings:
        by_outcome.setdefault(each.outcome, []).append(each.operation)
    counts = ", ".join(f"{outcome}: {len(names)}" for outcome, names in by_outcome.items())
    broken, unknown = by_outcome.get("does not work", []), by_outcome.get("not checked", [])
    do = "`wbgql schema check --live` says why" if broken or unknown else ""
    level: Level = "problem" if broken else "note" if unknown else "ok"
    yield Finding("schema", level, f"{counts}{': ' if broken else ''}{', '.join(broken)}", do)
