"""Looks a run up beside a control, and sends a mutation that destroys exactly once."""

from __future__ import annotations

from typing import Any

from wbgql.documents import Operation, Result
from wbgql.errors import NotVisible, RequestError, ResponseError, ResultError, ServerUnavailable
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
    """
    project = session.execute(LOOK_UP_RUN, entity=path.entity, project=path.project, run=path.run_id).project
    if project is None:
        raise NotVisible(
            f"project {str(path.project_path)!r} is missing or not visible to this key, so nothing can "
            f"be said of run {path.run_id!r}; check the spelling, the entity and the key (`wbgql whoami`)"
        )
    return project


def send_once(session: Session, operation: Operation[Any], variables: dict[str, Any]) -> RequestError | None:
    """Send a mutation once. Return the error where it may have been applied all the same."""
    try:
        session.execute(operation, **variables)
    except ServerUnavailable as error:
        if not error.sent:
            raise
        return error
    except ResultError as error:
        return error
    except ResponseError as error:
        if error.status is not None and error.status < 500:
            raise
        return error
    return None
