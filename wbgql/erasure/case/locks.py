"""One job per target at a time; several workers of one job only where the database can tell who lives.

SQLite: lock files beside the ledger, one process per job. PostgreSQL: advisory locks of a session that stays
open, which vanish with the process that held them, and a row that says which job has a target.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import sqlalchemy as sa
from filelock import FileLock, Timeout

from wbgql.erasure.ledger.database import storing
from wbgql.erasure.ledger.tables import SCHEMA, Tables, database_file
from wbgql.errors import Locked, StoreError
from wbgql.forks import set_aside

_STARTING_S = 30.0


class Hold(Protocol):
    """The locks of one worker, held until they are closed."""

    alone: bool
    """Nobody else works on this job: what earlier workers left may be taken over."""

    def share(self) -> None:
        """Let other workers of the same job in."""

    def is_dead(self, executor: str) -> bool:
        """Whether a worker of this job is known to be gone."""

    def check(self) -> None:
        """Check that this process still has the locks.

        Raises:
            StoreError: they may be lost, or belong to the process that this one was forked from.
        """


class _FileHold:
    """Lock files: one process has the job, so nobody else can be alive."""

    alone = True

    def __init__(self) -> None:
        self._process = os.getpid()

    def share(self) -> None:
        """Nothing: a file has one worker."""

    def is_dead(self, executor: str) -> bool:
        """Every other worker: they would hold the file."""
        return bool(executor)

    def check(self) -> None:
        """Check the process: a file stays locked as long as the one that locked it lives."""
        _check_process(self._process)


class _SessionHold:
    """Advisory locks of one open session."""

    def __init__(self, connection: sa.Connection, job: str, *, alone: bool) -> None:
        self._connection = connection
        self._job = job
        self._process = os.getpid()
        self.alone = alone

    def share(self) -> None:
        """Take the shared lock of the job before the exclusive one is given back."""
        if self.alone:
            _call(self._connection, "pg_advisory_lock_shared", f"job {self._job}")
            _call(self._connection, "pg_advisory_unlock", f"job {self._job}")

    def is_dead(self, executor: str) -> bool:
        """Whether the lock with its name is free: it would hold it if it lived."""
        free = bool(_call(self._connection, "pg_try_advisory_lock", _worker(executor)))
        if free:
            _call(self._connection, "pg_advisory_unlock", _worker(executor))
        return free

    def check(self) -> None:
        """Ask the session something; a lost one has lost its locks."""
        _check_process(self._process)
        with storing():
            if self._connection.invalidated:
                raise StoreError("the session that holds the locks is lost; nothing more is sent")
            self._connection.execute(sa.text("SELECT 1"))


@contextmanager
def hold_job(
    engine: sa.Engine,
    url: str,
    job: str,
    executor: str,
    targets: Sequence[str],
    *,
    stamp: Callable[[], str],
) -> Iterator[Hold]:
    """Hold a job and its targets while this is open. A process that is forked meanwhile holds nothing.

    Raises:
        Locked: another job has one of the targets, or another process this job.
        StoreError: the database or a lock file cannot be used.
    """
    with _ending_here() as stack:
        file = database_file(url)
        if file is not None:
            folder = file.parent / "locks"
            with storing():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in (f"job {job}", *sorted(targets)):
                _take_file(stack, folder / f"{_hex(name)}.lock")
            yield _FileHold()
            return
        with storing():
            connection = stack.enter_context(engine.connect())
            # Locks belong to the session: back in the pool, it would keep them.
            stack.callback(connection.invalidate)
            connection.execution_options(isolation_level="AUTOCOMMIT")
            alone = _take_job(connection, job)
            if not _call(connection, "pg_try_advisory_lock", _worker(executor)):
                raise Locked("another worker has this name; nothing was done")
            _take_targets(engine, job, targets, stamp())
        yield _SessionHold(connection, job, alone=alone)


@contextmanager
def _ending_here() -> Iterator[ExitStack]:
    """A stack that a forked process leaves alone: to close the session there would give back the locks."""
    process = os.getpid()
    with ExitStack() as stack:
        try:
            yield stack
        finally:
            if os.getpid() != process:
                set_aside(stack.pop_all())


def _check_process(process: int) -> None:
    if os.getpid() != process:
        raise StoreError(
            "this process was forked from the one that holds the locks of the job; nothing more is sent"
        )


def _take_file(stack: ExitStack, path: Any) -> None:
    lock = FileLock(path, timeout=0)
    with storing():
        try:
            stack.enter_context(lock)
        except Timeout as error:  # an OSError as well, which `storing` would take for one of the disk
            raise Locked("another job is at work on the same project; nothing was done") from error


def _take_job(connection: sa.Connection, job: str) -> bool:
    """Take the job alone where nobody has it, else beside the others, once they have started."""
    if _call(connection, "pg_try_advisory_lock", f"job {job}"):
        return True
    deadline = time.monotonic() + _STARTING_S
    while not _call(connection, "pg_try_advisory_lock_shared", f"job {job}"):
        if time.monotonic() > deadline:
            raise Locked("another worker of this job does not get past its start; nothing was done")
        time.sleep(0.1)
    return False


def _take_targets(engine: sa.Engine, job: str, targets: Sequence[str], stamp: str) -> None:
    locks = Tables(SCHEMA).locks
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('wbgql targets'))"))
        for target in sorted(targets):
            hashed = _hex(target)
            holder = connection.execute(sa.select(locks.c.job).where(locks.c.target == hashed)).scalar()
            if holder not in (None, job) and not _call(
                connection, "pg_try_advisory_xact_lock", f"job {holder}"
            ):
                raise Locked("another job is at work on the same project; nothing was done")
            connection.execute(sa.delete(locks).where(locks.c.target == hashed))
            connection.execute(sa.insert(locks), {"target": hashed, "job": job, "taken_at": stamp})


def _call(connection: sa.Connection, function: str, name: str) -> Any:
    number = int.from_bytes(hashlib.sha256(f"wbgql {name}".encode()).digest()[:8], "big", signed=True)
    return connection.execute(
        sa.select(getattr(sa.func, function)(sa.literal(number, sa.BigInteger)))
    ).scalar()


def _worker(executor: str) -> str:
    return f"worker {executor}"


def _hex(name: str) -> str:
    """The database and the folder need not say which projects are worked on."""
    return hashlib.sha256(name.encode()).hexdigest()
