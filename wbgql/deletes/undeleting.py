"""Bring hidden runs of a project back, by explicit ids."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from wbgql.documents import Operation, Result
from wbgql.errors import PartialError, UsageError
from wbgql.mutations import send_once
from wbgql.paths import ProjectPath
from wbgql.runs import list_run_ids
from wbgql.scalars import dump_json
from wbgql.session import Session


class _Payload(Result, frozen=True):
    client_mutation_id: str | None


class _UndeleteRuns(Result, frozen=True):
    undelete_runs: _Payload | None


UNDELETE_RUNS = Operation("UndeleteRuns", _UndeleteRuns)


class Undeletion(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are visible again, and which of the ids asked for are still not there."""

    restored: list[str]
    not_restored: list[str]


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
