"""How far the server's clock and this machine's are apart, learned from answers in passing. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from wbgql.wire.transport import ObservedTransport, Transport

MAX_SKEW_S = 120.0


class ServerClock:
    """The server's clock as its last answer had it. `now` is ours, in Unix time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.skew_s: float | None = None
        """How far it is ahead of ours, in seconds; None while no answer said."""

    @property
    def is_far_off(self) -> bool:
        """Whether the two are too far apart for times to mean anything. Not known is not far off."""
        return self.skew_s is not None and abs(self.skew_s) > MAX_SKEW_S

    def __str__(self) -> str:
        return f"the server's clock and this machine's are {abs(self.skew_s or 0.0):.0f} s apart"

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take note of an answer's `Date`, if it has one."""
        try:
            at = parsedate_to_datetime(headers.get("date", ""))
        except (ValueError, TypeError, IndexError, OverflowError):
            return
        self.skew_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - self._now()

    def watch(self, transport: Transport) -> Transport:
        """Return a transport whose answers this clock learns from."""
        return ObservedTransport(transport, lambda reply: self.learn(reply.headers))
