"""The check finds whatever was changed, names the first bad entry, and is not to be had without a trusted key."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.erasure.certified import CERTIFIER, HandMadeCase
from tests.erasure.made_plans import CASE_KEY, OFFICER, OWNER, PLANNER, STRANGER, approvers_file, make_plan
from wbgql.erasure.evidence.bundle import read_certificate
from wbgql.erasure.evidence.certificate import Certificate, sign_certificate
from wbgql.erasure.evidence.check import Asked, Report, check_bundle, read_approver_keys, read_trusted
from wbgql.erasure.records import canonical
from wbgql.erasure.records.approvals import Approval, Approver
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import NotVerified, StoreError, UsageError
from wbgql.paths import RunPath

TRUSTED = frozenset([CERTIFIER.public])
PARTS = ("certificate.json", "journal.jsonl", "population.csv", "verifications.jsonl")


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> HandMadeCase:
    """A case with a certificate, which tests copy and never change."""
    made = HandMadeCase(tmp_path_factory.mktemp("case"))
    made.apply()
    made.pass_(minutes=5)
    made.verify()
    made.certify()
    return made


@pytest.fixture
def bundle(stored, tmp_path) -> Path:
    return Path(shutil.copytree(stored.bundle, tmp_path / "bundle"))


def _check(bundle: Path, **asked: Any) -> Report:
    return check_bundle(bundle, TRUSTED, Asked(**asked))


def _failed(report: Report) -> dict[str, str]:
    return {check.name: check.detail for check in report.checks if check.ok is False}


def _forge(bundle: Path, key: Any = CERTIFIER, **changes: Any) -> None:
    """Change the certificate and sign it again, as whoever has the key could."""
    certificate: Certificate = read_certificate(bundle).certificate
    changed = msgspec.structs.replace(certificate, certified_by=key.key_id, **changes)
    (bundle / "certificate.json").write_bytes(sign_certificate(changed, key).to_bytes())


def test_a_good_certificate_passes_every_check(bundle):
    report = _check(bundle)

    assert report.is_good
    assert [check.name for check in report.checks if check.ok] == [
        "signature",
        "trusted key",
        "stages",
        "population",
        "journal",
        "verifications",
        "journal and population",
        "scope",
        "claims",
        "words",
        "approvals",
    ]


@pytest.mark.parametrize("part", PARTS)
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_22_any_changed_byte_is_rejected(stored, bundle, part, data):
    content = (stored.bundle / part).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    (bundle / part).write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])

    try:
        assert not _check(bundle).is_good
    except NotVerified:
        assert part == "certificate.json"


@pytest.mark.parametrize("part", PARTS)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_22_any_cut_or_added_part_is_rejected(stored, bundle, part, data):
    content = (stored.bundle / part).read_bytes()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    more = data.draw(
        st.binary(max_size=4) | st.sampled_from([b"\n", b" ", b"\n\n", b"{}\n", b"\xef\xbb\xbf"])
    )
    changed = content[:start] + more + content[end:]
    (bundle / part).write_bytes(changed)

    try:
        assert _check(bundle).is_good == (changed == content)
    except NotVerified:
        assert part == "certificate.json"


@pytest.mark.parametrize("part", PARTS)
@given(
    content=st.binary(max_size=300)
    | st.recursive(st.none() | st.text(max_size=3), st.lists).map(msgspec.json.encode)
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_file_holds_the_answer_is_a_check(bundle, part, content):
    (bundle / part).write_bytes(content)

    if part == "certificate.json":
        with pytest.raises(NotVerified, match="not a certificate"):
            _check(bundle)
    else:
        assert not _check(bundle).is_good


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"certificate":' * 20_000,
        b"{" + b'"a":1,' * 10 + b'"b":NaN}',
        b"\xff" * 99,
        b"0" * 17_000_000,
    ],
)
def test_hostile_certificates_are_told_in_a_line(bundle, content):
    (bundle / "certificate.json").write_bytes(content)

    with pytest.raises(NotVerified):
        _check(bundle)


def test_22_a_removed_journal_entry_is_named(bundle):
    lines = (bundle / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (bundle / "journal.jsonl").write_bytes(b"".join(lines[:4] + lines[5:]))

    assert _failed(_check(bundle))["journal"] == "entry 5: entry 6 stands in its place"


def test_22_two_swapped_entries_are_named(bundle):
    lines = (bundle / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    (bundle / "journal.jsonl").write_bytes(b"".join(lines))

    assert _failed(_check(bundle))["journal"] == "entry 3: entry 4 stands in its place"


def test_22_a_cut_tail_is_named(bundle):
    lines = (bundle / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (bundle / "journal.jsonl").write_bytes(b"".join(lines[:-2]))

    assert "it is missing" in _failed(_check(bundle))["journal"]


def test_22_a_changed_byte_of_an_entry_is_named(bundle):
    text = (bundle / "journal.jsonl").read_text().replace('"outcome":"hidden"', '"outcome":"denied"', 1)
    (bundle / "journal.jsonl").write_text(text)

    assert _failed(_check(bundle))["journal"] == "entry 4: its content does not match its hash"


def test_22_another_key_is_rejected_however_good_its_signature(bundle):
    _forge(bundle, STRANGER)
    report = _check(bundle)

    assert _failed(report) == {
        "trusted key": f"{STRANGER.key_id} signed it and is not among the 1 trusted keys"
    }
    assert check_bundle(bundle, frozenset([STRANGER.public]), Asked()).is_good


def test_no_trusted_key_no_good_certificate(bundle):
    assert "trusted key" in _failed(check_bundle(bundle, frozenset(), Asked()))


def test_22_claims_that_the_journal_does_not_record_are_rejected_even_when_signed(bundle, stored):
    """Whoever holds the certifier's key cannot claim one run more: the chain has no outcome for it."""
    lines = (bundle / "population.csv").read_text().splitlines(keepends=True)
    from wbgql.erasure.evidence.bundle import read_population
    from wbgql.erasure.evidence.population import count_items, root_of

    lines[3] = lines[3].replace(stored.subject(1), "a" * 64)
    (bundle / "population.csv").write_text("".join(lines))
    items = read_population(bundle / "population.csv")
    _forge(bundle, merkle_root=root_of(items), population=count_items(items, matched=2))

    assert _failed(_check(bundle)) == {
        "journal and population": "item 3 is hidden, the journal records nothing"
    }


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "STORAGE_VERIFIED"},
        {"steps": []},
        {"verifications": []},
    ],
)
def test_22_a_stage_without_its_steps_is_rejected(bundle, change):
    _forge(bundle, **change)

    assert "stages" in _failed(_check(bundle))


