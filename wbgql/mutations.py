"""How a mutation is sent: once, and what its answer proves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wbgql.documents import Operation
from wbgql.errors import RateLimited, RequestError, ResponseError, ResultError, ServerUnavailable
from wbgql.session import Session


def send_once(
    session: Session,
    operation: Operation[Any],
    variables: dict[str, Any],
    *,
    guard: Callable[[], object] | None = None,
) -> RequestError | None:
    """Send a mutation. Return the error if the mutation may have been applied all the same.

    Only an answer whose status refuses (3xx, 4xx), or whose error says what was refused, counts as a refusal
    and is raised. A 200 that is no GraphQL answer, or that has errors of no known kind, proves nothing.
    Only HTTP 429 lets the session send the mutation again, after the wait that the server asks for; one that
    destroys needs a `guard` for that, which is called before each attempt and may raise. An answer without
    its payload, or whose `success` is not true, proves nothing either.
    """
    try:
        if guard is None:
            answer = session.execute(operation, **variables)
        else:
            answer = session.execute_guarded(operation, guard, **variables)
    except ServerUnavailable as error:
        if not error.sent:
            raise
        return error
    except RateLimited as error:
        if error.refused:
            raise
        return error
    except ResultError as error:
        return error
    except ResponseError as error:
        if error.status is not None and 300 <= error.status < 500:
            raise
        return error
    return _without_success(operation, answer)


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
