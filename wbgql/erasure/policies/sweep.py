"""Carries policies out: marks runs with the day after which they may go, plans those whose day has passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wbgql.cautions import warn
from wbgql.erasure.planning.asking import Ask
from wbgql.erasure.planning.caps import check_caps
from wbgql.erasure.planning.making import Surface, make_plan
from wbgql.erasure.planning.population import Found, Population, find_by_rule
from wbgql.erasure.policies.rules import Marks, Rule, read_marks, sweep_expr
from wbgql.erasure.records.plan import Plan, Project
from wbgql.errors import FilterWarning, NotFound, PermissionDenied, RequestError, StillLogging
from wbgql.expressions import freeze
from wbgql.paths import RunPath
from wbgql.runs import LOGGING_STATES, ProjectScope
from wbgql.safety.holds import HoldRegister, why_held
from wbgql.upserts import add_tags
from wbgql.wire.session import Session

Outcome = Literal["would_mark", "marked", "already", "held", "logging", "failed"]

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Marked:
    """What became of one run that a rule is about. `tag`: its mark, None where it has none now."""

    rule: str
    run: Found
    outcome: Outcome
    tag: str | None
    detail: str = ""


def mark_runs(
    session: Session,
    rule: Rule,
    scope: Sequence[ProjectScope],
    holds: HoldRegister,
    surface: Surface,
    *,
    apply: bool,
) -> list[Marked]:
    """Mark every run that a rule is about and that has no mark. Sends no mutation unless `apply`.

    A run that is held, or still being logged (its process would write its tags over), is left for another
    day. Three requests for each run that is marked.

    Raises:
        CapExceeded: the rule would mark more at once than it may.
        UnstablePopulation, NotFound, Held: as planning.
    """
    population = _find(session, rule, scope, surface)
    register = holds.read()
    tag = rule.tag(surface.now)
    found = [
        _consider(rule, run, why_held(register, run.target, population.project_id), tag, surface)
        for run in population.runs
    ]
    todo = {one.run.path for one in found if one.outcome == "would_mark"}
    check_caps(_projects(population, todo), rule.caps, ())
    if not apply:
        return found
    marked = []
    with surface.stages(f"marking for {rule.name}") as progress:
        for number, one in enumerate(found, 1):
            marked.append(_mark(session, one) if one.outcome == "would_mark" else one)
            progress.report(number, len(found))
    return marked


def plan_sweep(
    session: Session,
    rule: Rule,
    scope: Sequence[ProjectScope],
    holds: HoldRegister,
    surface: Surface,
    ask: Ask,
) -> Plan | None:
    """Plan the runs that a rule is still about and whose every mark is due; None where there is none.

    `ask` brings what is not the rule's: approvers, key, time to live. Taking the mark off a run, or giving it
    a later one, keeps it. A mark that is no date keeps it too, with a warning.

    Raises: as `make_plan`.
    """
    population = _find(session, rule, scope, surface)
    marks = [read_marks(run.tags, surface.now) for run in population.runs]
    _warn_of_bad(rule, population, marks)
    if not any(mark.is_due for mark in marks):
        return None
    together = Marks(
        frozenset().union(*(mark.due for mark in marks)),
        frozenset().union(*(mark.waiting for mark in marks)),
        frozenset().union(*(mark.bad for mark in marks)),
    )
    asked = replace(ask, scope=scope, where=sweep_expr(rule, together), request=rule.asked_by, caps=rule.caps)
    return make_plan(session, asked, holds, surface)


def _find(session: Session, rule: Rule, scope: Sequence[ProjectScope], surface: Surface) -> Population:
    with surface.stages(f"reading runs for {rule.name}") as progress:
        where = freeze(rule.expr, surface.now)
        return find_by_rule(session, scope, where, now=surface.now, progress=progress)


def _consider(rule: Rule, run: Found, held: str | None, tag: str, surface: Surface) -> Marked:
    marks = read_marks(run.tags, surface.now)
    if marks.any:
        mine = max(marks.due | marks.waiting | marks.bad)
        return Marked(rule.name, run, "already", mine, "no date: never acted on" if marks.bad else "")
    if held is not None:
        return Marked(rule.name, run, "held", None, held)
    if run.state in LOGGING_STATES:
        return Marked(rule.name, run, "logging", None, "its process would write its tags over")
    return Marked(rule.name, run, "would_mark", tag)


def _mark(session: Session, one: Marked) -> Marked:
    assert one.tag is not None  # given where it would be marked
    try:
        add_tags(session, one.run.path, one.tag)
    except StillLogging as error:
        return replace(one, outcome="logging", tag=None, detail=str(error))
    except (NotFound, PermissionDenied) as error:
        return replace(one, outcome="failed", tag=None, detail=str(error))
    except RequestError as error:
        error.add_note(f"marking stopped at {str(one.run.path)!r}; the same command goes on")
        raise
    return replace(one, outcome="marked")


def _projects(population: Population, todo: Collection[RunPath]) -> list[Project]:
    counts = Counter(run.path.project_path for run in population.runs if run.path in todo)
    return [
        Project(path=str(path), runs=population.projects[path].run_count, matched=count, planned=count)
        for path, count in counts.items()
    ]


def _warn_of_bad(rule: Rule, population: Population, marks: Sequence[Marks]) -> None:
    bad = [str(run.path) for run, mark in zip(population.runs, marks, strict=True) if mark.bad]
    if bad:
        named = ", ".join(bad[:_NAMED_AT_MOST]) + (", ..." if len(bad) > _NAMED_AT_MOST else "")
        warn(
            FilterWarning(
                f"rule {rule.name!r}: {len(bad)} runs carry a mark that is no date, and stay: {named}"
            )
        )
