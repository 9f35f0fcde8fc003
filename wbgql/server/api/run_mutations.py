"""Resolvers for mutations of runs and projects."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from wbgql.errors import NotFound, ResponseError, UsageError
from wbgql.scalars import parse_run_storage_id
from wbgql.server import accounts
from wbgql.server.api.registry import Info, Resolvers
from wbgql.server.artifacts import deletion as artifacts_deletion
from wbgql.server.artifacts import protection as artifacts_protection
from wbgql.server.artifacts.logging import find_or_create_type, refuse_system_type
from wbgql.server.backend import Context
from wbgql.server.lifecycle import moves, retention
from wbgql.server.likeness import bulk_filters
from wbgql.server.likeness.switches import ALL
from wbgql.server.projects import rows as projects
from wbgql.server.runs import pages as run_pages
from wbgql.server.runs import rows as runs
from wbgql.server.store.database import Connection, Row

resolvers = Resolvers()
mutation = resolvers.mutation

# Source: wandb SDK 0.31.0 `apis/public/runs.py`, docstring of `Run.update_state` (2026-11).
_STATE_CHANGES = {
    "pending": ("running", "failed", "crashed", "preempted"),
    "failed": ("pending", "running"),
}


@mutation("upsertBucket")
def upsert_bucket(context: Context, given: Row) -> Row:
    run, inserted = runs.upsert(context, given)
    return {"bucket": run, "inserted": inserted, "serverSettings": {"serverMessages": []}}


@mutation("deleteRun")
def delete_run(context: Context, given: Row) -> Row:
    """Repeating it for a run that is deleted or purged is no error; an id that never was is 404."""
    with context.store.write() as db:
        try:
            run = runs.find_run_by_id(context, given["id"])
        except ResponseError:
            return {}
        if run["deletedAt"] is None:
            retention.hide(context, db, run["project"], [run], artifacts=bool(given.get("deleteArtifacts")))
    return {}


@mutation("deleteRuns")
def delete_runs(context: Context, given: Row) -> Row:
    if not given["filters"].strip():
        raise UsageError('deleteRuns needs a filter: "{}" is the one that matches every run')
    project = _writable(context, given["entityName"], given["projectName"])
    with context.store.write() as db:
        found = bulk_filters.matching(context, db, project, given["filters"])
        retention.hide(context, db, project, found, artifacts=bool(given.get("deleteArtifacts")))
    return {"errors": None}


@mutation("undeleteRuns")
def undelete_runs(context: Context, given: Row) -> Row:
    """Restore what matches, or, on a server that plays W&B's own page, every deleted run."""
    project = _writable(context, given["entityName"], given["projectName"])
    every = context.backend.settings.undelete == ALL
    with context.store.write() as db:
        found = bulk_filters.matching(context, db, project, None if every else given["filters"], deleted=True)
        retention.restore(context, db, project, found)
    return {}


@mutation("moveRuns")
def move_runs(context: Context, given: Row) -> Row:
    source = _writable(context, given["sourceEntityName"], given["sourceProjectName"])
    return {"task": moves.move(context, source, given)}


@resolvers.field("Query", "task")
def task(_root: Any, info: Info, id: str) -> Row | None:
    return moves.find_task(info.context.backend, id)


@mutation("deleteSweep")
@mutation("deleteSweeps")
def delete_sweeps(_context: Context, _given: Row) -> Row:
    """There are no sweeps here; said aloud, since this would delete runs too."""
    raise ResponseError("this server has no sweeps, so none can be deleted", status=501)


@mutation("modifyRuns")
def modify_runs(context: Context, given: Row) -> Row:
    """Add and remove tags. `ids` may be storage ids or run ids; it is not known which W&B takes."""
    project = _writable(context, given.get("entityName"), given.get("projectName"))
    with context.store.write() as db:
        found = _chosen(context, db, project, given)
        for run in found:
            _change_tags(context, db, run["pk"], given.get("addTags") or [], given.get("removeTags") or [])
    changed = [runs.find_run(context, project, run["name"]) for run in found]
    return {"runs": changed, "runsSQL": changed}


def _chosen(context: Context, db: Connection, project: Row, given: Row) -> list[Row]:
    if given.get("ids") is None and given.get("filters") is None:
        raise UsageError("modifyRuns needs ids or filters")
    found = bulk_filters.matching(context, db, project, given.get("filters"))
    if given.get("ids") is None:
        return found
    names = {(parse_run_storage_id(one) or (None, None, one))[2] for one in given["ids"] if one is not None}
    return [run for run in found if run["name"] in names]


def _change_tags(context: Context, db: Connection, pk: int, add: list[str], remove: list[str]) -> None:
    tags: list[str] = json.loads(db.execute("SELECT tags FROM runs WHERE id = ?", (pk,)).get)
    kept = [tag for tag in dict.fromkeys([*tags, *add]) if tag not in remove]
    db.execute(
        "UPDATE runs SET tags = ?, updated_at = ? WHERE id = ?",
        (json.dumps(kept, ensure_ascii=False), context.backend.now(), pk),
    )


