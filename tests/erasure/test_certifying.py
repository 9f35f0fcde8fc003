"""A certificate says what the ledger proves, supersedes the former one, and is not given out for less."""

from __future__ import annotations

import json
import sqlite3

import msgspec
import pytest

from tests.erasure.certified import CERTIFIER, HandMadeCase
from tests.erasure.made_plans import (
    CASE_KEY,
    OFFICER,
    STRANGER,
    approvers_file,
    clocks,
    make_plan,
    planned_artifact,
    planned_run,
)
from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.bundle import read_certificate, read_journal, read_population
from wbgql.erasure.evidence.standing import read_standing
from wbgql.erasure.records.approvals import Approval
from wbgql.erasure.records.journal import find_break
from wbgql.erasure.records.plan import ExcludedRun, NotRead, Rule
from wbgql.erasure.records.verification import Finding, Residual
from wbgql.errors import NotApproved, NotVerified, PlanChanged, StoreError, UsageError


@pytest.fixture
def made(tmp_path):
    return HandMadeCase(tmp_path)


def test_a_certificate_says_what_was_proved(made):
    made.apply()
    made.pass_(minutes=5)
    made.verify()
    given = made.certify()
    certificate = given.signed.certificate

    assert certificate.stage == "HIDDEN"
    assert certificate.population.runs == {"hidden": 2}
    assert certificate.population.artifacts == {"deleted": 1}
    assert certificate.execution.requests == 3
    assert certificate.scope.asks == ["tags =="]
    assert certificate.missing.endswith("ends, at 2026-01-08T01:00:00Z")
    assert certificate.is_test
    assert certificate.statement[0].startswith("TEST")
    assert certificate.certified_by == CERTIFIER.key_id
    assert [approval.role for approval in certificate.approvals.given] == [
        "data-protection officer",
        "system owner",
    ]
    assert read_certificate(made.bundle) == given.signed
    assert find_break(read_journal(made.bundle / "journal.jsonl"), certificate.head) is None
    assert [item.proof for item in read_population(made.bundle / "population.csv")] == ["absent"] * 3


def test_the_stages_follow_the_proofs_and_each_certificate_supersedes_the_former(made):
    made.apply()
    made.verify()
    digests = [made.certify().signed.certificate.digest]
    made.pass_(days=7)
    made.verify()
    made.verify("absent")
    second = made.certify()
    made.pass_(days=1)
    third = made.certify(attest="TICKET-9")

    assert second.signed.certificate.stage == "STORAGE_VERIFIED"
    assert second.signed.certificate.supersedes == digests[0]
    assert [item.proof for item in read_population(second.folder / "population.csv")] == [
        "absent_in_store"
    ] * 3
    assert third.signed.certificate.supersedes == second.signed.certificate.digest
    assert third.signed.certificate.attestations[0].reference == "TICKET-9"
    assert third.former == made.folder / "plan.json.certificate.superseded-2"
    assert (
        read_certificate(made.folder / "plan.json.certificate.superseded-1").certificate.digest == digests[0]
    )


def test_a_provider_s_word_is_said_to_be_one(made):
    made.apply()
    made.pass_(days=7)
    made.verify()
    certificate = made.certify(attest="TICKET-9").signed.certificate

    assert certificate.stage == "PROVIDER_ATTESTED"
    assert "'TICKET-9'. Nobody here saw it." in certificate.statement[-1]


def test_what_a_look_at_the_store_found_is_said_whatever_the_provider_attests(made):
    made.apply()
    made.pass_(days=7)
    made.verify()
    made.verify("present")
    certificate = made.certify(attest="TICKET-9").signed.certificate

    assert certificate.stage == "PROVIDER_ATTESTED"
    assert "a look at the store (local) found something of them there" in certificate.statement[-1]

    made.verify("absent")

    assert not any("found something" in line for line in made.certify().signed.certificate.statement)


def test_a_window_that_ended_before_the_certificate_is_not_said_to_be_open(made):
    made.apply()
    made.verify()
    assert "can still bring them back, until" in made.certify().signed.certificate.statement[-2]

    made.pass_(days=30)
    certificate = made.certify().signed.certificate

    assert certificate.stage == "HIDDEN"
    assert "could bring them back, until" in certificate.statement[-2]
    assert "still" not in certificate.statement[-2]


