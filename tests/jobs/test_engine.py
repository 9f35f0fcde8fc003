"""The durable engine: submitted once, resumed after a crash, silent, and never started by a look."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from tests.forked import call_forked, needs_fork
from wbgql.errors import Locked
from wbgql.jobs.engine import Engine
from wbgql.jobs.ranges import Batch, cut, make_batches


@pytest.fixture
def engine(engine_url: str) -> Engine:
    made = Engine(engine_url, executor="w0")
    made.prepare()
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def engine_url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'engine.sqlite'}"
    return str(request.getfixturevalue("postgres"))


def _collect(done: list[Batch]) -> Callable[[Batch], str]:
    def process(batch: Batch) -> str:
        done.append(batch)
        return "done"

    return process


def test_ranges_cover_everything_once():
    assert list(cut(0, 250, 100)) == [(0, 100), (100, 200), (200, 250)]
    assert list(cut(5, 5, 100)) == []


def test_batches_run_once_and_report_their_word(engine):
    done: list[Batch] = []
    batches = make_batches("job", 1, 0, cut(0, 25, 10))

    with engine.working("job", _collect(done), concurrency=2) as worker:
        worker.submit(batches)
        worker.submit(batches)
        ended = worker.wait(1, 0, lambda: None)

    assert sorted(done) == batches
    assert ended == dict.fromkeys(("job:1:0:0:10", "job:1:0:10:20", "job:1:0:20:25"), "done")
    assert engine.status("job") == {"success": 3}


def test_looking_starts_nothing_and_stopping_empties_the_queue(engine):
    started = threading.Event()
    leave = threading.Event()

    def process(_batch: Batch) -> str:
        started.set()
        leave.wait(20)
        return "stopped"

    with engine.working("job", process, concurrency=1) as worker:
        worker.submit(make_batches("job", 1, 0, cut(0, 3, 1)))
        assert started.wait(20)
        assert engine.status("job") == {"pending": 1, "enqueued": 2}
        assert engine.stop("job") == 2
        leave.set()
        ended = worker.wait(1, 0, lambda: None)

    assert sorted(ended.values()) == ["cancelled", "cancelled", "stopped"]


def test_another_job_s_work_stays_where_it_is(engine):
    leave = threading.Event()
    begun = threading.Event()

    def process(_batch: Batch) -> str:
        begun.set()
        leave.wait(20)
        return "done"

    with engine.working("two", process, concurrency=1) as worker:
        worker.submit(make_batches("two", 1, 0, [(0, 1)]))
        assert begun.wait(20)
        worker.submit(make_batches("two", 1, 1, [(1, 2), (2, 3)]))
        leave.set()
    done: list[Batch] = []

    with engine.working("one", _collect(done), concurrency=1) as worker:
        worker.submit(make_batches("one", 1, 0, [(0, 1)]))
        worker.wait(1, 0, lambda: None)

    assert [batch.job for batch in done] == ["one"]
    assert "two" not in {batch.job for batch in done}


def test_one_process_works_on_one_job_at_a_time(engine):
    with (
        engine.working("one", _collect([]), concurrency=1),
        pytest.raises(Locked, match="another job"),
        engine.working("two", _collect([]), concurrency=1),
    ):
        pass


def test_forgetting_leaves_no_trace(engine):
    with engine.working("job", _collect([]), concurrency=1) as worker:
        worker.submit(make_batches("job", 1, 0, [(0, 1)]))
        worker.wait(1, 0, lambda: None)

    engine.forget("job")

    assert engine.status("job") == {}


def test_what_the_engine_is_told_to_stop_ends_the_waiting(engine):
    leave = threading.Event()

    def process(_batch: Batch) -> str:
        leave.wait(20)
        return "done"

    def tick() -> None:
        leave.set()
        raise KeyboardInterrupt

    with engine.working("job", process, concurrency=1) as worker:
        worker.submit(make_batches("job", 1, 0, [(0, 1)]))
        with pytest.raises(KeyboardInterrupt):
            worker.wait(1, 0, tick)


_WORKER = """
import sys, time
from wbgql.jobs.engine import Engine
from wbgql.jobs.ranges import make_batches

def process(batch):
    print("begun", flush=True)
    time.sleep(60)
    return "done"

engine = Engine(sys.argv[1], executor="doomed")
engine.prepare()
with engine.working("job", process, concurrency=1) as worker:
    worker.submit(make_batches("job", 1, 0, [(0, 1), (1, 2)]))
    worker.wait(1, 0, lambda: None)
"""


def _start_doomed(url: str) -> subprocess.Popen[str]:
    environ = os.environ | {"DBOS__VMID": "cloud", "DBOS__APPVERSION": "other"}
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_batches_of_a_killed_worker_are_taken_over_and_it_said_nothing(engine, engine_url):
    doomed = _start_doomed(engine_url)
    doomed.kill()
    _, said = doomed.communicate()
    done: list[Batch] = []

    with engine.working("job", _collect(done), concurrency=1) as worker:
        taken = worker.resume(lambda executor: executor == "doomed")
        worker.wait(1, 0, lambda: None)

    assert taken == 1
    assert sorted(batch.lo for batch in done) == [0, 1]
    assert said == ""


def test_a_batch_whose_worker_lives_is_left_to_it(engine, engine_url):
    if engine_url.startswith("sqlite"):
        pytest.skip("one process works on one SQLite file")
    doomed = _start_doomed(engine_url)
    try:
        done: list[Batch] = []
        with engine.working("job", _collect(done), concurrency=1) as worker:
            assert worker.resume(lambda _executor: False) == 0
            deadline = time.monotonic() + 10
            while not done and time.monotonic() < deadline:
                time.sleep(0.05)
        assert [batch.lo for batch in done] == [1]
    finally:
        doomed.kill()
        doomed.communicate()


def test_a_second_process_on_one_sqlite_file_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'engine.sqlite'}"
    doomed = _start_doomed(url)
    try:
        with (
            pytest.raises(Locked, match="another process"),
            Engine(url, executor="w1").working("job", _collect([]), concurrency=1),
        ):
            pass
    finally:
        doomed.kill()
        doomed.communicate()


@needs_fork
def test_a_process_forked_while_a_job_runs_refuses_a_job_of_its_own(engine: Engine) -> None:
    def work() -> int:
        done: list[Batch] = []
        with engine.working("two", _collect(done), concurrency=1):
            return len(done)

    with engine.working("one", _collect([]), concurrency=1):
        refused = call_forked(work)

    assert refused.startswith("Locked: this process was forked while a job ran")


@needs_fork
def test_a_process_forked_after_a_job_works_on_its_own(engine: Engine) -> None:
    def work(job: str) -> int:
        done: list[Batch] = []
        with engine.working(job, _collect(done), concurrency=2) as worker:
            worker.submit(make_batches(job, 1, 1, cut(0, 4, 2)))
            worker.wait(1, 1, lambda: None)
        return len(done)

    assert work("one") == 2
    assert call_forked(lambda: work("two"), timeout_s=60) == 2
    assert work("three") == 2
