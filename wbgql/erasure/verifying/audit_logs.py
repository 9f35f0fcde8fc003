"""Reads the server's audit log, and compares its counts with what a job did. The log names no run.

Source: W&B docs "Audit logging": `GET <host>/admin/audit_logs` (self-managed, dedicated), one JSON object a
line; or `https://api.wandb.ai/audit_logs`, one JSON object a page, of up to seven days, with `next_cursor`.
Basic authentication; organization admins may read it. Actions `run:delete`, `run:delete_many`,
`run:undelete_many`, ... with entity and project, without a field for the run (2026-11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from urllib.parse import urlencode, urlsplit

import msgspec

from wbgql.downloads import Fetcher
from wbgql.errors import NotFound, PermissionDenied, RequestError, ResponseError
from wbgql.paths import ProjectPath
from wbgql.scalars import parse_datetime
from wbgql.settings import CLOUD_HOSTS

_CLOUD_DAYS = 7
_MAX_PAGE = 1 << 26
_DELETE, _DELETE_MANY = "run:delete", "run:delete_many"
_UNDELETE = ("run:undelete_many", "run:undelete")
_MAX_LINE = 1 << 20


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log; what it has beside these is not read (it holds names and addresses)."""

    action: str
    timestamp: str
    entity_name: str | None = None
    project_name: str | None = None
    response_code: int | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the server did it; a line without a code is taken for done."""
        return self.response_code is None or self.response_code < 400


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    audit_logs: list[Entry]
    next_cursor: str | None = None


class Audit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log against the job, in the projects and the time of the job.

    `deletes`: runs deleted one by one; `bulk_deletes` and `undeletes`: requests, each for any number of runs.
    `sent`: deletions that this job may have sent, each attempt counted: one whose answer was lost may be in
    the log or not. `hidden`: runs whose deletion was answered and proved. `unexplained`: deletions beyond
    `sent`, plus bulk deletions and undeletions, none of which the job sends. `missing`: how many of `hidden`
    the log does not show.
    """

    deletes: int
    bulk_deletes: int
    undeletes: int
    sent: int
    hidden: int

    @property
    def unexplained(self) -> int:
        """What somebody else did."""
        return max(0, self.deletes - self.sent) + self.bulk_deletes + self.undeletes

    @property
    def missing(self) -> int:
        """What the log should show and does not."""
        return max(0, self.hidden - self.deletes)


def read_audit(
    fetcher: Fetcher,
    base_url: str,
    projects: Collection[ProjectPath],
    *,
    start: datetime,
    end: datetime,
    sent: int,
    hidden: int,
) -> Audit | None:
    """Count what the log says of runs of `projects` since `start`, and compare it with what the job did.

    None where there is no such log, or this key may not read it (an organization admin's may). One request
    for the whole days from `start` to `end`, streamed; on W&B's cloud, and on a server that has no such log,
    one for each page of each seven days.

    Raises:
        ResponseError: what comes is no audit log.
        RequestError: the server did not answer.
    """
    try:
        if urlsplit(base_url).hostname not in CLOUD_HOSTS:
            days = (end.date() - start.date()).days + 1
            query = urlencode({"startDate": start.date().isoformat(), "numDays": days})
            # A host of its own may be the cloud's: it answers 404 here.
            with (
                suppress(NotFound),
                fetcher.open(f"{base_url.rstrip('/')}/admin/audit_logs?{query}") as chunks,
            ):
                return reconcile(_entries(chunks), projects, start=start, sent=sent, hidden=hidden)
        entries = _paged_entries(fetcher, f"{base_url.rstrip('/')}/audit_logs", start.date(), end.date())
        return reconcile(entries, projects, start=start, sent=sent, hidden=hidden)
    except (NotFound, PermissionDenied):
        return None


def reconcile(
    entries: Iterable[Entry],
    projects: Collection[ProjectPath],
    *,
    start: datetime,
    sent: int,
    hidden: int,
) -> Audit:
    """Count the entries of `projects` since `start`; whole seconds, as some logs have no more."""
    seen: Counter[str] = Counter()
    since = start.replace(microsecond=0)
    for entry in entries:
        where = ProjectPath(entry.entity_name or "", entry.project_name or "")
        if entry.succeeded and where in projects and _instant(entry) >= since:
            seen[entry.action] += 1
    undeletes = sum(seen[action] for action in _UNDELETE)
    return Audit(
        deletes=seen[_DELETE],
        bulk_deletes=seen[_DELETE_MANY],
        undeletes=undeletes,
        sent=sent,
        hidden=hidden,
    )


def _paged_entries(fetcher: Fetcher, url: str, first: date, last: date) -> Iterator[Entry]:
    """The entries of whole days, some days at a time; each entry once, also where two answers overlap."""
    while first <= last:
        end = min(first + timedelta(days=_CLOUD_DAYS - 1), last)
        asked: dict[str, str | int] = {"startDate": first.isoformat(), "numDays": (end - first).days + 1}
        cursors: set[str] = set()
        while True:
            page = _read_page(fetcher, f"{url}?{urlencode(asked)}")
            yield from (entry for entry in page.audit_logs if first <= _instant(entry).date() <= end)
            if not page.next_cursor:
                break
            if page.next_cursor in cursors:
                raise ResponseError("the audit log gives the same cursor twice: it has no end")
            cursors.add(page.next_cursor)
            asked["cursor"] = page.next_cursor
        first = end + timedelta(days=1)


def _read_page(fetcher: Fetcher, url: str) -> _Page:
    body = bytearray()
    with fetcher.open(url) as chunks:
        for chunk in chunks:
            body += chunk
            if len(body) > _MAX_PAGE:
                raise ResponseError("a page of the audit log is longer than 64 MiB: it is not read")
    try:
        return msgspec.json.decode(body, type=_Page)
    except msgspec.DecodeError as error:
        raise ResponseError("the audit log is not an object with audit_logs") from error


def _instant(entry: Entry) -> datetime:
    try:
        return parse_datetime(entry.timestamp)
    except ValueError as error:
        raise ResponseError("an entry of the audit log has no ISO-8601 time") from error


def _entries(chunks: Iterable[bytes]) -> Iterator[Entry]:
    decoder = msgspec.json.Decoder(Entry)
    try:
        yield from (decoder.decode(line) for line in _lines(chunks) if line.strip())
    except msgspec.DecodeError as error:
        raise ResponseError("the audit log is not one JSON object a line") from error


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > _MAX_LINE:
            raise RequestError("a line of the audit log is longer than 1 MiB: it is not read")
    yield rest