@pytest.mark.parametrize("verdict", [None, "cannot_verify", "not_hidden", "absent"])
def test_19_nothing_is_certified_that_was_not_proved(made, verdict):
    made.apply()
    if verdict:
        made.verify(verdict)

    with pytest.raises(NotVerified, match="nothing can be certified"):
        made.certify(attest="TICKET-9")
    assert not made.bundle.exists()
    assert "attested" not in [entry.kind for entry in made.case.ledger.entries(made.case.job)]


def test_15_runs_that_came_back_take_the_proof_away(made):
    made.apply()
    made.verify()
    former = made.certify().signed.certificate
    made.reopen(0)
    with pytest.raises(NotVerified):
        made.certify()

    made.pass_(hours=1)
    made.apply()
    made.verify()
    certificate = made.certify().signed.certificate

    assert certificate.supersedes == former.digest
    assert certificate.execution.reopened == 1
    assert made.verify().digest != former.digest


def test_what_was_not_done_stands_in_the_population_with_its_reason(tmp_path):
    plan = make_plan(
        planned_run("r1", planned_artifact("a"), planned_artifact("b", decision="keep", reason="linked")),
        planned_run("r2", planned_artifact("c")),
        planned_run("r3"),
        planned_run("r4"),
        excluded=[ExcludedRun(path="acme/vision/r5", reason="held", detail="H1 of Anna")],
        not_read=[NotRead(path="acme/secret", reason="not visible")],
    )
    made = HandMadeCase(tmp_path, plan)
    made.apply({"r2": "denied", "r3": "erased_by_other", "r4": None})
    made.verify()
    certificate = made.certify().signed.certificate
    items = read_population(made.bundle / "population.csv")

    assert certificate.population.runs == {"hidden": 1, "denied": 1, "erased_by_other": 1, "open": 1}
    assert certificate.population.artifacts == {"deleted": 1, "kept": 1, "skipped": 1}
    assert (certificate.population.kept, certificate.population.excluded) == ({"linked": 1}, {"held": 1})
    assert [(item.kind, item.run, item.outcome, item.reason) for item in items] == [
        ("run", 1, "hidden", None),
        ("artifact", 1, "deleted", None),
        ("artifact", 1, "kept", "linked"),
        ("run", 2, "denied", None),
        ("artifact", 2, "skipped", None),
        ("run", 3, "erased_by_other", None),
        ("run", 4, "open", None),
        ("run", 0, "excluded", "held"),
    ]
    said = " ".join(certificate.statement)
    assert "1 of them was gone before this job sent anything" in said
    assert len(certificate.scope.not_read) == 1


def test_21_what_is_left_is_counted_and_blocks_the_store(made):
    made.apply()
    made.pass_(days=7)
    left = Residual(subject="5" * 64, kind="system_artifact", reason="the server's own")
    made.verify(residuals=[left, msgspec.structs.replace(left, subject="6" * 64)])
    made.verify("absent")
    certificate = made.certify().signed.certificate

    assert certificate.stage == "WINDOW_PASSED"
    assert certificate.stays[0].endswith("can remove them (2)")
    assert certificate.verifications[0].residuals == {"system_artifact": 2}


def test_20_what_the_server_does_not_say_is_a_limit_and_no_stage(tmp_path):
    made = HandMadeCase(tmp_path, make_plan(clocks=clocks(undelete=None)))
    made.apply()
    made.pass_(days=400)
    made.verify()
    certificate = made.certify().signed.certificate

    assert certificate.stage == "HIDDEN"
    assert "not known" in certificate.missing
    assert any("was not tried out beforehand" in limit for limit in certificate.limitations)


def test_single_findings_stand_at_their_items(made):
    made.apply()
    made.verify()
    stored = Finding(subject=made.subject(1), kind="run", state="stored", run=1)
    made.verify("present", findings=[stored])
    made.certify()
    items = read_population(made.bundle / "population.csv")

    assert [item.proof for item in items] == ["absent_in_store", "absent_in_store", "stored"]


def test_22_approvals_are_checked_again_and_carried_along(made):
    made.apply()
    made.verify()
    with pytest.raises(NotApproved, match="0 of 2"):
        made.certify(approvals=[])
    with pytest.raises(NotApproved, match="--approvers"):
        made.certify(approvers=None)
    forged = Approval(
        plan=made.plan.digest,
        key_id=OFFICER.key_id,
        role="data-protection officer",
        at="2026-01-01T01:00:00Z",
        signature="00",
    )
    with pytest.raises(NotApproved, match="does not fit"):
        made.certify(approvals=[forged])
    assert made.certify().signed.certificate.approvers_digest == approvers_file().digest