def _approval(key: Any, plan: str, role: str = "anybody") -> Approval:
    unsigned = Approval(plan=plan, key_id=key.key_id, role=role, at="2026-01-01T01:00:00Z", signature="")
    return msgspec.structs.replace(unsigned, signature=key.sign(unsigned.signed))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda given, plan: {"given": given.given[:1]}, "1 of 2"),
        (lambda given, plan: {"given": [given.given[0]] * 2}, "1 of 2"),
        (lambda given, plan: {"given": [*given.given, _approval(STRANGER, plan)]}, "is not listed"),
        (
            lambda given, plan: {"given": [msgspec.structs.replace(given.given[0], signature="0" * 128)] * 2},
            "does not fit",
        ),
        (
            lambda given, plan: {
                "given": [_approval(OFFICER, "sha256:" + "0" * 64, "data-protection officer")]
            },
            "another plan",
        ),
        (
            lambda given, plan: {
                "approvers": [
                    *given.approvers,
                    Approver(public_key=PLANNER.public.to_base64(), role="anybody"),
                ],
                "given": [*given.given, _approval(PLANNER, plan)],
            },
            "approved what it planned",
        ),
        (lambda given, plan: {"approvers": []}, "at least one key"),
    ],
)
def test_22_approvals_that_do_not_count_are_rejected_even_when_signed(bundle, change, why):
    certificate = read_certificate(bundle).certificate
    changed = msgspec.structs.replace(
        certificate.approvals, **change(certificate.approvals, certificate.plan.digest)
    )
    _forge(bundle, approvals=changed)

    assert why in _failed(_check(bundle))["approvals"]


def test_a_plan_may_be_held_to_the_certificate(bundle, stored):
    assert _check(bundle, plan=stored.plan).is_good
    assert "the plan is sha256" in _failed(_check(bundle, plan=make_plan()))["plan"]


def test_the_case_key_answers_whether_a_run_was_in_it(bundle):
    inside = _check(bundle, case_key=CASE_KEY, run=RunPath("acme", "vision", "r2"))
    outside = _check(bundle, case_key=CASE_KEY, run=RunPath("acme", "vision", "r3"))
    foreign = _check(bundle, case_key=CaseKey(b"\x01" * 32), run=RunPath("acme", "vision", "r2"))

    assert (inside.answer.found, inside.answer.outcome, inside.answer.proof) == (True, "hidden", "absent")
    assert (outside.answer.found, outside.answer.outcome) == (False, None)
    assert foreign.answer is None
    assert "another case" in _failed(foreign)["case key"]


