"""A world whose runs are erased, with a proxy before its server."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.erasure.fault_proxy import FaultProxy
from tests.erasure.real_plans import real_case, real_plan
from tests.stored import World
from wbgql.client import Client
from wbgql.erasure.applying import Applied, Ask, Options, apply
from wbgql.erasure.case.case import Case
from wbgql.erasure.records.journal import find_break
from wbgql.erasure.records.plan import Plan, PlannedRun
from wbgql.limiting import Limits
from wbgql.safety.holds import HoldRegister
from wbgql.settings import Settings

NOW = datetime(2026, 2, 1, tzinfo=UTC)
QUICK = Options(limits=Limits(rate=1000.0, min_wait_s=0.05), quiet_budget_s=1.5, patience_s=1.0)

_LINK = "mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) { artifactCollectionID } }"


class Stage:
    """Runs on the local server, a case over some of them, and what became of both."""

    def __init__(self, world: World, proxy: FaultProxy, folder: Path) -> None:
        self.world = world
        self.proxy = proxy
        self.folder = folder
        self.holds = HoldRegister(folder / "holds.json")
        self.holds.create()
        settings = Settings(base_url=proxy.base_url, api_key=world.client.settings.api_key, timeout_s=5.0)
        self.client = Client(settings=settings, holds=self.holds)
        self._cases: list[Case] = []

    def make(self, *names: str, **fields: Any) -> None:
        """Make finished runs."""
        for name in names:
            self.world.run(name)
            if fields:
                self.world.caller.upsert(self.world.project, name=name, **fields)
            self.finish(name)

    def finish(self, name: str) -> None:
        answer = self.world.caller.stream(self.world.project, name, complete=True, exitcode=0)
        answer.raise_for_status()

    def plan(self, runs: Iterable[str | PlannedRun], **fields: Any) -> Plan:
        return real_plan(self.world, runs, base_url=self.proxy.base_url, **fields)

    def case(self, runs: Iterable[str | PlannedRun], database: str | None = None, **fields: Any) -> Case:
        self._cases.append(real_case(self.folder, self.plan(runs, **fields), database))
        return self._cases[-1]

    def apply(self, case: Case, options: Options = QUICK, **fields: Any) -> Applied:
        asked = {name: fields.pop(name) for name in ("approvals", "approvers", "retry") if name in fields}
        ask = Ask(digest=case.plan.digest, **asked)
        return apply(case, self.client, ask, options=options, now=lambda: datetime.now(UTC), **fields)

    def hold(self, kind: str, value: str) -> None:
        self.holds.add(kind, value, reason="CASE-1", added_by="admin", now=NOW)

    def visible(self) -> set[str]:
        """The runs that can be seen, not through the proxy."""
        return {run.id for run in self.world.client.runs(self.world.path)}

    def state_of(self, artifact_id: str) -> str | None:
        found = self.world.caller.ask("query Q($id: ID!) { artifact(id: $id) { state } }", id=artifact_id)
        return found["artifact"] and found["artifact"]["state"]

    def link(self, artifact_id: str) -> str:
        """Link a version into a portfolio; return the portfolio's id."""
        given = {"artifactPortfolioName": "shelf", "entityName": "admin", "projectName": self.world.project}
        asked = given | {"artifactID": artifact_id, "aliases": []}
        found: str = self.world.caller.ask(_LINK, input=asked)["linkArtifact"]["artifactCollectionID"]
        return found

    def close(self) -> None:
        for case in self._cases:
            case.close()
        self.client.close()


def outcomes(case: Case) -> list[tuple[str, str | None, str | None]]:
    """(kind, outcome, detail) of each action in the order of execution."""
    rows = sorted(case.ledger.latest(case.job), key=lambda action: action.number)
    return [(action.kind, action.outcome, action.detail) for action in rows]


def kinds(case: Case) -> list[str]:
    """The journal's kinds, once its chain was found whole."""
    assert find_break(case.ledger.entries(case.job), case.ledger.head(case.job)) is None
    return [entry.kind for entry in case.ledger.entries(case.job)]
