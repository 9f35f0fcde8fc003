"""Checks a certificate offline: with the files and a list of trusted keys, and without this tool's word.

Whatever the files hold, the answer is a list of checks; nothing in them can make it fail in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wbgql.erasure.approvals import ApproversFile, parse_approvers
from wbgql.erasure.bundles import (
    CLOSED_JOURNAL,
    CLOSING,
    JOURNAL,
    POPULATION,
    read_certificate,
    read_closing,
    read_journal,
    read_population,
)
from wbgql.erasure.certificates import Certificate, SignedCertificate
from wbgql.erasure.journals import Entry, Head, find_break
from wbgql.erasure.keys import PublicKey, read_public_keys
from wbgql.erasure.plans import Plan
from wbgql.erasure.population import Item, count_items, root_of
from wbgql.erasure.small_files import read_small
from wbgql.erasure.stages import STAGES
from wbgql.erasure.subjects import CaseKey
from wbgql.erasure.trails import note_gone
from wbgql.errors import NotVerified, WbgqlError
from wbgql.paths import RunPath

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
    """What to hold a certificate to, beside its own files and the trusted keys.

    `journal`: a later export, which may go on behind the signed end. `newer`: a later certificate.
    `case_key` and `run`: was this run in it?
    """

    journal: Path | None = None
    plan: Plan | None = None
    newer: SignedCertificate | None = None
    case_key: CaseKey | None = None
    run: RunPath | None = None


def read_trusted(path: Path) -> frozenset[PublicKey]:
    """Read trusted keys: one or more public keys in PEM, or an approvers file.

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
    own, journal = _own_journal(folder / JOURNAL, certificate, wanted=wanted)
    checks = [
        _checked("signature", lambda: _signature(signed)),
        _checked("trusted key", lambda: _trusted(signed, trusted)),
        _checked("stages", lambda: _stages(certificate)),
        population,
        journal,
        _agreement(items, own),
        _checked("approvals", lambda: _approvals(certificate, trusted)),
        *_closed(folder, certificate, trusted),
        *_asked_for(signed, trusted, asked),
    ]
    answer = _answer(certificate, items, asked)
    return Report(certificate=certificate, checks=checks, answer=answer)


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


