"""A case that was applied and verified by hand, without a server, and its certificate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.erasure.made_plans import CASE_KEY, NOW, OFFICER, OWNER, approvers_file, make_plan
from wbgql.erasure.case.case import Case
from wbgql.erasure.case.files import save_case
from wbgql.erasure.evidence.bundle import bundle_path
from wbgql.erasure.evidence.certify import Given, Terms, certify
from wbgql.erasure.evidence.population import Namer
from wbgql.erasure.ledger import Ledger
from wbgql.erasure.records.approvals import Approval, make_approval
from wbgql.erasure.records.keys import PrivateKey
from wbgql.erasure.records.plan import Clock, Plan
from wbgql.erasure.records.verification import Controls, Finding, Residual, Verification
from wbgql.erasure.verifying.judging import journal_body
from wbgql.scalars import format_datetime

CERTIFIER = PrivateKey.from_seed(b"\x09" * 32)
HELD = Controls(positive=1, negative=1)


class HandMadeCase:
    """A case whose ledger is written by hand: `finish`, `verify`, then `certify`. Time passes when told to."""

    def __init__(self, folder: Path, plan: Plan | None = None) -> None:
        self.now = NOW + timedelta(hours=1)
        self.folder = folder
        self.plan = plan or make_plan(required=2)
        self.path = folder / "plan.json"
        save_case(self.path, self.plan, CASE_KEY)
        url = f"sqlite:///{folder / 'erasure.sqlite'}"
        ledger = Ledger.open(url, now=lambda: self.now)
        self.case = Case(path=self.path, plan=self.plan, key=CASE_KEY, ledger=ledger)
        self.approvals: list[Approval] = []
        if self.plan.approvers is not None:
            self.approvals = [
                make_approval(self.plan, key, approvers_file(), self.now) for key in (OFFICER, OWNER)
            ]
        self._number = 0

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)

    def apply(self, outcomes: Mapping[str, Any] | None = None) -> None:
        """Book an outcome for every open action: what `outcomes` says by run id, else done. None leaves it open."""
        namer = Namer(self.plan, CASE_KEY)
        job, ledger = self.case.job, self.case.ledger
        ledger.create(self.plan, target="test", body={"plan": self.plan.digest})
        ledger.note(job, "started", {"executor": "test", "generation": 1})
        for action in list(ledger.actions(job, open_only=True)):
            done = "hidden" if action.kind == "run" else "deleted"
            outcome = (outcomes or {}).get(action.run.id, done)
            if outcome is None:
                continue
            if outcome != done and action.kind != "run":
                outcome = "skipped"
            subject = namer.target(action.target)
            if outcome == done:
                ledger.intend(job, action, subject)
            ledger.finish(job, action, outcome, None, subject)
        ledger.set_state(job, "applied", "applied", {})

    def verify(self, verdict: Any = "hidden", **fields: Any) -> Verification:
        """Book a verification of this moment."""
        made = make_verification(self.plan, verdict, self.now, **fields)
        self.case.ledger.add_verification(
            self.case.job, made.kind, made.verdict, made, note="verified", body=journal_body(made)
        )
        return made

    def subject(self, run_no: int) -> str:
        return Namer(self.plan, CASE_KEY).run(self.plan.runs[run_no].path)

    def reopen(self, *run_nos: int) -> None:
        body = {"subjects": [self.subject(run_no) for run_no in run_nos]}
        self.case.ledger.reopen(self.case.job, list(run_nos), body)

    @property
    def bundle(self) -> Path:
        return bundle_path(self.path)

    def certify(self, folder: Path | None = None, key: PrivateKey = CERTIFIER, **terms: Any) -> Given:
        self._number += 1
        given = {"approvers": approvers_file() if self.approvals else None, "approvals": self.approvals}
        return certify(
            self.case,
            key,
            folder or self.bundle,
            Terms(**given | terms),
            now=self.now,
            new_id=lambda: f"certificate-{self._number}",
        )


def _counts(plan: Plan, findings: Sequence[Finding]) -> dict[str, int]:
    """Everything was asked for, with the server's time known, and is absent but for the findings."""
    totals = {
        "run": len(plan.runs),
        "artifact": sum(artifact.goes for run in plan.runs for artifact in run.artifacts),
        "file": sum(len(run.files) for run in plan.runs),
    }
    found = Counter(finding.kind for finding in findings if finding.state != "missing")
    counts = {"clock_known": 1, "projects_searched": 1, "projects_not_searched": 0}
    for kind, total in totals.items():
        counts |= {f"{kind}s": total, f"{kind}s_absent": total - found[kind]}
    return counts


def make_verification(
    plan: Plan,
    verdict: Any,
    at: datetime,
    *,
    controls: Controls = HELD,
    findings: Sequence[Finding] = (),
    residuals: Sequence[Residual] = (),
    clocks: Sequence[Clock] = (),
    **fields: Any,
) -> Verification:
    """A verification of a plan: of the API, or of the store where the verdict is one of the store's."""
    kind = "reads" if verdict in ("hidden", "not_hidden", "cannot_verify") else "storage"
    return Verification(
        plan=plan.digest,
        kind=kind,
        at=format_datetime(at),
        verdict=verdict,
        counts=fields.pop("counts", _counts(plan, findings)),
        controls=controls,
        findings=list(findings),
        residuals=list(residuals),
        clocks=list(clocks),
        **{"probe": "local" if kind == "storage" else None} | fields,
    )
