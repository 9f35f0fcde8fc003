"""How far a case has come: what advances it, and everything that does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.erasure.certified import make_verification
from tests.erasure.made_plans import NOW, clocks, make_plan
from wbgql.erasure.evidence.stages import STAGES, Evidence, Reached, Seen, binding_clock, reached_stage
from wbgql.erasure.evidence.trail import Attestation
from wbgql.erasure.evidence.wording import NEWEST
from wbgql.erasure.records.plan import Clock, Plan
from wbgql.erasure.records.verification import Controls, Residual
from wbgql.scalars import format_datetime

PLAN = make_plan()
DAY = timedelta(days=1)
ATTESTED = Attestation(reference="TICKET-1", at=format_datetime(NOW + 9 * DAY), seq=90)


def _stage(*looks: Any, plan: Plan = PLAN, now: Any = NOW + 30 * DAY, **fields: Any) -> Reached:
    """The stage after `looks`: (verdict, days after the runs were hidden, more fields)."""
    seen = []
    for number, (verdict, days, *more) in enumerate(looks, 1):
        made = make_verification(plan, verdict, NOW + days * DAY, **(more[0] if more else {}))
        seen.append(Seen(no=number, seq=10 + number, verification=made))
    given = {"claimed": 2, "last_gone_at": format_datetime(NOW), "changed_seq": 10} | fields
    return reached_stage(plan, Evidence(seen=seen, **given), now)


def _declared(days: int) -> list[Clock]:
    clock = Clock(
        name="undelete_window", seconds=days * 86400, source="declared", declared_by="DPO", declared_at="2026"
    )
    return [clock, *clocks()[1:]]


def test_each_stage_needs_the_one_before_and_its_own_proof():
    assert _stage().stage is None
    assert _stage(("hidden", 0)).stage == "HIDDEN"
    assert _stage(("hidden", 0), ("hidden", 7)).stage == "WINDOW_PASSED"
    assert _stage(("hidden", 7)).stage == "WINDOW_PASSED"
    assert _stage(("hidden", 7), ("absent", 8)).stage == "STORAGE_VERIFIED"
    assert _stage(("hidden", 7), attestations=[ATTESTED]).stage == "PROVIDER_ATTESTED"
    assert _stage(("hidden", 7), ("absent", 8), attestations=[ATTESTED]).stage == "STORAGE_VERIFIED"
    assert [step.stage for step in _stage(("hidden", 7), ("absent", 8)).steps] == [
        "HIDDEN",
        "WINDOW_PASSED",
        "STORAGE_VERIFIED",
    ]


@pytest.mark.parametrize(
    ("looks", "fields", "why"),
    [
        ([("cannot_verify", 0)], {}, "could not verify"),
        ([("not_hidden", 0)], {}, "could read runs"),
        ([("hidden", 0), ("not_hidden", 1)], {}, "could read runs"),
        ([("hidden", 0)], {"changed_seq": 11}, "no verification was made since"),
        ([("hidden", 0)], {"claimed": 0}, "no run of the plan"),
        ([("absent", 0)], {"attestations": [ATTESTED]}, "no verification was made since"),
        ([("hidden", 0, {"controls": Controls(failed=1, negative=1)})], {}, "no verification"),
        ([("hidden", 0, {"controls": Controls()})], {}, "no verification"),
    ],
)
def test_nothing_is_hidden_without_a_good_look_since_the_last_change(looks, fields, why):
    reached = _stage(*looks, **fields)

    assert reached.stage is None
    assert why in NEWEST.lacking(reached.missing)


def test_a_verification_of_another_plan_proves_nothing():
    other = make_plan(stays=[])
    seen = [Seen(no=1, seq=11, verification=make_verification(other, "hidden", NOW))]

    assert (
        reached_stage(
            PLAN, Evidence(claimed=1, last_gone_at=format_datetime(NOW), changed_seq=1, seen=seen), NOW
        ).stage
        is None
    )


def test_20_an_unknown_window_never_passes():
    plan = make_plan(clocks=clocks(undelete=None))
    reached = _stage(("hidden", 3000), ("absent", 3001), plan=plan, attestations=[ATTESTED])

    assert (reached.stage, reached.window_ends_at) == ("HIDDEN", None)
    assert "not known" in NEWEST.lacking(reached.missing)


@pytest.mark.parametrize(("days", "stage"), [(6.9, "HIDDEN"), (7, "WINDOW_PASSED")])
def test_the_servers_own_window_has_no_margin(days, stage):
    assert _stage(("hidden", days)).stage == stage


def test_a_server_that_does_not_say_its_time_lets_no_window_pass():
    blind = {"counts": {"runs": 1, "runs_absent": 1, "clock_known": 0}}

    reached = _stage(("hidden", 8, blind), ("absent", 9))

    assert reached.stage == "HIDDEN"
    assert "did not say its time" in NEWEST.lacking(reached.missing)
    assert _stage(("hidden", 8, blind), ("hidden", 9)).stage == "WINDOW_PASSED"


@pytest.mark.parametrize(("days", "stage"), [(7, "HIDDEN"), (8, "WINDOW_PASSED")])
def test_a_declared_window_has_a_day_of_margin(days, stage):
    assert _stage(("hidden", days), plan=make_plan(clocks=_declared(7))).stage == stage


def test_28_a_window_that_the_provider_made_longer_counts_as_long():
    longer = {"clocks": clocks(undelete=14 * 86400)}
    shorter = {"clocks": clocks(undelete=86400)}

    assert _stage(("hidden", 8, longer)).stage == "HIDDEN"
    assert _stage(("hidden", 8), ("hidden", 14, longer)).stage == "WINDOW_PASSED"
    assert _stage(("hidden", 2, shorter)).stage == "HIDDEN"


def test_28_a_server_that_stops_saying_leaves_the_window_unknown():
    silent = {"clocks": clocks(undelete=None)}

    assert _stage(("hidden", 8, silent)).stage == "HIDDEN"
    declared = make_plan(clocks=_declared(7))
    assert _stage(("hidden", 8, silent), plan=declared).stage == "WINDOW_PASSED"
    assert binding_clock(declared, [], "undelete_window").source == "declared"
    assert binding_clock(PLAN, [], "backups").seconds is None


def test_17_a_verification_from_the_future_passes_no_window():
    assert _stage(("hidden", 7), now=NOW + 6 * DAY).stage == "HIDDEN"


def test_17_the_journal_orders_and_not_the_clock():
    """The clock was set back by a year between the deletion and the verification."""
    assert _stage(("hidden", -365)).stage == "HIDDEN"
    assert _stage(("hidden", 3650), changed_seq=11).stage is None


@pytest.mark.parametrize("kind", ["system_artifact", "late_object", "fork", "shared_bytes"])
@pytest.mark.parametrize("look", ["reads", "storage"])
def test_21_what_is_left_stands_against_the_store_being_clean(kind, look):
    left = {"residuals": [Residual(subject="5" * 64, kind=kind, reason="x")]}
    looks = [("hidden", 7, left if look == "reads" else {}), ("absent", 8, left if look == "storage" else {})]
    reached = _stage(*looks)

    assert reached.stage == "WINDOW_PASSED"
    assert "found 1 thing left" in NEWEST.lacking(reached.missing)
    assert _stage(*looks, attestations=[ATTESTED]).stage == "PROVIDER_ATTESTED"


def test_21_a_later_look_that_finds_nothing_left_closes_it():
    left = {"residuals": [Residual(subject="5" * 64, kind="system_artifact", reason="x")]}

    assert _stage(("hidden", 7, left), ("absent", 8), ("hidden", 9)).stage == "STORAGE_VERIFIED"


@pytest.mark.parametrize("verdict", ["present", "partial"])
def test_only_the_last_look_at_the_store_counts(verdict):
    assert _stage(("hidden", 7), ("absent", 8), (verdict, 9)).stage == "WINDOW_PASSED"
    assert _stage(("hidden", 7), (verdict, 8), ("absent", 9)).stage == "STORAGE_VERIFIED"


def test_an_attestation_from_before_a_reopening_is_void():
    assert _stage(("hidden", 7), changed_seq=10, attestations=[ATTESTED]).stage == "PROVIDER_ATTESTED"
    before = Attestation(reference="T", at=format_datetime(NOW), seq=5)
    assert _stage(("hidden", 7), changed_seq=10, attestations=[before]).stage == "WINDOW_PASSED"


_VERDICTS = st.sampled_from(["hidden", "not_hidden", "cannot_verify", "absent", "present", "partial"])


@given(st.lists(st.tuples(_VERDICTS, st.integers(0, 20)), max_size=6), st.booleans(), st.integers(10, 16))
def test_stages_are_reached_in_order_and_never_without_a_good_last_word(looks, attested, changed):
    reached = _stage(*looks, changed_seq=changed, attestations=[ATTESTED] if attested else [])
    since = [verdict for number, (verdict, _) in enumerate(looks, 11) if number > changed]
    reads = [verdict for verdict in since if verdict in ("hidden", "not_hidden")]

    assert [step.stage for step in reached.steps[:2]] == list(STAGES[: len(reached.steps[:2])])
    assert (reached.stage is None) == (not reads or reads[-1] != "hidden")
    assert (reached.missing is None) == (len(reached.steps) == 3)


def test_each_probe_looked_elsewhere_and_each_last_word_counts():
    bucket = {"probe": "fsspec"}

    assert _stage(("hidden", 7), ("present", 8), ("absent", 9, bucket)).stage == "WINDOW_PASSED"
    assert _stage(("hidden", 7), ("absent", 8), ("present", 9, bucket)).stage == "WINDOW_PASSED"
    assert (
        _stage(("hidden", 7), ("present", 8), ("absent", 9, bucket), ("absent", 10)).stage
        == "STORAGE_VERIFIED"
    )
