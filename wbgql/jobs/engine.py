"""The durable engine: batches go in, survive any crash, and are worked on by whoever listens.

DBOS Transact 3.4 in one process. It is quiet, opens no port, asks no cloud, reads none of its environment
variables, and starts no work unless `working` is entered: `status` and `stop` only look at its tables.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.engine import make_url

from wbgql.errors import Locked, StoreError
from wbgql.jobs.ranges import Batch, job_prefix, queue_name, wave_prefix

# Bump only when what `_run_batch` does step by step changes: work of another version is left alone.
APPLICATION_VERSION = "wbgql-jobs-1"
_NAME = "wbgql"
_WORKFLOW = "wbgql_batch"
_POLL_S = 0.05
_RECORDED_S = 0.02
_LOOK_AGAIN_S = 0.5
_LAST_BATCHES_S = 600
_LIVE = ["ENQUEUED", "PENDING", "DELAYED"]

Process = Callable[[Batch], str]
"""Works on one batch and returns one word on how it ended. Raises nothing."""

_process: Process | None = None
_ended = threading.Event()  # set whenever a batch has ended in this process
_one_at_a_time = threading.Lock()
_forked_at_work = False  # a job was running when this process was forked: DBOS holds its parent's connections


def _begin_after_fork() -> None:
    global _process, _ended, _one_at_a_time, _forked_at_work  # noqa: PLW0603
    _forked_at_work = _forked_at_work or _one_at_a_time.locked()
    _process, _ended, _one_at_a_time = None, threading.Event(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_after_fork)


def run_batch(job: str, generation: int, wave: int, lo: int, hi: int) -> str:
    """What the engine runs: plain numbers in, one word out, so that its tables hold no more."""
    assert _process is not None, "the engine runs only inside `working`"
    try:
        return _process(Batch(job, generation, wave, lo, hi))
    finally:
        _ended.set()


class Engine:
    """Where one job's batches are kept. `url`: SQLite in a file of its own, or PostgreSQL.

    `executor` names this process to the others; never two live ones alike.
    """

    def __init__(self, url: str, *, executor: str) -> None:
        self.executor = executor
        parsed = make_url(url)
        self.file = Path(parsed.database or "") if parsed.drivername.startswith("sqlite") else None
        if self.file is None:
            parsed = parsed.set(drivername="postgresql")
        self._url = parsed.render_as_string(hide_password=False)

    def status(self, job: str) -> dict[str, int]:
        """How many batches of the job's last generation are in each state. Starts nothing."""
        if not self._has_tables():
            return {}
        with self._client() as client:
            found = client.list_workflows(
                workflow_id_prefix=job_prefix(job), load_input=False, load_output=False
            )
        last = max((_generation(one.workflow_id) for one in found), default=0)
        return dict(Counter(one.status.lower() for one in found if _generation(one.workflow_id) == last))

    def stop(self, job: str) -> int:
        """Take the batches of a job that nobody has begun out of the queue; how many there were."""
        return self._cancel(job, ["ENQUEUED", "DELAYED"])

    def reset(self, job: str) -> int:
        """Take every batch of a job out that has not ended: only where nobody works on it any more."""
        return self._cancel(job, _LIVE)

    def forget(self, job: str) -> None:
        """Remove every trace of a job."""
        if self.file is not None:
            for end in ("", "-wal", "-shm", ".lock"):
                Path(f"{self.file}{end}").unlink(missing_ok=True)
        if not self._has_tables():
            return
        with self._client() as client:
            found = client.list_workflows(
                workflow_id_prefix=job_prefix(job), load_input=False, load_output=False
            )
            if found:
                client.delete_workflows([one.workflow_id for one in found])
            client.delete_queue(queue_name(job))

    def prepare(self) -> None:
        """Make or renew the engine's tables; one process at a time.

        Raises:
            StoreError: the database cannot be used.
        """
        with _quiet(), _engine_errors(), self._migrating():
            from dbos import DBOS  # noqa: PLC0415  # half a second

            if self.file is not None:
                self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
            DBOS.migrate(self._url)

    @contextmanager
    def working(self, job: str, process: Process, *, concurrency: int) -> Iterator[Worker]:
        """Work on a job's batches while this is open, up to `concurrency` at once, each in a thread.

        Needs `prepare` before. Leaving waits for the batches that run here: tell `process` to end first. A
        program that runs a DBOS of its own cannot do this in the same process.

        Raises:
            Locked: this process works on a job already, was forked from one that did, or another process
                works with the same SQLite file.
            StoreError: the database cannot be used.
        """
        global _process  # noqa: PLW0603  # the engine calls a function by its name
        if _forked_at_work:
            raise Locked(
                "this process was forked while a job ran: run the next job in a process that was started "
                "before or after it, or with multiprocessing's 'spawn'; nothing was done"
            )
        if not _one_at_a_time.acquire(blocking=False):
            raise Locked("this process works on another job; nothing was done")
        try:
            with self._file_lock(), _quiet():
                _process = process
                try:
                    yield from self._launched(job, concurrency)
                finally:
                    _process = None
        finally:
            _one_at_a_time.release()

    def _launched(self, job: str, concurrency: int) -> Iterator[Worker]:
        from dbos import DBOS  # noqa: PLC0415

        _workflow()
        with self._database() as engine, _engine_errors():
            DBOS(config=self._config(engine))
            worker: list[Worker] = []
            try:
                yield from self._listening(job, concurrency, worker)
            finally:
                # It sleeps a whole second where it is told to wait at all.
                settled = all(one.settled for one in worker)
                DBOS.destroy(workflow_completion_timeout_sec=0 if settled else _LAST_BATCHES_S)

    def _listening(self, job: str, concurrency: int, opened: list[Worker]) -> Iterator[Worker]:
        from dbos import DBOS  # noqa: PLC0415

        with self._client() as client:
            # Before the launch: a queue that comes later is found only after a second.
            client.register_queue(
                queue_name(job),
                worker_concurrency=concurrency,
                polling_interval_sec=_POLL_S,
                application_name=_NAME,
            )
            DBOS.listen_queues([queue_name(job)])
            DBOS.launch()
            opened.append(Worker(self, client, job))
            yield opened[0]

    def _config(self, engine: sa.Engine | None) -> Any:
        return {
            "name": _NAME,
            "application_version": APPLICATION_VERSION,
            "executor_id": self.executor,
            "log_level": "WARNING",
            "system_database_url": self._url,
            "serializer": _serializer(),
            "notification_listener_polling_interval_sec": 0.1,
            "run_migrations": False,
            "system_database_engine": engine,
        }

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with _quiet(), _engine_errors(), self._database() as engine:
            from dbos import DBOSClient  # noqa: PLC0415

            client = DBOSClient(
                system_database_url=self._url,
                system_database_engine=engine,
                application_name=_NAME,
                serializer=_serializer(),
                retry_connection_errors=False,
            )
            try:
                yield client
            finally:
                client.destroy()

    @contextmanager
    def _database(self) -> Iterator[sa.Engine | None]:
        """An SQLite engine as it has to be set up; for PostgreSQL, None: DBOS makes its own."""
        engine = None if self.file is None else _sqlite_engine(self._url)
        try:
            yield engine
        finally:
            if engine is not None:
                engine.dispose()

    def _has_tables(self) -> bool:
        if self.file is not None and not self.file.exists():
            return False
        url = make_url(self._url)
        engine = sa.create_engine(
            url if self.file is not None else url.set(drivername="postgresql+psycopg"), hide_parameters=True
        )
        try:
            with _engine_errors():
                schema = None if self.file is not None else "dbos"
                return sa.inspect(engine).has_table("workflow_status", schema=schema)
        finally:
            engine.dispose()

    def _cancel(self, job: str, states: list[str]) -> int:
        if not self._has_tables():
            return 0
        with self._client() as client:
            found = client.list_workflows(
                workflow_id_prefix=job_prefix(job), status=states, load_input=False, load_output=False
            )
            if found:
                client.cancel_workflows([one.workflow_id for one in found])
        return len(found)

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        if self.file is None:
            yield
            return
        try:
            with FileLock(f"{self.file}.lock", timeout=0):
                yield
        except Timeout as error:
            raise Locked("another process works on this job; nothing was done") from error

    @contextmanager
    def _migrating(self) -> Iterator[None]:
        """Two that make the tables of one PostgreSQL at once would trip over each other."""
        if self.file is not None:
            yield
            return
        engine = sa.create_engine(make_url(self._url).set(drivername="postgresql+psycopg"))
        try:
            with engine.begin() as connection:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('wbgql engine'))"))
                yield
        finally:
            engine.dispose()


