"""Answers are believed when they repeat; late ones are waited for, contradictions are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock
from wbgql.erasure.verifying.settling import Answer, make_waits, settle
from wbgql.errors import UsageError


class Script:
    """Answers each item from its own list; the last answer repeats. `.asked` counts the questions."""

    def __init__(self, **answers: Sequence[Answer]) -> None:
        self.answers = {name: list(given) for name, given in answers.items()}
        self.asked: dict[str, int] = {}

    def __call__(self, items: Sequence[str]) -> Mapping[str, Answer]:
        return {item: self._next(item) for item in items}

    def _next(self, item: str) -> Answer:
        self.asked[item] = self.asked.get(item, 0) + 1
        given = self.answers[item]
        return given.pop(0) if len(given) > 1 else given[0]


def _settle(
    script: Script, hoped_for: Answer | None = "absent", *, equal_reads: int = 3, patience_s: float = 30.0
):
    clock = FakeClock()
    found = settle(
        script,
        list(script.answers),
        hoped_for=lambda _: hoped_for,
        equal_reads=equal_reads,
        waits_s=make_waits(equal_reads, patience_s),
        sleep=clock.sleep,
    )
    return found, clock


def test_what_is_hoped_for_needs_equal_answers_and_no_more():
    script = Script(a=["absent"])

    found, clock = _settle(script)

    assert (found, script.asked, clock.time) == ({"a": "absent"}, {"a": 3}, 1.0)


def test_a_late_answer_is_waited_for():
    script = Script(a=["present"] * 4 + ["absent"])

    found, clock = _settle(script)

    assert found == {"a": "absent"}
    assert script.asked == {"a": 7}
    assert clock.time > 5


def test_one_that_comes_at_the_very_end_is_seen_to_repeat():
    script = Script(a=["present"] * 7 + ["absent"], b=["present"])

    found, _ = _settle(script)

    assert found == {"a": "absent", "b": "present"}
    assert script.asked == {"a": 10, "b": 8}


def test_one_that_stays_is_present_when_the_patience_is_used_up():
    found, clock = _settle(Script(a=["present"], b=["absent"]))

    assert found == {"a": "present", "b": "absent"}
    assert clock.time == 30.0


def test_answers_that_contradict_each_other_to_the_end_are_unsettled():
    found, _ = _settle(Script(a=["present", "absent"] * 20))

    assert found == {"a": "unsettled"}


def test_one_flicker_starts_the_count_anew():
    script = Script(a=["absent", "absent", "present", "absent"])

    assert _settle(script)[0] == {"a": "absent"}
    assert script.asked == {"a": 6}


def test_where_nothing_is_hoped_for_the_first_answer_that_says_something_does():
    script = Script(a=["present"], b=["absent"], c=["unknown", "present"])

    found, clock = _settle(script, hoped_for=None)

    assert found == {"a": "present", "b": "absent", "c": "present"}
    assert script.asked == {"a": 1, "b": 1, "c": 2}
    assert clock.time == 0.5


def test_nothing_to_read_asks_nothing():
    assert _settle(Script())[0] == {}


@given(st.integers(1, 9), st.floats(0, 1000))
def test_waits_make_enough_reads_and_sum_up_to_the_patience(equal_reads, patience_s):
    waits = make_waits(equal_reads, patience_s)

    assert len(waits) + 1 >= equal_reads
    assert sum(waits) == pytest.approx(max(patience_s, 0.5 * (equal_reads - 1)))


@pytest.mark.parametrize(("equal_reads", "patience_s"), [(0, 1.0), (3, -1.0), (3, float("nan"))])
def test_no_reads_and_no_time_are_refused(equal_reads, patience_s):
    with pytest.raises(UsageError):
        make_waits(equal_reads, patience_s)
