"""A certificate's folder: certificate, journal, population, verifications. Whole or not at all.

A closed case adds `closing.json` and `journal.closed.jsonl`, the journal to its very end.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from wbgql.erasure.evidence import closing_record as closings
from wbgql.erasure.evidence.certificate import MAX_BYTES, SignedCertificate, parse_certificate
from wbgql.erasure.evidence.closing_record import SignedClosing
from wbgql.erasure.evidence.population import Item, from_csv, to_csv
from wbgql.erasure.records import canonical
from wbgql.erasure.records.journal import Entry
from wbgql.erasure.records.small_files import read_small
from wbgql.erasure.records.verification import Verification
from wbgql.errors import NotVerified, StoreError, UsageError

CERTIFICATE, JOURNAL, POPULATION = "certificate.json", "journal.jsonl", "population.csv"
VERIFICATIONS = "verifications.jsonl"  # since version 2
CLOSING, CLOSED_JOURNAL = "closing.json", "journal.closed.jsonl"
_MAX_POPULATION = 1024**3
_MAX_LINE = 1024 * 1024
_ENTRY = msgspec.json.Decoder(Entry)
_VERIFICATION = msgspec.json.Decoder(Verification)


def bundle_path(plan: Path) -> Path:
    """The folder of a plan's certificate, where no other is named."""
    return plan.with_name(f"{plan.name}.certificate")


def write_bundle(
    folder: Path,
    signed: SignedCertificate,
    items: Iterable[Item],
    entries: Iterable[Entry],
    verifications: Iterable[Verification],
) -> Path | None:
    """Write a bundle; a former one is moved aside and its new place returned. Durable when this returns.

    Raises:
        UsageError: `folder` is there and is no bundle.
        StoreError: it cannot be written.
    """
    _check_place(folder)
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        fresh.mkdir(mode=0o700, parents=True)
        _write(fresh / JOURNAL, (canonical.encode(entry) + b"\n" for entry in entries))
        _write(fresh / POPULATION, (line.encode() for line in to_csv(items)))
        _write(fresh / VERIFICATIONS, (canonical.encode(one) + b"\n" for one in verifications))
        _write(fresh / CERTIFICATE, [signed.to_bytes()])
        former = _move_aside(folder)
        fresh.rename(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        with suppress(OSError):
            shutil.rmtree(fresh)
        raise StoreError(f"cannot write {str(folder)!r}: {(error.strerror or str(error)).lower()}") from error
    return former


def write_closing(folder: Path, signed: SignedClosing, entries: Iterable[Entry]) -> None:
    """Add the closing record and the whole journal to a folder, the record last. Durable when this returns.

    Raises:
        StoreError: they cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(folder / CLOSED_JOURNAL, (canonical.encode(entry) + b"\n" for entry in entries))
        _replace(folder / CLOSING, [signed.to_bytes()])
        _sync_folder(folder)
    except OSError as error:
        raise StoreError(f"cannot write {str(folder)!r}: {(error.strerror or str(error)).lower()}") from error


def read_closing(folder: Path) -> SignedClosing | None:
    """Read the closing record of a folder, None where there is none.

    Raises:
        NotVerified: it is none, or was changed in form.
        StoreError: it cannot be read.
    """
    file = folder / CLOSING
    if not file.exists():
        return None
    try:
        content = read_small(file, closings.MAX_BYTES, "a closing record")
    except UsageError as error:
        raise NotVerified(str(error)) from error
    return closings.parse_closing(content)


def read_certificate(path: Path) -> SignedCertificate:
    """Read a certificate from its file, or from the folder it lies in.

    Raises:
        NotVerified: it is none, or was changed in form.
        StoreError: it cannot be read.
    """
    file = path / CERTIFICATE if path.is_dir() else path
    try:
        content = read_small(file, MAX_BYTES, "a certificate")
    except UsageError as error:
        raise NotVerified(str(error)) from error
    return parse_certificate(content)


def read_population(path: Path) -> list[Item]:
    """Read `population.csv`.

    Raises:
        NotVerified: it is none, or a line was changed; names the first.
        StoreError: it cannot be read.
    """
    try:
        content = read_small(path, _MAX_POPULATION, "a population")
    except UsageError as error:
        raise NotVerified(str(error)) from error
    return from_csv(content)


def read_journal(path: Path) -> Iterator[Entry]:
    """Yield the entries of `journal.jsonl`, each checked against its canonical form. Streams.

    Raises:
        NotVerified: a line is no entry, or is not written as one is; names the first.
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_MAX_LINE):
                number += 1
                yield _parse_entry(line, number)
    except OSError as error:
        reason = (error.strerror or "it is no file").lower()
        raise StoreError(f"cannot read {str(path)!r}: {reason}") from error


def read_verifications(path: Path) -> list[Verification]:
    """Read `verifications.jsonl`.

    Raises:
        NotVerified: a line is no verification, or is not written as one is; names the first.
        StoreError: it cannot be read.
    """
    try:
        content = read_small(path, _MAX_POPULATION, "a list of verifications")
    except UsageError as error:
        raise NotVerified(str(error)) from error
    return [
        _parse_verification(line, number) for number, line in enumerate(content.splitlines(keepends=True), 1)
    ]


def _parse_verification(line: bytes, number: int) -> Verification:
    try:
        read = _VERIFICATION.decode(line)
        written = canonical.encode(read) + b"\n"
    except (ValueError, RecursionError) as error:
        raise NotVerified(f"{VERIFICATIONS}: line {number} is not a verification") from error
    if written != line:
        raise NotVerified(f"{VERIFICATIONS}: line {number} is not written as a verification is")
    return read


def _parse_entry(line: bytes, number: int) -> Entry:
    try:
        entry = _ENTRY.decode(line)
        written = canonical.encode(entry) + b"\n"
    except (ValueError, RecursionError) as error:
        raise NotVerified(f"journal.jsonl: entry {number}: it is not an entry") from error
    if written != line:
        raise NotVerified(f"journal.jsonl: entry {number}: it is not written as an entry is")
    return entry


def _check_place(folder: Path) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / CERTIFICATE).exists()):
        raise UsageError(f"{str(folder)!r} is there and holds no certificate: name another folder with -o")


def _move_aside(folder: Path) -> Path | None:
    if not folder.exists():
        return None
    number = 1
    while (aside := folder.with_name(f"{folder.name}.superseded-{number}")).exists():
        number += 1
    folder.rename(aside)
    return aside


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, chunks: Iterable[bytes]) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        _write(fresh, chunks)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
