"""Hide runs, and bring them back, by explicit ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from wbgql.deletes.sending import LookUp, look_up, send_once
from wbgql.documents import Operation, Result
from wbgql.errors import (
    Held,
    NotFound,
    NotVisible,
    PartialError,
    PermissionDenied,
    RequestError,
    ResponseError,
    StillLogging,
    UsageError,
    WbgqlError,
)
from wbgql.gate import Gate
from wbgql.holds import HoldRegister
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import list_run_ids
from wbgql.scalars import dump_json
from wbgql.session import Session

_REREAD_AFTER_S = (0.5, 2.5)

Outcome = Literal["hidden", "absent_before", "not_visible"]


class _Payload(Result, frozen=True):
    client_mutation_id: str | None


class _DeleteRun(Result, frozen=True):
    delete_run: _Payload | None


class _UndeleteRuns(Result, frozen=True):
    undelete_runs: _Payload | None


DELETE_RUN = Operation("DeleteRun", _DeleteRun, destructive=True)
UNDELETE_RUNS = Operation("UndeleteRuns", _UndeleteRuns)


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run.

    `outcome`: "hidden" (seen before, null afterwards while a control stayed visible), "absent_before"
    (null before anything was sent, control visible) or "not_visible" (null, and nothing else of the
    project could be seen to tell why). `undo_until`: when it can no longer be brought back, None if
    the server does not say. `control`: the run that stayed visible, None where the project had no other.
    `answered`: False where the answer to the mutation was lost and the reads alone tell.
    """

    path: str
    outcome: Outcome
    undo_until: datetime | None = None
    control: str | None = None
    answered: bool = True


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What `delete_run` would do to one run now: "hide", "refuse" with the reason, or "nothing"."""

    path: str
    would: Literal["hide", "refuse", "nothing"]
    reason: str | None = None
    state: str | None = None
    user: str | None = None


class Undeletion(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are visible again, and which of the ids asked for are still not there."""

    restored: list[str]
    not_restored: list[str]


