"""How a batch of deletions goes: paced, one by one, on past a failure, to an end with an outcome for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from wbgql.errors import (
    AuthenticationError,
    ConfigError,
    Held,
    Kept,
    NotVisible,
    PartialError,
    Paused,
    PermissionDenied,
    RateLimited,
    RequestError,
    StillLogging,
    WbgqlError,
)
from wbgql.limiting import LimitedTransport, Limiter, Limits
from wbgql.progress import Progress
from wbgql.wire.retry import RetryPolicy
from wbgql.wire.session import Session

DEFAULT_RATE = 50.0
"""Requests per second, at most. One request at a time over a network rarely reaches it; the server's headers
slow it down."""

FAILURES_IN_A_ROW = 5
"""How many items in a row may fail by a fault of the server before a batch ends."""

T = TypeVar("T", bound=Hashable)
O = TypeVar("O", bound="HasOutcome")  # noqa: E741  # an outcome

_ENDS_BATCH = (AuthenticationError, ConfigError, RateLimited, Paused)
_OUTCOMES: tuple[tuple[type[WbgqlError], str], ...] = (
    (Held, "held"),
    (Kept, "kept"),
    (PermissionDenied, "denied"),
    (StillLogging, "still_logging"),
    (NotVisible, "not_visible"),
)
_NAMED_PER_REASON = 10


class HasOutcome(Protocol):
    """What became of one item. `reason` is None if wbgql did all that it could."""

    @property
    def path(self) -> str:
        """The item."""

    @property
    def outcome(self) -> str:
        """What became of it, in one word."""

    @property
    def reason(self) -> str | None:
        """Why it was not done."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[T, O]):
    """What became of each item, the first error, and what ended the batch before its last item."""

    outcomes: dict[T, O]
    first: WbgqlError | None
    end: WbgqlError | None


def pace(session: Session, limits: Limits) -> Session:
    """Return a session whose requests wait for their turn; its counters are those of `session`."""

    def wait(seconds: float) -> bool:
        session.sleep(seconds)
        return False

    limiter = Limiter(limits, clock=session.clock, now=time.time, wait=wait)
    paced = session.through(
        lambda transport: LimitedTransport(transport, limiter),
        policy=RetryPolicy(deadline_s=limits.max_wait_s),
        on_retry=session.on_retry,
    )
    paced.stats = session.stats
    return paced


def run_batch(
    items: Iterable[T],
    act: Callable[[T], O],
    make: Callable[[T, str, str], O],
    *,
    progress: Progress,
    on_result: Callable[[O], object],
) -> Batch[T, O]:
    """Act on items one by one, each once, and go on past failures.

    `make(item, outcome, reason)` makes the outcome of an item that failed or was not tried. A refused key, a
    rate limit that asks to wait too long, an exhausted `Limiter`, and `FAILURES_IN_A_ROW` items in a row on
    which the server failed or which it denied end the batch: the items after that are "not_tried".
    """
    wanted = list(dict.fromkeys(items))
    outcomes: dict[T, O] = {}
    first: WbgqlError | None = None
    end: WbgqlError | None = None
    faults = 0
    for number, item in enumerate(wanted, 1):
        if end is not None:
            outcome = make(item, "not_tried", f"not tried: {end}")
        else:
            try:
                outcome = act(item)
                faults = 0
            except WbgqlError as error:
                first = first or error
                outcome = make(item, outcome_of(error), reason_of(error))
                faults = faults + 1 if _is_of_server(error) else 0
                if isinstance(error, _ENDS_BATCH):
                    end = error
                elif faults >= FAILURES_IN_A_ROW:
                    end = WbgqlError(
                        f"the server failed {faults} times in a row, the last time with: {error}"
                    )
            progress.report(number, len(wanted))
        outcomes[item] = outcome
        on_result(outcome)
    return Batch(outcomes, first, end)


def outcome_of(error: WbgqlError) -> str:
    """Name what became of an item that ended in an error."""
    if error.maybe_applied:
        return "unknown"
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), "failed")


def reason_of(error: WbgqlError) -> str:
    """Say what an error says, its notes too."""
    return "; ".join([str(error), *getattr(error, "__notes__", ())])


def raise_if_failed(outcomes: Sequence[HasOutcome], first: WbgqlError | None, what: str) -> None:
    """Raise an error if some items were not done; `what` is their plural.

    Raises:
        PartialError: some were done and some not; `.done` and `.failed` have their outcomes.
        `first`, where nothing at all was done, with a note that groups the items by reason.
    """
    if first is None:
        return
    done = [outcome for outcome in outcomes if outcome.reason is None]
    failed = [outcome for outcome in outcomes if outcome.reason is not None]
    grouped = group_by_reason(failed)
    if not done:
        if len(failed) > 1:
            first.add_note("\n".join(grouped))
        raise first
    lines = "".join(f"\n  {line}" for line in grouped)
    raise PartialError(
        f"{len(done)} of {len(outcomes)} {what} are done, {len(failed)} are not; the same call again goes on "
        f"with them:{lines}",
        done=done,
        failed=failed,
    )


def group_by_reason(outcomes: Iterable[HasOutcome]) -> list[str]:
    """Return a line per reason: how many, why, and the paths of the first ten."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in outcomes:
        reason = one.reason or ""
        for name in (f"run {one.path!r}", f"artifact {one.path!r}", repr(one.path), one.path):
            reason = reason.replace(name, "it")
        groups.setdefault((one.outcome, reason), []).append(one.path)
    lines = []
    for (outcome, reason), paths in groups.items():
        named = ", ".join(paths[:_NAMED_PER_REASON])
        more = f" and {len(paths) - _NAMED_PER_REASON} more" if len(paths) > _NAMED_PER_REASON else ""
        lines.append(f"{len(paths)} {outcome.replace('_', ' ')} ({named}{more}): {reason}")
    return lines


def _is_of_server(error: WbgqlError) -> bool:
    """Whether the server failed or refused; what the gate denies by itself names no operation."""
    return isinstance(error, RequestError) and not (
        isinstance(error, PermissionDenied) and error.operation is None
    )
