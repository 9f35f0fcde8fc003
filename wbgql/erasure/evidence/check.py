"""Checks a certificate offline: with the files and a list of trusted keys, and without this tool's word.

Whatever the files hold, the answer is a list of checks; nothing in them can make it fail in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wbgql.erasure.evidence.bundle import (
    CLOSED_JOURNAL,
    CLOSING,
    JOURNAL,
    POPULATION,
    VERIFICATIONS,
    read_certificate,
    read_closing,
    read_journal,
    read_population,
    read_verifications,
)
from wbgql.erasure.evidence.certificate import Certificate, SignedCertificate
from wbgql.erasure.evidence.closing_record import CAVEATS, DESTROYED, LEDGER_CAVEATS, Closing
from wbgql.erasure.evidence.comparing import (
    Recorded,
    compare_claims,
    compare_items,
    compare_plan,
    compare_population,
    compare_words,
    record,
)
from wbgql.erasure.evidence.deriving import Standing
from wbgql.erasure.evidence.population import Item, count_items, root_of
from wbgql.erasure.evidence.stages import STAGES
from wbgql.erasure.records.approvals import CLOCK_SKEW, Approval, ApproversFile, parse_approvers
from wbgql.erasure.records.journal import Head, find_break
from wbgql.erasure.records.keys import PublicKey, read_public_keys
from wbgql.erasure.records.plan import Plan
from wbgql.erasure.records.small_files import read_small
from wbgql.erasure.records.subjects import CaseKey
from wbgql.erasure.records.verification import Verification
from wbgql.errors import NotVerified, UsageError, WbgqlError
from wbgql.paths import RunPath
from wbgql.scalars import parse_datetime

_MAX_KEYS = 1024 * 1024


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check. `ok` None: it was not looked at, because what it needs was not given."""

    name: str
    ok: bool | None
    detail: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one run was in the case. `outcome` and `proof` are None where it was not."""

    subject: str
    found: bool
    outcome: str | None
    proof: str | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What checking a certificate gave. It is good where no check failed."""

    certificate: Certificate
    checks: list[Check]
    answer: Answer | None = None

    @property
    def is_good(self) -> bool:
        """Whether no check failed."""
        return all(check.ok is not False for check in self.checks)


@dataclass(frozen=True)
class Asked:
    """What to compare a certificate with, in addition to its own files and the trusted certifiers' keys.

    `approvers`: the keys that may approve; None: whose keys approved is not checked. `journal`: a later
    export, which may go on behind the signed end. `newer`: a later certificate, its folder or file.
    `case_key`: with `plan`, to name its runs; with `run`, to tell whether it was in the case.
    """

    approvers: frozenset[PublicKey] | None = None
    journal: Path | None = None
    plan: Plan | None = None
    newer: Path | None = None
    case_key: CaseKey | None = None
    run: RunPath | None = None


def read_trusted(path: Path) -> frozenset[PublicKey]:
    """Read the keys that may sign certificates: one or more public keys in PEM.

    Raises:
        UsageError: it holds none, or it is an approvers file: who may approve may not certify by that.
        StoreError: it cannot be read.
    """
    content = read_small(path, _MAX_KEYS, "a list of keys")
    if content.lstrip().startswith(b"{"):
        raise UsageError(
            f"{str(path)!r} is an approvers file: its keys approve plans, and do not sign certificates. "
            "Give it as --approvers, and the certifiers' public keys (PEM) as --trusted-keys"
        )
    return frozenset(read_public_keys(content, repr(str(path))))


def read_approver_keys(path: Path) -> frozenset[PublicKey]:
    """Read the keys that may approve: an approvers file, or public keys in PEM.

    Raises:
        UsageError: it holds none.
        StoreError: it cannot be read.
    """
    content = read_small(path, _MAX_KEYS, "a list of keys")
    if b"-----BEGIN" in content and not content.lstrip().startswith(b"{"):
        return frozenset(read_public_keys(content, repr(str(path))))
    listed = parse_approvers(content, repr(str(path)))
    return frozenset(PublicKey.parse(approver.public_key) for approver in listed.approvers)


