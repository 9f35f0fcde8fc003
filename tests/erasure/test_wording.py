"""No sentence says more than its stage: every text of every stage is held to what may not stand in it."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.erasure.certified import HandMadeCase
from tests.erasure.made_plans import clocks, make_plan, planned_artifact, planned_run
from wbgql.erasure.evidence.stages import STAGES
from wbgql.erasure.evidence.wording import NEWEST, WORDS, Facts, describe_clock, describe_span, statement
from wbgql.erasure.records.plan import Clock, ExcludedRun, NotRead
from wbgql.erasure.records.verification import Controls, Residual

# What nobody can claim who only read answers of an API.
_FINAL = r"permanent|irrevers|irrecover|for good|for ever|forever|destroy|wiped?\b|shred|purged?\b|sanitiz"
_DELETED = r"\b(was|were|is|are|been|has|have) (\w+ )?(deleted|erased|removed)\b|\bno longer stored\b"
NEVER = {
    "HIDDEN": rf"{_FINAL}|{_DELETED}|found nothing of them",
    "WINDOW_PASSED": rf"{_FINAL}|{_DELETED}|found nothing of them",
    "STORAGE_VERIFIED": _FINAL,
    "PROVIDER_ATTESTED": rf"{_FINAL}|found nothing of them",
}
CONTROLS = Controls(positive=1, empty=1, negative=2)


def _facts(**fields: Any) -> Facts:
    values: dict[str, Any] = {
        "matched": 3,
        "claimed": 2,
        "controls": CONTROLS,
        "by_others": 1,
        "projects": 2,
        "hidden_at": "2026-01-01T00:00:00Z",
        "window": clocks()[0],
        "window_ends_at": "2026-01-08T00:00:00Z",
        "window_at": "2026-01-08T01:00:00Z",
        "store_at": "2026-01-09T00:00:00Z",
        "stores": ["local"],
        "reference": "TICKET-1",
    }
    return Facts(**values | fields)


def test_runs_that_were_named_matched_no_rule_and_the_reader_is_named():
    named = " ".join(statement("HIDDEN", _facts(by_ids=True, reader="second"), is_test=False))
    found = " ".join(statement("HIDDEN", _facts(), is_test=False))

    assert "named by their ids" in named
    assert "rule" not in named
    assert "with a second key" in named
    assert "with the job's key" in found
    assert "independent" not in found
    assert "matched one rule" in found


@pytest.mark.parametrize("source", ["server", "declared"])
def test_a_window_is_called_what_it_rests_on_and_nothing_more_is_claimed(source):
    window = Clock(name="undelete_window", seconds=86_400, source=source)
    said = " ".join(statement("WINDOW_PASSED", _facts(window=window), is_test=False))

    assert f"after the {'served' if source == 'server' else 'declared'} undelete window" in said
    assert "Whether the server restores runs after it was not tried" in said


@pytest.mark.parametrize("words", WORDS.values(), ids=[f"version {number}" for number in WORDS])
@pytest.mark.parametrize("stage", STAGES)
@given(
    claimed=st.integers(1, 3),
    by_others=st.integers(0, 2),
    known=st.booleans(),
    is_test=st.booleans(),
    controls=st.sampled_from([CONTROLS, Controls(positive=1, negative=1), Controls(empty=1, negative=1)]),
)
def test_no_text_says_more_than_its_stage(words, stage, claimed, by_others, known, is_test, controls):
    fields: dict[str, Any] = {} if known else {"window": clocks(undelete=None)[0], "window_ends_at": None}
    facts = _facts(claimed=claimed, by_others=by_others, controls=controls, **fields)
    said = " ".join(
        [
            words.titles[stage],
            words.stage_names[stage],
            *statement(stage, facts, is_test=is_test, words=words),
        ]
    )

    assert not re.search(NEVER[stage], _without_denials(said), re.IGNORECASE)
    assert ("TEST" in said) == is_test
    assert "does not certify that these are all data about a person" in said
    assert "another person" not in said


def _without_denials(said: str) -> str:
    """What is said not to be known is no claim."""
    return said.replace("Whether the provider has removed what they held was not observed.", "")


def test_the_check_on_wording_can_fail():
    for stage in STAGES:
        assert re.search(NEVER[stage], "the runs were permanently deleted")
    assert re.search(NEVER["HIDDEN"], "10 runs were deleted")


def test_a_hidden_run_can_be_brought_back_until_a_time_or_for_an_unknown_one():
    known = " ".join(statement("HIDDEN", _facts(), is_test=False))
    unknown = " ".join(
        statement("HIDDEN", _facts(window=clocks(undelete=None)[0], window_ends_at=None), is_test=False)
    )

    assert "still bring them back, until 2026-01-08 00:00:00 UTC (the server's own figure)" in known
    assert "still bring them back, for how long is not known" in unknown


def test_who_says_a_clock_is_said():
    declared = Clock(
        name="backups",
        seconds=90 * 86400,
        source="declared",
        declared_by="IT",
        declared_at="2026-01-01T00:00:00Z",
    )

    assert describe_clock(clocks()[0], "T") == "undelete window: 7 days, as the server says; ends T"
    assert describe_clock(clocks()[3], None) == "backups: unknown"
    assert describe_clock(declared, None) == "backups: 90 days, as declared by the IT on 2026-01-01"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (1, "1 second"), (90, "90 seconds"), (3600, "1 hour"), (86400, "1 day")],
)
def test_a_length_of_time_is_in_its_largest_whole_unit(seconds, words):
    assert describe_span(seconds) == words


def test_what_stays_is_counted_and_says_why(tmp_path):
    plan = make_plan(
        planned_run(
            "r1", planned_artifact("a", references=3), planned_artifact("b", decision="keep", reason="linked")
        )
    )
    made = HandMadeCase(tmp_path, plan)
    made.apply()
    made.verify(
        residuals=[Residual(subject=digit * 64, kind="system_artifact", reason="x") for digit in "56"]
    )
    said = " / ".join(made.certify().signed.certificate.stays)

    assert "only the provider can remove them (2)" in said
    assert "linked into a portfolio or a registry (1)" in said
    assert "storage outside point to (3)" in said
    assert "backups" in said


def test_limits_name_what_could_not_be_read_by_number_only(tmp_path):
    plan = make_plan(
        not_read=[NotRead(path="acme/secret", reason="not visible: acme/secret")],
        excluded=[ExcludedRun(path="acme/vision/r9", reason="held", detail="hold H-1")],
        rights=[],
    )
    made = HandMadeCase(tmp_path, plan)
    made.apply({"r2": None})
    made.verify()
    said = " / ".join(made.certify().signed.certificate.limitations)

    assert "1 of what was named could not be read" in said
    assert "acme" not in said
    assert "1 thing of the plan is not done yet" in said
    assert "1 run matched the rule and was left out" in said


def test_every_code_has_words():
    from typing import get_args

    from wbgql.erasure.evidence.population import ItemOutcome
    from wbgql.erasure.records.plan import Exclusion, Reason
    from wbgql.erasure.records.verification import ResidualKind

    assert set(NEWEST.outcomes) == set(get_args(ItemOutcome))
    assert set(NEWEST.reasons) >= {*get_args(Reason), *get_args(Exclusion)}
    assert set(NEWEST.residuals) == set(get_args(ResidualKind))


def test_a_version_has_all_words_of_the_one_before():
    for older, newer in pairwise(WORDS.values()):
        for name in older.__struct_fields__:
            assert set(getattr(older, name)) <= set(getattr(newer, name))


def test_a_look_at_objects_alone_is_said_to_be_one():
    objects = " ".join(statement("STORAGE_VERIFIED", _facts(stores=["fsspec"]), is_test=False))
    both = " ".join(statement("STORAGE_VERIFIED", _facts(stores=["fsspec", "local"]), is_test=False))

    assert "not the rows of the server's database" in objects
    assert "not the rows" not in both
