"""`python -m bench server`: what the local server takes, over HTTP, with 100,000 runs of 130 keys in its store.

Wall time is that of one request after the other over one connection, the client's reading included and its
decoding not; CPU is the server process's own, per request. Fails if an answer is not what was stored.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from wandb.apis.public.runs import RUN_FRAGMENT

from bench.children import run_module
from bench.runs import summary_of
from bench.stored import ENTITY, KEY, Truth, make_store
from wbgql.server import RunningServer, start

WARM, ASKED = 3, 21
ROWS, PER_SECOND, WRITERS = 10_000, 1000, 20
LOGGED = "logged"
"""The project that is written to; the one with the runs stays as it was made."""
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")

_LIST = """query Runs($order: String, $filters: JSONString, $first: Int) {
  project(entityName: "admin", name: "bench") {
    runs(filters: $filters, order: $order, first: $first) {
      edges { node { %s } cursor } pageInfo { endCursor hasNextPage }
    }
  }
}
"""
FULL = _LIST % "projectId ...RunFragment" + RUN_FRAGMENT
TWO_KEYS = _LIST % 'id name createdAt config(keys: ["lr"]) summaryMetrics(keys: ["acc"])'
COUNT = """query Count($filters: JSONString) {
  project(entityName: "admin", name: "bench") { runCount(filters: $filters) }
}
"""
GOOD = {"$and": [{"summary_metrics.acc": {"$gt": 0.9}}, {"state": "finished"}]}
HALF = {"summary_metrics.acc": {"$gt": 0.5}}
TWO_METRICS = {"$and": [HALF, {"config.lr": {"$gt": 0.5}}]}


@dataclass(frozen=True)
class Ask:
    """One line of the table. `expected` gives the names or the count that the answer must have."""

    work: str
    document: str
    variables: dict[str, Any]
    target_ms: float | None
    expected: Callable[[Truth], list[str] | int]


def _first(count: int) -> Callable[[Truth], list[str]]:
    return lambda truth: [name for name, *_ in truth.runs[:count]]


def _best(count: int) -> Callable[[Truth], list[str]]:
    def names(truth: Truth) -> list[str]:
        good = [run for run in truth.runs if run[1] > 0.9 and run[3] == "finished"]
        return [name for name, *_ in sorted(good, key=lambda run: -run[1])[:count]]

    return names


OLDEST = {"order": "+created_at", "first": 1000}
BEST = {"order": "-summary_metrics.acc", "first": 100, "filters": json.dumps(GOOD)}
ASKS = (
    Ask("page of 1000 full runs (RunFragment)", FULL, OLDEST, 30, _first(1000)),
    Ask("page of 1000 runs, two keys", TWO_KEYS, OLDEST, 15, _first(1000)),
    Ask("filtered, ordered page of 100 full runs", FULL, BEST, 20, _best(100)),
    Ask("filtered, ordered page of 100, two keys", TWO_KEYS, BEST, 20, _best(100)),
    Ask("count of all", COUNT, {}, 60, lambda truth: len(truth.runs)),
    Ask(
        "count by a metric, half match",
        COUNT,
        {"filters": json.dumps(HALF)},
        60,
        lambda truth: sum(run[1] > 0.5 for run in truth.runs),
    ),
    Ask(
        "count by a metric and a state",
        COUNT,
        {"filters": json.dumps(GOOD)},
        60,
        lambda truth: sum(run[1] > 0.9 and run[3] == "finished" for run in truth.runs),
    ),
    Ask(
        "count by two keys, a quarter matches",
        COUNT,
        {"filters": json.dumps(TWO_METRICS)},
        60,
        lambda truth: sum(run[1] > 0.5 and run[2] > 0.5 for run in truth.runs),
    ),
)


class Line:
    """One connection to the server, kept open."""

    def __init__(self, server: RunningServer) -> None:
        self._connection = http.client.HTTPConnection(server.base_url.partition("//")[2], timeout=120)
        login = base64.b64encode(f"api:{KEY}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}

    def post(self, path: str, body: Any) -> tuple[float, bytes]:
        """Seconds from the request to the last byte, and the answer."""
        content = json.dumps(body).encode()
        before = time.perf_counter()
        self._connection.request("POST", path, content, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        took = time.perf_counter() - before
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {answer[:500]!r}")
        return took, answer

    def ask(self, asked: Ask) -> tuple[float, bytes]:
        """Seconds, and the answer."""
        return self.post("/graphql", {"query": asked.document, "variables": asked.variables})

    def stream(self, name: str, file: str, offset: int, content: list[str]) -> float:
        """Seconds for one file_stream request."""
        body = {"files": {file: {"offset": offset, "content": content}}}
        return self.post(f"/files/{ENTITY}/{LOGGED}/{name}/file_stream", body)[0]

    def make_run(self, name: str) -> None:
        """Make a run to write to."""
        given = f'entityName: "{ENTITY}", modelName: "{LOGGED}", name: "{name}"'
        self.post("/graphql", {"query": f"mutation {{ upsertBucket(input: {{{given}}}) {{ inserted }} }}"})


def measure(data: Path, count: int) -> int:
    """Make the store if it is not there, measure, print the tables; return how many answers were wrong."""
    print(f"a store of {count} runs in {data}", file=sys.stderr)
    truth = make_store(data, count)
    wrong = _cold(data, truth)
    with start(data, username=ENTITY, api_key=KEY) as server:
        line = Line(server)
        print("\n| request | target | median | quickest | server CPU | first time |")
        print("|---|---|---|---|---|---|")
        for asked in ASKS:
            wrong += _measure(server, line, asked, truth)
        _measure_summary(server, line)
        wrong += _measure_logging(server)
    return wrong


def _cold(data: Path, truth: Truth) -> int:
    """The first page after a start, its connection and its document included."""
    before = time.perf_counter()
    with start(data, username=ENTITY, api_key=KEY) as server:
        started = time.perf_counter() - before
        took, answer = Line(server).ask(ASKS[0])
    print(
        f"started in {started:.2f} s; first page of 1000 full runs after it: {took * 1e3:.0f} ms (target 500)"
    )
    return _check(ASKS[0], answer, truth)


def _measure(server: RunningServer, line: Line, asked: Ask, truth: Truth) -> int:
    first, answer = line.ask(asked)
    for _ in range(WARM - 1):
        line.ask(asked)
    cpu = used_cpu_s(server)
    times = [line.ask(asked)[0] for _ in range(ASKED)]
    _print_times(asked.work, asked.target_ms, times, (used_cpu_s(server) - cpu) / ASKED, first)
    return _check(asked, answer, truth)


def _print_times(work: str, target_ms: float | None, times: list[float], cpu_s: float, first: float) -> None:
    shown = [statistics.median(times), min(times), cpu_s, first]
    cells = " | ".join(f"{seconds * 1e3:.1f} ms" for seconds in shown)
    print(f"| {work} | {f'{target_ms:g} ms' if target_ms else ''} | {cells} |", flush=True)


def _check(asked: Ask, answer: bytes, truth: Truth) -> int:
    project = json.loads(answer)["data"]["project"]
    found = project.get("runCount")
    if found is None:
        found = [edge["node"]["name"] for edge in project["runs"]["edges"]]
    if found == asked.expected(truth):
        return 0
    print(f"wrong answer: {asked.work}", file=sys.stderr)
    return 1


def _measure_summary(server: RunningServer, line: Line) -> None:
    """Replace a run's whole summary of 100 keys, with the indexes there that the questions have made."""
    name = f"summary-{secrets.token_hex(4)}"
    line.make_run(name)
    chance = random.Random(5)
    texts = [json.dumps(summary_of(chance)) for _ in range(220)]
    first, *_ = [line.stream(name, "wandb-summary.json", 0, [text]) for text in texts[:20]]
    cpu = used_cpu_s(server)
    times = [line.stream(name, "wandb-summary.json", 0, [text]) for text in texts[20:]]
    work = "summary of 100 keys replaced, over HTTP"
    _print_times(work, 1, times, (used_cpu_s(server) - cpu) / len(times), first)
    cpu = used_cpu_s(server)
    times = [line.post("/graphql", {"query": "{ viewer { id } }"})[0] for _ in range(200)]
    cpu_s = (used_cpu_s(server) - cpu) / len(times)
    _print_times("… the smallest question there is, to compare", None, times, cpu_s, times[0])