def delete_run(
    session: Session,
    path: RunPath,
    *,
    holds: HoldRegister,
    force: bool = False,
    gate: Gate | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Deletion:
    """Hide one run and prove it by an independent read. Artifacts are kept.

    Five requests. A lost answer is looked up, never sent again. A run that is still visible after
    the mutation is read up to three times over three seconds, because replicas lag.

    Raises:
        PermissionDenied, StillLogging, Held: the gate; nothing was done.
        NotVisible: the project is missing or not visible; nothing was done.
        ServerUnavailable: the answer was lost and the run is still there: not applied, try again. With
            a note that says so: it was sent, and could not be looked up.
        ResponseError: the server acknowledged, yet the run is still visible.
    """
    gate = gate or Gate(session, holds)
    seen = look_up(session, path)
    if seen.run is None:
        return _absent(path, seen)
    gate.check(path, seen.run, read_only=bool(seen.read_only), force=force)
    window = gate.undo_window()
    sent_at = now()
    lost = send_once(session, DELETE_RUN, {"id": seen.run.id})
    try:
        control = _confirm_hidden(session, path, seen, lost, sleep)
    except WbgqlError as error:
        if error is not lost:
            error.add_note(f"the deletion of {str(path)!r} was sent and may have been applied")
        raise
    return Deletion(
        path=str(path),
        outcome="hidden",
        undo_until=sent_at + window if window is not None else None,
        control=control,
        answered=lost is None,
    )


def preview_delete(
    session: Session, path: RunPath, *, holds: HoldRegister, force: bool = False, gate: Gate | None = None
) -> Preview:
    """Look one run up and put it before the gate; send no mutation. One request, and one for the rights.

    Raises:
        NotVisible: the project is missing or not visible.
    """
    gate = gate or Gate(session, holds)
    seen = look_up(session, path)
    if seen.run is None:
        return Preview(path=str(path), would="nothing", reason="not there, or not visible")
    state, user = seen.run.state, seen.run.user.username if seen.run.user else None
    try:
        gate.check(path, seen.run, read_only=bool(seen.read_only), force=force)
    except (Held, PermissionDenied, StillLogging) as error:
        return Preview(path=str(path), would="refuse", reason=str(error), state=state, user=user)
    return Preview(path=str(path), would="hide", state=state, user=user)


def delete_runs(
    session: Session,
    paths: Sequence[RunPath],
    *,
    holds: HoldRegister,
    force: bool = False,
    on_result: Callable[[Deletion], None] = lambda _: None,
) -> list[Deletion]:
    """Hide runs one by one, in the order given; each goes through the gate by itself.

    `on_result` is told of each as it is done. Stops at the first error of the connection or the key;
    a run that is held, denied or still logging is left out and the others go on.

    Raises:
        PartialError: some were not hidden; `.done` and `.failed` (path, error) say which.
        The first error itself, where nothing at all was done; the others are its notes.
    """
    gate = Gate(session, holds)
    done: list[Deletion] = []
    failed: list[tuple[str, WbgqlError]] = []
    for position, path in enumerate(paths):
        try:
            deletion = delete_run(session, path, holds=holds, force=force, gate=gate)
        except WbgqlError as error:
            failed.append((str(path), error))
            if isinstance(error, RequestError) and not isinstance(error, (PermissionDenied, NotFound)):
                failed.extend((str(rest), error) for rest in paths[position + 1 :])
                break
            continue
        done.append(deletion)
        on_result(deletion)
    if failed and not done:
        first = failed[0][1]
        for other, reason in failed[1:]:
            first.add_note(f"{other}: {reason}")
        raise first
    if failed:
        notes = dict.fromkeys(note for _, error in failed for note in getattr(error, "__notes__", ()))
        lines = "\n".join((*(f"  {path}: {error}" for path, error in failed), *(f"  {n}" for n in notes)))
        raise PartialError(
            f"{len(done)} of {len(paths)} runs are done, {len(failed)} are not; the same call again goes on "
            f"with them:\n{lines}",
            done=done,
            failed=failed,
        )
    return done


def undelete_runs(session: Session, path: ProjectPath, run_ids: Iterable[str]) -> Undeletion:
    """Bring hidden runs of a project back, by their ids.

    The server's mutation takes a filter; it is always `{"name":{"$in":[ids]}}`. All run ids of the project
    are read before and after (2 x ceil(n / 1000) requests and one), because a server that ignores the
    filter brings back every hidden run. A lost answer is not sent again: the ids read afterwards tell.

    Raises:
        PartialError: runs that were not asked for came back; `.done` are those asked for, `.failed`
            the others.
        NotFound: the project is missing or not visible.
    """
    if isinstance(run_ids, str):
        raise UsageError(f"give a list of run ids, not the text {run_ids!r}; nothing was done")
    wanted = list(dict.fromkeys(run_ids))
    if not wanted:
        raise UsageError("name at least one run id to bring back")
    before = list_run_ids(session, path)
    filters = dump_json({"name": {"$in": wanted}})
    lost = send_once(
        session, UNDELETE_RUNS, {"entity": path.entity, "project": path.project, "filters": filters}
    )
    after = list_run_ids(session, path)
    restored = [run_id for run_id in wanted if run_id in after and run_id not in before]
    others = sorted(after.keys() - before.keys() - set(wanted))
    if others:
        raise PartialError(
            f"{len(others)} runs came back that were not asked for (or were made meanwhile): "
            f"{', '.join(others)}; restored as asked: {', '.join(restored) or 'none'}",
            done=restored,
            failed=others,
        )
    if lost is not None and not restored:
        raise lost
    return Undeletion(restored=restored, not_restored=[run_id for run_id in wanted if run_id not in after])


def _control(seen: LookUp, run_id: str) -> str | None:
    edges = seen.controls.edges if seen.controls else []
    return next((edge.node.name for edge in edges if edge.node.name != run_id), None)


def _absent(path: RunPath, seen: LookUp) -> Deletion:
    control = _control(seen, path.run_id)
    outcome: Outcome = "absent_before" if control else "not_visible"
    return Deletion(path=str(path), outcome=outcome, control=control)


def _confirm_hidden(
    session: Session,
    path: RunPath,
    before: LookUp,
    lost: RequestError | None,
    sleep: Callable[[float], None],
) -> str | None:
    """Return the control that stayed visible while the run answers null."""
    after = look_up(session, path)
    for wait_s in _REREAD_AFTER_S:
        if after.run is None:
            break
        sleep(wait_s)
        after = look_up(session, path)
    if after.run is not None:
        if lost is not None:
            raise lost
        raise ResponseError(
            f"the server acknowledged the deletion of {str(path)!r}, but the run is still visible",
            operation=DELETE_RUN.name,
        )
    control = _control(after, path.run_id)
    if control is None and before.run_count > 1:
        raise NotVisible(
            f"run {str(path)!r} answers null, but so does every other run of the project, which had "
            f"{before.run_count}: rights may have been lost; cannot say it is hidden"
        )
    return control
