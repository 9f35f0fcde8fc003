"""Moving runs to another project: before the answer, or after it as a task of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from wbgql.errors import UsageError
from wbgql.server import accounts
from wbgql.server.backend import Backend, Context, PendingMove
from wbgql.server.lifecycle import retention
from wbgql.server.likeness import bulk_filters
from wbgql.server.likeness.switches import TASK
from wbgql.server.projects import rows as projects
from wbgql.server.projects.rows import id_parts, make_id
from wbgql.server.store.database import Connection, Row, row

_KIND = "moveRuns"
TASK_S = 1.0
"""How long a move takes that is a task of its own."""


def move(context: Context, source: Row, given: Row) -> Row:
    """Move what matches to another project, made if it is new; return the task, which is finished.

    Rows, files and history go along and the storage id changes with the project; artifacts stay where they
    were logged, system artifacts too. On a server that moves by tasks the runs move a second later, and
    are lost if the destination is not there: no project has them any more.

    Source: `Likeness.moves`.

    Raises:
        UsageError: no filter, or a run id that the destination has or had; then none is moved.
        NotFound, PermissionDenied: the destination is not writable, or a run is not the viewer's to move.
    """
    if not given["filters"].strip():
        raise UsageError('moveRuns needs a filter: "{}" is the one that matches every run')
    at = context.backend.now()
    names = given["destinationEntityName"], given["destinationProjectName"]
    if context.backend.settings.moves == TASK:
        return _begin(context, source, given["filters"], names, at)
    with context.store.write() as db:
        destination, _ = projects.find_or_create(context, db, *names)
        found = bulk_filters.matching(context, db, source, given["filters"])
        if destination["pk"] != source["pk"]:
            _refuse_taken(context, db, destination, found)
            for run in found:
                _move(context, db, run, source, destination, at)
    return _task(at)


def _begin(context: Context, source: Row, filters: str, names: tuple[str, str], at: str) -> Row:
    """Accept a move whose runs move later: which they are is settled now, where they go is looked up then."""
    with context.store.write() as db:
        found = bulk_filters.matching(context, db, source, filters)
        for run in found:
            context.require_owner(db, run["pk"])
        destination = projects.find_project(context, *names)
        if destination is not None:
            accounts.require_writer(db, context.viewer, destination["entityPk"])
    task = _task(at, "RUNNING")

    def do() -> None:
        with context.store.write() as db:
            _finish(replace(context, db=db), source, [run["pk"] for run in found], names, at)

    context.backend.moves.append(PendingMove(task["id"], time.monotonic() + TASK_S, do))
    return task


def _finish(context: Context, source: Row, pks: Sequence[int], names: tuple[str, str], at: str) -> None:
    db = context.db
    destination = projects.find_project(context, *names)
    if destination is None:
        # Nobody can ask for a project that is deleted and has a slash in its name.
        db.execute(
            "INSERT INTO projects (entity_id, name, access, created_at, updated_at, deleted_at)"
            " VALUES (?1, '/lost/' || (SELECT count(*) FROM projects), 'PRIVATE', ?2, ?2, ?2)",
            (source["entityPk"], at),
        )
        destination = source | {"pk": db.last_insert_rowid()}
    if destination["pk"] == source["pk"]:
        return
    for pk in pks:
        run = row(
            db,
            "SELECT id AS pk, name FROM runs WHERE id = ? AND project_id = ? AND deleted_at IS NULL",
            (pk, source["pk"]),
        )
        if run is not None and not _is_taken(context, db, destination, run["name"]):
            _move(context, db, run, source, destination, at)


def finish_due(backend: Backend) -> None:
    """Do the moves whose time has come. Called before each request, so that nobody can see them late."""
    if not backend.moves:
        return
    with backend.moving:
        for pending in [one for one in backend.moves if one.due <= time.monotonic()]:
            pending.do()
            backend.moves.remove(pending)


def _refuse_taken(context: Context, db: Connection, destination: Row, found: Sequence[Row]) -> None:
    for run in found:
        if _is_taken(context, db, destination, run["name"]):
            raise UsageError(f"run id {run['name']!r} is taken in {destination['name']!r}, no run was moved")


def _is_taken(context: Context, db: Connection, destination: Row, name: str) -> bool:
    found = db.execute(
        "SELECT 1 FROM runs WHERE project_id = ?1 AND name = ?2"
        " UNION ALL SELECT 1 FROM tombstones WHERE subject = ?3",
        (destination["pk"], name, context.backend.subject(destination["pk"], name)),
    )
    return bool(found.get)


def _move(context: Context, db: Connection, run: Row, source: Row, destination: Row, at: str) -> None:
    context.require_owner(db, run["pk"])
    db.execute(
        "UPDATE runs SET project_id = ?, updated_at = ? WHERE id = ?", (destination["pk"], at, run["pk"])
    )
    for project in (source, destination):
        retention.audit(context, db, "run:move", project, run["name"])


def _task(at: str, state: str = "FINISHED") -> Row:
    return {
        "id": make_id("Task", _KIND, at),
        "name": _KIND,
        "type": _KIND,
        "state": state,
        "progress": 100 if state == "FINISHED" else 0,
        "createdAt": at,
        "updatedAt": at,
    }


def find_task(backend: Backend, task_id: str) -> Row | None:
    """The task of an id made by `move`; None for any other."""
    kind, *rest = id_parts(task_id)
    if kind != "Task" or rest[:1] != [_KIND]:
        return None
    # The time of the move has colons too.
    at = ":".join(rest[1:])
    return _task(at, "RUNNING" if any(one.task == task_id for one in backend.moves) else "FINISHED")
