"""Holds, as a job sees them: a held run is left where it is, an unreadable register stops everything."""

from __future__ import annotations

from collections.abc import Sequence

from wbgql.erasure.plans import PlannedRun
from wbgql.errors import Held
from wbgql.gate import Gate
from wbgql.holds import HoldRegister, HoldTarget


def is_held(gate: Gate, register: HoldRegister, run: PlannedRun, tags: Sequence[str] | None) -> bool:
    """Whether a hold keeps a run, and with it its parts. Reads the register from disk.

    `tags` None: nobody knows them any more, so that any hold by tag keeps it. Nor did this job see its owner
    and time of creation then, so that neither rules a hold out.

    Raises:
        Held: the register cannot be read: nothing may be destroyed until it can.
    """
    holds = register.read()
    if tags is None and any(hold.kind == "tag" for hold in holds):
        return True
    target = HoldTarget(
        entity=run.entity,
        project=run.project,
        run_id=run.id,
        tags=tuple(tags or ()),
        user=None if tags is None else run.owner,
        created_at=None if tags is None else run.created_at,
    )
    try:
        gate.check_holds(target)
    except Held:
        return True
    return False
