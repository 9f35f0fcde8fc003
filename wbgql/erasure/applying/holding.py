"""Holds, as a job sees them: a held run is left where it is, an unreadable register stops everything."""

from __future__ import annotations

from collections.abc import Sequence

from wbgql.erasure.records.plan import PlannedRun
from wbgql.errors import Held
from wbgql.safety.gate import Gate
from wbgql.safety.holds import HoldRegister, HoldTarget


def is_held(gate: Gate, register: HoldRegister, run: PlannedRun, tags: Sequence[str]) -> bool:
    """Whether a hold keeps a run, and with it its parts. Reads the register from disk.

    Raises:
        Held: the register cannot be read: nothing may be destroyed until it can.
    """
    register.read()  # one that cannot be read stops the job; it is not a hold on this run
    target = HoldTarget(
        entity=run.entity,
        project=run.project,
        run_id=run.id,
        tags=tuple(tags),
        user=run.owner,
        created_at=run.created_at,
    )
    try:
        gate.check_holds(target)
    except Held:
        return True
    return False
