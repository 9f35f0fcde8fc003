"""What a certificate does not say, and what stays, in plain words. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from wbgql.erasure.plans import Plan
from wbgql.erasure.population import Counts
from wbgql.erasure.verifications import Residual, Verification
from wbgql.erasure.wording import REASONS, RESIDUALS, when


def limitations(plan: Plan, counts: Counts, verifications: Sequence[Verification]) -> list[str]:
    """Say what the evidence does not cover, the gravest first."""
    return [
        *_scope(plan),
        *_population(counts),
        *_looks(plan, verifications),
        *_trust(plan),
    ]


def what_stays(plan: Plan, counts: Counts, residuals: Sequence[Residual]) -> list[str]:
    """Say what is left although everything was done as planned."""
    references = sum(
        artifact.references for run in plan.runs for artifact in run.artifacts if artifact.decision == "erase"
    )
    forks = sum(len(run.forks) for run in plan.runs)
    found = Counter(residual.kind for residual in residuals)
    said = [f"{RESIDUALS[kind]} ({count})" for kind, count in sorted(found.items())]
    said.extend(
        f"artifact versions kept, {REASONS.get(reason, reason)} ({count})"
        for reason, count in sorted(counts.kept.items())
    )
    if forks and not found["fork"]:
        said.append(f"forks of these runs, which share history and files with their source ({forks})")
    if references:
        said.append(f"what references to storage outside point to ({references})")
    said.extend(
        (
            "system artifacts (wandb-history, wandb-events) that the server makes later by itself",
            "reports, workspaces and comments that name or show the runs",
            "backups and replicas, until they run out",
            "exports, downloads, caches and wandb/ folders on other machines; messages already sent",
            "the provider's audit log, which names who did what in which project",
        )
    )
    return said


def _scope(plan: Plan) -> Iterator[str]:
    if plan.server.is_test:
        yield "It came from a local test server: nothing here is about W&B's own."
    if plan.not_read:
        yield (
            f"{len(plan.not_read)} of what was named could not be read: nothing is said of it, and "
            "nothing in it was touched."
        )
    roles = ", ".join(sorted({rights.role or "a role the server does not name" for rights in plan.rights}))
    yield (
        f"The runs were looked for at {when(plan.created_at)} with a key that acted as "
        f"{roles or 'nobody known'}. Projects and runs that this key cannot see look like "
        "ones that do not exist; they are not covered."
    )
    yield "Runs that came after the plan are not covered, whatever the rule says of them."


def _population(counts: Counts) -> Iterator[str]:
    if counts.open:
        yield f"{counts.open} things of the plan are not done yet."
    if counts.excluded:
        yield f"{sum(counts.excluded.values())} runs matched the rule and were left out; the counts say why."


def _looks(plan: Plan, verifications: Sequence[Verification]) -> Iterator[str]:
    stores = [one for one in verifications if one.kind == "storage"]
    if not stores:
        yield "Nobody looked at the stored bytes: all proofs are answers of the server's API."
    if plan.server.profile is None:
        yield "What this server does on deletion was not tried out beforehand with wbgql erase probe."
    if not any(one.reader == "second" for one in verifications):
        yield "The verifying reads used the job's key, in sessions of their own, and no second credential."
    last: Mapping[str, Verification] = {f"{one.kind} {one.probe}": one for one in verifications}
    for one in last.values():
        yield from one.limits


def _trust(plan: Plan) -> Iterator[str]:
    if plan.approvers is None:
        yield "The plan asked for no approval by key: whoever ran the job confirmed it."
    else:
        yield "An approval shows that a key signed, not who held it; two keys may lie in one hand."
    yield "Times are those of the machine that ran the job; the order of things is the journal's."
    yield "Holds stand in a register of this tool: W&B's own pages and SDK know nothing of it."
    yield "Keyed hashes name nobody without the case key, which is kept apart until the case is closed."
