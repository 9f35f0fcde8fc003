"""Which runs are deleted and may be restored: as the server lists them, or as wbgql's own record has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import quote

import msgspec

from wbgql.deletes.records import DeletionRecord
from wbgql.deletes.sending import look_up_many
from wbgql.errors import NotVisible, ResponseError, UsageError
from wbgql.paths import ProjectPath, RunPath, parse_listed_run
from wbgql.viewer import LOCAL_DEPLOYMENT, get_retention
from wbgql.wire.session import Session


class DeletedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One deleted run. Times are ISO texts, `undo_until` None if unknown.

    `known_from`: "server" or "record". `now`: "deleted", as the server lists it; for a run of the record what
    a look-up showed: "absent", "visible" (somebody restored it) or "unknown" (its project cannot be seen).
    """

    path: str
    deleted_at: str
    undo_until: str | None
    known_from: Literal["server", "record"]
    now: Literal["deleted", "absent", "visible", "unknown"]


class DeletedRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Deleted runs, latest first. `listed`: the server listed them; else they are what the record has."""

    runs: list[DeletedRun]
    listed: bool


class _Listed(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    deleted_at: str
    undo_until: str


class _Answer(msgspec.Struct, frozen=True):
    runs: list[_Listed]


def lists_deleted(session: Session) -> bool:
    """Whether this server lists deleted runs: wbgql's local server does, W&B's own do not. One request."""
    return get_retention(session).deployment_id == LOCAL_DEPLOYMENT


def list_deleted(read: Callable[[str], bytes], project: ProjectPath) -> list[DeletedRun]:
    """Return the deleted runs of a project that this key may restore, latest first, from the local server.

    `read` fetches a URL of the server. One request.

    Raises:
        NotFound: the project is missing or not visible, or this key may restore nothing there.
        ResponseError: the server answers something else.
    """
    body = read(f"/~/deleted/{quote(project.entity, safe='')}/{quote(project.project, safe='')}")
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError as error:
        raise ResponseError(f"the list of deleted runs of {str(project)!r} is unreadable: {error}") from error
    return [
        DeletedRun(
            path=f"{project}/{run.name}",
            deleted_at=run.deleted_at,
            undo_until=run.undo_until,
            known_from="server",
            now="deleted",
        )
        for run in answer.runs
    ]


def list_recorded(
    session: Session, record: DeletionRecord, deployment: str, projects: Sequence[ProjectPath]
) -> list[DeletedRun]:
    """Return what the record has of this deployment, latest first, and whether each run is visible now.

    `projects`: only those; all if empty. One request for 25 runs of a project.

    Raises:
        StoreError: the record cannot be read.
    """
    found = {}
    for one in record.read():
        path = parse_listed_run(one.path)
        if one.deployment == deployment and (not projects or path.project_path in projects):
            found[path] = one
    now = {project: _look(session, [path for path in found if path.project_path == project])
           for project in dict.fromkeys(path.project_path for path in found)}  # fmt: skip
    return [
        DeletedRun(
            path=str(path),
            deleted_at=one.deleted_at,
            undo_until=one.undo_until,
            known_from="record",
            now=now[path.project_path].get(path, "unknown"),
        )
        for path, one in sorted(found.items(), key=lambda item: item[1].deleted_at, reverse=True)
    ]


def _look(
    session: Session, paths: Sequence[RunPath]
) -> dict[RunPath, Literal["absent", "visible", "unknown"]]:
    """Whether runs of one project are visible; nothing of a project that cannot be seen."""
    told: dict[RunPath, Literal["absent", "visible", "unknown"]] = {}
    try:
        for seen in look_up_many(session, paths):
            told |= {path: "absent" if node is None else "visible" for path, node in seen.runs}
    except (NotVisible, UsageError):
        return {}
    return told
