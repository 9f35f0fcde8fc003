"""What the SDK streams while a run logs: lines, summary, state. Committed before it is acknowledged."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from wbgql.errors import UsageError
from wbgql.server.artifacts import system as system_artifacts
from wbgql.server.artifacts.nodes import writing
from wbgql.server.backend import Context
from wbgql.server.http import bodies
from wbgql.server.lifecycle import retention
from wbgql.server.runs import history, lines
from wbgql.server.runs import rows as runs
from wbgql.server.runs import values as run_values
from wbgql.server.store.database import Connection, Row

SUMMARY = "wandb-summary.json"
MAX_LINES = 2**31 - 1
"""As many as an `Int` of GraphQL can count."""


class Chunk(msgspec.Struct, frozen=True):
    """Lines of one file; `content[i]` is line `offset + i`."""

    content: list[str] = []
    offset: int = 0


class Request(msgspec.Struct, frozen=True):
    """The body of a file_stream request; every part may be missing. An empty one is a heartbeat."""

    files: dict[str, Chunk] = {}
    uploaded: list[str] = []
    complete: bool | None = None
    preempting: bool | None = None
    exitcode: int | None = None


_decoder = msgspec.json.Decoder(Request)


def decode(body: bytes) -> Request:
    """Read a request's body.

    Raises:
        UsageError: not a file_stream request.
    """
    request = bodies.decode(_decoder, body, "a file_stream request")
    if any(not 0 <= chunk.offset <= MAX_LINES - len(chunk.content) for chunk in request.files.values()):
        raise UsageError("not a file_stream request: an offset is out of range")
    return request


def receive(
    context: Context, path: tuple[str, str, str], request: Request, client: str | None = None
) -> dict[str, Any]:
    """Store one request for the run `path` (entity, project, id); return the answer.

    `client` is the writer's id in shared mode. Repeating a request changes nothing.

    Raises:
        ResponseError: the run is deleted (status 410), which ends the SDK's stream.
        NotFound, PermissionDenied: see `runs.find_run_by_path`; also if rows would take the place of others
            in a run that is not the viewer's. Of such a run, lines of the console and keys of the summary
            stay.
    """
    # The run is looked up with the connection that writes: any other must read the file again after a write.
    with writing(context) as now:
        run = runs.find_run_by_path(now, *path)
        writer = lines.writer_number(now.db, run["pk"], client)
        may_destroy = now.may_destroy(now.db, run["pk"])
        for name, chunk in request.files.items():
            if not may_destroy:
                lines.check(name, chunk.offset, chunk.content)
                _refuse_loss(now, run, writer, name, chunk)
            _store_chunk(now, run, writer, name, chunk, may_destroy=may_destroy)
        _set_state(now, run, request)
    if request.complete:
        # Before the answer: a server that dies here is asked again by the SDK.
        system_artifacts.export_history(context, run)
    return {"stopped": True} if run["stopped"] else {}


def _refuse_loss(now: Context, run: Row, writer: int, name: str, chunk: Chunk) -> None:
    """Refuse a chunk that would take rows from a run, as it is stored or as it is read.

    Raises:
        PermissionDenied: it takes the place of other rows, gives another value for a step that was logged, or
            leaves a gap, after which the owner could not go on.
    """
    db, pk = now.db, run["pk"]
    if name not in (lines.HISTORY, lines.EVENTS):
        return
    has_gap = not writer and chunk.offset > run[runs.LINE_COUNTS[name]]
    is_read_instead = name == lines.HISTORY and lines.contradicts(db, pk, writer, chunk.offset, chunk.content)
    if has_gap or is_read_instead or lines.differs(db, pk, name, writer, chunk.offset, chunk.content):
        now.require_owner(db, pk)


def _store_chunk(now: Context, run: Row, writer: int, name: str, chunk: Chunk, *, may_destroy: bool) -> None:
    if not chunk.content:
        return
    db = now.db
    if name == SUMMARY:
        merged = writer > 0 or not may_destroy
        runs.set_summary(db, run["pk"], _summary(db, run["pk"], chunk.content[-1], merged=merged))
        return
    lines.check(name, chunk.offset, chunk.content)
    is_restart = may_destroy and not writer and runs.start_over(db, run["pk"], name, chunk.offset)
    keeps = name == lines.CONSOLE and not may_destroy
    lines.write(db, run["pk"], name, writer, chunk.offset, chunk.content, keeps=keeps)
    if name == lines.HISTORY:
        if is_restart and run["historyLineCount"] > chunk.offset:
            retention.audit(now, db, "run:start_over", run["project"], run["name"])
        overwrites = writer > 0 or (chunk.offset != run["historyLineCount"] and not is_restart)
        history.update_keys(db, run["pk"], chunk.offset, chunk.content, overwrites=overwrites)
    elif name == lines.EVENTS:
        _merge_system_metrics(db, run["pk"], chunk.content)


def _summary(db: Connection, pk: int, text: str, *, merged: bool) -> str:
    """What a chunk makes of the summary: it is complete, or `merged` as its writer may not know all of it."""
    old = db.execute("SELECT summary FROM run_texts WHERE run_id = ?", (pk,)).get if merged else None
    if old is None:
        return text
    return _dump(run_values.merge(lines.parse_row(old), run_values.parse_object(text, "summary")))


def _merge_system_metrics(db: Connection, pk: int, content: list[str]) -> None:
    text = db.execute("SELECT system_metrics FROM run_texts WHERE run_id = ?", (pk,)).get
    merged = lines.parse_row(text) if text else {}
    for line in content:
        merged |= lines.parse_row(line)
    db.execute("UPDATE run_texts SET system_metrics = ? WHERE run_id = ?", (_dump(merged), pk))


def _dump(values: dict[str, Any]) -> str:
    # The standard library writes every number that Python can read, where msgspec stops at 64 bits; and it
    # escapes half a surrogate pair, which the store could not hold.
    return json.dumps(values)


def _set_state(context: Context, run: Row, request: Request) -> None:
    state = "running"
    if request.complete:
        state = "failed" if request.exitcode else "finished"
    elif request.preempting:
        state = "preempting"
    now, db = context.backend.now(), context.db
    db.execute(
        "UPDATE runs SET heartbeat_at = ?, updated_at = ?, exitcode = coalesce(?, exitcode) WHERE id = ?",
        (now, now, request.exitcode if request.complete else None, run["pk"]),
    )
    # Apart, as the state stands in every index that was made for a key.
    db.execute("UPDATE runs SET state = ? WHERE id = ? AND state <> ?", (state, run["pk"], state))