@mutation("stopRun")
def stop_run(context: Context, given: Row) -> Row:
    run = _writable_run(context, given["id"])
    with context.store.write() as db:
        db.execute("UPDATE runs SET stop_requested = 1 WHERE id = ?", (run["pk"],))
    return {"success": True}


@mutation("updateRunState")
def update_run_state(context: Context, given: Row) -> Row:
    run = _writable_run(context, given["id"])
    state = given["state"]
    with context.store.write() as db:
        now = db.execute("SELECT state FROM runs WHERE id = ?", (run["pk"],)).get
        if now not in _STATE_CHANGES.get(state, ()):
            raise UsageError(f"invalid state transition: {now!r} to {state!r}")
        db.execute("UPDATE runs SET state = ? WHERE id = ?", (state, run["pk"]))
    return {"success": True}


@mutation("rewindRun")
def rewind_run(context: Context, given: Row) -> Row:
    run = runs.find_run_by_path(context, given.get("entityName"), given.get("projectName"), given["runName"])
    if given["metricName"] != "_step":
        raise UsageError(f"a run can be rewound along _step only: {given['metricName']!r}")
    with context.store.write() as db:
        context.require_owner(db, run["pk"])
        runs.rewind(db, run["pk"], run["name"], int(given["metricValue"]))
        retention.audit(context, db, "run:rewind", run["project"], run["name"])
    return {"rewoundRun": runs.find_run(context, run["project"], run["name"])}


@mutation("notifyScriptableRunAlert")
def notify_alert(_context: Context, _given: Row) -> Row:
    """Accepted and dropped: there is nobody to notify."""
    return {"success": True}


_MODEL_COLUMNS = {
    "description": "description",
    "access": "access",
    "views": "views",
    "allowAllArtifactTypesInRegistry": "any_type",
}


@mutation("upsertModel")
def upsert_model(context: Context, given: Row) -> Row:
    """Make a project or change one; `id` names the one to change, also its name."""
    known = projects.find_project_by_id(context, given["id"]) if given.get("id") else None
    with context.store.write() as db:
        if known is None:
            project, inserted = projects.find_or_create(
                context, db, given.get("entityName"), given.get("name")
            )
        else:
            project, inserted = known, False
            accounts.require_writer(db, context.viewer, project["entityPk"])
            if given.get("name") not in (None, project["name"]):
                _rename(context, db, project, given["name"])
        access = given.get("access")
        if access is not None and projects.check_access(access) != project["access"]:
            projects.require_owner(context, db, project)
        for name, column in _MODEL_COLUMNS.items():
            if given.get(name) is not None:
                db.execute(f"UPDATE projects SET {column} = ? WHERE id = ?", (given[name], project["pk"]))  # noqa: S608
        for kind in given.get("artifactTypes") or []:
            refuse_system_type(kind["name"])
            find_or_create_type(replace(context, db=db), project, kind["name"])
    found = projects.find_project_by_pk(context, project["pk"])
    return {"project": found, "model": found, "inserted": inserted, "entityName": project["entityName"]}


@mutation("renameProject")
def rename_project(context: Context, given: Row) -> Row:
    project = _writable(context, given["entityName"], given["oldProjectName"])
    with context.store.write() as db:
        _rename(context, db, project, given["newProjectName"])
    found = projects.find_project_by_pk(context, project["pk"])
    return {"project": found, "model": found, "inserted": False, "entityName": project["entityName"]}


def _rename(context: Context, db: Connection, project: Row, name: str) -> None:
    projects.require_owner(context, db, project)
    artifacts_protection.require_right_to_rename_project(replace(context, db=db), project)
    projects.rename(context, db, project, name)


@mutation("deleteModel")
def delete_model(context: Context, given: Row) -> Row:
    """Hide a project and delete its runs; a second call with the same id is 404."""
    project = projects.find_project_by_id(context, given["id"])
    with context.store.write() as db:
        projects.require_owner(context, db, project)
        retention.hide(context, db, project, run_pages.matching(context, db, project, None))
        artifacts_deletion.hide_project(context, db, project)
        db.execute("UPDATE projects SET deleted_at = ? WHERE id = ?", (context.backend.now(), project["pk"]))
    return {"success": True}


def _writable(context: Context, entity: str | None, name: str | None) -> Row:
    project = projects.find_project(context, entity, name)
    if project is None:
        raise NotFound(f"project {entity}/{name} not found", status=404)
    accounts.require_writer(context.db, context.viewer, project["entityPk"])
    return project


def _writable_run(context: Context, storage_id: str) -> dict[str, Any]:
    run = runs.find_run_by_id(context, storage_id)
    accounts.require_writer(context.db, context.viewer, run["project"]["entityPk"])
    runs.refuse_deleted(context, context.db, run["project"], run["name"])
    return run
