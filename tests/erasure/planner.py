"""Makes plans against a local server, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wbgql.client import Client
from wbgql.erasure.planning.asking import Ask
from wbgql.erasure.planning.making import Surface, make_plan
from wbgql.erasure.plans import Caps, Plan, PlannedArtifact, PlannedRun, Request
from wbgql.erasure.subjects import CaseKey
from wbgql.holds import HoldRegister
from wbgql.paths import ProjectPath, parse_project_path
from wbgql.runs import ProjectScope

REQUEST = Request(reference="DSR-1", basis="gdpr-17")
CASE_KEY = CaseKey(b"k" * 32)
WIDE = Caps(max_runs=100, max_percent=100)


def plan_runs(
    client: Client, *scope: str | ProjectScope, register: Path, now: datetime | None = None, **asked: Any
) -> Plan:
    """Make a plan. `scope` are project paths; `asked` the fields of `Ask`. Caps are wide unless given."""
    confirm = asked.pop("confirm_entire", None)
    parts = [parse_project_path(part) if isinstance(part, str) else part for part in scope]
    surface = Surface(
        now=now or datetime.now(UTC),
        plan_id="P1",
        case_key=CASE_KEY,
        base_url=client.settings.base_url,
        **({"confirm_entire": confirm} if confirm else {}),
    )
    ask = Ask(**{"request": REQUEST, "caps": WIDE, "scope": parts, **asked})
    return make_plan(client.session, ask, HoldRegister(register), surface)


def everything(*projects: str) -> frozenset[ProjectPath]:
    """Projects of which every run may go."""
    return frozenset(map(parse_project_path, projects))


def run_of(plan: Plan, run_id: str) -> PlannedRun:
    """One run of a plan."""
    return next(run for run in plan.runs if run.id == run_id)


def artifact_of(plan: Plan, artifact_id: str) -> PlannedArtifact:
    """One version of a plan; it stands there once."""
    (found,) = [one for run in plan.runs for one in run.artifacts if one.id == artifact_id]
    return found
