"""How a mutation is sent: once, and what its answer proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wbgql.documents import Operation
from wbgql.errors import (
    AuthenticationError,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestError,
    ResultError,
    SchemaMismatch,
    ServerUnavailable,
    UsageError,
    WbgqlError,
)
from wbgql.paths import RunPath
from wbgql.scalars import parse_run_storage_id
from wbgql.wire.session import Session

PATIENCE_S = 3.0
"""How long reads are repeated while they do not show what was sent, because replicas lag."""
_FIRST_WAIT_S = 0.5
_LONGER = 5.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one mutation: its answer, or the error that says nothing of what the server did."""

    answer: Any
    lost: RequestError | None


def send_once(
    session: Session,
    operation: Operation[Any],
    variables: dict[str, Any],
    *,
    guard: Callable[[], object] | None = None,
) -> Sent:
    """Send a mutation. What is no good answer is `lost`: only an independent read tells what was done.

    A 4xx, a redirect and a 200 that is no GraphQL answer may come from a proxy, after the server did the
    work. An answer without its payload, or whose `success` is not true, proves nothing either.
    Only HTTP 429 lets the session send the mutation again, after the wait that the server asks for; one that
    destroys needs a `guard` for that, which is called before each attempt and may raise.

    Raises:
        RequestError: the mutation did not reach the server, or HTTP 429 refused it.
    """
    try:
        if guard is None:
            answer = session.execute(operation, **variables)
        else:
            answer = session.execute_guarded(operation, guard, **variables)
    except ServerUnavailable as error:
        if not error.sent:
            raise
        return Sent(None, error)
    except RateLimited as error:
        if error.refused:
            raise
        return Sent(None, error)
    except RequestError as error:
        if error.operation is None:  # no access token was given out, so nothing was sent
            raise
        return Sent(None, error)
    return Sent(answer, _without_success(operation, answer))


def refuses(lost: RequestError | None) -> bool:
    """Whether an answer says that the server refused: if a read agrees, nothing is sent again."""
    if isinstance(lost, (AuthenticationError, PermissionDenied, NotFound, SchemaMismatch)):
        return True
    return lost is not None and lost.status is not None and 300 <= lost.status < 500


def reread_after_s(lost: RequestError | None, patience_s: float = PATIENCE_S) -> list[float]:
    """Return the seconds to wait before each further read, while reads do not show what was sent.

    Their sum is `patience_s`; each is five times the one before. None if the server itself says that it
    refused, so that one read is enough.
    """
    waits_s: list[float] = []
    if lost is None or not lost.errors or not refuses(lost):
        while (left_s := patience_s - sum(waits_s)) > 0:
            waits_s.append(min(waits_s[-1] * _LONGER if waits_s else _FIRST_WAIT_S, left_s))
    return waits_s


def not_applied(lost: RequestError) -> RequestError:
    """Return the error with a note that a read showed the change not applied."""
    lost.add_note("a read after it shows that the server did not apply it")
    return lost


def not_known(error: WbgqlError, what: str, lost: RequestError | None) -> WbgqlError:
    """Return the error of a read that was to tell what became of `what`, marked `maybe_applied`."""
    error.maybe_applied = True
    answered = "the server acknowledged it" if lost is None else f"its answer was: {lost}"
    error.add_note(f"{what} was sent and may have been applied: {answered}; look before you repeat it")
    return error


def check_storage_id(path: RunPath, storage_id: str) -> None:
    """Refuse a storage id that names another run than `path`; an id of another form says nothing.

    Mutations name a run by its storage id alone.

    Raises:
        UsageError: the id names another run.
    """
    spelt = parse_run_storage_id(storage_id)
    if spelt is not None and RunPath(*spelt) != path:
        raise UsageError(
            f"the server gave run {str(path)!r} a storage id that names {'/'.join(spelt)!r}: a mutation "
            "would reach that run. Nothing was done; report it to those who run the server"
        )


def _without_success(operation: Operation[Any], answer: Any) -> ResultError | None:
    """The error that an answer without GraphQL errors is, if nothing in it says that the work was done.

    A payload without the field `success` says so by being there: W&B sends null beside errors.
    """
    (payload,) = (getattr(answer, name) for name in answer.__struct_fields__)
    if payload is None:
        return ResultError(
            "the server answered null: nothing says that it was done", operation=operation.name
        )
    if getattr(payload, "success", True) is not True:
        return ResultError(
            "the server did not say that it was done: `success` is not true", operation=operation.name
        )
    return None
