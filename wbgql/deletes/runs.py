"""Hide one run, by its explicit id, and prove it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from wbgql.deletes.artifacts import ArtifactDeletion
from wbgql.deletes.elsewhere import Elsewhere, search_elsewhere
from wbgql.deletes.sending import LookUp, look_up
from wbgql.documents import Operation, Result
from wbgql.errors import NotVisible, ResponseError, WbgqlError
from wbgql.paths import ProjectPath, RunPath
from wbgql.safety.gate import Gate
from wbgql.safety.holds import HoldRegister
from wbgql.wire.mutations import not_applied, not_known, refuses, reread_after_s, send_once
from wbgql.wire.session import Session

Outcome = Literal[
    "hidden",
    "absent_before",
    "elsewhere",
    "not_visible",
    "held",
    "denied",
    "still_logging",
    "failed",
    "unknown",
    "not_tried",
]


class _Payload(Result, frozen=True):
    client_mutation_id: str | None


class _DeleteRun(Result, frozen=True):
    delete_run: _Payload | None


class _Success(Result, frozen=True):
    success: bool | None


class _StopRun(Result, frozen=True):
    stop_run: _Success | None


DELETE_RUN = Operation("DeleteRun", _DeleteRun, destructive=True)
STOP_RUN = Operation("StopRun", _StopRun, destructive=True)


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run.

    `outcome`, where the run was looked up and nothing kept wbgql from its work:
    "hidden" (seen before, null afterwards while a control stayed visible), "absent_before" (null before
    anything was sent, control visible), "elsewhere" (null here, and a run of the same id stands in another
    project of the entity, at `found_at`; it was not touched), "not_visible" (null, and no other run of the
    project could be seen to tell why). Only `delete_runs` has the others, and says in `reason` why: "held",
    "denied", "still_logging" (the gate; nothing was sent), "failed" (the run is still there, or nothing was
    sent), "unknown" (the deletion was sent, and no read could tell what became of it), "not_tried" (the batch
    ended before this run, or before an absent run was searched for).

    `undo_until`: when the run can no longer be restored, None if the server does not say. `control`: the run
    that stayed visible, None where the project had no other. `answered`: False where the answer to the
    mutation was lost and the reads alone tell. `searched`: the projects that were searched for the id,
    because it is absent and no success was read; projects of other entities never are. `artifacts`: what
    became of each version that the run logged, if `delete_runs` was asked to delete these too.
    """

    path: str
    outcome: Outcome
    undo_until: datetime | None = None
    control: str | None = None
    answered: bool = True
    found_at: str | None = None
    searched: tuple[str, ...] = ()
    reason: str | None = None
    artifacts: tuple[ArtifactDeletion, ...] = ()


