"""Which runs are meant: by an expression, read whole and twice and checked here too, or by their ids."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from wbgql.erasure.records.plan import NotRead
from wbgql.errors import (
    CoverageWarning,
    FilterWarning,
    NotFound,
    PermissionDenied,
    UnstablePopulation,
    UnstableWarning,
)
from wbgql.expressions import Expr, Field, fields_of
from wbgql.paths import ProjectPath, RunPath
from wbgql.progress import Progress
from wbgql.projects import ProjectDetails, get_project, project_number
from wbgql.runs import ProjectScope, Run, RunSelection
from wbgql.safety.holds import HoldTarget
from wbgql.scalars import format_datetime
from wbgql.wire.session import Session

_SCANS = 3
_IDS_PER_REQUEST = 500
_NAMED_AT_MOST = 5
_REPORT_EVERY = 100


@dataclass(frozen=True, slots=True)
class Found:
    """One run that matched, as it was when it was read."""

    path: RunPath
    storage_id: str
    created_at: datetime
    owner: str | None
    tags: tuple[str, ...]
    state: str | None

    @classmethod
    def of(cls, run: Run) -> Found:
        """Take from a run what planning needs."""
        return cls(run.path, run.storage_id, run.created_at, run.user, run.tags, run.state)

    @property
    def target(self) -> HoldTarget:
        """The run as holds are asked about it."""
        path = self.path
        return HoldTarget(
            entity=path.entity,
            project=path.project,
            run_id=path.run_id,
            tags=self.tags,
            user=self.owner,
            created_at=format_datetime(self.created_at),
        )


@dataclass(frozen=True, slots=True)
class Population:
    """What was found. `others`: runs that the server gave and that do not match here.

    `projects`: those that were read, with what the server says of each.
    """

    runs: list[Found]
    others: list[RunPath]
    projects: dict[ProjectPath, ProjectDetails]
    not_read: list[NotRead]

    def project_id(self, path: ProjectPath) -> int | None:
        """The number of a project that was read, for holds."""
        found = self.projects.get(path)
        return None if found is None else project_number(found.internal_id)


def find_by_rule(
    session: Session,
    scope: Sequence[ProjectScope],
    where: Expr | None,
    *,
    now: datetime,
    progress: Progress,
) -> Population:
    """Read every run that matches, oldest first in each project, until two readings in a row agree.

    Each reading pages by creation time and must agree with the server's count; each run is checked with
    `where` on this side. Two or three times ceil(n / 1000) requests for each project, and four; one more,
    or a few, for the keys in `where`: a warning names those that no run has.

    Raises:
        UnstablePopulation: no two readings in a row gave the same runs.
        NotFound: nothing that was named is there and visible.
    """
    last = _scan(session, scope, where, now, progress)
    for _ in range(_SCANS - 1):
        with warnings.catch_warnings():
            for known in (CoverageWarning, FilterWarning, UnstableWarning):
                warnings.simplefilter("ignore", known)  # said at the first reading
            scan = _scan(session, scope, where, now, progress)
        if scan.ids == last.ids:
            if where is not None and scan.runs:
                # Under a negation, a misspelt key matches every run.
                fields = [Field(path) for path in sorted(fields_of(where), key=str)]
                RunSelection(session, scope, where=where, now=now).warn_of_absent(
                    fields, projects=scan.projects
                )
            projects = {path: get_project(session, path, exact=True) for path in scan.projects}
            return Population(scan.runs, scan.others, projects, scan.not_read)
        last = scan
    raise UnstablePopulation(
        f"{_SCANS} readings of {', '.join(map(str, scope))!r} gave each other runs: they come and go; plan "
        "again at a quiet time, or narrow the rule"
    )


def find_by_ids(session: Session, paths: Sequence[RunPath], *, allow_missing: bool) -> Population:
    """Look runs up by their ids: one request for 500 of a project, and one for the project.

    Raises:
        NotFound: one is not there or not visible, and `allow_missing` is not set.
    """
    by_project: dict[ProjectPath, list[str]] = {}
    for path in dict.fromkeys(paths):
        by_project.setdefault(path.project_path, []).append(path.run_id)
    found = Population([], [], {}, [])
    for project, ids in by_project.items():
        try:
            _find_in(session, project, ids, found)
        except (NotFound, PermissionDenied) as error:
            found.not_read.append(NotRead(path=str(project), reason=str(error)))
    _refuse_missing(found.not_read, allow_missing=allow_missing)
    return found


def _find_in(session: Session, project: ProjectPath, ids: Sequence[str], population: Population) -> None:
    population.projects[project] = get_project(session, project, exact=True)
    found = {run.id: Found.of(run) for run in _look_up(session, project, ids)}
    population.runs.extend(sorted(found.values(), key=lambda run: (run.created_at, run.path.run_id)))
    for run_id in ids:
        if run_id not in found:
            path = RunPath(project.entity, project.project, run_id)
            population.not_read.append(NotRead(path=str(path), reason="not there, or not visible"))


@dataclass(frozen=True, slots=True)
class _Scan:
    runs: list[Found]
    others: list[RunPath]
    projects: list[ProjectPath]
    not_read: list[NotRead]

    @property
    def ids(self) -> tuple[frozenset[str], frozenset[RunPath]]:
        return frozenset(run.storage_id for run in self.runs), frozenset(self.others)


def _scan(
    session: Session, scope: Sequence[ProjectScope], where: Expr | None, now: datetime, progress: Progress
) -> _Scan:
    selection = RunSelection(session, scope, where=where, stable=True, now=now)
    others: list[RunPath] = []
    runs: list[Found] = []
    for run in selection.verified(lambda other: others.append(other.path)):
        runs.append(Found.of(run))
        if len(runs) % _REPORT_EVERY == 0:
            progress.report(len(runs), None)
    coverage = selection.coverage
    return _Scan(
        runs,
        others,
        [project.project for project in coverage.projects],
        [NotRead(path=unread.path, reason=unread.reason) for unread in coverage.unread],
    )


def _look_up(session: Session, project: ProjectPath, ids: Sequence[str]) -> Iterator[Run]:
    waiting = iter(ids)
    while batch := list(islice(waiting, _IDS_PER_REQUEST)):
        wanted = set(batch)
        selection = RunSelection(session, project, filters={"name": {"$in": batch}})
        # A server that ignores the filter gives others; one that reads names loosely, too.
        yield from (run for run in selection if run.id in wanted)


def _refuse_missing(missing: Sequence[NotRead], *, allow_missing: bool) -> None:
    if missing and not allow_missing:
        named = ", ".join(repr(one.path) for one in missing[:_NAMED_AT_MOST])
        more = f" and {len(missing) - _NAMED_AT_MOST} more" if len(missing) > _NAMED_AT_MOST else ""
        raise NotFound(
            f"{named}{more}: not there, or not visible to this key; correct the list, or --allow-missing to "
            "plan without them; no plan was made"
        )
