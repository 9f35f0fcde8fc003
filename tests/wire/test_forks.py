"""A client that was used and is then used in forked processes: each has its own connections, locks and threads."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from tests.forked import call_all_forked, call_forked, needs_fork
from tests.stored import World
from wbgql.forks import PerProcess, Workers, lazy
from wbgql.history.many import iter_in_order
from wbgql.runs import RunNode
from wbgql.runs.scanning import ReadAhead, offset_of, to_cursor
from wbgql.safety.holds import HoldRegister
from wbgql.wire.connection import Connection, Edge, PageInfo

pytestmark = needs_fork


def _filled(world: World, count: int) -> list[str]:
    """Make runs r0, r1, ... whose config says their number; return their paths."""
    paths = [f"{world.path}/r{number}" for number in range(count)]
    for number, path in enumerate(paths):
        world.client.upsert_run(path, config={"i": number}, state="finished")
    return paths


def test_each_forked_process_gets_the_runs_that_it_asks_for(world: World) -> None:
    paths = _filled(world, 8)
    world.client.run(paths[0])  # the connection is open now

    def ask(path: str) -> Callable[[], list[tuple[str, Any]]]:
        return lambda: [(found.id, found.config["i"]) for found in map(world.client.run, [path] * 20)]

    answers = call_all_forked([ask(path) for path in paths])

    assert answers == [[(f"r{number}", number)] * 20 for number in range(8)]


def test_tags_are_written_to_the_runs_that_were_named(world: World) -> None:
    paths = _filled(world, 6)

    def tag(path: str) -> Callable[[], tuple[str, ...]]:
        return lambda: world.client.add_tags(path, f"tag-{path.rpartition('/')[2]}").tags

    call_all_forked([tag(path) for path in paths])

    assert [world.client.run(path).tags for path in paths] == [(f"tag-r{number}",) for number in range(6)]


def test_files_are_downloaded_in_forked_processes(world: World, tmp_path: Path) -> None:
    paths = [world.run(f"r{number}") for number in range(4)]
    for number, path in enumerate(paths):
        world.store(path.run_id, {"a.txt": b"%d" % number * 100_000})
    world.client.download_files(paths[0], tmp_path / "parent")

    def download(number: int) -> Callable[[], bytes]:
        def call() -> bytes:
            world.client.download_files(paths[number], tmp_path / str(number))
            return (tmp_path / str(number) / "a.txt").read_bytes()

        return call

    found = call_all_forked([download(number) for number in range(4)])

    assert found == [b"%d" % number * 100_000 for number in range(4)]


def test_a_list_goes_on_in_both_processes(world: World) -> None:
    _filled(world, 7)
    runs = iter(world.client.runs(str(world.path), page_size=2))
    first = next(runs).id

    in_the_child = call_forked(lambda: [found.id for found in runs])

    rest = [found.id for found in runs]
    assert [first, *rest] == [f"r{number}" for number in range(7)]
    assert in_the_child == rest


def test_pages_that_are_under_way_are_asked_for_again_in_the_child() -> None:
    parent, may_answer = os.getpid(), threading.Event()

    def ask(first: int, after: str | None) -> Connection[RunNode]:
        offset = 0 if after is None else (offset_of(after) or 0) + 1
        if after is not None and os.getpid() == parent:
            may_answer.wait(10)  # still under way when the process is forked
        edges = [
            Edge(node=RunNode(id=f"{number}", name=f"r{number}", created_at="2026-01-01T00:00:00"))
            for number in range(offset, offset + first)
        ]
        more = PageInfo(has_next_page=True, end_cursor=to_cursor(offset + first - 1))
        return Connection(edges=edges, page_info=more, total_count=100)

    ahead = ReadAhead(ask, wall=itertools.count().__next__, cpu=lambda: 0.0)
    cursor = ahead(2, None).page_info.end_cursor

    in_the_child = call_forked(lambda: [node.name for node in ahead(2, cursor).nodes], timeout_s=5)

    may_answer.set()
    assert in_the_child == ["r2", "r3"] == [node.name for node in ahead(2, cursor).nodes]
    ahead.close()


def test_an_iteration_by_threads_says_that_it_cannot_go_on_in_the_child() -> None:
    may_end = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        may_end.wait(10)
        yield 2

    items = iter_in_order([slow()], workers=1)
    assert next(items) == 1

    answer = call_forked(lambda: list(items))

    may_end.set()
    assert list(items) == [2]
    assert answer.startswith("UsageError: this iteration began before the process was forked")


def test_leaving_workers_in_the_child_waits_for_nobody() -> None:
    may_end = threading.Event()
    with Workers(1, "test") as workers:
        workers.submit(may_end.wait, 10)
        assert call_forked(lambda: workers.__exit__(None, None, None)) is None
        may_end.set()


def test_a_lock_that_another_thread_holds_does_not_stop_the_child() -> None:
    opening, may_open = threading.Event(), threading.Event()
    parent = os.getpid()

    def open_slowly() -> int:
        if os.getpid() == parent:
            opening.set()
            may_open.wait(10)
        return os.getpid()

    shared = PerProcess(open_slowly, lambda _: None)
    thread = threading.Thread(target=shared.get)
    thread.start()
    opening.wait(10)

    in_the_child = call_forked(shared.get, timeout_s=5)

    may_open.set()
    thread.join()
    assert shared.get() == parent
    assert in_the_child != parent


def test_a_value_that_another_thread_makes_does_not_stop_the_child() -> None:
    making, may_make = threading.Event(), threading.Event()
    parent = os.getpid()

    class Thing:
        @lazy
        def value(self) -> int:
            if os.getpid() == parent:
                making.set()
                may_make.wait(10)
            return os.getpid()

    thing = Thing()
    thread = threading.Thread(target=lambda: thing.value)
    thread.start()
    making.wait(10)

    in_the_child = call_forked(lambda: thing.value, timeout_s=5)

    may_make.set()
    thread.join()
    assert thing.value == parent
    assert in_the_child != parent


def test_children_forked_while_threads_use_the_client_get_their_own_answers(world: World) -> None:
    paths = _filled(world, 3)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            world.client.run(paths[0])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        answers = [call_forked(lambda: world.client.run(paths[1]).id) for _ in range(10)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert answers == ["r1"] * 10


def test_a_child_that_ends_leaves_its_parents_connection_open(world: World) -> None:
    paths = _filled(world, 1)
    before = world.client.stats.requests

    def close() -> str:
        world.client.run(paths[0])
        world.client.close()
        return "closed"

    assert call_forked(close) == "closed"
    assert world.client.run(paths[0]).id == "r0"
    assert world.client.stats.requests == before + 1
    assert world.client.stats.retries == 0


def test_the_hold_register_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    register = HoldRegister(tmp_path / "holds.json")
    when = datetime(2026, 1, 1, tzinfo=UTC)

    def add(number: int) -> Callable[[], str]:
        return lambda: register.add("run", f"e/p/r{number}", reason="x", added_by="y", now=when).id

    ids = call_all_forked([add(number) for number in range(6)])

    assert sorted(hold.value for hold in register.read()) == [f"e/p/r{number}" for number in range(6)]
    assert len(set(ids)) == 6


def test_a_child_that_unwinds_does_not_give_back_the_export_folder(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock", timeout=0) as lock:
        assert call_forked(lambda: lock.release(force=True)) is None
        other = FileLock(tmp_path / ".lock", timeout=0)
        with pytest.raises(Timeout):
            other.acquire()
