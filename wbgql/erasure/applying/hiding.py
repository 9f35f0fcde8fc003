"""Hides one run: reads it again, waits until its process is quiet, sends, and proves it with a control."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from wbgql.deletes import DELETE_RUN, STOP_RUN, LookUp, look_up, search_elsewhere
from wbgql.erasure.applying.identity import compare_parts, compare_run
from wbgql.erasure.applying.options import Ending
from wbgql.erasure.applying.sending import Found, destroy, look_patiently, send
from wbgql.erasure.applying.work import Work
from wbgql.erasure.reading.facts import RunFacts, read_run_facts
from wbgql.erasure.reading.fingerprints import is_run_as_planned
from wbgql.erasure.records.actions import Action, Outcome
from wbgql.errors import NotVisible, UsageError
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import LOGGING_STATES
from wbgql.scalars import parse_datetime

_FUTURE = timedelta(minutes=2)
UNCONFIRMED: frozenset[Outcome] = frozenset({"erased_by_other", "gone_after_attempt"})
"""Outcomes of a run that is absent, and of which no answer said that our deletion did it."""


def hide(work: Work, action: Action, owner: str) -> Ending | None:
    """Hide a run and say what became of it; None where its process is not quiet yet.

    Three requests where nothing is in the way. A run that an earlier attempt may have hidden is looked up
    before anything else. One that is absent without a success (`UNCONFIRMED`) may have been moved:
    `unless_moved` tells.
    """
    if action.attempts:
        found = look_patiently(work, lambda: look_at_run(work, action.path))
        if found is Found.GONE:
            return Ending("gone_after_attempt", "found_on_resume")
        if found is Found.UNKNOWN:
            raise NotVisible(
                f"run no. {action.shown_no}: a deletion was sent earlier, and null proves nothing now: "
                "rights may have been lost; the same command looks again"
            )
    facts = read_anew(work, action.path)
    if isinstance(facts, Ending):
        return facts
    if facts is None:
        return _absent(work, action)
    refused = judge(work, action, facts)
    if refused is not None:
        return refused
    if facts.is_logging and not is_quiet(work, facts):
        _stop(work, action, owner)
        return None
    return _destroy(work, action, owner, facts)


def read_anew(work: Work, path: RunPath) -> RunFacts | Ending | None:
    """What a run is like now; how it ends where its project cannot be read; None where it is not there."""
    try:
        return read_run_facts(work.session, path)
    except NotVisible:
        return Ending("not_visible", "project")
    except UsageError:
        return Ending("moved", "renamed")


def judge(work: Work, action: Action, facts: RunFacts) -> Ending | None:
    """What keeps a run from being hidden: holds, rights, or not being what the plan saw; None: nothing."""
    planned = action.run
    if work.is_held(planned, facts.run.tags or ()):
        return Ending("held", "hold")
    another = compare_run(planned, facts)
    if another is not None:
        return another
    owner = facts.run.user.username if facts.run.user else None
    if facts.run.read_only:
        return Ending("denied", "read_only")
    if work.gate.rights(planned.entity).may_delete(owner) is False:
        return Ending("denied", "not_owner")
    if not is_run_as_planned(planned, facts):
        return Ending("changed", "fingerprint")
    return compare_parts(work, action.run_no, facts)


def is_quiet(work: Work, facts: RunFacts) -> bool:
    """Whether nobody has logged to a run for a while. A heartbeat from the future is no silence."""
    if facts.run.state not in LOGGING_STATES:
        return True
    if facts.run.heartbeat_at is None:
        return False
    silent = work.server_now() - parse_datetime(facts.run.heartbeat_at)
    return silent > timedelta(seconds=work.options.quiet_after_s)


def look_at_run(work: Work, path: RunPath) -> Found:
    """Look whether a run is there, beside other runs of its project. One request."""
    try:
        seen = look_up(work.session, path)
    except (NotVisible, UsageError):
        return Found.UNKNOWN
    work.brakes.saw(path.project_path, seen.run_count)
    if seen.run is not None:
        return Found.THERE
    return Found.GONE if _has_control(seen, path) else Found.UNKNOWN


def _has_control(seen: LookUp, path: RunPath) -> bool:
    """Another run is visible, or the project itself is and says that it has none."""
    others = seen.controls.edges if seen.controls else []
    return seen.run_count == 0 or any(edge.node.name != path.run_id for edge in others)


def _absent(work: Work, action: Action) -> Ending:
    found = look_patiently(work, lambda: look_at_run(work, action.path))
    if found is Found.UNKNOWN:
        return Ending("not_visible", "no_control")
    if found is Found.THERE:
        return Ending("changed", "came_back")
    # A deletion that an earlier round sent may have been applied late.
    late = Ending("gone_after_attempt", "earlier_round")
    return late if action.was_attempted else Ending("erased_by_other")


def unless_moved(work: Work, absent: Sequence[tuple[Action, Ending]]) -> list[tuple[Action, Ending]]:
    """How it ends with runs that are absent and whose deletion nobody confirmed: they may have been moved.

    One request for each project of their entities and 500 of them.
    """
    missing: dict[ProjectPath, list[str]] = {}
    for action, _ in absent:
        missing.setdefault(action.path.project_path, []).append(action.run.id)
    seen = search_elsewhere(work.session, missing)
    moved = Ending("moved", "other_project")
    return [
        (action, ending if seen.of(action.path, action.run.created_at) is None else moved)
        for action, ending in absent
    ]


def _stop(work: Work, action: Action, owner: str) -> None:
    """Tell the run's process to stop, once in its life. Whether it does, later reads say."""
    if not work.ledger.mark_stopped(work.job, action, work.subject(action), owner=owner):
        return
    # An answer that was lost, or a refusal, is as if the process did not listen: it is not told again.
    send(work, STOP_RUN, {"id": action.run.storage_id})


def _destroy(work: Work, action: Action, owner: str, facts: RunFacts) -> Ending:
    planned, tags = action.run, facts.run.tags or []
    return destroy(
        work,
        action,
        owner,
        (DELETE_RUN, {"id": planned.storage_id}),
        look=lambda: look_at_run(work, action.path),
        is_held=lambda: work.is_held(planned, tags),
        gone="hidden",
        tags=tags,
    )
