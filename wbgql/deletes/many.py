"""Hide many runs, of one project or of several, with one outcome for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import cast

import msgspec

from wbgql.deletes.artifacts import ArtifactDeletion
from wbgql.deletes.batches import DEFAULT_RATE, pace, raise_if_failed, run_batch
from wbgql.deletes.outputs import WithArtifacts, delete_outputs
from wbgql.deletes.runs import Deletion, Outcome, delete_run, search_for
from wbgql.deletes.sending import look_up
from wbgql.errors import NotVisible, WbgqlError
from wbgql.limiting import Limits
from wbgql.paths import RunPath
from wbgql.progress import NoProgress, Progress
from wbgql.safety.gate import Gate
from wbgql.safety.holds import HoldRegister
from wbgql.wire.session import Session


def delete_runs(
    session: Session,
    paths: Sequence[RunPath],
    *,
    holds: HoldRegister,
    force: bool = False,
    with_artifacts: WithArtifacts | None = None,
    made_at: Mapping[RunPath, datetime] | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
    on_result: Callable[[Deletion], None] = lambda _: None,
    check: bool = True,
) -> list[Deletion]:
    """Hide runs one by one, in the order given; return one outcome per path, in that order.

    The runs may be of several projects and entities. Each goes through the gate by itself and is looked up
    before and after: three requests per run that is hidden, one per run that is absent or refused, one per
    entity for the rights, and one for the undelete window. The other projects of the entities are searched
    for the runs that are absent, all together: one request per project and 500 of them. `limits` pace the
    requests, 50 a second if not given; the server's rate-limit headers are obeyed, and a 429 is waited out.
    `on_result` gets each outcome as it is known, those of absent runs last; `progress` the number of runs
    that are done.

    A run that is held, denied, still logging, or that the server fails on does not end the batch. These do,
    and the runs after them are "not_tried": a refused key, a 429 that asks to wait longer than
    `limits.max_wait_s`, a server that failed `limits.failures` requests in a row, and
    `batches.FAILURES_IN_A_ROW` runs in a row on which the server failed or which it denied.

    `with_artifacts` deletes the versions that each run logged first, after the run passed the gate and before
    it is hidden, because the way from a run to its versions is lost afterwards. The server's own versions,
    those that another run logged first, and those that a hold, an alias or a link keeps stay, and the run is
    hidden all the same. A version on which the server fails keeps its run. `.artifacts` of an outcome has
    them all. One more request per run and 100 versions, one for the gate, three per version that is deleted.

    `made_at` is what `Gate` takes. With `check=False` the outcomes are returned whatever they are.

    Raises:
        PartialError: some were not hidden. `.done` has the outcomes of those that are done, `.failed` the
            others; the message groups them by reason.
        The first error itself, where nothing at all was done; a note groups the runs by reason.
    """
    paced = pace(session, limits or Limits(rate=DEFAULT_RATE))
    gate = Gate(paced, holds, made_at=made_at)
    versions: dict[RunPath, list[ArtifactDeletion]] = {}

    def act(path: RunPath) -> Deletion:
        if with_artifacts is not None:
            told = versions.setdefault(path, [])
            before = look_up(paced, path)
            if before.run is not None:
                gate.check(path, before.run, read_only=bool(before.read_only), force=force)
                delete_outputs(
                    paced,
                    path,
                    before.run.id,
                    with_artifacts,
                    holds=holds,
                    on_result=told.append,
                )
        deletion = delete_run(paced, path, holds=holds, force=force, gate=gate, search=False)
        return msgspec.structs.replace(deletion, artifacts=tuple(versions.get(path, ())))

    def make(path: RunPath, outcome: str, reason: str) -> Deletion:
        return Deletion(
            path=str(path),
            outcome=cast(Outcome, outcome),
            reason=reason,
            artifacts=tuple(versions.get(path, ())),
        )

    batch = run_batch(
        paths,
        act,
        make,
        progress=progress or NoProgress(),
        on_result=lambda one: None if one.outcome == "absent_before" else on_result(one),
    )
    outcomes = batch.outcomes
    absent = [(path, one) for path, one in outcomes.items() if one.outcome == "absent_before"]
    searched, failure = _search(paced, absent, batch.end)
    first = batch.first or failure
    for path, outcome in searched:
        outcomes[path] = outcome
        on_result(outcome)
    elsewhere = next((one for one in outcomes.values() if one.outcome == "elsewhere"), None)
    if elsewhere is not None:
        first = first or NotVisible(f"run {elsewhere.path!r}: {elsewhere.reason}")
    if check:
        raise_if_failed(list(outcomes.values()), first, "runs")
    return [outcomes[path] for path in paths]


def _search(
    session: Session, absent: Sequence[tuple[RunPath, Deletion]], end: WbgqlError | None
) -> tuple[list[tuple[RunPath, Deletion]], WbgqlError | None]:
    """Search the other projects for absent runs; the error that kept this from being done, if one did."""
    paths = [path for path, _ in absent]
    if absent and end is None:
        try:
            return list(zip(paths, search_for(session, absent), strict=True)), None
        except WbgqlError as error:
            end = error
    reason = f"absent from its project; the other projects were not searched for it: {end}"
    told = [(path, msgspec.structs.replace(one, outcome="not_tried", reason=reason)) for path, one in absent]
    return told, end if absent else None
