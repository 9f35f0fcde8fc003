"""Hide many runs, of one project or of several: paced, one by one, with one outcome for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from wbgql.deletes.runs import Deletion, Outcome, delete_run, search_for
from wbgql.errors import (
    AuthenticationError,
    ConfigError,
    Held,
    NotVisible,
    PartialError,
    Paused,
    PermissionDenied,
    RateLimited,
    RequestError,
    StillLogging,
    WbgqlError,
)
from wbgql.gate import Gate
from wbgql.holds import HoldRegister
from wbgql.limiting import LimitedTransport, Limiter, Limits
from wbgql.paths import RunPath
from wbgql.progress import NoProgress, Progress
from wbgql.retry import RetryPolicy
from wbgql.session import Session

FAILURES_IN_A_ROW = 5
"""How many runs in a row may fail by a fault of the server before a batch ends."""

_ENDS_BATCH = (AuthenticationError, ConfigError, RateLimited, Paused)
_OUTCOMES: tuple[tuple[type[WbgqlError], Outcome], ...] = (
    (Held, "held"),
    (PermissionDenied, "denied"),
    (StillLogging, "still_logging"),
    (NotVisible, "not_visible"),
)
_NAMED_PER_REASON = 10


class _HasOutcome(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def reason(self) -> str | None: ...


def delete_runs(
    session: Session,
    paths: Sequence[RunPath],
    *,
    holds: HoldRegister,
    force: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
    on_result: Callable[[Deletion], None] = lambda _: None,
    check: bool = True,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Deletion]:
    """Hide runs one by one, in the order given; return one outcome per path, in that order.

    The runs may be of several projects and entities. Each goes through the gate by itself and is looked up
    before and after: three requests per run that is hidden, one per run that is absent or refused, one per
    entity for the rights, and one for the undelete window. The other projects of the entities are searched
    for the runs that are absent, all together: one request per project and 500 of them. `limits` pace the
    requests, 10 a second if not given; the server's rate-limit headers are obeyed, and a 429 is waited out.
    `on_result` gets each outcome as it is known, those of absent runs last; `progress` the number of runs
    that are done.

    A run that is held, denied, still logging, or that the server fails on does not end the batch. These do,
    and the runs after them are "not_tried": a refused key, a 429 that asks to wait longer than
    `limits.max_wait_s`, a server that failed `limits.failures` requests in a row, and
    `FAILURES_IN_A_ROW` runs in a row on which the server failed or which it denied.

    With `check=False` the outcomes are returned whatever they are.

    Raises:
        PartialError: some were not hidden. `.done` has the outcomes of those that are done, `.failed` the
            others; the message groups them by reason.
        The first error itself, where nothing at all was done; a note groups the runs by reason.
    """
    limits = limits or Limits()
    paced = _paced(session, limits, clock, sleep)
    gate = Gate(paced, holds)
    progress = progress or NoProgress()
    outcomes: dict[RunPath, Deletion] = {}
    absent: list[tuple[RunPath, Deletion]] = []
    first: WbgqlError | None = None
    wanted = list(dict.fromkeys(paths))
    faults = 0
    end: WbgqlError | None = None
    for number, path in enumerate(wanted, 1):
        if end is not None:
            outcome = Deletion(path=str(path), outcome="not_tried", reason=f"not tried: {end}")
        else:
            try:
                outcome = delete_run(
                    paced, path, holds=holds, force=force, gate=gate, search=False, sleep=sleep
                )
                faults = 0
            except WbgqlError as error:
                first = first or error
                outcome = _failure(path, error)
                faults = faults + 1 if _is_of_server(error) else 0
                if isinstance(error, _ENDS_BATCH):
                    end = error
                elif faults >= FAILURES_IN_A_ROW:
                    end = ServerFailing(faults, error)
            progress.report(number, len(wanted))
        outcomes[path] = outcome
        if outcome.outcome == "absent_before":
            absent.append((path, outcome))
        else:
            on_result(outcome)
    searched, failure = _search(paced, absent, end)
    first = first or failure
    for path, outcome in searched:
        outcomes[path] = outcome
        on_result(outcome)
    elsewhere = next((one for one in outcomes.values() if one.outcome == "elsewhere"), None)
    if elsewhere is not None:
        first = first or NotVisible(f"run {elsewhere.path!r}: {elsewhere.reason}")
    result = [outcomes[path] for path in paths]
    if check and first is not None:
        _raise(list(outcomes.values()), first)
    return result


def _search(
    session: Session, absent: Sequence[tuple[RunPath, Deletion]], end: WbgqlError | None
) -> tuple[list[tuple[RunPath, Deletion]], WbgqlError | None]:
    """Search the other projects for absent runs; the error that kept this from being done, if one did."""
    paths = [path for path, _ in absent]
    if absent and end is None:
        try:
            return list(zip(paths, search_for(session, absent), strict=True)), None
        except WbgqlError as error:
            end = error
    reason = f"absent from its project; the other projects were not searched for it: {end}"
    told = [(path, msgspec.structs.replace(one, outcome="not_tried", reason=reason)) for path, one in absent]
    return told, end if absent else None


class ServerFailing(WbgqlError):
    """A batch ended because the server failed on several runs in a row."""

    def __init__(self, failures: int, last: WbgqlError) -> None:
        super().__init__(f"the server failed on {failures} runs in a row, the last time with: {last}")


def is_done(deletion: Deletion) -> bool:
    """Whether wbgql did for a run all that it could: it is hidden, or it was not there."""
    return deletion.reason is None


def group_by_reason(outcomes: Iterable[_HasOutcome]) -> list[str]:
    """Return a line per reason: how many, why, and the paths of the first ten."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in outcomes:
        reason = (one.reason or "").replace(repr(one.path), "it").replace(one.path, "it")
        groups.setdefault((one.outcome, reason), []).append(one.path)
    lines = []
    for (outcome, reason), paths in groups.items():
        named = ", ".join(paths[:_NAMED_PER_REASON])
        more = f" and {len(paths) - _NAMED_PER_REASON} more" if len(paths) > _NAMED_PER_REASON else ""
        lines.append(f"{len(paths)} {outcome.replace('_', ' ')} ({named}{more}): {reason}")
    return lines


