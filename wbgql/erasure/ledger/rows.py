"""Actions as rows of the ledger."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from wbgql.erasure import canonical
from wbgql.erasure.actions import Action, ActionKind, NewAction
from wbgql.erasure.plans import PlannedArtifact, PlannedFile, PlannedRun
from wbgql.errors import StoreError

_TARGETS: dict[str, msgspec.json.Decoder[Any]] = {
    "run": msgspec.json.Decoder(PlannedRun),
    "artifact": msgspec.json.Decoder(PlannedArtifact),
    "file": msgspec.json.Decoder(PlannedFile),
}


def action_row(job: str, action: NewAction) -> dict[str, Any]:
    """Write a new action, of the first round."""
    return {
        "job": job,
        "round": 1,
        "run_no": action.run_no,
        "action_no": action.action_no,
        "number": action.number,
        "kind": action.kind,
        "target": canonical.encode(action.target).decode(),
        "attempts": 0,
    }


def to_action(row: Any) -> Action:
    """Read a row that was joined with its run's.

    Raises:
        StoreError: it holds no action.
    """
    try:
        return _decode_action(row)
    except (msgspec.DecodeError, KeyError) as error:
        raise StoreError(
            f"the ledger is damaged: action {row.action_no} of run no. {row.run_no + 1} is none; "
            "nothing more is sent"
        ) from error


def _decode_action(row: Any) -> Action:
    kind = cast("ActionKind", row.kind)
    return Action(
        number=row.number,
        run_no=row.run_no,
        action_no=row.action_no,
        kind=kind,
        target=_TARGETS[kind].decode(row.target),
        run=_TARGETS["run"].decode(row.run),
        run_outcome=row.run_outcome,
        run_tags=None if row.run_tags is None else tuple(msgspec.json.decode(row.run_tags)),
        run_seen=bool(row.run_seen),
        attempts=row.attempts,
        earlier_attempts=int(row.earlier_attempts),
        sent_at=row.sent_at,
        stopped_at=row.stopped_at,
        outcome=row.outcome,
        detail=row.detail,
        done_at=row.done_at,
    )
