"""What a question would send and cost, told before anything heavy is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from wbgql.errors import NotFound, PermissionDenied
from wbgql.expressions import FieldPath
from wbgql.paths import ProjectPath
from wbgql.runs.key_lists import PROJECTS_LOOKED_AT, look_up_keys, runs_of
from wbgql.runs.keys import KnownKeys, key_warnings, mismatches, types_of
from wbgql.runs.projections import Projection
from wbgql.runs.questions import Question
from wbgql.runs.reading import PageReader
from wbgql.runs.scopes import Scope, Tally
from wbgql.scalars import dump_json
from wbgql.wire.session import Session

SAMPLE = 20


class ExplainedField(msgspec.Struct, frozen=True):
    """A field that the question names.

    `key` is the server's name for it, None where it has none (a key with a dot). `types` is what the
    runs hold there: none where no run has it, None where it is a run's attribute or the server cannot
    say. `used`: any of where, order, select.
    """

    field: str
    key: str | None
    types: tuple[str, ...] | None
    used: tuple[str, ...]


class ExplainedProject(msgspec.Struct, frozen=True):
    """One project with the number of runs that match there, as the server counts."""

    project: str
    count: int


class Explanation(msgspec.Struct, frozen=True):
    """What would be sent, who decides what, and what it would cost. `str()` is a text to read.

    `count`: runs that match on the server. `reads`: runs that would travel. `requests` and `pages`
    follow from it. `bytes_estimate` is reckoned from a page of `sampled` runs, as it travelled; None
    where there was none to look at. `client_filter`: the part left to the client, or None.
    """

    projects: tuple[ExplainedProject, ...]
    unread: tuple[str, ...]
    filters: dict[str, Any]
    order: str
    select: str
    fields: tuple[ExplainedField, ...]
    client_filter: str | None
    projection: str
    stable: bool
    limit: int | None
    page_size: int
    count: int
    reads: int
    pages: int
    requests: int
    sampled: int
    bytes_estimate: int | None
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(f"{label:<10} {text}" for label, text in _lines(self))


def explain(session: Session, scope: Scope, question: Question, tally: Tally) -> Explanation:
    """Ask for counts, typed keys and one small page or two; see `RunSelection.explain`."""
    readers = [PageReader(session, path, question) for path in scope.projects(session, tally)]
    listed = len(readers) if scope.single is None else 0
    counts: dict[ProjectPath, int] = {}
    for reader in readers:
        try:
            counts[reader.path] = reader.count()
            tally.begin(reader.path)
        except (NotFound, PermissionDenied) as error:
            if scope.single is not None:
                raise
            tally.miss(reader.path, str(error))
    sampled, size = _sample(
        [reader for reader in readers if counts.get(reader.path)], _with_evidence(question)
    )
    used = _used(question)
    looked_at = list(counts)[:PROJECTS_LOOKED_AT]
    known: KnownKeys | None = KnownKeys()
    if any(path.section != "run" for path in used):
        known = look_up_keys(session, looked_at, used)
    whose = None if len(looked_at) == len(counts) else runs_of(scope, looked_at, counts)
    reads, pages = _reads(question, counts.values())
    return Explanation(
        projects=tuple(ExplainedProject(str(path), count) for path, count in counts.items()),
        unread=tuple(f"{missing.path}: {missing.reason}" for missing in tally.coverage().unread),
        filters=question.filters,
        order=f"{question.order} by the client" if question.sorts_here else question.order_text,
        select=_select_text(question),
        fields=tuple(_fields(used, known)),
        client_filter=None if question.rest is None else str(question.rest),
        projection=_projection_text(question, readers),
        stable=question.stable,
        limit=question.limit,
        page_size=question.page_size,
        count=sum(counts.values()),
        reads=reads,
        pages=pages,
        requests=pages + (len(counts) if question.stable else 0) + -(-listed // 200),
        sampled=sampled,
        bytes_estimate=reads * size // sampled if sampled else None,
        warnings=tuple(_warnings(question, used, known, whose)),
    )


def _with_evidence(question: Question) -> Question:
    """The same, with the keys of filter and order, so that a server that ignores these is noticed."""
    paths = [path for path in question.paths if path.dotted is None]
    return replace(question, extra=question.extra | Projection.of(paths))


def _sample(readers: Iterable[PageReader], evident: Question) -> tuple[int, int]:
    """How many runs a small page held, and its size in bytes as it travelled.

    What `evident` brings besides comes on a page of its own: it is looked at, and not reckoned with.
    """
    for reader in readers:
        before = reader.session.stats.bytes_received
        first = min(SAMPLE, reader.question.page_size)
        page = reader.fetch(first, None)
        size = reader.session.stats.bytes_received - before
        if page.nodes:
            if evident.sent != reader.question.sent:
                PageReader(reader.session, reader.path, evident).fetch(first, None)
            return len(page.nodes), size
    return 0, 0


def _reads(question: Question, counts: Iterable[int]) -> tuple[int, int]:
    """How many runs travel, and on how many pages; an empty project costs a page as well."""
    limit = question.limit if question.rest is None and not question.sorts_here else None
    listed = [count if limit is None else min(count, limit) for count in counts]
    return sum(listed), sum(max(1, -(-count // question.page_size)) for count in listed)


def _used(question: Question) -> dict[FieldPath, list[str]]:
    used: dict[FieldPath, list[str]] = {}
    for path in sorted(question.filtered, key=str):
        used.setdefault(path, []).append("where")
    if question.order is not None:
        used.setdefault(question.order.path, []).append("order")
    for selected in question.select if question.select != "*" else ():
        used.setdefault(selected.path, []).append("select")
    return used


def _fields(used: Mapping[FieldPath, list[str]], known: KnownKeys | None) -> Iterable[ExplainedField]:
    for path, uses in used.items():
        is_told = path.section != "run" and known is not None and not known.is_unsure(path)
        types = types_of(path, known.types) if is_told and known is not None else None
        key = None if path.dotted is not None else path.key
        yield ExplainedField(str(path), key, types, tuple(dict.fromkeys(uses)))


def _warnings(
    question: Question, used: Iterable[FieldPath], known: KnownKeys | None, whose: str | None
) -> Iterable[str]:
    yield from question.warnings
    if known is None:
        yield "this server cannot list typed keys: misspelt ones are not noticed"
        return
    yield from mismatches(question.where, known.types)
    found = key_warnings(
        sorted(used, key=str),
        known,
        whose=whose,
        objects=question.may_be_objects,
        writer_of=question.writer_of,
    )
    yield from map(str, found)


def _select_text(question: Question) -> str:
    if question.select == "*":
        return "all of config and summary"
    return ", ".join(str(selected) for selected in question.select) or "no keys of config or summary"


def _projection_text(question: Question, readers: Sequence[PageReader]) -> str:
    if None in (question.sent.config, question.sent.summary) and question.select != "*":
        return "the client: a key with a dot cannot be asked for alone"
    if not question.sent.is_partial or not readers:
        return "nothing to pick"
    return str(readers[0].capabilities)


def _lines(told: Explanation) -> Iterable[tuple[str, str]]:
    for project in told.projects:
        yield "project", f"{project.project}: {project.count:,} runs match on the server"
    for unread in told.unread:
        yield "unread", unread
    yield "filter", dump_json(told.filters)
    yield "order", told.order
    yield "select", told.select
    if told.projection != "nothing to pick":
        yield "keys", f"picked by {told.projection}"
    if told.client_filter is not None:
        yield "client", f"decides {told.client_filter}: reads all {told.count:,} runs that match the filter"
    for field in told.fields:
        yield "field", f"{field.field} {_named(field)} ({', '.join(field.used)})"
    yield "reading", _cost(told)
    for warning in told.warnings:
        yield "warning", warning


def _named(field: ExplainedField) -> str:
    name = "has no name on the server" if field.key is None else f"is {field.key}"
    return name if field.types is None else f"{name}, {' or '.join(field.types) or 'no run has it'}"


def _cost(told: Explanation) -> str:
    how = "by creation time, count compared" if told.stable else "by offset"
    size = (
        ""
        if told.bytes_estimate is None
        else f", about {_size(told.bytes_estimate)} (estimated from {told.sampled})"
    )
    pages = f"{told.pages:,} {'page' if told.pages == 1 else 'pages'} of {told.page_size}"
    return f"{told.reads:,} runs on {pages}, {how}; requests: {told.requests:,}{size}"


def _size(size_bytes: int) -> str:
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1_000:.0f} kB" if size_bytes >= 1_000 else f"{size_bytes} bytes"
    return f"{size_bytes / 1_000_000:.1f} MB"
