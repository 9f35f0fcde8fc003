"""A ledger that was rolled back or rewritten since the newest certificate is refused, whatever asks for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.erasure.certified import CERTIFIER, HandMadeCase
from tests.erasure.made_plans import approvers_file, make_plan
from tests.erasure.stages import Stage
from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.anchors import check_signed_end
from wbgql.erasure.evidence.bundle import bundle_path
from wbgql.erasure.evidence.certify import Terms, certify
from wbgql.erasure.evidence.close import close
from wbgql.erasure.evidence.standing import read_standing
from wbgql.erasure.ledger import Ledger
from wbgql.erasure.verifying.claims import read_claims
from wbgql.errors import NotVerified, UsageError


def _ready(made: HandMadeCase) -> HandMadeCase:
    made.apply()
    made.verify()
    made.certify()
    return made


@pytest.fixture
def made(tmp_path: Path) -> HandMadeCase:
    """A case with two certificates. `early.sqlite` is its ledger as it was before the second."""
    made = _ready(HandMadeCase(tmp_path))
    _copy_ledger(tmp_path / "erasure.sqlite", tmp_path / "early.sqlite")
    made.pass_(days=8)
    made.verify()
    made.certify()
    return made


def _copy_ledger(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def _with_ledger(made: HandMadeCase, file: Path) -> Case:
    made.case.close()
    ledger = Ledger.open(f"sqlite:///{file}", now=lambda: made.now)
    return Case(path=made.path, plan=made.plan, key=made.case.key, ledger=ledger)


@pytest.fixture(params=["rolled back", "rewritten", "another ledger"])
def wrong(request: pytest.FixtureRequest, made: HandMadeCase, tmp_path: Path) -> tuple[str, Case]:
    """Why the ledger is not the one that was signed, and the case with it."""
    match request.param:
        case "rolled back":
            return "it is missing: the signed end is entry", _with_ledger(made, tmp_path / "early.sqlite")
        case "rewritten":
            (tmp_path / "other").mkdir()
            other = HandMadeCase(tmp_path / "other", made.plan)
            other.now += timedelta(seconds=1)
            _ready(other)
            for _ in range(5):
                other.verify()
            other.case.close()
            return "it is not the entry that was signed", _with_ledger(made, other.folder / "erasure.sqlite")
        case _:
            return "no job of it", _with_ledger(made, tmp_path / "empty.sqlite")


def test_the_ledger_that_was_signed_may_go_on(made):
    made.verify()

    check_signed_end(made.case)
    assert read_claims(made.case).runs


def test_another_ledger_is_refused_by_whatever_reads_the_case(wrong, made):
    why, case = wrong

    with pytest.raises(NotVerified, match=why):
        read_claims(case)  # verify, verify --storage, watch
    with pytest.raises(NotVerified, match=why):
        check_signed_end(case)
    if case.ledger.has(case.job):
        with pytest.raises(NotVerified, match=why):
            read_standing(case, made.now)  # certify, close
    terms = Terms(approvers=approvers_file(), approvals=made.approvals)
    with pytest.raises(NotVerified, match=why):
        certify(case, CERTIFIER, made.bundle, terms, now=made.now, new_id=lambda: "c")


def test_apply_sends_nothing_with_a_ledger_that_was_rolled_back(stage: Stage):
    stage.make("a", "stays")
    case = stage.case(["a"])
    (stage.folder / "x").mkdir()
    other = HandMadeCase(stage.folder / "x", case.plan)
    _ready(other)
    other.bundle.rename(bundle_path(case.path))

    with pytest.raises(NotVerified, match="no job of it"):
        stage.apply(case)

    assert stage.proxy.mutations == []
    assert stage.visible() == {"a", "stays"}


def test_the_certificate_of_another_plan_is_not_compared(made, tmp_path):
    (tmp_path / "next").mkdir()
    other = HandMadeCase(tmp_path / "next", make_plan())
    made.bundle.rename(other.bundle)

    check_signed_end(other.case)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: b"{}", "cannot be compared"),
        (lambda content: content.replace(b"DSR-4711", b"DSR-4712"), "does not fit"),
    ],
)
def test_a_certificate_that_was_changed_is_no_permission_to_go_on(made, change, why):
    file = made.bundle / "certificate.json"
    file.write_bytes(change(file.read_bytes()))

    with pytest.raises(NotVerified, match=why):
        check_signed_end(made.case)


def test_a_ledger_from_before_the_case_was_closed_is_refused(tmp_path):
    """Plan and ledger come back from a backup, and the folder says that the case was closed."""
    made = _ready(HandMadeCase(tmp_path))
    _copy_ledger(tmp_path / "erasure.sqlite", tmp_path / "early.sqlite")
    close(made.case, CERTIFIER, made.bundle, verify=made.verify, incomplete="CANCELLED-1", now=made.now)
    case = _with_ledger(made, tmp_path / "early.sqlite")

    with pytest.raises(NotVerified, match=r"closing record .* signed: .* rolled back"):
        check_signed_end(case)
    with pytest.raises(NotVerified, match="closing record"):
        read_claims(case)


def test_a_closed_case_is_told_to_be_closed(tmp_path):
    made = _ready(HandMadeCase(tmp_path))
    close(made.case, CERTIFIER, made.bundle, verify=made.verify, incomplete="CANCELLED-1", now=made.now)

    with pytest.raises(UsageError, match="closed"):
        read_claims(made.case)
