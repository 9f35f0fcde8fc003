"""Sends one mutation that destroys: intent first, once, and then looks; never again without looking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from wbgql.documents import Operation
from wbgql.erasure.applying.options import Ending
from wbgql.erasure.applying.work import Work
from wbgql.erasure.records.actions import Action, Outcome
from wbgql.errors import (
    AuthenticationError,
    NotVisible,
    PermissionDenied,
    RateLimited,
    RequestError,
)
from wbgql.wire.mutations import reread_after_s, send_once

_SENDS = 2  # one, and one more after a look has shown that the first was not applied
_REFUSALS = 5  # by 429: each waits as the server asks


class Found(Enum):
    """What a look showed. `UNKNOWN`: null, and no control says why."""

    GONE = "gone"
    THERE = "there"
    UNKNOWN = "unknown"


def destroy(
    work: Work,
    action: Action,
    owner: str,
    request: tuple[Operation[Any], dict[str, Any]],
    *,
    look: Callable[[], Found],
    is_held: Callable[[], bool],
    gone: Outcome,
    tags: Sequence[str] | None = None,
) -> Ending:
    """Destroy one thing and look whether it is gone. `is_held` is asked right before each request.

    An answer is never believed: `look` decides. It is `gone` only after an answer that says so; after a lost
    one, or a refusal, this job may have done it or may not. After an answer that was lost, and a look that
    shows the thing is still there, it is sent once more.

    Raises:
        Held: the hold register cannot be read.
        Locked: another worker took the action over; nothing was sent.
        NotVisible: it was sent, and nothing can be said of it: the action stays open.
        AuthenticationError, RateLimited, ServerUnavailable, Paused: the action stays open.
    """
    sends = refusals = 0
    while True:
        if is_held():
            return Ending("held", "hold")
        work.intend(action, owner, tags)
        lost = send(work, *request)
        refused = refusal(lost)
        found = look_patiently(work, look, lost)
        if found is Found.GONE:
            return Ending(gone) if lost is None else Ending("gone_after_attempt", "answer_lost")
        if found is Found.UNKNOWN:
            raise NotVisible(
                f"run no. {action.shown_no}: the deletion was sent, and now null proves nothing: rights may "
                "have been lost; the same command looks again"
            )
        if isinstance(lost, RateLimited) and refusals < _REFUSALS:
            refusals += 1
            continue
        if refused is not None:
            return refused
        if isinstance(lost, RateLimited):
            raise lost
        if lost is None:
            return Ending("failed", "acknowledged_but_there")
        sends += 1
        if sends >= _SENDS:
            return Ending("failed", "not_applied")


def look_patiently(work: Work, look: Callable[[], Found], lost: RequestError | None = None) -> Found:
    """Look again while the thing is still there, for as long as the options' patience lasts.

    Once only, if the answer `lost` says that the server refused.
    """
    found = look()
    for wait_s in reread_after_s(lost, work.options.patience_s):
        if found is not Found.THERE:
            break
        work.wait(wait_s)
        found = look()
    return found


def send(work: Work, operation: Operation[Any], variables: dict[str, Any]) -> RequestError | None:
    """Send it once. Return what kept us from a good answer; a look says what was done.

    Raises:
        AuthenticationError: the key is refused.
        ServerUnavailable: it did not reach the server.
    """
    try:
        lost = send_once(work.session, operation, variables).lost
    except RateLimited as error:
        return error
    if isinstance(lost, AuthenticationError):
        raise lost
    return lost


def refusal(lost: RequestError | None) -> Ending | None:
    """What an answer comes to that says plainly that nothing was done, if a look agrees; else None."""
    match lost:
        case RateLimited() | None:
            return None
        case PermissionDenied():
            return Ending("denied", "refused")
        case RequestError(status=int(status)) if 300 <= status < 500:
            return Ending("failed", "refused")
    return None