def check_bundle(path: Path, trusted: frozenset[PublicKey], asked: Asked) -> Report:
    """Check a certificate in a folder, or in a file whose neighbours are then checked where they are there.

    Raises:
        NotVerified: there is no certificate to check.
        StoreError: it cannot be read.
    """
    signed = read_certificate(path)
    certificate = signed.certificate
    folder = path if path.is_dir() else path.parent
    wanted = path.is_dir()
    items, population = _population(folder / POPULATION, certificate, wanted=wanted)
    recorded, journal = _own_journal(folder / JOURNAL, certificate, wanted=wanted)
    verifications, looks = _verifications(folder / VERIFICATIONS, certificate, wanted=wanted)
    standings: list[Standing] = []

    def claims() -> str | None:
        if items is None or recorded is None or (verifications is None and certificate.version > 1):
            return None
        standings.append(compare_claims(certificate, items, recorded, verifications))
        return f"{certificate.stage} follows from the journal, the population and the verifications"

    def words() -> str:
        return compare_words(certificate, standings[0] if standings else None, verifications)

    checks = [
        _checked("signature", lambda: _signature(signed)),
        _checked("trusted key", lambda: _trusted(signed, trusted)),
        _checked("stages", lambda: _stages(certificate)),
        population,
        journal,
        *looks,
        _checked("journal and population", lambda: _agreement(items, recorded)),
        _checked("scope", lambda: _scope(certificate, items, recorded)),
        _checked("claims", claims),
        _checked("words", words),
        _checked("approvals", lambda: _approvals(certificate, asked.approvers)),
        *_closed(folder, certificate, trusted),
        *_asked_for(signed, trusted, asked, folder, items),
    ]
    report = Report(certificate=certificate, checks=checks)
    if report.is_good:
        return msgspec.structs.replace(report, answer=_answer(certificate, items, asked))
    return report


def require_good(folder: Path, trusted: frozenset[PublicKey] | None = None) -> Report:
    """Check a certificate's folder before something is made of it; return the report.

    Without trusted keys, whose key signed is not looked at, and the report says so.

    Raises:
        NotVerified: a check failed; names the first.
        StoreError: it cannot be read.
    """
    signed = read_certificate(folder)
    if not signed.is_signed:
        raise NotVerified("the certificate does not hold: its signature does not fit")
    own = frozenset([PublicKey.parse(signed.signature.public_key)])
    report = check_bundle(folder, own if trusted is None else trusted, Asked())
    bad = next((check for check in report.checks if check.ok is False), None)
    if bad is not None:
        raise NotVerified(f"the certificate does not hold ({bad.name}: {bad.detail})")
    if trusted is not None:
        return report
    unchecked = Check(name="trusted key", ok=None, detail="no trusted keys were given")
    checks = [unchecked if check.name == unchecked.name else check for check in report.checks]
    return msgspec.structs.replace(report, checks=checks)


def _checked(name: str, look: Callable[[], str | None]) -> Check:
    """Run one check: what it returns is what was seen (None: not looked at), what it raises why it failed."""
    try:
        detail = look()
    except (WbgqlError, ValueError, RecursionError) as error:
        return Check(name=name, ok=False, detail=str(error) or type(error).__name__)
    return Check(name=name, ok=None if detail is None else True, detail=detail or "not looked at")


def _signature(signed: SignedCertificate) -> str:
    if not signed.is_signed:
        raise NotVerified("it does not fit: the certificate was changed, or another key signed it")
    return f"by {signed.signature.key_id}"


def _trusted(signed: SignedCertificate, trusted: frozenset[PublicKey]) -> str:
    key = PublicKey.parse(signed.signature.public_key)
    if key not in trusted:
        raise NotVerified(f"{key.key_id} signed it and is not among the {len(trusted)} trusted keys")
    return f"{key.key_id} is one of {len(trusted)}"


