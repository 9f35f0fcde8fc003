"""Closing destroys what names runs, in an order that survives a crash, and leaves a signed record."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.erasure.certified import CERTIFIER, HandMadeCase
from tests.erasure.made_plans import CASE_KEY, OFFICER, STRANGER, clocks, make_plan
from wbgql.erasure.case.files import approvals_path, key_path
from wbgql.erasure.case.locks import hold_job
from wbgql.erasure.evidence.bundle import bundle_path, read_closing, read_journal
from wbgql.erasure.evidence.certificate import JournalNamed, Retention
from wbgql.erasure.evidence.check import Asked, Report, check_bundle
from wbgql.erasure.evidence.close import Step, close, destroy_file
from wbgql.erasure.evidence.closing_record import SignedClosing, sign_closing
from wbgql.erasure.records.approvals import append_approval
from wbgql.erasure.records.journal import find_break
from wbgql.erasure.records.keys import PrivateKey
from wbgql.erasure.records.verification import Verification
from wbgql.errors import Locked, NotVerified, ServerUnavailable, StoreError

IDS = (b"r1", b"acme/vision", b"vision", b"subject:4711", b"anna", b"net:v0", b"paul")


class Closable(HandMadeCase):
    """A case that may be closed: applied, verified past the window, certified."""

    def __init__(self, folder: Path, **fields: Any) -> None:
        super().__init__(folder, make_plan(required=2, **fields))
        for approval in self.approvals:
            append_approval(approvals_path(self.path), approval)

    def ready(self) -> Closable:
        self.apply()
        self.pass_(days=7)
        self.verify()
        self.certify()
        return self

    def close(
        self, incomplete: str | None = None, key: PrivateKey = CERTIFIER, **given: Any
    ) -> SignedClosing:
        given = {"verify": self.verify, "now": self.now} | given
        return close(self.case, key, self.bundle, incomplete=incomplete, **given)

    def check(self, *trusted: Any) -> Report:
        keys = frozenset(trusted or [CERTIFIER.public])
        return check_bundle(self.bundle, keys, Asked())

    @property
    def files(self) -> list[Path]:
        return [file for file in self.folder.rglob("*") if file.is_file() and not file.name.endswith(".lock")]


@pytest.fixture
def made(tmp_path):
    return Closable(tmp_path).ready()


def _found(made: Closable) -> list[str]:
    """The files in which one of the names stands."""
    made.case.close()
    return sorted(file.name for file in made.files if any(name in file.read_bytes() for name in IDS))


def test_nothing_names_a_run_any_more_and_the_evidence_stays(made):
    assert {"plan.json", "erasure.sqlite"} <= set(_found(made))

    signed = made.close()

    assert _found(made) == []
    assert not any(file.exists() for file in (made.path, key_path(made.path), approvals_path(made.path)))
    assert CASE_KEY.to_hex().encode() not in b"".join(file.read_bytes() for file in made.files)
    assert made.check().is_good
    assert signed.closing.certificate is not None
    assert signed.closing.incomplete is None
    journal = list(read_journal(made.bundle / "journal.closed.jsonl"))
    assert find_break(journal, signed.closing.head) is None
    assert journal[-1].kind == "closed"
    assert made.case.ledger.job(made.case.job).state == "closed"


def _not_applied(made: Closable) -> None:
    """Leave it as it was planned."""


def _still_open(made: Closable) -> None:
    made.apply({"r2": None})
    made.pass_(days=7)
    made.verify()
    made.certify()


def _window_open(made: Closable) -> None:
    made.apply()
    made.verify()
    made.certify()


def _not_certified(made: Closable) -> None:
    made.apply()
    made.pass_(days=7)
    made.verify()


def _certified_too_early(made: Closable) -> None:
    made.apply()
    made.verify()
    made.certify()
    made.pass_(days=7)
    made.verify()


def _came_back(made: Closable) -> None:
    made.ready()
    made.reopen(0)


def _due(made: Closable) -> None:
    made.ready()
    made.case.ledger.set_due(made.case.job, "monthly", "2026-01-08T00:00:00Z")


def _changed_certificate(made: Closable) -> None:
    made.ready()
    (made.bundle / "population.csv").write_bytes(b"")


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (_not_applied, "nothing was applied"),
        (_still_open, "1 things are not done yet"),
        (_window_open, "not proved past the undelete window"),
        (_not_certified, "no certificate was given out"),
        (_certified_too_early, "says less than was proved since"),
        (_came_back, "not proved past"),
        (_due, "a verification is due since 2026-01-08T00:00:00Z"),
        (_changed_certificate, "does not hold"),
    ],
)
def test_before_its_time_it_is_closed_only_under_a_reference(tmp_path, prepare, why):
    made = Closable(tmp_path)
    prepare(made)

    with pytest.raises(NotVerified, match=why):
        made.close()
    assert made.path.exists()
    assert key_path(made.path).exists()
    if made.case.ledger.has(made.case.job):
        assert list(made.case.ledger.latest(made.case.job))

    signed = made.close("CANCELLED-1")

    assert signed.closing.incomplete == "CANCELLED-1"
    assert [name for name in _found(made) if not name.startswith("erasure.sqlite")] == []
    assert _found(made) == []


def test_20_an_unknown_window_is_never_past(tmp_path):
    made = Closable(tmp_path, clocks=clocks(undelete=None))
    made.apply()
    made.pass_(days=900)
    made.verify()
    made.certify()

    with pytest.raises(NotVerified, match="not known"):
        made.close()


@pytest.mark.parametrize(
    ("verdict", "why"), [("not_hidden", "can be read"), ("cannot_verify", "could not tell")]
)
def test_what_came_back_since_the_certificate_is_seen_before_anything_is_destroyed(made, verdict, why):
    before = _found(made)

    with pytest.raises(NotVerified, match=why):
        made.close(verify=lambda: made.verify(verdict))

    assert _found(made) == before
    assert made.close("COURT-7", verify=lambda: made.verify(verdict)).closing.incomplete == "COURT-7"


def test_a_server_that_cannot_be_asked_keeps_a_case_open(made):
    def refuse() -> Verification:
        raise ServerUnavailable("connection refused", sent=False)

    with pytest.raises(NotVerified, match="could not be asked once more"):
        made.close(verify=refuse)


class _PowerCut(BaseException):
    pass


@pytest.mark.parametrize("step", get_args(Step))
def test_01_after_a_crash_anywhere_the_same_call_ends_it(made, step):
    """The power goes before each step in turn."""

    def cut(reached: Step) -> None:
        if reached == step:
            raise _PowerCut

    with pytest.raises(_PowerCut):
        made.close(on_step=cut)

    made.pass_(hours=1)
    signed = made.close()

    assert _found(made) == []
    assert made.check().is_good
    assert signed.closing.incomplete is None
    assert [entry.kind for entry in made.case.ledger.entries(made.case.job)].count("closed") == 1


def test_what_was_forced_stays_forced_after_a_crash(tmp_path):
    made = Closable(tmp_path)
    made.apply()
    made.case.ledger.destroy(made.case.job, {"certificate": None, "incomplete": "CANCELLED-1"})

    assert made.close().closing.incomplete == "CANCELLED-1"


def test_while_somebody_works_on_the_job_nothing_is_destroyed(made):
    ledger = made.case.ledger
    with (
        hold_job(ledger.engine, ledger.url, made.case.job, "other", [], stamp=lambda: "now"),
        pytest.raises(Locked),
    ):
        made.close()
    assert made.path.exists()


@pytest.mark.parametrize("part", ["closing.json", "journal.closed.jsonl"])
@given(data=st.data())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_22_any_changed_byte_of_the_closing_is_rejected(closed, tmp_path, part, data):
    bundle = tmp_path / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(closed.bundle, bundle)
    content = (bundle / part).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    (bundle / part).write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])

    assert not check_bundle(bundle, frozenset([CERTIFIER.public]), Asked()).is_good


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    made = Closable(tmp_path_factory.mktemp("closed")).ready()
    made.close()
    return made


@pytest.mark.parametrize("part", ["closing.json", "journal.closed.jsonl"])
def test_22_half_a_closing_is_rejected(made, part):
    made.close()
    (made.bundle / part).unlink()

    assert [check.name for check in made.check().checks if check.ok is False] == ["closing"]


def test_22_a_closing_by_a_stranger_is_rejected(made):
    made.close(key=STRANGER)

    assert [check.name for check in made.check().checks if check.ok is False] == ["closing"]
    assert made.check(CERTIFIER.public, STRANGER.public).is_good


def test_a_case_that_came_back_and_was_forced_shut_is_no_good_evidence(tmp_path):
    made = Closable(tmp_path)
    _came_back(made)
    made.close("LOST-1")

    failed = {check.name: check.detail for check in made.check().checks if check.ok is False}
    assert "runs came back" in failed["closing"]


def test_a_file_is_overwritten_before_it_goes_through_links_too(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"secret" * 1000)
    keeper = tmp_path / "keeper"
    keeper.hardlink_to(file)
    link.symlink_to(file)
    destroy_file(link)

    assert not file.exists()
    assert not link.is_symlink()
    assert keeper.read_bytes() == bytes(6000)
    destroy_file(link)
    with pytest.raises(StoreError, match="cannot destroy"):
        destroy_file(tmp_path)


def test_the_record_says_how_long_it_is_kept_and_what_it_cannot_promise(tmp_path):
    made = Closable(tmp_path)
    made.apply()
    made.pass_(days=7)
    made.verify()
    made.certify(keep_until="2028-12-31", keep_basis="CCPA-7101")
    made.now += timedelta(hours=1)
    signed = made.close()

    assert (signed.closing.retention.until, signed.closing.retention.basis) == ("2028-12-31", "CCPA-7101")
    assert any("may keep what stood in them before" in caveat for caveat in signed.closing.caveats)
    assert any("overwritten in its file" in caveat for caveat in signed.closing.caveats)
    assert read_closing(bundle_path(made.path)) == signed


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2025-01-01T00:00:00Z"},
        {"incomplete": "CANCELLED-1"},
        {"certificate": "sha256:" + "0" * 64},
        {"certificate": None},
        {"plan": "sha256:" + "0" * 64},
        {"destroyed": []},
        {"destroyed": ["every copy of everything"]},
        {"caveats": []},
        {"caveats": ["Nothing is left anywhere."]},
        {"retention": Retention(until="2099-01-01", basis=None)},
        {"journal": JournalNamed(first_seq=1, last_seq=1, head="sha256:" + "0" * 64)},
        {"closed_by": STRANGER.key_id},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_record_that_says_something_else_than_the_journal_is_rejected_even_when_signed(made, change):
    closing = made.close().closing
    assert made.check().is_good

    forged = sign_closing(msgspec.structs.replace(closing, **change), CERTIFIER)
    (made.bundle / "closing.json").write_bytes(forged.to_bytes())

    assert [check.name for check in made.check().checks if check.ok is False] == ["closing"]


def test_a_record_is_not_signed_by_whoever_may_approve(made):
    closing = msgspec.structs.replace(made.close().closing, closed_by=OFFICER.key_id)
    (made.bundle / "closing.json").write_bytes(sign_closing(closing, OFFICER).to_bytes())

    assert [check.name for check in made.check().checks if check.ok is False] == ["closing"]
