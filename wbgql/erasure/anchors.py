"""The signed end of a journal: the newest certificate next to a plan says what its ledger must still hold."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from wbgql.erasure.bundles import CERTIFICATE, bundle_path, read_certificate
from wbgql.erasure.case import Case
from wbgql.erasure.journals import find_break
from wbgql.errors import NotVerified


def check_signed_end(case: Case, folder: Path | None = None) -> None:
    """Compare the ledger's journal with the head that the certificate in `folder` signed.

    `folder`: the certificate's, the one next to the plan unless given. Without a certificate, or with one of
    another plan, there is nothing to compare. Whose key signed is not looked at: `wbgql erase check` does.
    Reads the journal once if there is a certificate.

    Raises:
        NotVerified: the journal was rolled back or rewritten, or the certificate cannot be read.
    """
    folder = folder or bundle_path(case.path)
    if not (folder / CERTIFICATE).exists():
        return
    try:
        signed = read_certificate(folder)
    except NotVerified as error:
        raise NotVerified(
            f"{str(folder / CERTIFICATE)!r} cannot be compared with the ledger: {error}. Nothing was done; "
            "move it away if it is not of this case"
        ) from error
    certificate = signed.certificate
    if certificate.plan.digest != case.plan.digest:
        return
    if not signed.is_signed:
        raise NotVerified(
            f"the signature of {str(folder / CERTIFICATE)!r} does not fit: it was changed; nothing was done"
        )
    if not case.ledger.has(case.job):
        raise NotVerified(
            f"the certificate in {str(folder)!r} signs {certificate.head.seq} entries of this journal, "
            "and this ledger has no job of it: name the right one with --database; nothing was done"
        )
    head = certificate.head
    entries = takewhile(lambda entry: entry.seq <= head.seq, case.ledger.entries(case.job))
    found = find_break(entries, head)
    if found is not None:
        raise NotVerified(
            f"the ledger's journal is not the one that the certificate in {str(folder)!r} signed: entry "
            f"{found.seq}: {found.reason}. The ledger was rolled back (a restored backup?) or rewritten; "
            "nothing was done"
        )