def _stages(certificate: Certificate) -> str:
    """The steps lead up to the stage in order; which proofs they rest on, the journal and the plan tell."""
    reached = [step.stage for step in certificate.steps]
    order = [STAGES.index(stage) for stage in reached]
    whole = (
        reached[:2] == list(STAGES[: len(reached[:2])]) and len(reached) <= 3 and order == sorted(set(order))
    )
    if not reached or not whole or reached[-1] != certificate.stage:
        raise NotVerified("the steps do not lead up to the stage")
    known = {checked.no for checked in certificate.verifications}
    if any(step.by is not None and step.by not in known for step in certificate.steps):
        raise NotVerified("a step rests on a verification that is not listed")
    return f"{certificate.stage}, {len(reached)} proved"


def _population(path: Path, certificate: Certificate, *, wanted: bool) -> tuple[list[Item] | None, Check]:
    if not wanted and not path.exists():
        return None, Check(name="population", ok=None, detail=f"{POPULATION} is not beside the certificate")
    items: list[Item] = []

    def look() -> str:
        items.extend(read_population(path))
        if len(items) != certificate.items or root_of(items) != certificate.merkle_root:
            raise NotVerified(f"its {len(items)} items are not the {certificate.items} that were signed")
        if count_items(items, matched=certificate.population.matched) != certificate.population:
            raise NotVerified("its items do not add up to the counts that were signed")
        return f"{len(items)} items under the signed root"

    check = _checked("population", look)
    return (items if check.ok else None), check


def _own_journal(path: Path, certificate: Certificate, *, wanted: bool) -> tuple[Recorded | None, Check]:
    if not wanted and not path.exists():
        return None, Check(name="journal", ok=None, detail=f"{JOURNAL} is not beside the certificate")
    read: list[Recorded] = []

    def look() -> str:
        found = find_break(read_journal(path), certificate.head)
        if found is not None:
            raise NotVerified(f"entry {found.seq}: {found.reason}")
        recorded = record(read_journal(path))
        if recorded.created.get("plan") != certificate.plan.digest:
            raise NotVerified("entry 1: it is the journal of another plan")
        read.append(recorded)
        return f"{recorded.trail.head.seq} entries, whole up to the signed end"

    check = _checked("journal", look)
    return (read[0] if read else None), check


def _verifications(
    path: Path, certificate: Certificate, *, wanted: bool
) -> tuple[list[Verification] | None, list[Check]]:
    """The whole verifications, which certificates have beside them since version 2."""
    if certificate.version == 1:
        return None, []
    if not wanted and not path.exists():
        detail = f"{VERIFICATIONS} is not beside the certificate"
        return None, [Check(name="verifications", ok=None, detail=detail)]
    read: list[Verification] = []

    def look() -> str:
        read.extend(read_verifications(path))
        if [one.digest for one in read] != [look.digest for look in certificate.verifications]:
            raise NotVerified("they are not those that the certificate lists")
        return f"{len(read)}, as the certificate lists them"

    check = _checked("verifications", look)
    return (read if check.ok else None), [check]


def _agreement(items: Sequence[Item] | None, recorded: Recorded | None) -> str | None:
    if items is None or recorded is None:
        return None
    return compare_items(items, recorded)


def _scope(certificate: Certificate, items: Sequence[Item] | None, recorded: Recorded | None) -> str | None:
    if items is None:
        return None
    return compare_population(certificate, items, recorded)


def _approvals(certificate: Certificate, trusted: frozenset[PublicKey] | None) -> str:
    """Enough approvals for this plan; `trusted`: approvers' keys, which may be others than certifiers'."""
    given = certificate.approvals
    if given is None:
        return "the plan asked for none"
    listed = ApproversFile(given.approvers)
    counted: set[str] = set()
    for approval in given.given:
        key = listed.key(approval.key_id)
        if key is None:
            raise NotVerified(f"{approval.key_id} approved and is not listed")
        if approval.key_id == certificate.plan.planner_key:
            raise NotVerified(f"{approval.key_id} approved what it planned")
        if approval.plan != certificate.plan.digest or approval.role != listed.role(approval.key_id):
            raise NotVerified(f"the approval by {approval.key_id} is for another plan or role")
        if not key.verifies(approval.signed, approval.signature):
            raise NotVerified(f"the signature by {approval.key_id} does not fit its approval")
        _check_time(certificate, approval)
        if trusted is not None and key not in trusted:
            raise NotVerified(
                f"{approval.key_id} approved and is not among the {len(trusted)} approvers' keys"
            )
        counted.add(approval.key_id)
    if listed.approvers != given.approvers:
        raise NotVerified("the approvers are not listed as an approvers file lists them")
    if len(counted) < max(given.required, 1):
        raise NotVerified(f"{len(counted)} of {given.required} that the plan asked for")
    whose = (
        "whose keys these are was not checked (--approvers)"
        if trusted is None
        else "all by keys of the approvers given"
    )
    return f"{len(counted)} of {given.required} needed; {whose}"


