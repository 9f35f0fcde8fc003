"""Forks: a run that begins with another run's history.

All that the SDK sends of `fork_from` is `_wandb.branch_point` in the config (wandb SDK 0.31.0
`sdk/wandb_init.py`, 2026-11). W&B says that a fork shares history with its source up to the step it branched
off at; here the fork gets a copy of the rows, so that each of the two can be deleted without the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from wbgql.errors import UsageError
from wbgql.scalars import is_encodable
from wbgql.server.runs import history, lines
from wbgql.server.runs import values as run_values
from wbgql.server.store.database import Connection


class BranchPoint(NamedTuple):
    """Where a run left another: the other's id, and the last step they share."""

    run: str
    step: int


def branch_point(config: dict[str, Any], own_name: str) -> BranchPoint | None:
    """What a config says of a fork. A rewind leaves the same mark, with the run's own id.

    Raises:
        UsageError: the id is no text that a run could have.
    """
    internal = run_values.unwrap(config.get("_wandb", {}))
    point = internal.get("branch_point") if isinstance(internal, dict) else None
    if not isinstance(point, dict):
        return None
    run, step = point.get("run_id"), point.get("step")
    if not isinstance(run, str) or run == own_name or not run_values.is_finite(step):
        return None
    if not is_encodable(run):
        raise UsageError("branch_point has a run_id with half a surrogate pair, which no run has")
    return BranchPoint(run, int(step))


def check_step(db: Connection, pk: int, name: str, step: int) -> None:
    """Refuse a step at which a run cannot be forked or rewound.

    Raises:
        UsageError: negative, or behind the last row; what is not there cannot be shared or cut.
    """
    last = db.execute("SELECT max(step) FROM history WHERE run_id = ?", (pk,)).get
    if last is None or not 0 <= step <= last:
        there = "it has no history" if last is None else f"its steps end at {last}"
        raise UsageError(f"run {name!r} cannot go on from step {step}: {there}")


def inherit(db: Connection, source: int, pk: int, point: BranchPoint) -> None:
    """Copy rows of the run `source` into a run that has none yet, so that the SDK goes on behind them.

    Raises:
        UsageError: the source has not come to that step.
    """
    check_step(db, source, point.run, point.step)
    rows = history.texts(db, source, None, point.step + 1)
    lines.write(db, pk, lines.HISTORY, 0, 0, rows)
    history.update_keys(db, pk, 0, rows, overwrites=False)
