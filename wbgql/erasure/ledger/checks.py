"""The journal as it is read and added to, the verifications that were made, and those that are due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from wbgql.erasure.ledger.database import PAGE, Database, JobState
from wbgql.erasure.records import canonical
from wbgql.erasure.records.journal import Entry, Head
from wbgql.errors import StoreError


class StoredVerification(msgspec.Struct, frozen=True, kw_only=True):
    """One verification as it was stored: `results` is canonical JSON, as its module wrote it."""

    no: int
    at: str
    kind: str
    verdict: str
    results: bytes


def _to_entry(row: Any) -> Entry:
    try:
        body = msgspec.json.decode(row.body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise StoreError(f"the ledger is damaged: entry {row.seq} of the journal is none") from error
    return Entry(seq=row.seq, at=row.at, kind=row.kind, body=body, prev=row.prev, hash=row.hash)


class Checks(Database):
    """A ledger's journal, verifications and schedule."""

    def note(self, job: str, kind: str, body: Mapping[str, Any]) -> Entry:
        """Append an entry that tells of no other row."""
        with self._writing() as connection:
            return self._append(connection, job, self._lock(connection, job), kind, body)

    def head(self, job: str) -> Head:
        """Where the job's journal ends now."""
        return self.job(job).head

    def entries(self, job: str) -> Iterator[Entry]:
        """Yield the journal from its beginning. Streams in pages."""
        table = self._tables.journal
        after = 0
        while True:
            query = (
                sa.select(table)
                .where(table.c.job == job, table.c.seq > after)
                .order_by(table.c.seq)
                .limit(PAGE)
            )
            with self._reading() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                yield _to_entry(row)
            if len(rows) < PAGE:
                return
            after = rows[-1].seq

    def add_verification(
        self,
        job: str,
        kind: str,
        verdict: str,
        results: Any,
        *,
        note: str,
        body: Mapping[str, Any],
        state: JobState | None = None,
    ) -> int:
        """Store a verification with its journal entry (`note` is its kind) and return its number, from 1.

        With `state`, the job is in that state from then on.
        """
        table = self._tables.verifications
        last = sa.select(sa.func.coalesce(sa.func.max(table.c.no), 0)).where(table.c.job == job)
        with self._writing() as connection:
            head = self._lock(connection, job)
            number = int(connection.execute(last).scalar_one()) + 1
            row = {
                "job": job,
                "no": number,
                "at": self._stamp(),
                "kind": kind,
                "verdict": verdict,
                "results": canonical.encode(results).decode(),
            }
            connection.execute(sa.insert(table), row)
            if state is not None:
                verified_at = row["at"] if state == "verified" else None
                self._set(connection, job, {"state": state, "verified_at": verified_at})
            self._append(connection, job, head, note, body)
        return number

    def verifications(self, job: str) -> list[StoredVerification]:
        """Every verification of a job, the oldest first."""
        table = self._tables.verifications
        with self._reading() as connection:
            rows = connection.execute(sa.select(table).where(table.c.job == job).order_by(table.c.no)).all()
        return [
            StoredVerification(
                no=row.no, at=row.at, kind=row.kind, verdict=row.verdict, results=row.results.encode()
            )
            for row in rows
        ]

    def set_due(self, job: str, kind: str, due_at: str) -> None:
        """Note that a check of a kind is due at a time; a second note of the same changes nothing."""
        table = self._tables.schedule
        known = sa.select(table.c.job).where(
            table.c.job == job, table.c.due_at == due_at, table.c.kind == kind
        )
        with self._writing() as connection:
            self._lock(connection, job)
            if connection.execute(known).first() is None:
                connection.execute(sa.insert(table), {"job": job, "due_at": due_at, "kind": kind})

    def due(self, job: str) -> list[tuple[str, str]]:
        """The checks (due_at, kind) that were not done yet, the earliest first."""
        table = self._tables.schedule
        query = sa.select(table.c.due_at, table.c.kind).where(table.c.job == job, table.c.done_at.is_(None))
        with self._reading() as connection:
            return [(row.due_at, row.kind) for row in connection.execute(query.order_by(table.c.due_at))]

    def set_done(self, job: str, until: str) -> None:
        """Note that every check due up to a time was done."""
        table = self._tables.schedule
        done = sa.update(table).where(table.c.job == job, table.c.due_at <= until, table.c.done_at.is_(None))
        with self._writing() as connection:
            connection.execute(done.values(done_at=self._stamp()))