def _check_time(certificate: Certificate, approval: Approval) -> None:
    plan = certificate.plan
    start, end = parse_datetime(plan.created_at), parse_datetime(plan.expires_at)
    if not start - CLOCK_SKEW <= parse_datetime(approval.at) < end:
        raise NotVerified(
            f"the approval by {approval.key_id} is of {approval.at}: not while the plan was good"
        )


def _closed(folder: Path, certificate: Certificate, trusted: frozenset[PublicKey]) -> Iterator[Check]:
    """Of a closed case, the record that says so, and the journal to its very end."""
    if not any((folder / name).exists() for name in (CLOSING, CLOSED_JOURNAL)):
        return

    def look() -> str:
        signed = read_closing(folder)
        if signed is None:
            raise NotVerified(f"{CLOSING} is missing")
        _by_trusted(signed.is_signed, signed.signature.public_key, trusted)
        closing = signed.closing
        if (closing.plan, closing.certificate) != (certificate.plan.digest, certificate.digest):
            raise NotVerified("it is of another plan, or of another certificate")
        _continued(folder / CLOSED_JOURNAL, certificate, closing.head)
        _compare_closing(closing, certificate, folder / CLOSED_JOURNAL)
        early = f", before its time ({closing.incomplete})" if closing.incomplete else ""
        return f"closed at {closing.at}{early} by {closing.closed_by}"

    yield _checked("closing", look)


def _compare_closing(closing: Closing, certificate: Certificate, journal: Path) -> None:
    """Compare what a closing record says with the journal's last entry, and with the words of its version."""
    last = next((entry for entry in read_journal(journal) if entry.seq == closing.journal.last_seq), None)
    if last is None or last.kind != "closed":
        raise NotVerified("the journal does not end with the closing of the case")
    caveats = [[*CAVEATS, ledger] for ledger in LEDGER_CAVEATS.values()]
    wrong = {
        "certificate": last.body.get("certificate") != closing.certificate,
        "incomplete": last.body.get("incomplete") != closing.incomplete,
        "retention": closing.retention != certificate.retention,
        "destroyed": closing.destroyed != list(DESTROYED),
        "caveats": closing.caveats not in caveats,
        "first entry": closing.journal.first_seq != 1,
        "time": parse_datetime(closing.at) < parse_datetime(last.at) - CLOCK_SKEW,
    }
    found = [name for name, is_wrong in wrong.items() if is_wrong]
    if found:
        raise NotVerified(f"it says something else than the journal and the certificate: {', '.join(found)}")


def _by_trusted(is_signed: bool, public_key: str, trusted: frozenset[PublicKey]) -> None:
    if not is_signed:
        raise NotVerified("its signature does not fit")
    key = PublicKey.parse(public_key)
    if key not in trusted:
        raise NotVerified(f"{key.key_id} signed it and is not among the {len(trusted)} trusted keys")


def _asked_for(
    signed: SignedCertificate,
    trusted: frozenset[PublicKey],
    asked: Asked,
    folder: Path,
    items: Sequence[Item] | None,
) -> Iterator[Check]:
    certificate, case_key = signed.certificate, asked.case_key
    if asked.journal is not None:
        journal = asked.journal
        yield _checked("later journal", lambda: _later_journal(journal, certificate))
    if case_key is not None:
        yield _checked("case key", lambda: _case_key(case_key, certificate))
    if asked.plan is not None:
        plan = asked.plan
        yield _checked("plan", lambda: compare_plan(certificate, plan, case_key, items))
    if asked.newer is not None:
        newer = asked.newer
        yield _checked("newer certificate", lambda: _newer(signed, folder, newer, trusted))