def delete_run(
    session: Session,
    path: RunPath,
    *,
    holds: HoldRegister,
    force: bool = False,
    gate: Gate | None = None,
    search: bool = True,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Deletion:
    """Hide one run and prove it by an independent read. Artifacts are kept.

    Five requests; three where the `gate` knows the rights and the undelete window already. The mutation is
    sent again in two cases only, each after the run was looked up and passed the gate again: after HTTP 429,
    which refused it, and once if its answer was lost and the reads show the run still there. A run that is
    still visible is read up to three times over three seconds, because replicas lag. Where it is absent and
    no success was read, the other projects of its entity are searched, one request each; with `search` False,
    not for a run that was absent before: the caller does that for many at once (`search_for`).

    Raises:
        PermissionDenied, StillLogging, Held: the gate; nothing was done.
        RateLimited: the server refused the mutation, and asks to wait too long; nothing was done.
        NotVisible: the project is missing or not visible; nothing was done.
        RequestError: the server refused, or the answer was lost twice, and the run is still there. With
            `.maybe_applied`: the deletion was sent, and the run could not be looked up.
        ResponseError: the server acknowledged, yet the run is still visible.
    """
    gate = gate or Gate(session, holds)
    before = look_up(session, path)
    if before.run is None:
        absent = _absent(path, before)
        return search_for(session, [(path, absent)])[0] if search else absent
    gate.check(path, before.run, read_only=bool(before.read_only), force=force)
    window = gate.undo_window()
    storage_id = before.run.id

    def pass_gate_again() -> None:
        again = look_up(session, path)
        if again.run is not None:
            gate.check(path, again.run, read_only=bool(again.read_only), force=force)

    guard = _but_first(pass_gate_again)
    for is_last in (False, True):
        sent_at = now()
        lost = send_once(session, DELETE_RUN, {"id": storage_id}, guard=guard).lost
        try:
            after = _look_patiently(session, path, reread_after_s(lost))
            control = _prove_hidden(path, before, after) if after.run is None else None
        except WbgqlError as error:
            not_known(error, f"the deletion of {str(path)!r}", lost)
            raise
        if after.run is None:
            break
        if lost is None:
            raise ResponseError(
                f"the server acknowledged the deletion of {str(path)!r}, but the run is still visible",
                operation=DELETE_RUN.name,
            )
        if is_last or refuses(lost):
            raise not_applied(lost)
    deletion = Deletion(
        path=str(path),
        outcome="hidden",
        undo_until=sent_at + window if window is not None else None,
        control=control,
        answered=lost is None,
    )
    # Null and no success: the run may have been moved before the deletion arrived.
    return search_for(session, [(path, deletion)], created_at=before.run.created_at)[0]


def search_for(
    session: Session, found: Sequence[tuple[RunPath, Deletion]], *, created_at: str | None = None
) -> list[Deletion]:
    """Search the other projects for the runs that are absent without a success, and say where they stand.

    `created_at`: of all of them, where it is known; without, any run of the same id counts. One request for
    each project of their entities and 500 ids; none where there is nothing to search for.
    """
    missing: dict[ProjectPath, list[str]] = {}
    for path, one in found:
        if _is_unconfirmed(one):
            missing.setdefault(path.project_path, []).append(path.run_id)
    seen = search_elsewhere(session, missing)
    return [_told(path, one, seen, created_at) if _is_unconfirmed(one) else one for path, one in found]


def _told(path: RunPath, deletion: Deletion, seen: Elsewhere, created_at: str | None) -> Deletion:
    searched = tuple(str(project) for project in seen.searched if project.entity == path.entity)
    at = seen.of(path, created_at)
    if at is None:
        return msgspec.structs.replace(deletion, searched=searched)
    return msgspec.structs.replace(
        deletion,
        outcome="elsewhere",
        undo_until=None,
        found_at=str(at),
        searched=searched,
        reason=f"it is not in its project; a run of the same id stands at {str(at)!r}: name it there",
    )


def _is_unconfirmed(deletion: Deletion) -> bool:
    """Whether a run is absent, and no answer said that this was done by the deletion."""
    return deletion.outcome == "absent_before" or (deletion.outcome == "hidden" and not deletion.answered)


def _but_first(check: Callable[[], None]) -> Callable[[], None]:
    """Make a guard that lets the first attempt pass: its facts were just checked."""
    attempts = 0

    def guard() -> None:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            check()

    return guard


def _control(seen: LookUp, run_id: str) -> str | None:
    edges = seen.controls.edges if seen.controls else []
    return next((edge.node.name for edge in edges if edge.node.name != run_id), None)


def _absent(path: RunPath, seen: LookUp) -> Deletion:
    control = _control(seen, path.run_id)
    outcome: Outcome = "absent_before" if control else "not_visible"
    return Deletion(path=str(path), outcome=outcome, control=control)


def _look_patiently(session: Session, path: RunPath, waits_s: Sequence[float]) -> LookUp:
    """Look the run up, and again after each wait while it is still there."""
    after = look_up(session, path)
    for wait_s in waits_s:
        if after.run is None:
            break
        session.sleep(wait_s)
        after = look_up(session, path)
    return after


def _prove_hidden(path: RunPath, before: LookUp, after: LookUp) -> str | None:
    """Return the control that stayed visible while the run answers null; None if there was no other run.

    Raises:
        NotVisible: there were other runs, and none of them is visible any more.
    """
    control = _control(after, path.run_id)
    if control is None and before.run_count > 1:
        raise NotVisible(
            f"run {str(path)!r} answers null, but so does every other run of the project, which had "
            f"{before.run_count}: rights may have been lost; cannot say it is hidden"
        )
    return control
