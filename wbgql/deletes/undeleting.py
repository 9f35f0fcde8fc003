"""Bring hidden runs of a project back, by explicit ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from wbgql.documents import Operation, Result
from wbgql.errors import PartialError, RequestError, UsageError, WbgqlError
from wbgql.paths import ProjectPath
from wbgql.runs import list_run_ids
from wbgql.scalars import dump_json
from wbgql.wire.mutations import not_applied, not_known, refuses, reread_after_s, send_once
from wbgql.wire.session import Session


class _Payload(Result, frozen=True):
    client_mutation_id: str | None


class _UndeleteRuns(Result, frozen=True):
    undelete_runs: _Payload | None


UNDELETE_RUNS = Operation("UndeleteRuns", _UndeleteRuns)


class Undeletion(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are visible again, and which of the ids asked for are still not there."""

    restored: list[str]
    not_restored: list[str]


def undelete_runs(
    session: Session,
    path: ProjectPath,
    run_ids: Iterable[str],
) -> Undeletion:
    """Bring hidden runs of a project back, by their ids.

    The server's mutation takes a filter; it is always `{"name":"<id>"}`, one mutation for each id that is
    hidden, because servers are reported to ignore other filters. All run ids of the project are read before,
    after the first mutation and after the last (ceil(n / 1000) requests each): a server that ignores the
    filter brings back every hidden run, and is then sent no second one. A lost answer is not sent again: the
    ids read afterwards tell. They are read up to three times over three seconds until the run is among them,
    because replicas lag.

    Source: a public script of 2026 reports of `moveRuns`, the mutation of the same form, that it ignored
    `{"$or": [...]}` and obeyed `{"name": "<id>"}`.

    Raises:
        PartialError: runs that were not asked for came back, or the server refused after some ids;
            `.done` are the runs asked for that came back, `.failed` the others.
        RequestError: a read shows that none came back. With `.maybe_applied`: no read could tell.
        NotFound: the project is missing or not visible.
    """
    if isinstance(run_ids, str):
        raise UsageError(f"give a list of run ids, not the text {run_ids!r}; nothing was done")
    wanted = list(dict.fromkeys(run_ids))
    if not wanted:
        raise UsageError("name at least one run id to bring back")
    before = list_run_ids(session, path)
    hidden = [run_id for run_id in wanted if run_id not in before]
    lost: RequestError | None = None
    restored: list[str] = []
    after: Collection[str] = before
    for number, run_id in enumerate(hidden):
        try:
            filters = dump_json({"name": run_id})
            variables = {"entity": path.entity, "project": path.project, "filters": filters}
            failure = send_once(session, UNDELETE_RUNS, variables).lost
            refused = failure if refuses(failure) else None
        except RequestError as error:
            if number == 0:
                raise
            failure = refused = error
        lost = lost or failure
        if number not in (0, len(hidden) - 1) and refused is None:
            continue
        after = _read_after(session, path, before, hidden[: number + 1], failure)
        restored = [one for one in hidden if one in after]
        if refused is not None and run_id not in after:
            if not restored:
                raise not_applied(refused)
            raise PartialError(
                f"{number} of {len(hidden)} ids were sent, then the server refused: {refused}",
                done=restored,
                failed=[one for one in hidden if one not in after],
            ) from refused
    if lost is not None and not restored:
        raise not_applied(lost)
    return Undeletion(restored=restored, not_restored=[run_id for run_id in wanted if run_id not in after])


def _read_after(
    session: Session,
    path: ProjectPath,
    before: Collection[str],
    sent: list[str],
    failure: RequestError | None,
) -> Collection[str]:
    """List the ids of the project, again while the last one sent is not among them.

    Raises:
        PartialError: others than those that were sent came back.
    """
    try:
        after = list_run_ids(session, path)
        for wait_s in reread_after_s(failure):
            if sent[-1] in after:
                break
            session.sleep(wait_s)
            after = list_run_ids(session, path)
    except WbgqlError as error:
        not_known(error, f"the undelete of {', '.join(sent)}", failure)
        raise
    others = sorted(set(after) - set(before) - set(sent))
    if others:
        restored = [one for one in sent if one in after]
        raise PartialError(
            f"{len(others)} runs came back that were not asked for (or were made meanwhile): "
            f"{', '.join(others)}; restored as asked: {', '.join(restored) or 'none'}; no other mutation "
            "was sent",
            done=restored,
            failed=others,
        )
    return after
