"""The four clocks as they are now, for a verification: read anew, because settings change."""

from __future__ import annotations

from wbgql.erasure.plans import Clock, ClockName, Plan
from wbgql.session import Session
from wbgql.viewer import get_undo_window

# Where the server says one, it is one setting for both: how long a hidden run can be brought back is how long
# its rows are kept.
_SAID: tuple[ClockName, ...] = ("undelete_window", "run_retention")
_NAMES: tuple[ClockName, ...] = ("undelete_window", "run_retention", "artifact_collection", "backups")


def read_clocks(session: Session, plan: Plan) -> list[Clock]:
    """Return the clocks as the server says them now, else as the plan had them declared, else unknown.

    One request. A clock that the server said when the plan was made, and does not say now, is unknown.
    """
    window = get_undo_window(session)
    return [
        _clock(plan.clock(name), None if window is None else int(window.total_seconds())) for name in _NAMES
    ]


def _clock(planned: Clock, said: int | None) -> Clock:
    if planned.name in _SAID and said is not None:
        return Clock(name=planned.name, seconds=said, source="server")
    if planned.source == "declared":
        return planned
    return Clock(name=planned.name, seconds=None, source="unknown")
