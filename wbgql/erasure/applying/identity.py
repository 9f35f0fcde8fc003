"""Compares what the server says of a thing with the approved plan, right before it is touched.

An id in a plan is a claim. What carries it, as the server answers, decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from wbgql.erasure.applying.options import Ending
from wbgql.erasure.applying.work import Work
from wbgql.erasure.planning.details import read_file_ids
from wbgql.erasure.reading.facts import ArtifactFacts, RunFacts, read_artifact_facts
from wbgql.erasure.records.plan import PlannedArtifact, PlannedRun
from wbgql.scalars import same_instant

DELETED = "DELETED"
LOGGED_ELSEWHERE = Ending("kept", "logged_elsewhere")


def compare_run(planned: PlannedRun, facts: RunFacts) -> Ending | None:
    """Say how a run ends that is not the planned one: another id, creation time or owner; None: it is."""
    run = facts.run
    owner = run.user.username if run.user else None
    if (
        run.id == planned.storage_id
        and facts.path == planned.path
        and same_instant(run.created_at, planned.created_at)
        and owner == planned.owner
    ):
        return None
    return Ending("changed", "identity")


def compare_parts(work: Work, run_no: int, facts: RunFacts) -> Ending | None:
    """Say how a run ends whose planned versions or files are not its own; None: the server lists them all.

    Asked while the run can still be read: afterwards, no answer names the run that a part belonged to. A
    version that is gone by now is passed over. One request for each 500 files, where the plan has any.
    """
    planned = work.plan.runs[run_no]
    logged = {output.id: output for output in facts.outputs}
    for version in planned.artifacts:
        if not version.goes:
            continue
        output = logged.get(version.id)
        if output is None:
            now = read_artifact_facts(work.session, version.id)
            if now is not None and now.version.state != DELETED:
                return Ending("changed", "not_logged_by_it")
            continue
        makers = {planned.storage_id, *(work.plan.runs[number].storage_id for number in version.with_runs)}
        if output.maker not in {None, *makers}:
            return Ending("changed", "made_by_another")
        if (output.digest, output.artifact_type.name) != (version.digest, version.type):
            return Ending("changed", "artifact")
    if planned.files:
        listed = read_file_ids(work.session, planned.path)
        if any(listed.get(file.id) != file.name for file in planned.files):
            return Ending("changed", "files")
    return None


def compare_version(
    planned: PlannedArtifact, facts: ArtifactFacts, runs: Sequence[PlannedRun]
) -> Ending | None:
    """Say how a version ends that is not the planned one, or that a run made that stays; None: it may go.

    `runs`: the approved runs that it hangs on. The run that made it must be one of them. A server names none
    once that run is hidden: it was asked while the run was there (`compare_parts`).
    """
    if facts.version.id != planned.id or (facts.type, facts.name) != (planned.type, planned.name):
        return Ending("changed", "identity")
    if facts.maker is not None and facts.maker.id not in {run.storage_id for run in runs}:
        return LOGGED_ELSEWHERE
    return None
