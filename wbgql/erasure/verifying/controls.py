"""Positive and negative controls: what makes null mean "absent" and not "not visible to this key"."""

from __future__ import annotations

from collections.abc import Callable, Container

import msgspec

from wbgql.deletes import LookUp, look_up
from wbgql.errors import NotFound, NotVisible, PermissionDenied, UsageError
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import iter_run_ids
from wbgql.wire.session import Session

NEWEST_FIRST = "-created_at"
_PAGE = 100


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """What one project showed before its runs were asked for.

    `run`: a live run that must be visible in every answer; None where there is none to be seen. `empty`: the
    project is visible and counts no run at all, so that every null in it means absent. `random`: an id
    nobody has; `random_is_absent`: it answered null, as it must; None where nobody could ask for it.
    """

    run: str | None
    empty: bool
    random: str
    random_is_absent: bool | None

    @property
    def holds(self) -> bool:
        """Whether null means absent in this project now."""
        return self.random_is_absent is True and (self.run is not None or self.empty)


def find_control(
    session: Session, path: ProjectPath, claimed: Container[str], new_id: Callable[[], str]
) -> Control:
    """Choose the control of a project, now. One request, more where the newest runs are claimed ones.

    A run that is none of the claimed ones is taken; failing that a claimed one that can be seen, which shows
    at least that the project can be read. A project that is missing, not visible, denied or called
    otherwise by the server has no control.
    """
    random = new_id()
    try:
        seen = look_up(session, RunPath(path.entity, path.project, random))
        run = None if seen.run_count == 0 else _choose(session, path, claimed, seen)
    except (NotVisible, NotFound, PermissionDenied, UsageError):
        return Control(run=None, empty=False, random=random, random_is_absent=None)
    return Control(
        run=run, empty=run is None and seen.run_count == 0, random=random, random_is_absent=seen.run is None
    )


def _choose(session: Session, path: ProjectPath, claimed: Container[str], seen: LookUp) -> str | None:
    newest = [edge.node.name for edge in seen.controls.edges] if seen.controls else []
    quick = next((run_id for run_id in newest if run_id not in claimed), None)
    if quick is not None:
        return quick
    visible = None
    for node in iter_run_ids(session, path, order=NEWEST_FIRST, page_size=_PAGE):
        if node.name not in claimed:
            return node.name
        visible = node.name
    return visible
