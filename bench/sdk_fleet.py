"""`python -m bench sdk`: twenty SDK processes log at once, without a server and to one.

Each has a wandb-core process beside it, so that two cores hold forty processes: what the server adds is the
difference between the lines, not the numbers. Fails if a row is missing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.children import ROOT
from bench.server_side import Line, used_cpu_s
from bench.stored import ENTITY, KEY
from wbgql.server import RunningServer, start

ROWS, PER_SECOND = 500, 50
PROJECT = "fleet"
_COUNTS = "edges { node { name historyLineCount } }"


def measure(count: int) -> int:
    """Measure, print the table; return how many runs are not whole."""
    print(f"\n| {count} SDK processes, {PER_SECOND} rows a second each, for {ROWS / PER_SECOND:g} s |"
          " loop | one `run.log` | longest | `finish` | server CPU |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    with (
        TemporaryDirectory() as folder,
        start(Path(folder) / "store", username=ENTITY, api_key=KEY) as server,
    ):
        for label, mode in (("offline", "offline"), ("to the server", "online")):
            home = Path(folder) / mode
            home.mkdir()
            _run_fleet(label, server, home, count, mode)
        return _missing(server, count)


def _run_fleet(label: str, server: RunningServer, home: Path, count: int, mode: str) -> None:
    ready, go = home / "ready", home / "go"
    ready.mkdir()
    children = [_start(server, home / str(number), mode, number, ready, go) for number in range(count)]
    while len(list(ready.iterdir())) < count:
        time.sleep(0.1)
    used_s = used_cpu_s(server)
    go.touch()
    told = [_told(child) for child in children]
    used_s = used_cpu_s(server) - used_s
    worst = {key: max(one[key] for one in told) for key in ("loop_s", "worst_ms", "finish_s")}
    median_us = statistics.median(one["median_us"] for one in told)
    print(
        f"| {label} | {worst['loop_s']:.2f} s | {median_us:.0f} µs | {worst['worst_ms']:.0f} ms"
        f" | {worst['finish_s']:.2f} s | {f'{used_s:.1f} s' if mode == 'online' else ''} |",
        flush=True,
    )


def _start(
    server: RunningServer, home: Path, mode: str, number: int, ready: Path, go: Path
) -> subprocess.Popen[str]:
    home.mkdir()
    given = [PROJECT, f"r{number}", str(ROWS), str(PER_SECOND), str(ready), str(go)]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "bench.logs_rows", *given],
        env={**os.environ, **server.environment(home), "WANDB_ENTITY": ENTITY, "WANDB_MODE": mode},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )


def _told(child: subprocess.Popen[str]) -> dict[str, float]:
    output, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"an SDK process ended with {child.returncode}: {output[-2000:]}")
    told: dict[str, Any] = json.loads(output.splitlines()[-1])
    return told


def _missing(server: RunningServer, count: int) -> int:
    document = (
        f'{{ project(entityName: "{ENTITY}", name: "{PROJECT}") {{ runs(first: 1000) {{ {_COUNTS} }} }} }}'
    )
    answer = json.loads(Line(server).post("/graphql", {"query": document})[1])
    edges = answer["data"]["project"]["runs"]["edges"]
    there = {edge["node"]["name"]: edge["node"]["historyLineCount"] for edge in edges}
    short = [f"r{number}" for number in range(count) if there.get(f"r{number}") != ROWS]
    for name in short:
        print(f"rows are missing: {name}", file=sys.stderr)
    return len(short)
