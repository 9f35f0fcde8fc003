"""`wbgql erase certify | check`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.erasure.certified import CERTIFIER, HandMadeCase
from tests.erasure.made_plans import STRANGER, approvers_file
from wbgql.erasure.case.files import approvals_path
from wbgql.erasure.records.approvals import append_approval
from wbgql.erasure.records.keys import write_key


class Evidence:
    """A case made by hand, and the commands on it."""

    def __init__(self, command: Any, folder: Path) -> None:
        self.case = HandMadeCase(folder)
        self.case.apply()
        self.folder = folder
        self.command = command
        command.environ["WBGQL_DATABASE"] = f"sqlite:///{folder / 'erasure.sqlite'}"
        for approval in self.case.approvals:
            append_approval(approvals_path(self.case.path), approval)
        (folder / "approvers.json").write_bytes(approvers_file().to_bytes())
        for name, key in {"certifier": CERTIFIER, "stranger": STRANGER}.items():
            write_key(folder / f"{name}.pem", key, None)

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def certify(self, *more: str) -> Any:
        self.command.now = self.case.now
        argv = ["--key", self.file("certifier.pem"), "--approvers", self.file("approvers.json"), *more]
        return self.command("erase", "certify", self.file("plan.json"), *argv)

    def check(self, *more: str, trusted: str = "certifier.pem.pub") -> Any:
        argv = [self.file("plan.json.certificate"), "--trusted-keys", self.file(trusted), *more]
        return self.command("erase", "check", *argv)


@pytest.fixture
def evidence(command, tmp_path):
    return Evidence(command, tmp_path)


def _results(got: Any) -> dict[str, str]:
    return {row["check"]: row["result"] for row in got.rows}


def test_what_was_proved_is_signed_and_checked(evidence):
    evidence.case.verify()
    made = evidence.certify("--keep-until", "2028-01-01", "--keep-basis", "CCPA-7101")
    checked = evidence.check()

    assert made.code == 0, made.err
    assert json.loads(made.out)["stage"] == "HIDDEN"
    assert "TEST: this came from the local test server" in made.err
    assert "for the next stage: no verification was made since the undelete window" in made.err
    assert checked.code == 0, checked.err
    assert set(_results(checked).values()) == {"ok", "-"}
    certificate = json.loads((evidence.case.bundle / "certificate.json").read_bytes())["certificate"]
    assert certificate["retention"] == {"until": "2028-01-01", "basis": "CCPA-7101"}


def test_19_where_nothing_was_proved_nothing_is_given_out(evidence):
    evidence.case.verify("cannot_verify")
    made = evidence.certify()

    assert (made.code, "could not verify" in made.err) == (10, True), made.err
    assert not evidence.case.bundle.exists()


def test_a_later_certificate_supersedes_the_former(evidence):
    evidence.case.verify()
    first, second = evidence.certify(), evidence.certify("--attest", "TICKET-9")
    former = evidence.file("plan.json.certificate.superseded-1")
    argv = [former, "--trusted-keys", evidence.file("certifier.pem.pub"), "--newer"]
    old = evidence.command("erase", "check", *argv, evidence.file("plan.json.certificate"))

    assert json.loads(second.out)["supersedes"] == json.loads(first.out)["digest"]
    assert (old.code, _results(old)["newer certificate"]) == (10, "FAILED")
    assert "superseded by the certificate of" in old.out


def test_22_rejected_is_exit_10_with_the_first_bad_entry(evidence):
    evidence.case.verify()
    evidence.certify()
    journal = evidence.case.bundle / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"attempt":1', b'"attempt":2', 1))
    changed = evidence.check()
    stranger = evidence.check(trusted="stranger.pem.pub")

    assert (changed.code, _results(changed)["journal"]) == (10, "FAILED")
    assert "entry 3: its content does not match its hash" in changed.out
    assert _results(stranger)["trusted key"] == "FAILED"


def test_what_a_rejected_certificate_says_is_not_printed(evidence):
    evidence.case.verify()
    evidence.certify()
    key = ("--case-key", evidence.file("plan.json.key"), "--run", "acme/vision/r1")
    good, bad = evidence.check(*key), evidence.check(*key, trusted="stranger.pem.pub")

    assert "answered all 2 of them as absent" in good.out
    assert "answered all 2 of them as absent" not in bad.out + bad.err
    said = {row["check"]: row["detail"] for row in bad.rows}
    assert said["says"] == "not printed: the certificate is rejected"
    assert said["run"] == "not answered: the certificate is rejected"


def test_keys_of_approvers_and_of_certifiers_are_two_lists(evidence):
    evidence.case.verify()
    evidence.certify()
    approvers = ("--approvers", evidence.file("approvers.json"))

    assert evidence.check(*approvers).code == 0
    assert evidence.check("--approvers", evidence.file("certifier.pem.pub")).code == 10
    mixed = evidence.check(trusted="approvers.json")
    assert (mixed.code, "do not sign certificates" in mixed.err) == (2, True)


def test_an_auditor_needs_no_job_engine_and_no_database(evidence):
    evidence.case.verify()
    evidence.certify()
    script = """
import sys
for module in ("dbos", "sqlalchemy", "jinja2", "yaml", "apsw", "wandb", "pyarrow", "polars", "fsspec"):
    sys.modules[module] = None
from wbgql.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    folder, key = str(evidence.case.bundle), evidence.file("certifier.pem.pub")
    argv = [sys.executable, "-c", script, "erase", "check", folder, "--trusted-keys", key]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert '"claims"' in done.stdout


@pytest.mark.parametrize(
    ("run", "answer"), [("r1", "yes: hidden, absent"), ("r9", "no: the case has no such run")]
)
def test_27_the_case_key_tells_whether_a_run_was_in_it(evidence, run, answer):
    evidence.case.verify()
    evidence.certify()
    got = evidence.check("--case-key", evidence.file("plan.json.key"), "--run", f"acme/vision/{run}")

    assert got.code == 0, got.err
    assert got.rows[-1] == {"check": "run", "result": "-", "detail": answer}
    assert evidence.check("--run", f"acme/vision/{run}").code == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\x00\xff"])
@pytest.mark.parametrize("file", ["certificate.json", "journal.jsonl", "population.csv"])
def test_whatever_stands_in_a_file_there_is_no_traceback(evidence, file, content):
    evidence.case.verify()
    evidence.certify()
    (evidence.case.bundle / file).write_bytes(content)
    got = evidence.check("--debug")

    assert got.code == 10
    assert "internal error" not in got.err


def test_a_missing_certificate_or_key_list_is_told(evidence):
    assert evidence.check().code == 14
    evidence.case.verify()
    evidence.certify()
    assert evidence.check(trusted="none.pub").code == 14
    assert evidence.check(trusted="plan.json.key").code == 2
