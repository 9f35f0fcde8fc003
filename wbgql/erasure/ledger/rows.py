"""Actions as rows of the ledger."""

from __future__ import annotations

from typing import Any

import msgspec

from wbgql.erasure.records import canonical
from wbgql.erasure.records.actions import Action, ActionKind, NewAction, Outcome
from wbgql.erasure.records.plan import PlannedArtifact, PlannedFile, PlannedRun
from wbgql.erasure.records.run_tags import RunTags
from wbgql.errors import StoreError

_TARGETS: dict[str, msgspec.json.Decoder[Any]] = {
    "run": msgspec.json.Decoder(PlannedRun),
    "artifact": msgspec.json.Decoder(PlannedArtifact),
    "file": msgspec.json.Decoder(PlannedFile),
}


_TAGS = msgspec.json.Decoder(RunTags | list[str])
"""A plain list is what earlier versions wrote: nothing shows who wrote it, so it counts as not read."""


class _Row(msgspec.Struct, frozen=True):
    """The plain columns of an action. SQLite keeps what it is given, of any type."""

    number: int
    run_no: int
    action_no: int
    kind: ActionKind
    attempts: int
    earlier_attempts: int
    run_outcome: Outcome | None
    outcome: Outcome | None
    run_tags: str | None
    sent_at: str | None
    stopped_at: str | None
    detail: str | None
    done_at: str | None


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
    except (msgspec.DecodeError, TypeError) as error:
        raise StoreError(
            f"the ledger is damaged: its row for action {row.action_no!r} of run index {row.run_no!r} is no "
            "action; nothing more is sent"
        ) from error


def _decode_action(row: Any) -> Action:
    plain = msgspec.convert(row, _Row, from_attributes=True)
    return Action(
        number=plain.number,
        run_no=plain.run_no,
        action_no=plain.action_no,
        kind=plain.kind,
        target=_TARGETS[plain.kind].decode(row.target),
        run=_TARGETS["run"].decode(row.run),
        run_outcome=plain.run_outcome,
        run_tags=_decode_tags(plain.run_tags),
        attempts=plain.attempts,
        earlier_attempts=plain.earlier_attempts,
        sent_at=plain.sent_at,
        stopped_at=plain.stopped_at,
        outcome=plain.outcome,
        detail=plain.detail,
        done_at=plain.done_at,
    )


def _decode_tags(text: str | None) -> RunTags | None:
    found = None if text is None else _TAGS.decode(text)
    return found if isinstance(found, RunTags) else None
