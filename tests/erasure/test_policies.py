"""Policy files, marks, and what a sweep is narrowed to. No server."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbgql.erasure.policies.rules import TAG_PREFIX, Marks, Rule, parse_policies, read_marks, sweep_expr
from wbgql.errors import UsageError

NOW = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
RULE = """
rules:
  - name: crashed-old
    projects: ["acme/*"]
    where: 'state == "crashed" and "keep" not in tags'
    age: 90d
    grace: 14d
    owner: platform team
    request: RET-7
    basis: retention
"""


def rule() -> Rule:
    return parse_policies(RULE)[0]


def test_a_rule_is_read_with_its_defaults() -> None:
    found = rule()

    assert str(found.expr) == 'state == "crashed" and "keep" not in tags and created_at < ago("90d")'
    assert (found.caps.max_runs, found.caps.max_percent) == (100, 10)
    assert found.tag(NOW) == "erase-after:2026-12-08"
    assert (found.asked_by.reference, found.asked_by.basis) == ("RET-7", "retention")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("grace: 14d", "grase: 14d", r"rule 1 \('crashed-old'\).*grase"),
        ("    grace: 14d\n", "", r"rule 1 \('crashed-old'\).*grace"),
        ("grace: 14d", "grace: 14", r"rule 1 .*grace"),
        ("grace: 14d", "grace: 12h", r"grace: '12h'"),
        ("grace: 14d", "grace: 36h", "whole days"),
        ("age: 90d", "age: soon", r"age: 'soon'"),
        ("state ==", "stat ==", "where: "),
        ('["acme/*"]', "[acme]", "projects: "),
        ('["acme/*"]', "[]", "projects: "),
        ("name: crashed-old", "name: Crashed Old", "name: "),
        ("owner: platform team", "owner: ada@example.org", "owner: "),
        ("basis: retention", "basis: retention\n    max_runs: many", r"max_runs"),
        ("basis: retention", "basis: retention\n    max_percent: 101", r"max_percent"),
        ("basis: retention", "basis: retention\n    basis: other", "line 11: 'basis' is given twice"),
        ("rules:", "rule:", "rule"),
        ("rules:", "rules: [", "line"),
        (RULE, "", "Expected|expected"),
        (RULE, "rules: []", "no rules"),
        (RULE, RULE + RULE.partition("rules:")[2], "two rules of the name 'crashed-old'"),
    ],
)
def test_what_is_wrong_is_named_with_rule_and_field(before: str, after: str, said: str) -> None:
    assert before in RULE

    with pytest.raises(UsageError, match=said):
        parse_policies(RULE.replace(before, after))


def test_a_file_runs_no_code() -> None:
    with pytest.raises(UsageError, match="line 1"):
        parse_policies("rules: !!python/object/apply:os.system ['true']")


@pytest.mark.parametrize(
    ("tag", "where"),
    [
        ("erase-after:2026-11-23", "due"),
        ("erase-after:2026-11-24", "waiting"),
        ("erase-after:2027-01-01", "waiting"),
        ("erase-after:2026-13-01", "bad"),
        ("erase-after:2026-1-1", "bad"),
        ("erase-after:20261101", "bad"),
        ("erase-after:", "bad"),
        ("erase-after:yesterday", "bad"),
        ("erase-after: 2026-11-01", "bad"),
    ],
)
def test_a_mark_is_due_once_its_day_is_over_and_never_if_it_is_no_date(tag: str, where: str) -> None:
    marks = read_marks(["x", tag], NOW)

    assert getattr(marks, where) == {tag}
    assert marks.any
    assert marks.is_due == (where == "due")


@given(st.lists(st.sampled_from(["2026-11-01", "2026-12-31", "never", ""]).map(lambda day: TAG_PREFIX + day)))
def test_one_mark_that_is_not_due_keeps_a_run(tags: list[str]) -> None:
    marks = read_marks([*tags, "other"], NOW)

    assert marks.is_due == (set(tags) == {"erase-after:2026-11-01"})
    assert marks.due | marks.waiting | marks.bad == set(tags)


def test_a_sweep_is_narrowed_to_runs_whose_marks_are_all_due() -> None:
    some = Marks(frozenset({"erase-after:2026-11-01"}), frozenset(), frozenset())
    mixed = Marks(some.due, frozenset({"erase-after:2027-01-01"}), frozenset({"erase-after:never"}))

    assert str(sweep_expr(rule(), some)).endswith('tags.has_any(["erase-after:2026-11-01"])')
    assert str(sweep_expr(rule(), mixed)).endswith(
        'not (tags.has_any(["erase-after:2027-01-01", "erase-after:never"]))'
    )
