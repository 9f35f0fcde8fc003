"""The pace of an erasure job, which also learns how far the server's clock is from ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from wbgql.erasure.reading.server_clocks import ServerClock
from wbgql.errors import NotApproved
from wbgql.limiting import Limiter, Limits
from wbgql.wire.transport import Reply

_SKEW_NOISE_S = 2.0


class JobLimiter(Limiter):
    """A `Limiter` that reads the server's clock from each answer. `options` are those of `Limiter`."""

    def __init__(self, limits: Limits, *, now: Callable[[], float] = time.time, **options: Any) -> None:
        super().__init__(limits, now=now, **options)
        self._server_clock = ServerClock(now)

    @property
    def skew_s(self) -> float | None:
        """How far the server's clock is ahead of ours, in seconds, as its last answer says.

        0 below two seconds: a Date header has whole seconds, and an answer travels.
        """
        skew_s = self._server_clock.skew_s
        return 0.0 if skew_s is not None and abs(skew_s) < _SKEW_NOISE_S else skew_s

    def check_clock(self) -> None:
        """Check that our clock and the server's agree; a server that does not say its time passes.

        Raises:
            NotApproved: they are too far apart for expiry, approvals and recorded times to mean anything.
        """
        if self._server_clock.is_far_off:
            raise NotApproved(
                f"{self._server_clock}: the plan's expiry and the times of approvals cannot be trusted; set "
                "the clock, then go on"
            )

    def answered(self, reply: Reply) -> None:
        """Learn from an answer."""
        self._server_clock.learn(reply.headers)
        super().answered(reply)
