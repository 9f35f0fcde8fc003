"""A dry run of a job: reads everything again as `apply` would, and sends no mutation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime

from wbgql.client import Client
from wbgql.erasure.applying.hiding import is_quiet, judge, read_anew
from wbgql.erasure.applying.identity import LOGGED_ELSEWHERE
from wbgql.erasure.applying.job import Ask, at_work
from wbgql.erasure.applying.options import Ending, Options, Preview
from wbgql.erasure.applying.parts import judge_version
from wbgql.erasure.applying.starting import check_plan, check_server
from wbgql.erasure.applying.work import Work
from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.anchors import check_signed_end
from wbgql.erasure.reading.facts import read_artifact_facts
from wbgql.erasure.records.actions import Action, NewAction, make_actions, without_parts
from wbgql.erasure.records.plan import PlannedArtifact


def preview(
    case: Case,
    client: Client,
    ask: Ask,
    *,
    options: Options | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Preview]:
    """Yield what would become of each thing now, in the order of execution. Writes nothing, not even a job.

    One or two requests for each run and version. What has an outcome already is left out.

    Raises:
        PlanChanged, NotApproved: as `apply`.
        Held: the hold register cannot be read.
    """
    options = options or Options()
    check_signed_end(case)
    check_plan(case.plan, ask.digest, ask.approvals, ask.approvers, now())
    with at_work(case, client, options, threading.Event(), None, lambda _a, _e: None, now) as (work, limiter):
        for path in case.plan.project_paths:
            work.gate.rights(path.entity)
        check_server(case.plan, client, limiter)
        work.holds.read()
        planned = frozenset(run.storage_id for run in case.plan.runs)
        blocked: set[int] = set()
        for action in work.approved.checked(_open_actions(case)):
            found = _judge(work, action, planned, blocked)
            if action.kind == "run" and found.outcome != "hidden":
                blocked.add(action.run_no)
            yield Preview(
                run=action.run_no,
                kind=action.kind,
                subject=work.subject(action),
                would=found.outcome,
                detail=found.detail,
            )


def _open_actions(case: Case) -> Iterator[Action]:
    if case.ledger.has(case.job):
        yield from case.ledger.actions(case.job, open_only=True)
    else:
        yield from (_as_action(case, new) for new in make_actions(case.plan))


def _as_action(case: Case, new: NewAction) -> Action:
    return Action(
        number=new.number,
        run_no=new.run_no,
        action_no=new.action_no,
        kind=new.kind,
        target=new.target,
        run=without_parts(case.plan.runs[new.run_no]),
        run_outcome=None,
    )


def _judge(work: Work, action: Action, planned_runs: Collection[str], blocked: set[int]) -> Ending:
    if action.kind == "run":
        return _judge_run(work, action)
    if action.run_no in blocked:
        return Ending("skipped", "run_not_hidden")
    planned = action.target
    if not isinstance(planned, PlannedArtifact):
        return Ending("deleted")
    if blocked.intersection(planned.with_runs):
        return Ending("skipped", "run_not_hidden")
    facts = read_artifact_facts(work.session, planned.id)
    if facts is None or facts.version.state == "DELETED":
        return Ending("gone_before")
    if not set(work.neighbours.loggers(action.path.project_path, planned.id)) <= set(planned_runs):
        return LOGGED_ELSEWHERE
    return judge_version(planned, facts) or Ending("deleted")


def _judge_run(work: Work, action: Action) -> Ending:
    facts = read_anew(work, action.path)
    if isinstance(facts, Ending):
        return facts
    if facts is None:
        return Ending("not_visible", "absent")
    refused = judge(work, action, facts)
    if refused is not None:
        return refused
    waits = facts.is_logging and not is_quiet(work, facts)
    return Ending("hidden", "after_stop" if waits else None)
