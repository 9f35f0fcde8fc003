"""What must hold before a job sends anything: the plan, the server, the clock, the rights, the holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from wbgql.erasure.applying.work import is_held
from wbgql.erasure.reading.limiting import JobLimiter
from wbgql.erasure.records.approvals import (
    Approval,
    Approved,
    ApproversFile,
    check_approvals,
    configured_approvers,
)
from wbgql.erasure.records.plan import Plan, PlannedRun
from wbgql.errors import Held, NotApproved, PermissionDenied
from wbgql.safety.gate import Gate
from wbgql.safety.holds import HoldRegister
from wbgql.viewer import LOCAL_DEPLOYMENT, get_retention

if TYPE_CHECKING:
    from wbgql.client import Client

_NAMED_AT_MOST = 10


def check_plan(
    plan: Plan,
    digest: str,
    approvals: Sequence[Approval],
    approvers: ApproversFile | None,
    now: datetime,
) -> list[Approved]:
    """Return the approvals of the plan that is meant, by the `approvers` given, else by those configured.

    Raises:
        PlanChanged: it is another one, it has expired, or its totals are not those of its runs.
        NotApproved: approvals are missing or bad.
    """
    plan.check_digest(digest)
    plan.check_fresh(now)
    plan.check_totals()
    return check_approvals(plan, approvals, approvers or configured_approvers(), now)


def check_server(plan: Plan, client: Client, limiter: JobLimiter) -> None:
    """Raise `NotApproved` if this is not the plan's server, or its clock disagrees with ours.

    One request. What a server calls itself decides over the word TEST on a certificate, so the plan's
    word for it is not enough.

    Raises:
        NotApproved: another server, or the clocks are too far apart.
    """
    plan.check_address(client.settings.base_url)
    deployment = get_retention(client.session).deployment_id
    if deployment != plan.server.deployment or plan.server.is_test != (deployment == LOCAL_DEPLOYMENT):
        raise NotApproved(
            f"the plan was made against a server that calls itself {plan.server.deployment!r}, but "
            f"{deployment!r} answers here: another server stands at this address, or the plan was edited; "
            "nothing was done"
        )
    limiter.check_clock()


def check_rights(runs: Iterable[tuple[int, PlannedRun]], gate: Gate) -> None:
    """Raise `PermissionDenied` if this key may not delete one of the runs.

    One request for each entity.

    Raises:
        PermissionDenied: at least one does.
    """
    denied = [number for number, run in runs if gate.rights(run.entity).may_delete(run.owner) is False]
    if denied:
        raise PermissionDenied(
            f"this key may not delete {len(denied)} of the planned runs (numbers {_some(denied)}): others "
            "created them, and its role here does not allow that; nothing was done"
        )


def check_holds(
    runs: Iterable[tuple[int, PlannedRun]], gate: Gate, register: HoldRegister, *, skip_held: bool
) -> None:
    """Raise `Held` if a hold names a run, its project or its owner. Sends no request.

    Tags are looked at right before each run is hidden, when it is read again.

    Raises:
        Held: at least one is held, or, with `skip_held`, all are; or the register cannot be read.
    """
    register.read()
    total, held = 0, []
    for number, run in runs:
        total += 1
        if is_held(gate, register, run, ()):
            held.append(number)
    if held and (not skip_held or len(held) == total):
        raise Held(
            f"{len(held)} of {total} runs that are to go are held (numbers {_some(held)}; `wbgql hold list` "
            "says by what); nothing was done. Release the holds, make a new plan, or go on without these: "
            "--skip-held"
        )


def _some(numbers: Sequence[int]) -> str:
    """Name runs by their numbers as people see them, counted from 1."""
    more = len(numbers) - _NAMED_AT_MOST
    named = ", ".join(str(number + 1) for number in numbers[:_NAMED_AT_MOST])
    return named if more <= 0 else f"{named} and {more} more"