class _Followed:
    """A journal as it goes by: the last outcome of each subject, and what stands behind the signed end."""

    def __init__(self, last_seq: int) -> None:
        self._last_seq = last_seq
        self.gone: dict[str, str] = {}
        self.plan: str | None = None
        self.end: Entry | None = None
        self.later: list[Entry] = []
        self.count = 0

    def watch(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self.count += 1
            self._note(entry)
            yield entry

    def _note(self, entry: Entry) -> None:
        if entry.seq == self._last_seq:
            self.end = entry
        if entry.seq > self._last_seq:
            if entry.kind in ("reopened", "certificate"):
                self.later.append(entry)
            return
        note_gone(self.gone, entry)
        if entry.kind == "job_created":
            self.plan = entry.body.get("plan")


def _own_journal(path: Path, certificate: Certificate, *, wanted: bool) -> tuple[_Followed | None, Check]:
    if not wanted and not path.exists():
        return None, Check(name="journal", ok=None, detail=f"{JOURNAL} is not beside the certificate")
    followed = _Followed(certificate.journal.last_seq)

    def look() -> str:
        found = find_break(followed.watch(read_journal(path)), certificate.head)
        if found is not None:
            raise NotVerified(f"entry {found.seq}: {found.reason}")
        if followed.plan != certificate.plan.digest:
            raise NotVerified("entry 1: it is the journal of another plan")
        return f"{followed.count} entries, whole up to the signed end"

    check = _checked("journal", look)
    return (followed if check.ok else None), check


def _agreement(items: Sequence[Item] | None, followed: _Followed | None) -> Check:
    """Whatever the population claims the journal recorded, and the other way round."""

    def look() -> str | None:
        if items is None or followed is None:
            return None
        for item in items:
            recorded = followed.gone.get(item.subject)
            if recorded != (item.outcome if item.is_claimed else None):
                raise NotVerified(
                    f"item {item.no} is {item.outcome}, the journal records {recorded or 'nothing'}"
                )
        if sum(item.is_claimed for item in items) != len(followed.gone):
            raise NotVerified("the journal records things as gone that the population does not know")
        return f"{len(followed.gone)} things are recorded as gone in both"

    return _checked("journal and population", look)


def _approvals(certificate: Certificate, trusted: frozenset[PublicKey]) -> str:
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
        counted.add(approval.key_id)
    if len(counted) < max(given.required, 1):
        raise NotVerified(f"{len(counted)} of {given.required} that the plan asked for")
    known = sum(listed.key(key_id) in trusted for key_id in counted)
    return (
        f"{len(counted)} of {given.required} needed; {known} by trusted keys, the others listed by the plan"
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
        early = f", before its time ({closing.incomplete})" if closing.incomplete else ""
        return f"closed at {closing.at}{early} by {closing.closed_by}"

    yield _checked("closing", look)


def _by_trusted(is_signed: bool, public_key: str, trusted: frozenset[PublicKey]) -> None:
    if not is_signed:
        raise NotVerified("its signature does not fit")
    key = PublicKey.parse(public_key)
    if key not in trusted:
        raise NotVerified(f"{key.key_id} signed it and is not among the {len(trusted)} trusted keys")


def _asked_for(signed: SignedCertificate, trusted: frozenset[PublicKey], asked: Asked) -> Iterator[Check]:
    certificate = signed.certificate
    if asked.journal is not None:
        journal = asked.journal
        yield _checked("later journal", lambda: _later_journal(journal, certificate))
    if asked.plan is not None:
        plan = asked.plan
        yield _checked("plan", lambda: _plan(plan, certificate))
    if asked.newer is not None:
        newer = asked.newer
        yield _checked("newer certificate", lambda: _newer(signed, newer, trusted))
    if asked.case_key is not None:
        key = asked.case_key
        yield _checked("case key", lambda: _case_key(key, certificate))


def _later_journal(path: Path, certificate: Certificate) -> str:
    count = _continued(path, certificate, None)
    return f"{count} entries, whole; nothing since takes it back"


def _continued(path: Path, certificate: Certificate, end: Head | None) -> int:
    """Hold a journal that goes on behind the signed end to it; returns how many entries it has."""
    followed = _Followed(certificate.journal.last_seq)
    found = find_break(followed.watch(read_journal(path)), end)
    if found is not None:
        raise NotVerified(f"entry {found.seq}: {found.reason}")
    if followed.end is None or followed.end.hash != certificate.journal.head:
        raise NotVerified(f"entry {certificate.journal.last_seq}: it is not the entry that was signed")
    for entry in followed.later:
        if entry.kind == "reopened":
            raise NotVerified(f"entry {entry.seq}: runs came back after the certificate was given out")
        if entry.body.get("digest") != certificate.digest:
            raise NotVerified(f"entry {entry.seq}: a later certificate was given out")
    return followed.count


def _plan(plan: Plan, certificate: Certificate) -> str:
    if plan.digest != certificate.plan.digest:
        raise NotVerified(f"the plan is {plan.digest}, the certificate is of {certificate.plan.digest}")
    asked_for = None if plan.approvers is None else plan.approvers.digest
    required = None if plan.approvers is None else plan.approvers.required
    given = certificate.approvals
    if certificate.approvers_digest != asked_for or (given and given.required) != required:
        raise NotVerified("the plan names other approvers than the certificate")
    return plan.digest


def _newer(signed: SignedCertificate, newer: SignedCertificate, trusted: frozenset[PublicKey]) -> str:
    """A newer certificate that holds takes this one back, whether or not it says so."""
    _by_trusted(newer.is_signed, newer.signature.public_key, trusted)
    ours, theirs = signed.certificate, newer.certificate
    if theirs.plan.digest != ours.plan.digest:
        raise NotVerified("the newer certificate is of another plan")
    if theirs.digest == ours.digest:
        return "it is this one"
    if theirs.supersedes == ours.digest or theirs.journal.last_seq > ours.journal.last_seq:
        raise NotVerified(f"superseded by the certificate of {theirs.issued_at} (stage {theirs.stage})")
    return f"the other is older, of {theirs.issued_at}"


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
