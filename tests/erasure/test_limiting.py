"""The pace of a job: its own rate, what the server says of limits, and when to stop asking. No network."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from tests.fakes import FakeClock, FakeTransport, data_reply
from wbgql.erasure.reading.limiting import JobLimiter
from wbgql.errors import NotApproved, Paused, ServerUnavailable
from wbgql.limiting import LimitedTransport, Limits
from wbgql.wire.transport import Reply

NOW = 1_800_000_000.0


class Pace:
    """A limiter on a clock that moves only while it waits."""

    def __init__(self, stop: bool = False, deadline: float | None = None, **limits: float) -> None:
        self.clock = FakeClock()
        self.stop = stop
        self.limiter = JobLimiter(
            Limits(**{"rate": 1000.0, **limits}),
            clock=self.clock,
            now=lambda: NOW + self.clock.time,
            wait=self._wait,
            deadline=deadline,
        )

    def _wait(self, seconds: float) -> bool:
        self.clock.sleep(seconds)
        return self.stop

    def answer(self, status: int = 200, **headers: str) -> None:
        self.limiter.before()
        self.limiter.answered(
            Reply(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})
        )

    def rest(self) -> float:
        """Seconds until the next request may leave."""
        start = self.clock.time
        self.limiter.before()
        return round(self.clock.time - start, 3)


def test_requests_leave_at_the_rate():
    pace = Pace(rate=2.0)

    for _ in range(5):
        pace.answer()

    assert pace.clock.time == 2.0


@pytest.mark.parametrize(
    ("headers", "rest"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0"}, 1.0),
        ({"retry_after": "0.2"}, 1.0),
        ({"retry_after": "-5"}, 1.0),
        ({"retry_after": "soon"}, 1.0),
        ({"retry_after": "nan"}, 1.0),
        ({}, 1.0),
        ({"ratelimit_reset": "12"}, 12.0),
        ({"ratelimit_reset": "0"}, 1.0),
        ({"retry_after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry_after": formatdate(NOW - 30, usegmt=True)}, 1.0),
    ],
)
def test_d4_5_a_429_is_waited_out_and_never_in_a_busy_loop(headers, rest):
    pace = Pace()
    pace.answer(429, **headers)

    assert pace.rest() == pytest.approx(rest, abs=0.01)


@pytest.mark.parametrize("asked", ["301", "999999999", "123456789012345"])
def test_d4_5_a_wait_that_is_too_long_is_told_and_not_waited(asked):
    pace = Pace()
    pace.answer(429, retry_after=asked)

    with pytest.raises(Paused, match=f"asks to wait {asked}"):
        pace.limiter.before()
    assert pace.clock.time < 1


def test_d4_5_failures_in_a_row_end_it_and_one_good_answer_forgives_them():
    pace = Pace(failures=3)
    pace.answer(503)
    pace.answer(429, retry_after="1")
    pace.answer()
    pace.answer(500)
    pace.answer(502)
    pace.answer(599)

    with pytest.raises(Paused, match="3 requests in a row"):
        pace.limiter.before()


def test_failures_are_waited_out_longer_each_time():
    pace = Pace(failures=10)
    rests = []
    for _ in range(4):
        pace.limiter.unanswered()
        rests.append(pace.rest())

    assert rests == [1.0, 2.0, 4.0, 8.0]


def test_nothing_left_waits_for_the_reset_and_little_left_is_spread():
    pace = Pace()
    pace.answer(ratelimit_limit="1000", ratelimit_remaining="0", ratelimit_reset="20")
    assert pace.rest() == 20.0

    pace.answer(ratelimit_limit="1000", ratelimit_remaining="50", ratelimit_reset="100")
    pace.limiter.before()
    assert pace.rest() == 2.0

    pace.answer(ratelimit_limit="1000", ratelimit_remaining="900", ratelimit_reset="100")
    pace.limiter.before()
    assert pace.rest() == 0.001


def test_time_that_would_be_used_up_by_waiting_ends_it_at_once():
    pace = Pace(deadline=10.0)
    pace.answer(429, retry_after="20")

    with pytest.raises(Paused, match="time is used up"):
        pace.limiter.before()


def test_a_stop_ends_long_waits_and_lets_short_ones_end():
    pace = Pace(stop=True)
    pace.answer(429, retry_after="3")
    pace.limiter.before()
    pace.answer(429, retry_after="30")

    with pytest.raises(Paused, match="stopped while waiting"):
        pace.limiter.before()


@pytest.mark.parametrize("ahead", [-3600, -121, 121, 3600])
def test_d4_17_clocks_that_disagree_are_refused(ahead):
    pace = Pace()
    pace.answer(date=formatdate(NOW + ahead, usegmt=True))

    assert pace.limiter.skew_s == pytest.approx(ahead, abs=1)
    with pytest.raises(NotApproved, match="apart"):
        pace.limiter.check_clock()


@pytest.mark.parametrize("date", [formatdate(NOW + 119, usegmt=True), "no date", ""])
def test_d4_17_a_small_skew_and_a_server_that_says_nothing_pass(date):
    pace = Pace()
    pace.answer(date=date)

    pace.limiter.check_clock()


def test_a_transport_behind_a_limiter_learns_from_what_fails_too():
    pace = Pace(failures=2)
    refused = ServerUnavailable("refused", sent=False)
    inner = FakeTransport(refused, data_reply({}), refused, refused)
    transport = LimitedTransport(inner, pace.limiter)
    prepared = type("P", (), {"name": "Q"})()

    for error in (True, False, True, True):
        if error:
            with pytest.raises(ServerUnavailable):
                transport.send(prepared, {})
        else:
            transport.send(prepared, {})

    with pytest.raises(Paused):
        transport.send(prepared, {})
    assert len(inner.sent) == 4
