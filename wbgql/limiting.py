"""How fast bulk work may ask: its own pace, what the server says of limits, and when to stop asking.

Every request of such work goes through `LimitedTransport`, repeated ones too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wbgql.documents import Prepared
from wbgql.errors import Paused, ServerUnavailable, UsageError
from wbgql.wire.retry import parse_retry_after
from wbgql.wire.transport import Reply, Transport

_LOW = 0.1  # of what the server grants: below, what is left is spread over the time until it grants more
_SOON_S = 5.0  # a wait that an item in work may still finish before the job stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How patient bulk work is with a server.

    `rate`: requests per second of this process, at most. `failures`: the number of requests in a row, with
    429, 5xx or no answer, that ends the work. `max_wait_s`: the longest wait in seconds; if the server asks
    for more, raise `Paused`. `min_wait_s`: the shortest wait in seconds after a failure.

    Raises:
        UsageError: the rate is not a positive number.
    """

    rate: float = 10.0
    failures: int = 6
    max_wait_s: float = 300.0
    min_wait_s: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < float("inf"):  # written so that NaN fails as well
            raise UsageError(f"the rate must be a positive number of requests per second, not {self.rate!r}")


class Limiter:
    """One pace for all threads of a process.

    `clock` is monotonic, `now` Unix time. `wait(seconds)` returns True as soon as the work is asked to
    stop; `deadline` is on `clock`, None for none.

    Source: W&B docs, limits page: `RateLimit-Remaining` and `RateLimit-Reset` in seconds, wait for the reset
    on 0 or 429 (2026).
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float],
        now: Callable[[], float],
        wait: Callable[[float], bool],
        deadline: float | None = None,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._now = now
        self._wait = wait
        self._deadline = deadline
        self._lock = threading.Lock()
        self._slot = 0.0  # when the next request may leave, at our own pace
        self._not_before = 0.0  # ... and what the server asked for
        self._spread_s = 0.0
        self._failures = 0
        self.waited_s = 0.0

    def before(self) -> None:
        """Wait for one's turn.

        Raises:
            Paused: the server failed too often or asks to wait too long, the time is used up, or the work
                is to stop and the wait is long.
        """
        with self._lock:
            self._check_failures()
            start = max(self._clock(), self._slot)
            self._slot = start + max(1.0 / self._limits.rate, self._spread_s)
        while True:
            with self._lock:
                now = self._clock()
                until = max(start, self._not_before)
            if until <= now:
                return
            self._wait_until(until, until - now)

    def answered(self, reply: Reply) -> None:
        """Learn from an answer."""
        with self._lock:
            self._learn_budget(reply.headers)
            if reply.status != 429 and reply.status < 500:
                self._failures = 0
                return
            self._failures += 1
            asked = parse_retry_after(reply.headers, self._now())
            self._rest(self._backoff_s() if asked is None else asked)

    def unanswered(self) -> None:
        """Learn from a request that had no answer."""
        with self._lock:
            self._failures += 1
            self._rest(self._backoff_s())

    def _check_failures(self) -> None:
        if self._failures >= self._limits.failures:
            raise Paused(
                f"the server failed or refused {self._failures} requests in a row: wbgql stopped "
                "before the next; repeat the same command when the server is well"
            )

    def _wait_until(self, until: float, seconds: float) -> None:
        if seconds > self._limits.max_wait_s:
            raise Paused(f"the server asks to wait {seconds:.0f} s; go on with the same command after that")
        if self._deadline is not None and until > self._deadline:
            raise Paused("the job's time is used up; go on with the same command")
        self.waited_s += seconds
        if self._wait(seconds) and seconds > _SOON_S:
            raise Paused("stopped while waiting for the server; go on with the same command")

    def _rest(self, seconds: float) -> None:
        rest = max(seconds, self._limits.min_wait_s)
        self._not_before = max(self._not_before, self._clock() + rest)

    def _backoff_s(self) -> float:
        return float(min(30.0, self._limits.min_wait_s * 2.0 ** min(self._failures - 1, 16)))

    def _learn_budget(self, headers: Mapping[str, str]) -> None:
        limit, remaining, reset = (
            _number(headers, f"ratelimit-{name}") for name in ("limit", "remaining", "reset")
        )
        self._spread_s = 0.0
        if remaining is None or reset is None:
            return
        if remaining < 1:
            self._rest(reset)
        elif limit and remaining / limit < _LOW:
            self._spread_s = min(reset / remaining, self._limits.max_wait_s)


class LimitedTransport:
    """A transport that waits for its turn before each request and learns from each answer."""

    def __init__(self, transport: Transport, limiter: Limiter) -> None:
        self._transport = transport
        self._limiter = limiter

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        """Send one request; see `Transport.send`.

        Raises:
            Paused: no request may be sent now; this one was not.
        """
        self._limiter.before()
        try:
            reply = self._transport.send(prepared, variables)
        except ServerUnavailable:
            self._limiter.unanswered()
            raise
        self._limiter.answered(reply)
        return reply

    def close(self) -> None:
        """Close the transport that it stands before."""
        self._transport.close()


def _number(headers: Mapping[str, str], name: str) -> float | None:
    text = headers.get(name, "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
