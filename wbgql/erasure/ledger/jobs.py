"""A job's own row: its state, whether it is to stop, its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from wbgql.erasure.ledger.checks import Checks
from wbgql.erasure.ledger.database import JobState, storing

_STAMPS = {"applied": "applied_at", "partial": "applied_at", "verified": "verified_at"}


class Jobs(Checks):
    """A ledger's jobs, as wholes."""

    def set_state(
        self,
        job: str,
        state: JobState,
        kind: str,
        body: Mapping[str, Any],
        *,
        only_from: Sequence[JobState] = (),
    ) -> bool:
        """Set a job's state, with the journal entry that says why.

        With `only_from`, False where it is in another state already: somebody else was first.
        """
        values: dict[str, Any] = {"state": state}
        if state in _STAMPS:
            values[_STAMPS[state]] = self._stamp()
        with self._writing() as connection:
            head = self._lock(connection, job)
            row = self._row(connection, job)
            if only_from and row.state not in only_from:
                return False
            self._set(connection, job, values)
            self._append(connection, job, head, kind, body)
        return True

    def request_stop(self, job: str, *, wanted: bool = True) -> None:
        """Ask whoever works on a job to stop between two items, or take that back."""
        with self._writing() as connection:
            self._set(connection, job, {"stop_requested": wanted})

    def stop_requested(self, job: str) -> bool:
        """Whether somebody asked the job to stop."""
        jobs = self._tables.jobs
        with self._reading() as connection:
            query = sa.select(jobs.c.stop_requested).where(jobs.c.job == job)
            return bool(connection.execute(query).scalar())

    def next_generation(self, job: str) -> int:
        """Count one more resume and return its number."""
        jobs = self._tables.jobs
        bumped = sa.update(jobs).where(jobs.c.job == job).values(generation=jobs.c.generation + 1)
        with self._writing() as connection:
            return int(connection.execute(bumped.returning(jobs.c.generation)).scalar_one())

    def destroy(self, job: str, body: Mapping[str, Any]) -> bool:
        """Remove every row that holds run ids and record that; whether nothing of them is left in the file.

        The journal, the verifications and the job's own row stay: they name runs by keyed hashes only.
        """
        with self._writing() as connection:
            head = self._lock(connection, job)
            connection.execute(sa.delete(self._tables.actions).where(self._tables.actions.c.job == job))
            self._set(connection, job, {"state": "closed", "frame": None})
            self._append(connection, job, head, "closed", body)
        return self.scrub()

    def scrub(self) -> bool:
        """Overwrite what deleted rows left, as far as the database lets one; whether nothing is left.

        SQLite overwrites deleted rows (secure_delete), and its write-ahead log is emptied where nobody reads.
        PostgreSQL only frees their space: old pages, its own log and copies of both are its keeper's.
        """
        if self.engine.dialect.name == "sqlite":
            with self._reading() as connection:
                raw = connection.connection.dbapi_connection
                assert raw is not None
                busy, *_ = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not busy
        with storing(), self.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text(f"VACUUM {self._tables.actions.fullname}"))
        return False
