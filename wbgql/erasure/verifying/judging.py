"""From settled answers to a verdict, with a result for each thing that is not as it should be. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from wbgql.erasure.records.plan import Plan
from wbgql.erasure.records.subjects import CaseKey
from wbgql.erasure.records.verification import (
    Controls,
    Finding,
    FindingState,
    Residual,
    Subject,
    Verdict,
)
from wbgql.erasure.verifying.claims import MUST_GO, Claims, Item
from wbgql.erasure.verifying.controls import Control
from wbgql.erasure.verifying.settling import State
from wbgql.paths import ProjectPath, RunPath

_BAD: Mapping[State, FindingState] = {"present": "visible", "unsettled": "unsettled", "unknown": "unknown"}
SYSTEM_REASON = "the server's own copy of what the run logged: only the provider can remove it"
FORK_REASON = "a fork: it shares history and files with the run it was made from"


class Names:
    """Names the things of one plan by keyed hashes."""

    def __init__(self, plan: Plan, key: CaseKey, files: Mapping[Item, str]) -> None:
        self._url = plan.server.base_url
        self._key = key
        self._files = files

    def of(self, item: Item) -> str:
        """The subject of an item."""
        match item.kind:
            case "run" | "fork":
                return self.run(RunPath(item.project.entity, item.project.project, item.key))
            case "file":
                return self._key.file(self._url, self._files[item])
            case _:
                return self.artifact(item.key)

    def run(self, path: RunPath) -> str:
        """The subject of a run."""
        return self._key.run(self._url, path)

    def project(self, path: ProjectPath) -> str:
        """The subject of a project."""
        return self._key.project(self._url, path)

    def artifact(self, artifact_id: str) -> str:
        """The subject of an artifact version or collection."""
        return self._key.artifact(self._url, artifact_id)


def count_controls(controls: Iterable[Control]) -> Controls:
    """Count the controls of every project, as they were in the last reads."""
    seen: Counter[str] = Counter()
    for control in controls:
        seen["positive" if control.run is not None else "empty" if control.empty else "failed"] += 1
        if control.random_is_absent is not None:
            seen["negative" if control.random_is_absent else "broken"] += 1
    return Controls(**seen)


def find(claims: Claims, states: Mapping[Item, State], names: Names) -> list[Finding]:
    """What is not as it should be, by run. What must be gone and was not asked for was not looked at."""
    found = [
        _finding(item, "not_looked_at", names)
        for item in claims.items
        if item.kind in MUST_GO and item not in states
    ]
    for item, state in states.items():
        if item.kind in MUST_GO and state != "absent":
            found.append(_finding(item, _BAD[state], names))
        elif item.kind == "kept" and state != "present":
            found.append(_finding(item, "missing" if state == "absent" else _BAD[state], names))
    return sorted(found, key=lambda finding: (finding.run or 0, finding.kind, finding.subject))


def forks(states: Mapping[Item, State], names: Names) -> list[Residual]:
    """Forks that are still there."""
    return [
        Residual(subject=names.of(item), kind="fork", reason=FORK_REASON, run=item.run_no)
        for item, state in states.items()
        if item.kind == "fork" and state == "present"
    ]


def judge(states: Mapping[Item, State], controls: Controls) -> Verdict:
    """Hidden only if all that must be gone is absent, everywhere beside a control."""
    seen = {state for item, state in states.items() if item.kind in MUST_GO}
    if "present" in seen:
        return "not_hidden"
    if seen <= {"absent"} and controls.held:
        return "hidden"
    return "cannot_verify"


def count(claims: Claims, states: Mapping[Item, State], requests: int) -> dict[str, int]:
    """The counts of a verification; see `Verification`."""
    seen = Counter((item.kind, state) for item, state in states.items())
    return {
        "runs": claims.count("run"),
        "runs_absent": seen["run", "absent"],
        "artifacts": claims.count("artifact"),
        "artifacts_absent": seen["artifact", "absent"],
        "files": claims.count("file"),
        "files_absent": seen["file", "absent"],
        "kept": claims.count("kept"),
        "kept_present": seen["kept", "present"],
        "forks": claims.count("fork"),
        "not_claimed": claims.not_claimed,
        "open": claims.open,
        "requests": requests,
    }


def limits(claims: Claims, states: Mapping[Item, State], notes: Iterable[str | None]) -> list[str]:
    """What was not looked at, or could not be told, in words."""
    unknown = sum(
        state in ("unknown", "unsettled") for item, state in states.items() if item.kind in ("system", "fork")
    )
    said = [note for note in notes if note]
    if unknown:
        said.append(f"{unknown} forks or artifacts of the server's own could not be looked for")
    if claims.open:
        said.append(f"{claims.open} runs are not done yet: nothing was claimed of them, nothing was asked")
    return said


def _finding(item: Item, state: FindingState, names: Names) -> Finding:
    kinds: dict[str, Subject] = {"run": "run", "file": "file"}
    return Finding(
        subject=names.of(item), kind=kinds.get(item.kind, "artifact"), state=state, run=item.run_no
    )


def journal_body(verification: Any) -> dict[str, Any]:
    """What the journal says of a verification; its digest binds the rest."""
    return {
        "digest": verification.digest,
        "kind": verification.kind,
        "verdict": verification.verdict,
        "reader": verification.reader,
        "equal_reads": verification.equal_reads,
        "probe": verification.probe,
        "counts": verification.counts,
        "controls": {name: getattr(verification.controls, name) for name in Controls.__struct_fields__},
        "findings": len(verification.findings),
        "residuals": len(verification.residuals),
    }
