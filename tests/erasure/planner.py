"""Makes plans against a local server, for tests."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.caller import Caller
from wbgql.client import Client
from wbgql.erasure.planning.asking import Ask
from wbgql.erasure.planning.making import Surface, make_plan
from wbgql.erasure.records.plan import Caps, Plan, PlannedArtifact, PlannedRun, Request
from wbgql.erasure.records.subjects import CaseKey
from wbgql.paths import ProjectPath, parse_project_path
from wbgql.runs import ProjectScope
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer, add_team, add_user
from wbgql.settings import Settings

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


_MAKE_RUN = "mutation Make($input: UpsertBucketInput!) { upsertBucket(input: $input) { bucket { id } } }"
_numbers = itertools.count(1)


class Team:
    """A team of an admin (boss), a member (ann) who made three of ten runs, and a viewer (eve)."""

    def __init__(self, server: RunningServer) -> None:
        number = next(_numbers)
        self.name = f"team-{number}"
        self.path = f"{self.name}/vision"
        self.keys = {}
        for user, role in (("boss", "admin"), ("ann", "member"), ("eve", "viewer")):
            self.keys[user] = add_user(server.data, f"{user}-{number}")
            add_team(server.data, self.name, member=f"{user}-{number}", role=role)
        self._base_url = server.base_url
        for run in range(10):
            self._make("ann" if run < 3 else "boss", name=f"r{run}", tags=["x"])
        self._make("boss", name="other")

    def client(self, user: str) -> Client:
        return Client(settings=Settings(base_url=self._base_url, api_key=self.keys[user]))

    def _make(self, user: str, **fields: object) -> None:
        given = {"entityName": self.name, "modelName": "vision", "state": "finished"} | fields
        Caller(self._base_url, self.keys[user]).ask(_MAKE_RUN, input=given)