class Worker:
    """A process at work on one job: submits waves, waits for them, and takes over from the dead."""

    def __init__(self, engine: Engine, client: Any, job: str) -> None:
        self._executor = engine.executor
        self._client = client
        self._job = job
        self.settled = True

    def submit(self, batches: Iterable[Batch]) -> None:
        """Put batches into the queue; those that are there already stay as they are."""
        from dbos import DBOS, SetWorkflowID  # noqa: PLC0415

        workflow = _workflow()
        self.settled = False
        with _engine_errors():
            for batch in batches:
                with SetWorkflowID(batch.id):
                    DBOS.enqueue_workflow(
                        queue_name(self._job),
                        workflow,
                        batch.job,
                        batch.generation,
                        batch.wave,
                        batch.lo,
                        batch.hi,
                    )

    def wait(self, generation: int, wave: int, tick: Callable[[], object]) -> dict[str, str]:
        """Wait until every batch of a wave has ended, here or elsewhere; how each did, by its id.

        A word of `process`, or the engine's own ("error", "cancelled"). `tick` is called about twice a
        second; what it raises ends the waiting.
        """
        prefix = wave_prefix(self._job, generation, wave)
        looked = time.monotonic()
        while True:
            _ended.clear()
            with _engine_errors():
                found = self._client.list_workflows(workflow_id_prefix=prefix, load_input=False)
            if not any(one.status in _LIVE for one in found):
                self.settled = True
                return {one.workflow_id: _ending(one) for one in found}
            if time.monotonic() - looked >= _LOOK_AGAIN_S:
                tick()
                looked = time.monotonic()
            # A look costs some milliseconds. What ends here says so, a moment before it is recorded.
            if _ended.wait(_LOOK_AGAIN_S):
                time.sleep(_RECORDED_S)

    def resume(self, is_dead: Callable[[str], bool]) -> int:
        """Put batches back into the queue whose worker is dead; how many. `is_dead` is asked by its name."""
        with _engine_errors():
            pending = self._client.list_workflows(
                workflow_id_prefix=job_prefix(self._job), status="PENDING", load_input=False
            )
            others = {one.executor_id for one in pending if one.executor_id} - {self._executor}
            dead = {name for name in others if is_dead(name)}
            left = [one.workflow_id for one in pending if one.executor_id in dead]
            if left:
                self.settled = False
                self._client.resume_workflows(left, queue_name=queue_name(self._job))
        return len(left)


def _ending(one: Any) -> str:
    return str(one.output) if one.status == "SUCCESS" else str(one.status).lower()


def _generation(workflow_id: str) -> int:
    return int(workflow_id.split(":")[-4])


def _serializer() -> Any:
    from dbos import DBOSPortableJSONSerializer  # noqa: PLC0415

    return DBOSPortableJSONSerializer()


_registered: Any = None


def _workflow() -> Any:
    global _registered  # noqa: PLW0603  # registered once in a process, by its name
    if _registered is None:
        from dbos import DBOS  # noqa: PLC0415

        _registered = DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=20)(run_batch)
    return _registered


def _sqlite_engine(url: str) -> sa.Engine:
    """DBOS sets no write-ahead log itself. The ledger can make what it holds again: NORMAL will do."""
    engine = sa.create_engine(url, pool_size=20)

    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(engine, "connect", prepare)
    return engine


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
        raise StoreError(f"the engine's database cannot be used: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep DBOS off our stderr, and its cloud's environment variables off DBOS."""
    logger = logging.getLogger("dbos")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("DBOS_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
