"""Searches the other projects of an entity for runs that are not in their own: a moved run is not deleted.

Runs can be moved between projects; null in the old project then proves no deletion. Other entities are not
searched: a run can be moved there too.

Source: `moveRuns` (schema/wandb.graphql); runs moved between entities, wandb/wandb#12173 (2026-11).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from wbgql.documents import Operation, Result
from wbgql.errors import NotFound, PermissionDenied
from wbgql.paths import ProjectPath, RunPath
from wbgql.projects import iter_projects
from wbgql.scalars import dump_json, same_instant
from wbgql.wire.connection import Connection, iter_nodes
from wbgql.wire.session import Session

# Ids that one filter names: a request of some 10 KB.
_IDS_PER_REQUEST = 500
_PAGE = 1000


class _Found(Result, frozen=True):
    id: str
    name: str
    created_at: str | None


class _FoundIn(Result, frozen=True):
    name: str
    entity_name: str
    runs: Connection[_Found] | None


class _FindRuns(Result, frozen=True):
    project: _FoundIn | None


FIND_RUNS = Operation("FindRuns", _FindRuns, paged=True, names="own")


class FoundRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was found by its id. `created_at`: ISO-8601, None where the server does not say."""

    path: RunPath
    storage_id: str
    created_at: str | None


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found. `runs`: by run id, wherever it was found, in any of the projects.

    `searched`: the projects that answered; `unread`: those that did not (missing rights, a redirect);
    `unlisted`: entities whose projects cannot be listed, so that none was searched but those of the runs.
    """

    runs: Mapping[str, Sequence[FoundRun]] = {}
    searched: Sequence[ProjectPath] = ()
    unread: Sequence[ProjectPath] = ()
    unlisted: Sequence[str] = ()

    def of(self, path: RunPath, created_at: str | None = None) -> RunPath | None:
        """Where in its entity a run stands that was looked for at `path`; None: in no project that answered.

        A run of the same id is another one where both times of creation are known and differ.
        """
        for found in self.runs.get(path.run_id, ()):
            if found.path.entity != path.entity or found.path == path:
                continue
            if _may_be_one(found.created_at, created_at):
                return found.path
        return None


def search_elsewhere(session: Session, missing: Mapping[ProjectPath, Collection[str]]) -> Elsewhere:
    """Search every project of the entities of `missing` (run ids by the project they were in) for those ids.

    One request for each project and 500 ids, and one for 200 projects of an entity.

    Raises:
        RequestError: the server cannot be asked.
    """
    found: dict[str, list[FoundRun]] = {}
    searched: list[ProjectPath] = []
    unread: list[ProjectPath] = []
    unlisted: list[str] = []
    for entity in dict.fromkeys(project.entity for project in missing):
        try:
            projects = [ProjectPath(entity, project.name) for project in iter_projects(session, entity)]
        except (NotFound, PermissionDenied):
            unlisted.append(entity)
            projects = []
        of_entity = {project: ids for project, ids in missing.items() if project.entity == entity}
        for project in dict.fromkeys([*projects, *of_entity]):
            wanted = {run_id for own, ids in of_entity.items() if own != project for run_id in ids}
            if not wanted:
                continue
            try:
                for run in find_runs(session, project, sorted(wanted)):
                    found.setdefault(run.path.run_id, []).append(run)
            except (NotFound, PermissionDenied):
                unread.append(project)
            else:
                searched.append(project)
    return Elsewhere(runs=found, searched=searched, unread=unread, unlisted=unlisted)


def find_runs(session: Session, project: ProjectPath, run_ids: Sequence[str]) -> Iterator[FoundRun]:
    """Yield the runs of a project that have one of these ids. One request for 500 ids.

    Raises:
        NotFound: the project is missing or not visible, or the server calls it otherwise.
    """
    left = iter(run_ids)
    while batch := list(islice(left, _IDS_PER_REQUEST)):
        wanted = set(batch)
        fetch = _fetcher(session, project, batch)
        for node in iter_nodes(fetch, changes=session.changes, page_size=_PAGE, key=lambda run: run.id):
            if node.name in wanted:
                path = RunPath(project.entity, project.project, node.name)
                yield FoundRun(path=path, storage_id=node.id, created_at=node.created_at)


def _fetcher(session: Session, project: ProjectPath, run_ids: Sequence[str]) -> Any:
    filters = dump_json({"name": {"$in": list(run_ids)}})

    def fetch(first: int, after: str | None) -> Connection[_Found]:
        where = {"entity": project.entity, "project": project.project}
        seen = session.execute(FIND_RUNS, **where, filters=filters, first=first, after=after).project
        if seen is None or seen.runs is None or ProjectPath(seen.entity_name, seen.name) != project:
            raise NotFound.project(project, operation=FIND_RUNS.name)
        return seen.runs

    return fetch


def _may_be_one(one: str | None, other: str | None) -> bool:
    return one is None or other is None or same_instant(one, other)
