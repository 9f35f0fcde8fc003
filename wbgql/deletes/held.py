"""Looks up what holds name: what identifies it for good, and whether its path still answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from wbgql.deletes.elsewhere import FoundRun, find_runs, search_elsewhere
from wbgql.deletes.sending import look_up
from wbgql.errors import NotFound, NotVisible, PermissionDenied, UsageError
from wbgql.paths import ProjectPath, RunPath, parse_listed_run, parse_project_path
from wbgql.projects import get_project, project_number
from wbgql.safety.holds import Hold
from wbgql.scalars import same_instant
from wbgql.wire.session import Session


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What stays when a path changes: when a run was made (ISO-8601), or the number of a project."""

    created_at: str | None = None
    project_id: int | None = None


def find_held(session: Session, kind: str, value: str) -> Identity:
    """Look up what a new hold by run or by project names. One request; none for other kinds.

    Raises:
        NotFound, NotVisible, PermissionDenied: it is not there, or not visible to this key.
        UsageError: no path, or the server calls it otherwise: a hold on that name would hold nothing.
    """
    if kind == "run":
        path = parse_listed_run(value)
        run = look_up(session, path).run
        if run is None:
            raise NotFound.run(path, operation="LookUpRun")
        return Identity(created_at=run.created_at)
    if kind == "project":
        wanted = parse_project_path(value)
        found = get_project(session, wanted)
        real = ProjectPath(found.entity_name, found.name)
        if real != wanted:
            raise UsageError(f"the server calls {str(wanted)!r} {str(real)!r}: hold it by that name")
        return Identity(project_id=project_number(found.internal_id))
    return Identity()


def iter_lost(session: Session, holds: Iterable[Hold]) -> Iterator[tuple[Hold, str]]:
    """Yield each hold whose path does not answer as it should, with what is known instead.

    One request for 500 held runs of a project and one for each held project; if a run is missing, those of
    `search_elsewhere`.

    Raises:
        RequestError: the server cannot be asked.
    """
    holds = list(holds)
    runs = {hold.id: _run_path(hold) for hold in holds if hold.kind == "run"}
    wanted: dict[ProjectPath, set[str]] = {}
    for path in filter(None, runs.values()):
        wanted.setdefault(path.project_path, set()).add(path.run_id)
    found = {project: _find(session, project, sorted(ids)) for project, ids in wanted.items()}
    missing = {project: ids - found[project].keys() for project, ids in wanted.items()}
    missing = {project: ids for project, ids in missing.items() if ids}
    elsewhere = search_elsewhere(session, missing)
    for hold in holds:
        if hold.kind == "project":
            lost = _lost_project(session, hold)
        elif hold.kind == "run":
            named = runs[hold.id]
            now = None if named is None else found[named.project_path].get(named.run_id)
            lost = _lost_run(hold, now, None if named is None else elsewhere.of(named, hold.created_at))
        else:
            continue
        if lost is not None:
            yield hold, lost


def _lost_run(hold: Hold, now: FoundRun | None, moved_to: RunPath | None) -> str | None:
    if now is not None:
        if hold.created_at is None or now.created_at is None or same_instant(hold.created_at, now.created_at):
            return None
        return f"another run stands at {hold.value} now, made at {now.created_at}; both are held"
    if moved_to is not None:
        return f"{hold.value} is {moved_to} now; the hold covers it there"
    run_id = hold.value.rpartition("/")[2]
    if hold.created_at is None:
        covers = f"every run {run_id!r} of the entity, because the time of its creation was not recorded"
    else:
        covers = f"run {run_id!r} made at {hold.created_at}, wherever it is"
    return (
        f"{hold.value} does not answer: it was deleted, moved to another entity, or this key cannot see it; "
        f"the hold stays on {covers}"
    )


def _lost_project(session: Session, hold: Hold) -> str | None:
    try:
        found = find_held(session, "project", hold.value)
    except (NotFound, PermissionDenied, UsageError):
        stays = (
            "its number was not recorded, so that a renamed project is not held: hold it by its new name too"
            if hold.project_id is None
            else f"the hold stays on project no. {hold.project_id}, whatever its name"
        )
        return f"{hold.value} does not answer: it was renamed or deleted, or this key cannot see it; {stays}"
    if None in (hold.project_id, found.project_id) or hold.project_id == found.project_id:
        return None
    return f"another project is called {hold.value} now (no. {found.project_id}); both are held"


def _run_path(hold: Hold) -> RunPath | None:
    try:
        return parse_listed_run(hold.value)
    except UsageError:  # somebody edited the register
        return None


def _find(session: Session, project: ProjectPath, ids: Sequence[str]) -> Mapping[str, FoundRun]:
    try:
        return {run.path.run_id: run for run in find_runs(session, project, ids)}
    except (NotFound, NotVisible, PermissionDenied):
        return {}