def _later_journal(path: Path, certificate: Certificate) -> str:
    count = _continued(path, certificate, None)
    return f"{count} entries, whole; nothing since takes it back"


def _continued(path: Path, certificate: Certificate, end: Head | None) -> int:
    """Check a journal that may go on after the signed end; returns how many entries it has."""
    found = find_break(read_journal(path), end)
    if found is not None:
        raise NotVerified(f"entry {found.seq}: {found.reason}")
    count, signed_hash = 0, None
    for entry in read_journal(path):
        count += 1
        if entry.seq == certificate.journal.last_seq:
            signed_hash = entry.hash
        if entry.seq <= certificate.journal.last_seq:
            continue
        if signed_hash != certificate.journal.head:
            break
        if entry.kind == "reopened":
            raise NotVerified(f"entry {entry.seq}: runs came back after the certificate was given out")
        if entry.kind == "certificate" and entry.body.get("digest") != certificate.digest:
            raise NotVerified(f"entry {entry.seq}: a later certificate was given out")
    if signed_hash != certificate.journal.head:
        raise NotVerified(f"entry {certificate.journal.last_seq}: it is not the entry that was signed")
    return count


def _newer(signed: SignedCertificate, folder: Path, path: Path, trusted: frozenset[PublicKey]) -> str:
    """Compare with another certificate of the case: a newer one that holds takes this one back."""
    newer = read_certificate(path)
    _by_trusted(newer.is_signed, newer.signature.public_key, trusted)
    ours, theirs = signed.certificate, newer.certificate
    if theirs.plan.digest != ours.plan.digest:
        raise NotVerified("the newer certificate is of another plan")
    if theirs.digest == ours.digest:
        return "it is this one"
    _check_fork(ours, folder / JOURNAL, theirs, (path if path.is_dir() else path.parent) / JOURNAL)
    if theirs.supersedes == ours.digest or theirs.journal.last_seq > ours.journal.last_seq:
        raise NotVerified(f"superseded by the certificate of {theirs.issued_at} (stage {theirs.stage})")
    return f"the other is older, of {theirs.issued_at}"


def _check_fork(ours: Certificate, our_journal: Path, theirs: Certificate, their_journal: Path) -> None:
    """Compare two journals of one case as far as both go.

    Raises:
        NotVerified: they are forked: one of the two ledgers was rolled back or rewritten.
    """
    if ours.head.seq == theirs.head.seq and ours.head.hash != theirs.head.hash:
        place = f"at entry {ours.head.seq} or before"
    else:
        place = ""
    if our_journal.exists() and their_journal.exists():
        both = zip(read_journal(our_journal), read_journal(their_journal), strict=False)
        first = next((one.seq for one, other in both if one.hash != other.hash), None)
        place = place if first is None else f"from entry {first} on"
    if place:
        raise NotVerified(
            f"forked: both certificates are of this plan, and their journals differ {place}. One of the two "
            "ledgers was rolled back or rewritten"
        )


def _case_key(key: CaseKey, certificate: Certificate) -> str:
    if key.key_id != certificate.plan.case_key_id:
        raise NotVerified("it is the key of another case: it can answer nothing here")
    return f"{key.key_id} is the key of this case"


def _answer(certificate: Certificate, items: Sequence[Item] | None, asked: Asked) -> Answer | None:
    if asked.case_key is None or asked.run is None or items is None:
        return None
    if asked.case_key.key_id != certificate.plan.case_key_id:
        return None
    subject = asked.case_key.run(certificate.server.base_url, asked.run)
    found = next((item for item in items if item.subject == subject), None)
    return Answer(
        subject=subject,
        found=found is not None,
        outcome=found.outcome if found else None,
        proof=found.proof if found else None,
    )
