"""`wbgql erase close`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.test_erase_certify import Evidence
from tests.erasure.gone_server import GoneServer


@pytest.fixture
def evidence(command, tmp_path):
    made = Evidence(command, tmp_path)
    made.case.pass_(days=7)
    made.case.verify()
    assert made.certify().code == 0
    command.server = GoneServer()
    command.defaults["base_url"] = made.case.plan.server.base_url
    return made


def _close(evidence: Evidence, *more: str, **given: Any) -> Any:
    argv = ["erase", "close", evidence.file("plan.json"), "--key", evidence.file("certifier.pem"), *more]
    return evidence.command(*argv, **given)


def test_a_case_is_closed_after_a_typed_phrase_and_checks_afterwards(evidence):
    phrase = f"close {evidence.case.plan.digest[7:15]}\n"
    got = _close(evidence, stdin=phrase, interactive=True)
    checked = evidence.check()
    again = _close(evidence)
    status = evidence.command("erase", "status", evidence.file("plan.json"), "--format", "json")

    assert got.code == 0, got.err
    assert "this destroys the plan, the case key" in got.err
    assert "closing: destroying the plan" in got.err
    assert not evidence.case.path.exists()
    assert (checked.code, {row["check"]: row["result"] for row in checked.rows}["closing"]) == (0, "ok")
    assert (again.code, json.loads(again.out)) == (0, json.loads(got.out))
    told = json.loads(status.out)
    assert (status.code, told["state"], told["plan"]) == (0, "closed", evidence.case.plan.digest)
    assert told["incomplete"] is None


@pytest.mark.parametrize(
    ("more", "given", "code"),
    [
        ((), {}, 7),
        (("--yes",), {}, 7),
        (("--yes", "--digest", "sha256:" + "0" * 64), {}, 5),
        ((), {"interactive": True, "stdin": "close\n"}, 7),
    ],
)
def test_without_a_clear_word_nothing_is_destroyed(evidence, more, given, code):
    got = _close(evidence, *more, **given)

    assert got.code == code, got.err
    assert evidence.case.path.exists()


def test_a_run_that_is_back_keeps_the_case_open(evidence):
    evidence.command.server = GoneServer(evidence.case.plan.runs[0].id)
    got = _close(evidence, "--yes", "--digest", evidence.case.plan.digest)

    assert (got.code, "can be read" in got.err) == (10, True), got.err
    assert evidence.case.path.exists()


def test_before_its_time_it_is_refused_or_forced_under_a_reference(evidence):
    evidence.case.reopen(0)
    word = ("--yes", "--digest", evidence.case.plan.digest)
    refused = _close(evidence, *word)
    forced = _close(evidence, *word, "--force-incomplete", "CANCELLED-1")

    assert (refused.code, "not to be closed yet" in refused.err) == (10, True)
    assert json.loads(forced.out)["incomplete"] == "CANCELLED-1"
    assert "against it: " in forced.err


def test_a_plan_that_is_not_there_is_told(evidence, tmp_path):
    argv = ["erase", "close", str(tmp_path / "none.json"), "--key", evidence.file("certifier.pem")]

    assert evidence.command(*argv).code == 14


def test_a_changed_closing_record_is_no_state(evidence, tmp_path):
    _close(evidence, "--yes", "--digest", evidence.case.plan.digest)
    record = tmp_path / "plan.json.certificate/closing.json"
    record.write_bytes(record.read_bytes().replace(b'"incomplete":null', b'"incomplete":"X-1"'))
    got = evidence.command("erase", "status", evidence.file("plan.json"))

    assert (got.code, got.out) == (10, ""), got.err
