"""Transactions on the ledger: one writer at a time, errors in words of our own, the chain kept whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, Self, get_args

import msgspec
import sqlalchemy as sa

from wbgql.erasure.ledger.tables import SCHEMA, Tables, database_file, make_engine
from wbgql.erasure.records import canonical
from wbgql.erasure.records.journal import Entry, Head, make_entry
from wbgql.erasure.records.plan import Plan, parse_plan
from wbgql.errors import StoreError, UsageError
from wbgql.forks import renew_after_fork, set_aside
from wbgql.scalars import format_datetime

JobState = Literal["applying", "applied", "partial", "verified", "reopened", "closed"]
JOB_STATES: tuple[str, ...] = get_args(JobState)

PAGE = 500
"""Rows that are held at once, wherever a ledger streams."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job's row. `plan` is the plan without its runs, None once the case is closed.

    `round` counts openings: 1, and one more for each time runs came back or were tried again. `generation`
    counts resumes within the engine.
    """

    job: str
    digest: str
    target: str
    state: JobState
    created_at: str
    plan: Plan | None
    head: Head
    round: int
    generation: int
    stop_requested: bool
    applied_at: str | None
    verified_at: str | None


class Database:
    """One open database. Several threads and processes may share it.

    `now` gives the times that rows and entries carry: information only, the order is the journal's.
    """

    def __init__(
        self,
        url: str,
        engine: sa.Engine,
        tables: Tables,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.url = url
        self.engine = engine
        self._tables = tables
        self._writer = engine.execution_options(writes=True)
        self._now = now
        # Threads of one process queue here; left to SQLite, they would sleep and try again.
        self._one_writer = threading.Lock()
        renew_after_fork(self)
        # Made once: SQLAlchemy takes longer to put a statement together than to send it.
        jobs = tables.jobs
        of_job = jobs.c.job == sa.bindparam("of_job")
        self._ask_head = sa.select(jobs.c.head_seq, jobs.c.head_hash).where(of_job).with_for_update()
        self._set_head = sa.update(jobs).where(of_job)
        self._add_entry = sa.insert(tables.journal)

    @classmethod
    def open(cls, url: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Self:
        """Open the ledger that `url` names and make what is missing of it; a file only its owner may read.

        Raises:
            ConfigError: not a URL of SQLite or PostgreSQL.
            StoreError: it cannot be opened or written.
        """
        engine = make_engine(url)
        file = database_file(url)
        tables = Tables(None if file else SCHEMA)
        with storing():
            if file is not None:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            with engine.execution_options(writes=True).begin() as connection:
                if file is None:
                    # Two that come first at once would both find nothing and both create it.
                    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('wbgql ledger'))"))
                    connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
                tables.metadata.create_all(connection)
        return cls(url, engine, tables, now=now)

    def close(self) -> None:
        """Close every connection; the next use opens new ones."""
        self.engine.dispose()

    def after_fork(self) -> None:
        """Open connections of its own in a forked process: neither SQLite nor libpq may be shared.

        Source: SQLite's "How To Corrupt An SQLite Database File", section 2.6, and SQLAlchemy's "Using
        Connection Pools with Multiprocessing" (2026-11).
        """
        self._one_writer = threading.Lock()
        set_aside(self.engine.pool)
        self.engine.dispose(close=False)

    def job(self, job: str) -> Job:
        """Return a job's row.

        Raises:
            UsageError: no such job.
        """
        with self._reading() as connection:
            row = self._row(connection, job)
        if row is None:
            raise UsageError(f"the ledger has no job {job!r}: `wbgql erase apply` makes it")
        return _to_job(row)

    def jobs(self) -> list[Job]:
        """Every job's row, the oldest first."""
        table = self._tables.jobs
        with self._reading() as connection:
            return [_to_job(row) for row in connection.execute(sa.select(table).order_by(table.c.created_at))]

    def has(self, job: str) -> bool:
        """Whether there is such a job."""
        with self._reading() as connection:
            return self._row(connection, job) is not None

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with storing(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._one_writer, storing(), self._writer.begin() as connection:
            yield connection

    def _row(self, connection: sa.Connection, job: str, *, lock: bool = False) -> Any:
        jobs = self._tables.jobs
        query = sa.select(jobs).where(jobs.c.job == job)
        return connection.execute(query.with_for_update() if lock else query).first()

    def _set(self, connection: sa.Connection, job: str, values: Mapping[str, Any]) -> None:
        jobs = self._tables.jobs
        if connection.execute(sa.update(jobs).where(jobs.c.job == job).values(**values)).rowcount == 0:
            raise UsageError(f"the ledger has no job {job!r}")

    def _lock(self, connection: sa.Connection, job: str) -> Head:
        """Lock the job's row, so that its journal has one writer, and return where the journal ends.

        Taken before any other row of the job, so that two writers cannot wait for each other.
        """
        row = connection.execute(self._ask_head, {"of_job": job}).first()
        if row is None:
            raise UsageError(f"the ledger has no job {job!r}")
        return Head(seq=row.head_seq, hash=row.head_hash)

    def _append(
        self, connection: sa.Connection, job: str, head: Head, kind: str, body: Mapping[str, Any]
    ) -> Entry:
        entry = make_entry(head, self._stamp(), kind, dict(body))
        row = {
            "job": job,
            "seq": entry.seq,
            "at": entry.at,
            "kind": entry.kind,
            "body": canonical.encode(entry.body).decode(),
            "prev": entry.prev,
            "hash": entry.hash,
        }
        connection.execute(self._add_entry, row)
        head_row = {"of_job": job, "head_seq": entry.seq, "head_hash": entry.hash}
        connection.execute(self._set_head, head_row)
        return entry

    def _stamp(self) -> str:
        return format_datetime(self._now())


@contextmanager
def storing() -> Iterator[None]:
    """Turn what SQLAlchemy and the file system raise into `StoreError`. It quotes no value of a row."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise StoreError(f"the ledger cannot be used: {_reason(error)}; nothing more is sent") from error
    except OSError as error:
        raise StoreError(f"the ledger cannot be used: {(error.strerror or str(error)).lower()}") from error


def _reason(error: sa.exc.SQLAlchemyError) -> str:
    """The first line of the driver's words: those below may quote rows."""
    words = str(getattr(error, "orig", None) or type(error).__name__)
    return words.strip().partition("\n")[0]


def _parse_frame(text: str) -> Plan:
    try:
        return parse_plan(text.encode())
    except UsageError as error:
        raise StoreError(f"the ledger is damaged: its copy of the plan is {error}") from error


def _to_job(row: Any) -> Job:
    return Job(
        job=row.job,
        digest=row.digest,
        target=row.target,
        state=row.state,
        created_at=row.created_at,
        plan=None if row.frame is None else _parse_frame(row.frame),
        head=Head(seq=row.head_seq, hash=row.head_hash),
        round=row.round,
        generation=row.generation,
        stop_requested=row.stop_requested,
        applied_at=row.applied_at,
        verified_at=row.verified_at,
    )
