"""Looks a run up beside a control, and sends a mutation that destroys exactly once."""

from __future__ import annotations

from typing import Any

from wbgql.documents import Operation, Result
from wbgql.errors import (
    NotVisible,
    RequestError,
    ResponseError,
    ResultError,
    ServerUnavailable,
    UsageError,
)
from wbgql.paths import RunPath
from wbgql.runs import RunNode
from wbgql.session import Session


class _Name(Result, frozen=True):
    name: str


class _ControlEdge(Result, frozen=True):
    node: _Name


class _Controls(Result, frozen=True):
    edges: list[_ControlEdge]


class LookUp(Result, frozen=True):
    name: str
    entity_name: str
    read_only: bool | None
    run_count: int
    run: RunNode | None
    controls: _Controls | None


class _LookUpRun(Result, frozen=True):
    project: LookUp | None


LOOK_UP_RUN = Operation("LookUpRun", _LookUpRun)


def look_up(session: Session, path: RunPath) -> LookUp:
    """Read a run, null or not, together with other runs of its project. One request.

    Raises:
        NotVisible: the project is missing or not visible.
        UsageError: the server answers with a run or project of another name (a redirect, or names it
            reads loosely): a hold on its real name would not be seen.
    """
    project = session.execute(LOOK_UP_RUN, entity=path.entity, project=path.project, run=path.run_id).project
    if project is None:
        raise NotVisible(
            f"project {str(path.project_path)!r} is missing or not visible to this key, so nothing can "
            f"be said of run {path.run_id!r}; check the spelling, the entity and the key (`wbgql whoami`)"
        )
    _check_names(project, path)
    return project


def _check_names(found: LookUp, path: RunPath) -> None:
    run_id = path.run_id if found.run is None else found.run.name
    real = RunPath(found.entity_name, found.name, run_id)
    if real != path:
        raise UsageError(f"the server calls {str(path)!r} {str(real)!r}: name it so; nothing was done")


def send_once(session: Session, operation: Operation[Any], variables: dict[str, Any]) -> RequestError | None:
    """Send a mutation once. Return the error where it may have been applied all the same.

    Only an answer whose status refuses (3xx, 4xx), or whose error says what was refused, is taken for a
    refusal; a 200 that is no GraphQL answer, or has errors of no known kind, proves nothing.
    """
    try:
        session.execute(operation, **variables)
    except ServerUnavailable as error:
        if not error.sent:
            raise
        return error
    except ResultError as error:
        return error
    except ResponseError as error:
        if error.status is not None and 300 <= error.status < 500:
            raise
        return error
    return None
