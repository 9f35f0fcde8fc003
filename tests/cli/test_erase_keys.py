"""`wbgql erase key | approvers | approve`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.erasure.made_plans import OFFICER, OWNER, PLANNER, STRANGER, approvers_file, make_plan
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.keys import write_key


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A plan that two must approve, the approvers file, and everybody's keys."""
    (tmp_path / "plan.json").write_bytes(encode(make_plan(required=2)) + b"\n")
    (tmp_path / "approvers.json").write_bytes(approvers_file().to_bytes())
    keys = {"officer": OFFICER, "owner": OWNER, "planner": PLANNER, "stranger": STRANGER}
    for name, key in keys.items():
        write_key(tmp_path / f"{name}.pem", key, None)
    return tmp_path


def _approve(command: Any, case: Path, who: str, *more: str, **given: Any) -> Any:
    return command(
        "erase",
        "approve",
        str(case / "plan.json"),
        "--key",
        str(case / f"{who}.pem"),
        "--approvers",
        str(case / "approvers.json"),
        *more,
        **given,
    )


DIGEST = make_plan(required=2).digest
PHRASE = f"approve 2 runs {DIGEST[7:15]}"


def test_a_key_is_made_and_shown(command, tmp_path):
    made = command("erase", "key", "new", str(tmp_path / "a.pem"))
    shown = command("erase", "key", "show", str(tmp_path / "a.pem"))
    public = command("erase", "key", "show", str(tmp_path / "a.pem.pub"))

    assert made.code == 0, made.err
    assert json.loads(made.out)["key_id"] == shown.rows[0]["key_id"]
    assert shown.rows == public.rows
    assert "PRIVATE" not in made.out + made.err + shown.out


def test_a_passphrase_is_asked_for_at_the_terminal(command, tmp_path):
    file = str(tmp_path / "a.pem")
    made = command("erase", "key", "new", file, "--passphrase", stdin="s3cret\ns3cret\n", interactive=True)
    right = command("erase", "key", "show", file, stdin="s3cret\n", interactive=True)
    wrong = command("erase", "key", "show", file, stdin="other\n", interactive=True)
    nobody = command("erase", "key", "show", file)

    assert [got.code for got in (made, right, wrong, nobody)] == [0, 0, 7, 7]
    assert "s3cret" not in made.err + right.err


def test_a_passphrase_without_a_terminal_comes_from_the_environment(command, tmp_path):
    file = str(tmp_path / "a.pem")

    assert command("erase", "key", "new", file, "--passphrase").code == 2
    command.environ["WBGQL_KEY_PASSPHRASE"] = "s3cret"
    assert command("erase", "key", "new", file, "--passphrase").code == 0
    assert command("erase", "key", "show", file).code == 0


def test_an_approvers_file_is_made_of_public_keys(command, case):
    listed = ("--key", str(case / "officer.pem.pub"), "--role", "data-protection officer")
    more = ("--key", str(case / "owner.pem.pub"), "--role", "system owner")
    made = command("erase", "approvers", "make", *listed, *more, "-o", str(case / "made.json"))
    shown = command("erase", "approvers", "show", str(case / "made.json"))

    assert made.code == 0, made.err
    assert (case / "made.json").read_bytes() == approvers_file().to_bytes()
    assert json.loads(shown.out)["digest"] == approvers_file().digest
    assert command("erase", "approvers", "make", *listed, *more[:2]).code == 2
    private = command("erase", "approvers", "make", "--key", str(case / "owner.pem"), "--role", "x")
    assert (private.code, "holds a private key" in private.err) == (2, True)


def test_an_approval_is_signed_after_a_typed_phrase(command, case):
    got = _approve(command, case, "officer", stdin=f"{PHRASE}\n", interactive=True)

    assert got.code == 0, got.err
    assert json.loads(got.out) == {
        "plan": DIGEST,
        "key_id": OFFICER.key_id,
        "role": "data-protection officer",
        "approvals": 1,
        "required": 2,
    }
    assert "DSR-4711" in got.err
    assert "2 go, 0 matched and stay" in got.err
    for run in make_plan(required=2).runs:
        assert f"{run.path}  {run.storage_id}  made {run.created_at} by {run.owner}" in got.err
        assert all(artifact.id in got.err for artifact in run.artifacts)
    assert len((case / "plan.json.approvals").read_text().splitlines()) == 1


def test_the_same_key_adds_nothing_the_second_time(command, case):
    for _ in range(2):
        got = _approve(command, case, "officer", "--yes", "--digest", DIGEST)
    other = _approve(command, case, "owner", "--yes", "--digest", DIGEST)

    assert json.loads(got.out)["approvals"] == 1
    assert "already" in got.err
    assert json.loads(other.out)["approvals"] == 2


@pytest.mark.parametrize(
    ("more", "given", "code", "why"),
    [
        ((), {}, 7, f"--digest {DIGEST}"),
        (("--yes",), {}, 7, f"--digest {DIGEST}"),
        (("--yes", "--digest", "sha256:" + "0" * 64), {}, 5, "changed"),
        ((), {"interactive": True, "stdin": "approve\n"}, 7, "is not"),
    ],
)
def test_without_a_clear_word_nothing_is_signed(command, case, more, given, code, why):
    got = _approve(command, case, "officer", *more, **given)

    assert (got.code, why in got.err) == (code, True), got.err
    assert not (case / "plan.json.approvals").exists()


@pytest.mark.parametrize(("who", "why"), [("planner", "planner's key"), ("stranger", "not listed")])
def test_22_who_may_not_approve_is_refused(command, case, who, why):
    got = _approve(command, case, who, "--yes", "--digest", DIGEST)

    assert (got.code, why in got.err) == (7, True), got.err
    assert not (case / "plan.json.approvals").exists()


def test_22_approvals_of_a_plan_that_was_changed_are_refused(command, case):
    _approve(command, case, "officer", "--yes", "--digest", DIGEST)
    (case / "plan.json").write_bytes(encode(make_plan(required=2, stays=[])) + b"\n")

    got = _approve(command, case, "owner", "--yes", "--digest", make_plan(required=2, stays=[]).digest)

    assert (got.code, "for another plan" in got.err) == (7, True), got.err


def test_the_approvers_file_may_come_from_the_environment(command, case):
    argv = (
        "erase",
        "approve",
        str(case / "plan.json"),
        "--key",
        str(case / "officer.pem"),
        "--yes",
        "--digest",
    )

    assert command(*argv, DIGEST).code == 2
    command.environ["WBGQL_APPROVERS"] = str(case / "approvers.json")
    assert command(*argv, DIGEST).code == 0


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff\xfe", encode(make_plan())[:-9]])
def test_what_is_no_plan_is_a_line_and_no_traceback(command, case, content):
    (case / "plan.json").write_bytes(content)

    got = _approve(command, case, "officer")

    assert (got.code, "not a plan" in got.err, "Traceback" in got.err) == (2, True, False), got.err
