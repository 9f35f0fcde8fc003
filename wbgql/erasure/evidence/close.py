"""Closes a case: destroys everything that says which runs they were, and leaves a signed record of that.

In this order, so that a crash anywhere leaves something to go on with: the ledger's rows and the engine's,
the closing record, the case key, the approvals, and the plan last, because it is what finds all others.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from wbgql.erasure.applying import engine_of
from wbgql.erasure.case.case import Case
from wbgql.erasure.case.files import approvals_path, key_path
from wbgql.erasure.case.locks import hold_job
from wbgql.erasure.evidence.bundle import read_certificate, write_closing
from wbgql.erasure.evidence.certificate import Certificate, JournalNamed, Retention
from wbgql.erasure.evidence.check import require_good
from wbgql.erasure.evidence.closing_record import (
    CAVEATS,
    DESTROYED,
    LEDGER_CAVEATS,
    Closing,
    SignedClosing,
    sign_closing,
)
from wbgql.erasure.evidence.deriving import Standing
from wbgql.erasure.evidence.standing import journal_until, read_standing
from wbgql.erasure.evidence.wording import NEWEST
from wbgql.erasure.records.journal import Head
from wbgql.erasure.records.keys import PrivateKey
from wbgql.erasure.records.verification import Verification
from wbgql.errors import Locked, NotVerified, RequestError, StoreError, WbgqlError
from wbgql.scalars import format_datetime, parse_datetime

Step = Literal["verify", "rows", "engine", "record", "key", "approvals", "plan"]

_LAST = "9999-12-31T23:59:59Z"
_FILES: dict[Step, Callable[[Path], Path]] = {
    "key": key_path,
    "approvals": approvals_path,
    "plan": lambda plan: plan,
}


@dataclass(frozen=True)
class Before:
    """A case before it is closed. `obstacles`: why it should not be yet, in words; empty where nothing is."""

    obstacles: list[str]
    certificate: Certificate | None


def look_before(case: Case, folder: Path, now: datetime) -> Before:
    """Look whether a case may be closed: everything done, proved past the undelete window, and certified so.

    Changes nothing. A case whose rows are destroyed already has no obstacle: closing it goes on.
    """
    certificate = _certificate(folder)
    if not case.ledger.has(case.job):
        return Before(["nothing was applied"], None)
    if case.ledger.job(case.job).state == "closed":
        return Before([], certificate)
    try:
        standing = read_standing(case, now)
    except WbgqlError as error:
        return Before([str(error)], certificate)
    return Before(list(_obstacles(case, standing, folder, certificate, now)), certificate)


def close(
    case: Case,
    key: PrivateKey,
    folder: Path,
    *,
    verify: Callable[[], Verification],
    incomplete: str | None,
    now: datetime,
    on_step: Callable[[Step], None] = lambda _step: None,
) -> SignedClosing:
    """Destroy plan, case key, approvals and every row that holds run ids, and write down that it was done.

    Can be called again after a crash anywhere. `verify` makes one more verification: afterwards nobody can
    look again. It is not called where the rows are destroyed already. `incomplete`: the reference under which
    the case is closed although something stands against it. `on_step` is told each step before it is taken.

    Raises:
        NotVerified: something stands against it, and no reference was given; nothing was destroyed.
        Locked: somebody works on the job.
        StoreError: something cannot be written or removed; call again.
    """
    with _nobody_at_work(case):
        before = look_before(case, folder, now)
        _check_free(before, incomplete)
        if case.ledger.has(case.job) and case.ledger.job(case.job).state != "closed":
            on_step("verify")
            before.obstacles.extend(_last_look(verify))
            _check_free(before, incomplete)
        on_step("rows")
        overwritten = _destroy_rows(case, before, incomplete if before.obstacles else None)
        on_step("engine")
        engine_of(case).forget(case.job)
        on_step("record")
        signed = _write_record(case, key, folder, before.certificate, incomplete, overwritten, now)
        for step, file in _FILES.items():
            on_step(step)
            destroy_file(file(case.path))
    return signed


def _check_free(before: Before, incomplete: str | None) -> None:
    if before.obstacles and incomplete is None:
        raise NotVerified(
            f"the case is not to be closed yet: {'; '.join(before.obstacles)}. Nothing was destroyed; "
            "--force-incomplete REF closes it all the same"
        )


def _last_look(verify: Callable[[], Verification]) -> Iterator[str]:
    """What one more verification says against closing."""
    try:
        verdict = verify().verdict
    except WbgqlError as error:
        why = error.own_words if isinstance(error, RequestError) else str(error)
        yield f"the server could not be asked once more: {why}"
        return
    if verdict == "not_hidden":
        yield "something that was erased can be read (`wbgql erase watch --once` opens runs again)"
    elif verdict != "hidden":
        yield "the last reads could not tell whether all is gone: a control failed, or answers did not settle"


def destroy_file(path: Path) -> None:
    """Overwrite a file once and remove it; where it is a link, what it leads to as well.

    Raises:
        StoreError: it cannot be written or removed.
    """
    try:
        for one in dict.fromkeys((Path(os.path.realpath(path)), path)):
            if one.is_file() and not one.is_symlink():
                _overwrite(one)
            one.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot destroy {str(path)!r}: {(error.strerror or str(error)).lower()}; call again"
        ) from error


def _overwrite(path: Path) -> None:
    left = path.stat().st_size
    with path.open("r+b") as file:
        while left > 0:
            left -= file.write(bytes(min(left, 1024 * 1024)))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _nobody_at_work(case: Case) -> Iterator[None]:
    ledger = case.ledger
    if not ledger.has(case.job):
        yield
        return
    executor = secrets.token_hex(8)
    stamp = case.plan.created_at
    with hold_job(ledger.engine, ledger.url, case.job, executor, [], stamp=lambda: stamp) as hold:
        if not hold.alone:
            raise Locked("somebody works on this job; nothing was destroyed")
        yield


def _obstacles(
    case: Case, standing: Standing, folder: Path, certificate: Certificate | None, now: datetime
) -> Iterator[str]:
    if standing.counts.open:
        yield f"{standing.counts.open} things are not done yet"
    due = [at for at, _ in case.ledger.due(case.job) if at <= format_datetime(now)]
    if due:
        yield f"a verification is due since {min(due)} (`wbgql erase verify`)"
    if standing.reached.stage in (None, "HIDDEN"):
        missing = NEWEST.lacking(standing.reached.missing)
        yield f"what was done is not proved past the undelete window: {missing}"
    issued = standing.trail.issued
    if not issued or issued[-1].seq < standing.trail.changed_seq:
        yield "no certificate was given out since the last change (`wbgql erase certify`)"
    elif certificate is None or certificate.digest != issued[-1].digest or not _holds(folder):
        yield f"the certificate in {str(folder)!r} is not the last one, or does not hold"
    elif certificate.stage == "HIDDEN" and standing.reached.stage != "HIDDEN":
        yield "the last certificate says less than was proved since (`wbgql erase certify`)"


def _certificate(folder: Path) -> Certificate | None:
    try:
        return read_certificate(folder).certificate
    except WbgqlError:
        return None


def _holds(folder: Path) -> bool:
    """Whether everything about a certificate holds but for whose key it is, which is not ours to know."""
    try:
        require_good(folder)
    except WbgqlError:
        return False
    return True


def _destroy_rows(case: Case, before: Before, incomplete: str | None) -> bool:
    ledger = case.ledger
    if not ledger.has(case.job):
        return True
    if ledger.job(case.job).state == "closed":
        overwritten = ledger.scrub()
    else:
        certificate = before.certificate
        body: dict[str, Any] = {
            "certificate": None if certificate is None else certificate.digest,
            "incomplete": incomplete,
        }
        overwritten = ledger.destroy(case.job, body)
        ledger.set_done(case.job, _LAST)
    return overwritten


def _write_record(
    case: Case,
    key: PrivateKey,
    folder: Path,
    certificate: Certificate | None,
    incomplete: str | None,
    overwritten: bool,
    now: datetime,
) -> SignedClosing:
    head = Head()
    if case.ledger.has(case.job):
        head = case.ledger.head(case.job)
        # As the journal has it: a call after a crash need not give the reference, and closes no later.
        closed = next(entry for entry in case.ledger.entries(case.job) if entry.kind == "closed")
        incomplete, now = closed.body.get("incomplete"), parse_datetime(closed.at)
    closing = _record(case, key, certificate, incomplete, overwritten, head, now)
    signed = sign_closing(closing, key)
    write_closing(folder, signed, journal_until(case, head) if head.seq else ())
    return signed


def _record(
    case: Case,
    key: PrivateKey,
    certificate: Certificate | None,
    incomplete: str | None,
    overwritten: bool,
    head: Head,
    now: datetime,
) -> Closing:
    return Closing(
        plan=case.plan.digest,
        at=format_datetime(now),
        closed_by=key.key_id,
        certificate=None if certificate is None else certificate.digest,
        incomplete=incomplete,
        destroyed=list(DESTROYED),
        caveats=[*CAVEATS, LEDGER_CAVEATS[overwritten]],
        retention=certificate.retention if certificate else Retention(until=None, basis=None),
        journal=JournalNamed(first_seq=min(head.seq, 1), last_seq=head.seq, head=head.hash),
    )