def test_15_a_certificate_is_superseded_by_a_later_one_and_by_runs_that_came_back(tmp_path):
    made = HandMadeCase(tmp_path)
    made.apply()
    made.verify()
    made.certify()
    early = Path(shutil.copytree(made.bundle, tmp_path / "early"))
    made.reopen(0)
    later = tmp_path / "later.jsonl"

    def export() -> None:
        later.write_bytes(
            b"".join(canonical.encode(entry) + b"\n" for entry in made.case.ledger.entries(made.case.job))
        )

    export()
    assert "entry 11: runs came back" not in _failed(_check(early))
    assert "runs came back" in _failed(_check(early, journal=later))["later journal"]
    made.apply()
    made.verify()
    made.certify()

    assert "superseded" in _failed(_check(early, newer=made.bundle))["newer certificate"]
    assert _check(made.bundle, newer=early).is_good
    assert _check(made.bundle, newer=made.bundle).is_good
    export()
    assert _check(made.bundle, journal=later).is_good
    later.write_bytes(later.read_bytes().replace(b"acme", b"emca").replace(b'"seq":2,', b'"seq":7,'))
    assert "later journal" in _failed(_check(early, journal=later))


def test_a_newer_certificate_by_a_stranger_supersedes_nothing_and_is_told(bundle, tmp_path):
    other = Path(shutil.copytree(bundle, tmp_path / "other"))
    _forge(other, STRANGER, supersedes=read_certificate(bundle).certificate.digest)

    assert "not among the 1 trusted" in _failed(_check(bundle, newer=other))["newer certificate"]


@pytest.mark.parametrize("part", PARTS[1:])
def test_a_missing_part_fails_a_folder_and_is_told_for_a_file(bundle, part):
    (bundle / part).unlink()

    assert "cannot read" in next(iter(_failed(_check(bundle)).values()))
    alone = _check(bundle / "certificate.json")
    assert alone.is_good
    assert [check.name for check in alone.checks if check.ok is None] == {
        "journal.jsonl": ["journal", "journal and population", "claims"],
        "population.csv": ["population", "journal and population", "scope", "claims"],
        "verifications.jsonl": ["verifications", "claims"],
    }[part]


def test_no_certificate_at_all_is_told(tmp_path):
    with pytest.raises(StoreError):
        _check(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_part_that_cannot_be_read_is_told(bundle):
    (bundle / "journal.jsonl").chmod(0)

    assert "cannot read" in _failed(_check(bundle))["journal"]


def test_keys_of_certifiers_are_pem_and_those_of_approvers_may_be_an_approvers_file(tmp_path):
    file = tmp_path / "trusted"
    file.write_text(OFFICER.public.to_pem() + OWNER.public.to_pem())
    both = frozenset([OFFICER.public, OWNER.public])

    assert read_trusted(file) == read_approver_keys(file) == both
    file.write_bytes(approvers_file().to_bytes())
    assert read_approver_keys(file) == both
    with pytest.raises(UsageError, match="do not sign certificates"):
        read_trusted(file)
    for wrong in (b"", b"x", OFFICER.to_pem(None), b"x" * 2_000_000):
        file.write_bytes(wrong)
        for read in (read_trusted, read_approver_keys):
            with pytest.raises(UsageError):
                read(file)


def test_a_key_counts_for_the_role_that_it_was_given_for(bundle):
    approvers = frozenset([OFFICER.public, OWNER.public])

    assert _check(bundle, approvers=approvers).is_good
    for others in (TRUSTED, frozenset([OFFICER.public])):
        assert "not among the 1 approvers" in _failed(_check(bundle, approvers=others))["approvals"]
    assert "trusted key" in _failed(check_bundle(bundle, approvers, Asked(approvers=TRUSTED)))
    said = {check.name: check.detail for check in _check(bundle).checks}
    assert "whose keys these are was not checked" in said["approvals"]


def test_the_page_says_how_to_check_it_without_this_tool(bundle):
    """Word for word what docs/erasure.md describes, with other people's libraries and nothing of ours."""
    import csv
    import hashlib
    import json

    import rfc8785
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = json.loads((bundle / "certificate.json").read_bytes())
    certificate = content["certificate"]
    key = load_pem_public_key(CERTIFIER.public.to_pem().encode())
    signed = {"certificate": certificate, "purpose": certificate["schema"]}
    key.verify(bytes.fromhex(content["signature"]["value"]), rfc8785.dumps(signed))

    previous = "sha256:" + "0" * 64
    for line in (bundle / "journal.jsonl").read_text().splitlines():
        entry = json.loads(line)
        claimed = entry.pop("hash")
        assert entry["prev"] == previous
        previous = "sha256:" + hashlib.sha256(rfc8785.dumps(entry)).hexdigest()
        assert claimed == previous
    assert certificate["journal"]["head"] == previous

    leaves = []
    for row in csv.DictReader((bundle / "population.csv").open()):
        item = {name: cell or None for name, cell in row.items()}
        item |= {name: int(row[name]) for name in ("no", "run", "project")}
        leaves.append(hashlib.sha256(b"\0" + rfc8785.dumps(item)).digest())
    assert len(leaves) == 3
    pair = hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest()
    assert certificate["merkle_root"] == "sha256:" + hashlib.sha256(b"\1" + pair + leaves[2]).hexdigest()
