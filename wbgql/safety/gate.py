"""The one gate before every destructive call: rights, then target, then holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from wbgql.errors import NotFound, PermissionDenied, StillLogging, UsageError
from wbgql.paths import ProjectPath, RunPath
from wbgql.projects import get_project, project_number
from wbgql.runs import LOGGING_STATES, RunNode
from wbgql.safety.holds import HoldRegister, HoldTarget
from wbgql.scalars import format_datetime, parse_datetime
from wbgql.viewer import Rights, get_rights, get_undo_window
from wbgql.wire.session import Session


class Gate:
    """Stands before every destructive call: rights, then target, then holds. Reads again each time.

    `made_at`: when the runs were made that were named by objects and not by their paths alone. An object may
    be of another server, or from before the project of its path was replaced by another.
    """

    def __init__(
        self, session: Session, holds: HoldRegister, *, made_at: Mapping[RunPath, datetime] | None = None
    ) -> None:
        self._session = session
        self._holds = holds
        self._made_at = made_at or {}
        self._rights: dict[str, Rights] = {}
        self._project_ids: dict[ProjectPath, int | None] = {}
        self._window: tuple[timedelta | None] | None = None

    def rights(self, entity: str) -> Rights:
        """The viewer's standing in `entity`; asked once for each entity."""
        if entity not in self._rights:
            self._rights[entity] = get_rights(self._session, entity)
        return self._rights[entity]

    def undo_window(self) -> timedelta | None:
        """How long a hidden run can be brought back, None where the server does not say; asked once."""
        if self._window is None:
            self._window = (get_undo_window(self._session),)
        return self._window[0]

    def check(self, path: RunPath, node: RunNode, *, read_only: bool, force: bool) -> None:
        """Raise if this run, or a part of it, may not be destroyed now.

        Raises:
            PermissionDenied: the viewer may surely not delete it.
            UsageError: it is another run than the object that was named.
            StillLogging: it is being logged, and `force` is not set.
            Held: a hold stands in the way, or the register cannot be read.
        """
        owner = node.user.username if node.user else None
        rights = self.rights(path.entity)
        if read_only or rights.may_delete(owner) is False:
            raise PermissionDenied(
                f"{rights.username!r} ({rights.role or 'role unknown'}) may not delete run {str(path)!r}: "
                f"{'it is read-only' if read_only else f'{owner!r} created it'}; nothing was done",
            )
        made_at = self._made_at.get(path)
        if made_at is not None and parse_datetime(node.created_at) != made_at:
            raise UsageError(
                f"run {str(path)!r} was made at {node.created_at} here, the run that was given at "
                f"{format_datetime(made_at)}: it is of another server, or was replaced; nothing was done"
            )
        if node.state in LOGGING_STATES and not force:
            raise StillLogging(
                f"run {str(path)!r} is {node.state}: stop it first, or force (its process then loses what "
                "it has not yet sent); nothing was done"
            )
        self.check_holds(
            HoldTarget(
                entity=path.entity,
                project=path.project,
                run_id=path.run_id,
                tags=tuple(node.tags or ()),
                user=owner,
                created_at=node.created_at,
            )
        )

    def check_holds(self, target: HoldTarget) -> None:
        """Check that nothing holds what is about to be destroyed. At most one request for each project.

        Raises:
            Held: a hold stands in the way, or the register cannot be read.
        """
        self._holds.check(target, self.project_id)

    def project_id(self, path: ProjectPath) -> int | None:
        """The number of a project, None where the server does not tell it; asked once for each project."""
        if path not in self._project_ids:
            try:
                found = get_project(self._session, path)
            except (NotFound, PermissionDenied):
                return None
            self._project_ids[path] = project_number(found.internal_id)
        return self._project_ids[path]