def test_an_expired_plan_can_still_be_certified(made):
    made.apply()
    made.pass_(days=100)
    made.verify()

    assert made.certify().signed.certificate.stage == "WINDOW_PASSED"


def test_22_a_plan_that_is_not_the_jobs_is_refused(made):
    made.apply()
    made.verify()
    other = msgspec.structs.replace(made.plan, stays=[])
    made.case = Case(path=made.path, plan=other, key=CASE_KEY, ledger=made.case.ledger)

    with pytest.raises(PlanChanged, match="from plan sha256"):
        read_standing(made.case, made.now)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE journal SET body = '{}' WHERE seq = 3", "broken at entry 3"),
        ("DELETE FROM journal WHERE seq = 4", "broken at entry 4"),
        ("DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)", "broken at entry"),
        ("UPDATE verifications SET results = replace(results, '\"hidden\"', '\"absent\"')", "not the one"),
        ("UPDATE verifications SET results = '{'", "damaged"),
        ("DELETE FROM actions WHERE run_no = 1", "not those of the plan"),
        (
            "UPDATE actions SET target = replace(target, '\"r2\"', '\"r9\"')",
            "not what the approved plan says",
        ),
        (
            "UPDATE actions SET target = replace(target, '\"net:v0\"', '\"net:v9\"') WHERE action_no = 1",
            "not what the approved",
        ),
    ],
)
def test_22_a_ledger_that_contradicts_itself_certifies_nothing(made, change, why):
    made.apply()
    made.verify()
    with made.case.ledger.engine.begin() as connection:
        connection.exec_driver_sql(change)

    with pytest.raises(NotVerified, match=why):
        made.certify()


def test_a_folder_that_is_no_certificate_s_is_left_alone(made, tmp_path):
    made.apply()
    made.verify()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")

    with pytest.raises(UsageError, match="holds no certificate"):
        made.certify(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_23_where_it_cannot_be_written_no_half_of_it_is_left(made, tmp_path):
    made.apply()
    made.verify()
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreError):
        made.certify(tmp_path / "file" / "certificate")
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []
    assert "certificate" not in [entry.kind for entry in made.case.ledger.entries(made.case.job)]


def test_a_rule_is_told_without_its_values_and_keys(tmp_path):
    where = 'config["anna"] == "anna" and created_at < "2026-01-01T00:00:00Z" and not (summary["acc"] > 0.9)'
    plan = make_plan(rule=Rule(scopes=["acme/*"], where=where, filters="{}"))
    made = HandMadeCase(tmp_path, plan)
    made.apply()
    made.verify()
    text = json.dumps(msgspec.to_builtins(made.certify().signed))

    assert made.certify().signed.certificate.scope.asks == [
        "config[...] ==",
        "created_at <",
        "summary[...] >",
    ]
    assert "anna" not in text


@pytest.mark.parametrize(("was", "is_now"), [("hidden", "denied"), ("denied", "hidden")])
def test_an_outcome_that_was_changed_in_the_ledger_is_not_certified(made, was, is_now):
    first = made.plan.runs[0].id
    made.apply({first: was})
    made.verify()
    with sqlite3.connect(made.folder / "erasure.sqlite") as ledger:
        ledger.execute("UPDATE actions SET outcome = ? WHERE run_no = 0 AND action_no = 0", (is_now,))

    with pytest.raises(NotVerified, match="item 1 "):
        made.certify()


@pytest.mark.parametrize("damage", ["UPDATE actions SET target = '{}'", "UPDATE journal SET body = '{'"])
def test_a_damaged_row_of_the_ledger_is_a_damaged_ledger(made, damage):
    made.apply()
    made.verify()
    with sqlite3.connect(made.folder / "erasure.sqlite") as ledger:
        ledger.execute(damage)

    with pytest.raises(StoreError, match="damaged"):
        made.certify()


def test_the_key_signs_and_another_does_not_fit(made):
    made.apply()
    made.verify()

    assert made.certify(key=STRANGER).signed.is_signed
    assert made.certify(key=STRANGER).signed.certificate.certified_by == STRANGER.key_id
