"""Approvals: which count, and what refuses them all (failure mode 22 of the fact sheet)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from tests.erasure.made_plans import (
    NOW,
    OFFICER,
    OWNER,
    PLANNER,
    STRANGER,
    approvers_file,
    make_plan,
    planned_run,
)
from wbgql.erasure.records.approvals import (
    Approval,
    Approver,
    ApproversFile,
    append_approval,
    check_approvals,
    make_approval,
    parse_approvers,
    read_approvals,
)
from wbgql.erasure.records.plan import Plan
from wbgql.errors import NotApproved, PlanChanged, StoreError, UsageError

FILE = approvers_file()
LATER = NOW + timedelta(hours=1)


def _approve(plan: Plan, *keys) -> list[Approval]:
    return [make_approval(plan, key, FILE, LATER) for key in keys]


def _forged(
    plan: Plan, key, role: str = "data-protection officer", at: str = "2026-01-01T01:00:00Z"
) -> Approval:
    """An approval that its maker signed without asking anybody."""
    unsigned = Approval(plan=plan.digest, key_id=key.key_id, role=role, at=at, signature="")
    return msgspec.structs.replace(unsigned, signature=key.sign(unsigned.signed))


def test_enough_approvals_by_listed_keys_count():
    plan = make_plan(required=2)

    counted = check_approvals(plan, _approve(plan, OFFICER, OWNER), FILE, LATER)

    assert [approved.key_id for approved in counted] == [OFFICER.key_id, OWNER.key_id]
    assert [approved.role for approved in counted] == ["data-protection officer", "system owner"]


def test_a_plan_without_approvers_needs_none():
    assert check_approvals(make_plan(), [], None, LATER) == []


def test_a_plan_without_approvers_is_refused_where_they_are_configured():
    with pytest.raises(NotApproved, match="names no approvers"):
        check_approvals(make_plan(), [], FILE, LATER)


def test_one_key_counts_once():
    plan = make_plan(required=2)

    with pytest.raises(NotApproved, match="1 of 2 approvals"):
        check_approvals(plan, _approve(plan, OFFICER, OFFICER), FILE, LATER)


@pytest.mark.parametrize("required", [1, 0])
def test_no_approval_is_too_few_even_where_none_is_asked_for(required):
    with pytest.raises(NotApproved, match="0 of 1 approval"):
        check_approvals(make_plan(required=required), [], FILE, LATER)


def test_22_the_planner_cannot_approve():
    everybody = ApproversFile(
        [*FILE.approvers, Approver(public_key=PLANNER.public.to_base64(), role="planner")]
    )
    plan = make_plan(required=1)
    plan = msgspec.structs.replace(
        plan, approvers=msgspec.structs.replace(plan.approvers, digest=everybody.digest)
    )

    with pytest.raises(NotApproved, match="planner's key"):
        make_approval(plan, PLANNER, everybody, LATER)
    with pytest.raises(NotApproved, match="planner's key"):
        check_approvals(plan, [_forged(plan, PLANNER, "planner")], everybody, LATER)


def test_22_a_key_that_is_not_listed_is_refused_beside_good_ones():
    plan = make_plan(required=1)

    with pytest.raises(NotApproved, match="not listed"):
        make_approval(plan, STRANGER, FILE, LATER)
    with pytest.raises(NotApproved, match=f"{STRANGER.key_id} is not listed"):
        check_approvals(plan, [*_approve(plan, OFFICER), _forged(plan, STRANGER)], FILE, LATER)


def test_22_a_plan_that_was_changed_after_the_approval_is_refused():
    plan = make_plan(required=1)
    changed = make_plan(planned_run("r1"), planned_run("other"), required=1)

    with pytest.raises(NotApproved, match="for another plan"):
        check_approvals(changed, _approve(plan, OFFICER), FILE, LATER)


def test_22_an_expired_plan_is_void():
    plan = make_plan(required=1)
    given = _approve(plan, OFFICER)
    late = NOW + timedelta(days=7)

    with pytest.raises(PlanChanged, match="expired"):
        check_approvals(plan, given, FILE, late)
    with pytest.raises(PlanChanged, match="expired"):
        make_approval(plan, OFFICER, FILE, late)


@pytest.mark.parametrize(
    "change",
    [{"signature": "00" * 64}, {"signature": ""}, {"role": "system owner"}, {"at": "2026-01-01T01:00:01Z"}],
)
def test_22_a_changed_approval_is_refused(change):
    plan = make_plan(required=1)
    (given,) = _approve(plan, OFFICER)

    with pytest.raises(NotApproved, match="does not fit"):
        check_approvals(plan, [msgspec.structs.replace(given, **change)], FILE, LATER)


def test_22_another_approvers_file_is_refused():
    plan = make_plan(required=1)
    wider = ApproversFile([*FILE.approvers, Approver(public_key=STRANGER.public.to_base64(), role="anybody")])

    with pytest.raises(NotApproved, match="another one"):
        check_approvals(plan, _approve(plan, OFFICER), wider, LATER)
    with pytest.raises(NotApproved, match="--approvers"):
        check_approvals(plan, _approve(plan, OFFICER), None, LATER)


@pytest.mark.parametrize(
    "at", ["2025-12-31T23:00:00Z", "2026-01-01T02:00:00Z", "2026-01-09T00:00:00Z", "soon"]
)
def test_17_an_approval_given_at_an_impossible_time_is_refused(at):
    plan = make_plan(required=1)

    with pytest.raises(NotApproved, match=r"clocks|no time"):
        check_approvals(plan, [_forged(plan, OFFICER, at=at)], FILE, LATER)


def test_17_clocks_a_few_minutes_apart_are_no_reason_to_refuse():
    plan = make_plan(required=1)
    given = [_forged(plan, OFFICER, at="2025-12-31T23:57:00Z"), _forged(plan, OWNER, "system owner")]

    assert len(check_approvals(plan, given, FILE, LATER - timedelta(minutes=4))) == 2


def test_messages_name_keys_and_nobody():
    plan = make_plan(required=2)

    with pytest.raises(NotApproved) as caught:
        check_approvals(plan, _approve(plan, OFFICER), FILE, LATER)
    assert OFFICER.key_id in str(caught.value)
    assert not any(name in str(caught.value) for name in ("paul", "anna", "acme", "r1"))


def test_the_digest_of_an_approvers_file_is_the_same_however_it_is_written():
    pem = ", ".join(
        msgspec.json.encode({"role": FILE.role(key.key_id), "public_key": key.public.to_pem()}).decode()
        for key in (OWNER, OFFICER)
    )

    assert parse_approvers(f'{{ "approvers": [{pem}] }}'.encode()).digest == FILE.digest
    assert parse_approvers(FILE.to_bytes()).digest == FILE.digest
    assert parse_approvers(FILE.to_bytes().replace(b"system owner", b"somebody")).digest != FILE.digest


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not an approvers file"),
        (b"{}", "not an approvers file"),
        (b"[" * 100_000, "not an approvers file"),
        (b'{"approvers": []}', "at least one key"),
        (b'{"approvers": [{"public_key": "AAAA", "role": "x"}]}', "not a public key"),
        (FILE.to_bytes().replace(b"system owner", b" "), "the role of"),
        (
            FILE.to_bytes().replace(OWNER.public.to_base64().encode(), OFFICER.public.to_base64().encode()),
            "twice",
        ),
    ],
)
def test_what_is_no_approvers_file_is_told(content, why):
    with pytest.raises(UsageError, match=why):
        parse_approvers(content)


def test_approvals_are_kept_beside_the_plan(tmp_path):
    plan = make_plan(required=2)
    given = _approve(plan, OFFICER, OWNER)
    file = tmp_path / "plan.json.approvals"

    assert read_approvals(file) == []
    for approval in given:
        append_approval(file, approval)

    assert read_approvals(file) == given
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_broken_off_is_named(tmp_path):
    file = tmp_path / "plan.json.approvals"
    append_approval(file, _approve(make_plan(required=1), OFFICER)[0])
    with file.open("ab") as stream:
        stream.write(b'{"at":"20')

    with pytest.raises(StoreError, match="line 2"):
        read_approvals(file)
