"""Moving runs to another project: done before the answer, so the API's task is always a finished one."""

from __future__ import annotations

from collections.abc import Sequence

from wbgql.errors import UsageError
from wbgql.server import projects, retention, run_pages
from wbgql.server.backend import Context
from wbgql.server.projects import id_parts, make_id
from wbgql.server.store import Connection, Row

_KIND = "moveRuns"


def move(context: Context, source: Row, given: Row) -> Row:
    """Move what matches to another project, made if it is new; return the finished task.

    Rows, files and history go along and the storage id changes with the project; artifacts stay where they
    were logged, system artifacts too.

    Raises:
        UsageError: no filter, or a run id that the destination has or had; then none is moved.
        NotFound, PermissionDenied: the destination is not writable, or a run is not the viewer's to move.
    """
    if not given["filters"].strip():
        raise UsageError('moveRuns needs a filter: "{}" is the one that matches every run')
    at = context.backend.now()
    with context.store.write() as db:
        destination, _ = projects.find_or_create(
            context, db, given["destinationEntityName"], given["destinationProjectName"]
        )
        found = run_pages.matching(db, source, given["filters"])
        if destination["pk"] != source["pk"]:
            _refuse_taken(context, db, destination, found)
            for run in found:
                _move(context, db, run, source, destination, at)
    return _task(at)


def _refuse_taken(context: Context, db: Connection, destination: Row, found: Sequence[Row]) -> None:
    for run in found:
        subject = context.backend.subject(destination["pk"], run["name"])
        taken = db.execute(
            "SELECT 1 FROM runs WHERE project_id = ?1 AND name = ?2"
            " UNION ALL SELECT 1 FROM tombstones WHERE subject = ?3",
            (destination["pk"], run["name"], subject),
        ).get
        if taken:
            raise UsageError(f"run id {run['name']!r} is taken in {destination['name']!r}, no run was moved")


def _move(context: Context, db: Connection, run: Row, source: Row, destination: Row, at: str) -> None:
    context.require_owner(db, run["pk"])
    db.execute(
        "UPDATE runs SET project_id = ?, updated_at = ? WHERE id = ?", (destination["pk"], at, run["pk"])
    )
    for project in (source, destination):
        retention.audit(context, db, "run:move", project, run["name"])


def _task(at: str) -> Row:
    return {
        "id": make_id("Task", _KIND, at),
        "name": _KIND,
        "type": _KIND,
        "state": "FINISHED",
        "progress": 100,
        "createdAt": at,
        "updatedAt": at,
    }


def find_task(task_id: str) -> Row | None:
    """The task of an id made by `move`; None for any other."""
    kind, *rest = id_parts(task_id)
    # The time of the move has colons too.
    return _task(":".join(rest[1:])) if kind == "Task" and rest[:1] == [_KIND] else None
