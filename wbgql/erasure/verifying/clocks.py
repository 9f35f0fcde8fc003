"""The four clocks as they are now, for a verification: read again, because settings change."""

from __future__ import annotations

from datetime import datetime

from wbgql.erasure.reading.clocks import make_clocks
from wbgql.erasure.records.plan import Clock, Plan
from wbgql.viewer import get_retention
from wbgql.wire.session import Session


def read_clocks(session: Session, plan: Plan, now: datetime) -> list[Clock]:
    """Return the clocks as the server says them now, else as they were declared for the plan, else unknown.

    One request. A clock that the server said when the plan was made, and does not say now, is unknown.
    """
    said = make_clocks(get_retention(session), None, now)
    return [clock if clock.source == "server" else _declared(plan, clock) for clock in said]


def _declared(plan: Plan, unknown: Clock) -> Clock:
    planned = plan.clock(unknown.name)
    return planned if planned.source == "declared" else unknown
