"""A job's own row: its state, whether it is to stop, its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from wbgql.erasure.ledger.checks import Checks
from wbgql.erasure.ledger.database import JobState

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

    def destroy(self, job: str, body: Mapping[str, Any]) -> None:
        """Remove every row that holds run ids, record that, and leave nothing of them in the file.

        The journal, the verifications and the job's own row stay: they name runs by keyed hashes only.
        """
        with self._writing() as connection:
            head = self._lock(connection, job)
            connection.execute(sa.delete(self._tables.actions).where(self._tables.actions.c.job == job))
            self._set(connection, job, {"state": "closed", "frame": None})
            self._append(connection, job, head, "closed", body)
        if self.engine.dialect.name == "sqlite":
            # Deleted rows are overwritten (secure_delete); old pages may stand in the write-ahead log.
            self._checkpoint()

    def _checkpoint(self) -> None:
        with self._reading() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