def _paced(
    session: Session, limits: Limits, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Session:
    """Return a session whose requests wait for their turn; its counters are those of `session`."""

    def wait(seconds: float) -> bool:
        sleep(seconds)
        return False

    limiter = Limiter(limits, clock=clock, now=time.time, wait=wait)
    paced = session.through(
        lambda transport: LimitedTransport(transport, limiter),
        policy=RetryPolicy(deadline_s=limits.max_wait_s),
        clock=clock,
        sleep=sleep,
        on_retry=session.on_retry,
    )
    paced.stats = session.stats
    return paced


def _is_of_server(error: WbgqlError) -> bool:
    """Whether the server failed or refused; what the gate denies by itself names no operation."""
    return isinstance(error, RequestError) and not (
        isinstance(error, PermissionDenied) and error.operation is None
    )


def _failure(path: RunPath, error: WbgqlError) -> Deletion:
    notes = getattr(error, "__notes__", [])
    reason = "; ".join([str(error), *notes])
    if error.maybe_applied:
        return Deletion(path=str(path), outcome="unknown", reason=reason)
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return Deletion(path=str(path), outcome=outcome, reason=reason)
    return Deletion(path=str(path), outcome="failed", reason=reason)


def _raise(outcomes: Sequence[Deletion], first: WbgqlError) -> None:
    done = [outcome for outcome in outcomes if is_done(outcome)]
    failed = [outcome for outcome in outcomes if not is_done(outcome)]
    grouped = group_by_reason(failed)
    if not done:
        if len(failed) > 1:
            first.add_note("\n".join(grouped))
        raise first
    lines = "".join(f"\n  {line}" for line in grouped)
    raise PartialError(
        f"{len(done)} of {len(outcomes)} runs are done, {len(failed)} are not; the same call again goes on "
        f"with them:{lines}",
        done=done,
        failed=failed,
    )
