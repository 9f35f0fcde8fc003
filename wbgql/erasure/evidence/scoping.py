"""What a certificate names of its plan, without any name. No I/O."""

from __future__ import annotations

from wbgql.erasure.evidence.certificate import PlanNamed, Scope, ScopedProject, ScopedRights
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.plan import Plan, Rule, total_references
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import FilterError
from wbgql.expressions import parse_expression
from wbgql.paths import ProjectPath


def name_plan(plan: Plan) -> PlanNamed:
    """Say which plan it is, under which limits it was made, and what the words need of it."""
    erased = [artifact for run in plan.runs for artifact in run.artifacts if artifact.decision == "erase"]
    return PlanNamed(
        plan_id=plan.plan_id,
        digest=plan.digest,
        created_at=plan.created_at,
        expires_at=plan.expires_at,
        planner_key=plan.planner.key_id,
        case_key_id=plan.case_key_id,
        holds=plan.holds,
        max_runs=plan.caps.max_runs,
        max_percent=plan.caps.max_percent,
        canaries=len(plan.canaries),
        clocks=plan.clocks,
        forks=sum(len(run.forks) for run in plan.runs),
        references=total_references(erased),
    )


def make_scope(plan: Plan, key: CaseKey) -> Scope:
    """Say which runs were meant: projects, rights and the rule by keyed hashes."""
    base_url = plan.server.base_url
    return Scope(
        rule=key.text("rule", encode(plan.rule).decode()),
        asks=_asks(plan.rule),
        ids=plan.rule.ids,
        entire_project=plan.rule.entire_project,
        rights=[
            ScopedRights(entity=key.text("entity", rights.entity), role=rights.role) for rights in plan.rights
        ],
        projects=[
            ScopedProject(
                subject=key.project(base_url, ProjectPath(*project.path.split("/", 1))),
                runs=project.runs,
                matched=project.matched,
                planned=project.planned,
            )
            for project in plan.projects
        ],
        not_read=[key.text("not read", part.path) for part in plan.not_read],
    )


def _asks(rule: Rule) -> list[str]:
    """The rule without its values and keys, which may name people: `created_at <`, `config[...] ==`."""
    if rule.where is None:
        return []
    try:
        conditions = parse_expression(rule.where, client_side=True).conditions()
    except FilterError:
        return ["a rule that this version cannot take apart"]
    asks = (
        f"{found.path.parts[0] if found.path.section == 'run' else f'{found.path.section}[...]'} {found.op}"
        for found in conditions
    )
    return list(dict.fromkeys(asks))