def _measure_logging(server: RunningServer) -> int:
    print(
        f"\n| {PER_SECOND} rows a second for {ROWS / PER_SECOND:g} s | loop | one `run.log` | longest | `finish` |"
    )
    print("|---|---|---|---|---|")
    with TemporaryDirectory() as home:
        environment = server.environment(Path(home)) | {"WANDB_ENTITY": ENTITY}
        _log("offline", environment | {"WANDB_MODE": "offline"}, "none")
        _log("to the server", environment, "alone")
        with _Writers(server) as writers:
            _log(f"beside {WRITERS} others that send {PER_SECOND} rows a second", environment, "beside")
    wrong = 0
    line = Line(server)
    for name, rows in {"alone": ROWS, "beside": ROWS, **writers.sent}.items():
        query = f'{{ project(entityName: "{ENTITY}", name: "{LOGGED}") {{ run(name: "{name}") {{ historyLineCount }} }} }}'
        answer = json.loads(line.post("/graphql", {"query": query})[1])
        if answer["data"]["project"]["run"]["historyLineCount"] != rows:
            print(f"rows are missing: {name}", file=sys.stderr)
            wrong += 1
    times = sorted(writers.times)
    print(
        f"\nthe others' requests: median {statistics.median(times) * 1e3:.1f} ms,"
        f" longest {times[-1] * 1e3:.0f} ms, of {len(times)}"
    )
    return wrong


def _log(label: str, environment: dict[str, str], name: str) -> None:
    told = run_module(label, environment, "bench.logs_rows", LOGGED, name, str(ROWS), str(PER_SECOND))
    print(
        f"| {label} | {told['loop_s']:.2f} s | {told['log_us']:.0f} µs | {told['worst_ms']:.1f} ms"
        f" | {told['finish_s']:.2f} s |",
        flush=True,
    )


class _Writers:
    """Threads that log as SDK processes do, each to a run of its own, `PER_SECOND` rows a second in all."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._stamp = secrets.token_hex(4)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        self.sent: dict[str, int] = {}
        self.times: list[float] = []

    def __enter__(self) -> _Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        line, name, rows = Line(self._server), f"writer-{number}-{self._stamp}", PER_SECOND // WRITERS
        line.make_run(name)
        sent = 0
        while not self._stop.wait(1):
            steps = range(sent, sent + rows)
            content = [
                json.dumps({"_step": step, **{f"metric_{key}": step * key for key in range(10)}})
                for step in steps
            ]
            self.times.append(line.stream(name, "wandb-history.jsonl", sent, content))
            sent += rows
        self.sent[name] = sent


def used_cpu_s(server: RunningServer) -> float:
    """Processor seconds that the server process has used."""
    parts = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) * _TICK_S
