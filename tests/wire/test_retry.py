"""When to repeat, how long to wait, and headers that lie."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wbgql.errors import (
    PermissionDenied,
    RateLimited,
    ResponseError,
    ServerUnavailable,
    UsageError,
    WbgqlError,
)
from wbgql.wire.retry import RetryPolicy, parse_retry_after

UNAVAILABLE = ServerUnavailable("down")


def longest(_low: float, high: float) -> float:
    return high


def test_waits_double_up_to_the_cap() -> None:
    policy = RetryPolicy(attempts=10, base_s=0.5, cap_s=5.0)

    waits = [policy.delay_s(UNAVAILABLE, attempt, 0.0, longest) for attempt in range(1, 7)]

    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_waits_are_drawn_from_zero_so_that_clients_do_not_come_back_together() -> None:
    bounds: list[tuple[float, float]] = []

    def low(*bound: float) -> float:
        bounds.append((bound[0], bound[1]))
        return 0.125

    assert RetryPolicy(base_s=2.0).delay_s(UNAVAILABLE, 2, 0.0, low) == 0.125
    assert bounds == [(0.0, 4.0)]


def test_the_last_attempt_is_the_last() -> None:
    policy = RetryPolicy(attempts=3)

    assert policy.delay_s(UNAVAILABLE, 2, 0.0, longest) is not None
    assert policy.delay_s(UNAVAILABLE, 3, 0.0, longest) is None


@pytest.mark.parametrize("error", [ResponseError("500"), PermissionDenied("no"), UsageError("no")])
def test_an_error_that_will_not_pass_is_not_repeated(error: WbgqlError) -> None:
    assert RetryPolicy().delay_s(error, 1, 0.0, longest) is None


@pytest.mark.parametrize(
    "error", [RateLimited("wait", retry_after_s=7.5), ServerUnavailable("wait", retry_after_s=7.5)]
)
def test_what_the_server_asks_is_waited_even_beyond_the_cap(error: WbgqlError) -> None:
    assert RetryPolicy(cap_s=1.0).delay_s(error, 1, 0.0, longest) == 7.5


def test_a_wait_that_would_end_after_the_deadline_is_not_begun() -> None:
    policy = RetryPolicy(deadline_s=60)
    wait = RateLimited("wait", retry_after_s=30.0)

    assert policy.delay_s(wait, 1, 30.0, longest) == 30.0
    assert policy.delay_s(wait, 1, 30.1, longest) is None
    assert policy.delay_s(UNAVAILABLE, 1, 59.9, longest) is None


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"base_s": -1.0}, {"cap_s": math.nan}, {"deadline_s": -1}])
def test_a_policy_that_makes_no_sense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        RetryPolicy(**bad)  # type: ignore[arg-type]  # attempts is an int


def test_a_very_patient_policy_does_not_overflow() -> None:
    assert RetryPolicy(attempts=10_000).delay_s(UNAVAILABLE, 9_999, 0.0, longest) == 30.0


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": formatdate(NOW + 90, usegmt=True)}, 90.0),
        ({"Retry-After": formatdate(NOW - 90, usegmt=True)}, 0.0),
        ({"Retry-After": "Mon, 01 Jan 2001 00:00:00 -0000"}, 0.0),
        ({"RateLimit-Reset": "12.25"}, 12.25),
        ({"Retry-After": "3", "RateLimit-Reset": "12"}, 3.0),
        ({"Retry-After": "soon", "RateLimit-Reset": "12"}, 12.0),
        ({"Retry-After": "999999999"}, 999_999_999.0),
    ],
)
def test_parse_retry_after_reads_seconds_and_dates(headers: dict[str, str], wait: float | None) -> None:
    assert parse_retry_after(headers, NOW) == wait


@pytest.mark.parametrize(
    "value",
    ["-1", "nan", "inf", "1e3", "1_0", "+5", "", "9" * 400, "١٢", "soon", "Mon, 99 Jan 2001 00:00:00 GMT",
     "Mon, 01 Jan 99999 00:00:00 GMT", "0x10", "12, 13"],
)  # fmt: skip
def test_parse_retry_after_ignores_what_is_no_wait(value: str) -> None:
    assert parse_retry_after({"Retry-After": value, "RateLimit-Reset": value}, NOW) is None


@settings(deadline=None)
@given(st.text(max_size=40), st.floats(0, 4e9))
def test_parse_retry_after_never_gives_a_wait_that_cannot_be_slept(value: str, now: float) -> None:
    wait = parse_retry_after({"Retry-After": value}, now)

    assert wait is None or (math.isfinite(wait) and wait >= 0)
