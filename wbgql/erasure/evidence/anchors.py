"""The signed end of a journal: certificate and closing record next to a plan say what a ledger must hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wbgql.erasure.case.case import Case
from wbgql.erasure.evidence.bundle import CERTIFICATE, CLOSING, bundle_path, read_certificate, read_closing
from wbgql.erasure.records.journal import Head, find_break
from wbgql.errors import NotVerified


def check_signed_end(case: Case, folder: Path | None = None) -> None:
    """Compare the ledger's journal with the heads that certificate and closing record signed.

    `folder`: where both are, the one next to the plan unless given. Without a certificate and a closing
    record, or with those of another plan, there is nothing to compare. Whose key signed is not looked at:
    `wbgql erase check` does. Reads the journal once for each of the two.

    Raises:
        NotVerified: the journal was rolled back or rewritten, or a record cannot be read.
    """
    folder = folder or bundle_path(case.path)
    for record, head in _signed_heads(case, folder):
        if not case.ledger.has(case.job):
            raise NotVerified(
                f"the {record} in {str(folder)!r} signs {head.seq} entries of this journal, and this ledger "
                "has no job of it: name the right one with --database; nothing was done"
            )
        entries = (entry for entry in case.ledger.entries(case.job) if entry.seq <= head.seq)
        found = find_break(entries, head)
        if found is not None:
            raise NotVerified(
                f"the ledger's journal is not the one that the {record} in {str(folder)!r} signed: entry "
                f"{found.seq}: {found.reason}. The ledger was rolled back (a restored backup?) or rewritten; "
                "nothing was done"
            )


def _signed_heads(case: Case, folder: Path) -> Iterator[tuple[str, Head]]:
    """The heads that were signed of this plan's journal, each with the name of the record that has it."""
    for name, file, read in (
        ("certificate", folder / CERTIFICATE, _certified),
        ("closing record", folder / CLOSING, _closed),
    ):
        if not file.exists():
            continue
        try:
            plan, head, is_signed = read(folder)
        except NotVerified as error:
            raise NotVerified(
                f"{str(file)!r} cannot be compared with the ledger: {error}. Nothing was done; "
                "move it away if it is not of this case"
            ) from error
        if plan != case.plan.digest:
            continue
        if not is_signed:
            raise NotVerified(
                f"the signature of {str(file)!r} does not fit: it was changed; nothing was done"
            )
        if head.seq:
            yield name, head


def _certified(folder: Path) -> tuple[str, Head, bool]:
    signed = read_certificate(folder)
    return signed.certificate.plan.digest, signed.certificate.head, signed.is_signed


def _closed(folder: Path) -> tuple[str, Head, bool]:
    signed = read_closing(folder)
    assert signed is not None  # the file is there
    return signed.closing.plan, signed.closing.head, signed.is_signed
