"""Looks runs up, each next to a control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from wbgql.documents import Operation, Result
from wbgql.errors import NotVisible, UsageError
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import DecidingRun, RunNode
from wbgql.wire.mutations import check_storage_id
from wbgql.wire.session import Session


class _Name(Result, frozen=True):
    name: str


class _ControlEdge(Result, frozen=True):
    node: _Name


class _Controls(Result, frozen=True):
    edges: list[_ControlEdge]


class LookUp(Result, frozen=True):
    """A run, null or not, and its project with two live runs as controls."""

    name: str
    entity_name: str
    read_only: bool | None
    run_count: int
    run: DecidingRun | None
    controls: _Controls | None


class _LookUpRun(Result, frozen=True):
    project: LookUp | None


BATCH = 25
"""How many runs one request looks up: as many as the document has places."""


class _LookUpManyProject(Result, frozen=True):
    name: str
    entity_name: str
    read_only: bool | None


_PLACES: list[tuple[str, Any]] = [(f"r{place}", DecidingRun | None) for place in range(BATCH)]
_Places: Any = msgspec.defstruct("_Places", _PLACES, bases=(_LookUpManyProject,), frozen=True, kw_only=True)
_LookUpManyRuns = msgspec.defstruct(
    "_LookUpManyRuns", [("project", _Places | None)], bases=(Result,), frozen=True, kw_only=True
)

LOOK_UP_RUN = Operation("LookUpRun", _LookUpRun, names="own")
LOOK_UP_MANY_RUNS: Operation[Any] = Operation("LookUpManyRuns", _LookUpManyRuns, names="own")


class SeenRuns(NamedTuple):
    """Up to 25 runs of one project as one request showed them; None is null."""

    read_only: bool | None
    runs: list[tuple[RunPath, RunNode | None]]


def look_up(session: Session, path: RunPath) -> LookUp:
    """Read a run, null or not, together with other runs of its project. One request.

    Raises:
        NotVisible: the project is missing or not visible.
        UsageError: the server answers with a run or project of another name (a redirect, or names it
            reads loosely): a hold on its real name would not be seen. Or with a storage id that names
            another run.
    """
    project = session.execute(LOOK_UP_RUN, entity=path.entity, project=path.project, run=path.run_id).project
    if project is None:
        raise _not_visible(path)
    _check_names(project, project.run, path)
    return project


def look_up_many(session: Session, paths: Sequence[RunPath]) -> Iterator[SeenRuns]:
    """Read runs of one project or of several, without controls. One request for 25 runs of a project.

    Yields one item per request; the runs come project by project, each once.

    Raises:
        NotVisible, UsageError: as `look_up`.
    """
    by_project: dict[ProjectPath, list[RunPath]] = {}
    for path in dict.fromkeys(paths):
        by_project.setdefault(path.project_path, []).append(path)
    for project, wanted in by_project.items():
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            ids = [path.run_id for path in batch]
            ids += ids[-1:] * (BATCH - len(ids))
            places = {f"r{place}": run_id for place, run_id in enumerate(ids)}
            seen = session.execute(
                LOOK_UP_MANY_RUNS, entity=project.entity, project=project.project, **places
            ).project
            if seen is None:
                raise _not_visible(batch[0])
            nodes = [getattr(seen, f"r{place}") for place in range(len(batch))]
            for path, node in zip(batch, nodes, strict=True):
                _check_names(seen, node, path)
            yield SeenRuns(seen.read_only, list(zip(batch, nodes, strict=True)))


def _not_visible(path: RunPath) -> NotVisible:
    return NotVisible(
        f"project {str(path.project_path)!r} is missing or not visible to this key, so nothing can "
        f"be said of run {path.run_id!r}; check the spelling, the entity and the key (`wbgql whoami`)"
    )


def _check_names(found: LookUp | _LookUpManyProject, run: RunNode | None, path: RunPath) -> None:
    run_id = path.run_id if run is None else run.name
    real = RunPath(found.entity_name, found.name, run_id)
    if real != path:
        raise UsageError(
            f"the server resolved {str(path)!r} to {str(real)!r}; use that path. Nothing was done"
        )
    if run is not None:
        check_storage_id(path, run.id)
