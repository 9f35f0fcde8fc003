"""`python -m bench`: paired ratios against the SDK's client and against requests, in one run.

`python -m bench server` measures the local server instead, see `bench/server_side.py`; `python -m bench sdk` many
SDK processes that log to it at once, see `bench/sdk_fleet.py`.

Every round runs each variant once, in a process of its own, shuffled; a ratio is the median of the
ratios within the rounds. Fails if two variants that should have read the same did not.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.children import ROOT, run_module
from bench.runs import RUNS

Run = tuple[str, str]
"""A variant and the kind of server it reads from."""


@dataclass(frozen=True)
class Row:
    """One line of the table: how many times less `ours` takes than `theirs`, and what is aimed at."""

    work: str
    theirs: Run
    ours: Run
    target: str
    measure: str = "wall_s"


ROWS = (
    Row("two keys, projected, to Polars; SDK at its default page", ("wandb page 50", "keys"), ("wbgql polars", "keys"), "60x"),
    Row("… SDK at page 1000", ("wandb page 1000", "keys"), ("wbgql polars", "keys"), "40x"),
    Row("two keys, not projected; SDK at its default page", ("wandb page 50", "keys"), ("wbgql polars", "whole"), "10x"),
    Row("… SDK at page 1000", ("wandb page 1000", "keys"), ("wbgql polars", "whole"), "9x"),
    Row("50 ms: two keys, projected; SDK at its default page", ("wandb page 50", "keys+50ms"), ("wbgql polars", "keys+50ms"), "60x"),
    Row("50 ms: … SDK at page 1000", ("wandb page 1000", "keys+50ms"), ("wbgql polars", "keys+50ms"), "20x"),
    Row("50 ms: two keys, not projected; SDK at its default page", ("wandb page 50", "keys+50ms"), ("wbgql polars", "whole+50ms"), "25x"),
    Row("50 ms: … SDK at page 1000", ("wandb page 1000", "keys+50ms"), ("wbgql polars", "whole+50ms"), "9x"),
    Row("all keys of all runs as one Arrow table; SDK at its default page", ("wandb table 50", "keys"), ("wbgql table", "whole"), "5x"),
    Row("… SDK at page 1000", ("wandb table 1000", "keys"), ("wbgql table", "whole"), "4x"),
    Row("50 ms: summary of 200 listed runs", ("wandb one by one", "keys+50ms"), ("wbgql listed", "keys+50ms"), "100x"),
    Row("CPU of requests + orjson, not projected", ("requests + orjson", "whole"), ("wbgql polars", "whole"), "1.43x (0.7 of it)", "cpu_s"),
    Row("CPU of requests + orjson, projected", ("requests + orjson", "whole"), ("wbgql polars", "keys"), "6.7x (0.15 of it)", "cpu_s"),
)  # fmt: skip
MEMORY = (
    ("streamed, not projected", ("wbgql stream", "whole"), "under 80 MB"),
    ("as frame (Arrow), not projected", ("wbgql frame", "whole"), "under 130 MB"),
    ("the SDK, page 1000", ("wandb page 1000", "keys"), ""),
)
# What must have read the same.
SAME = (
    ("wandb page 50", "wandb page 1000", "requests + orjson", "wbgql polars", "wbgql stream", "wbgql frame"),
    ("wandb table 50", "wandb table 1000", "wbgql table"),
    ("wandb one by one", "wbgql listed"),
)


def main() -> int:
    """Measure, print the tables, and say whether the checks held."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("client", "server", "sdk"), default="client")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stored-runs", type=int, default=100_000, help="server: runs in its store")
    parser.add_argument("--store", type=Path, help="server: keep the store in this folder, to use it again")
    parser.add_argument("--processes", type=int, default=20, help="sdk: how many log at once")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help="without the 50 ms rows")
    which.add_argument("--latency", action="store_true", help="the 50 ms rows alone")
    asked = parser.parse_args()
    if asked.what == "sdk":
        return _sdk(asked.processes)
    if asked.what == "server":
        return _server_side(asked.store, asked.stored_runs)
    runs = sorted({run for row in ROWS for run in (row.theirs, row.ours)} | {run for _, run, _ in MEMORY})
    if asked.quick or asked.latency:
        runs = [run for run in runs if run[1].endswith("ms") == asked.latency]
    found: dict[Run, list[dict[str, Any]]] = defaultdict(list)
    with _server() as urls, tempfile.TemporaryDirectory() as home:
        for number in range(asked.rounds):
            random.Random(number).shuffle(runs)
            for run in runs:
                print(f"round {number + 1}: {run[0]} ({run[1]})", file=sys.stderr)
                found[run].append(_measure(run, urls[run[1]], home))
    _print_ratios(found)
    _print_memory(found)
    return _check(found)


def _sdk(processes: int) -> int:
    from bench import sdk_fleet  # imports the SDK

    return int(sdk_fleet.measure(processes) > 0)


def _server_side(store: Path | None, runs: int) -> int:
    from bench import server_side  # imports the SDK

    if store is not None:
        return int(server_side.measure(store, runs) > 0)
    with tempfile.TemporaryDirectory() as folder:
        return int(server_side.measure(Path(folder) / "store", runs) > 0)


@contextmanager
def _server() -> Iterator[dict[str, str]]:
    """The replay server in a child; base URLs by kind."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.server", str(RUNS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert child.stdout is not None
        ports = json.loads(child.stdout.readline())
        yield {kind: f"http://127.0.0.1:{port}" for kind, port in ports.items()}
    finally:
        child.kill()
        child.wait()


def _measure(run: Run, url: str, home: str) -> dict[str, Any]:
    # The SDK keeps folders and a log: made once, so that later rounds find them, which is in its favour.
    folders = {f"WANDB_{name}": home for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR")}
    return run_module(str(run), folders, "bench.variants", run[0], url)


def _print_ratios(found: dict[Run, list[dict[str, Any]]]) -> None:
    print(f"wandb {version('wandb')}, {RUNS} runs; medians of paired ratios\n")
    print("| work | ratio | target | theirs | wbgql |\n|---|---|---|---|---|")
    for row in ROWS:
        theirs, ours = found.get(row.theirs), found.get(row.ours)
        if not theirs or not ours:
            continue
        pairs = [(a[row.measure], b[row.measure]) for a, b in zip(theirs, ours, strict=True)]
        ratio = statistics.median(a / b for a, b in pairs)
        seconds = [statistics.median(side) for side in zip(*pairs, strict=True)]
        print(f"| {row.work} | {ratio:.1f}x | {row.target} | {seconds[0]:.2f} s | {seconds[1]:.3f} s |")


def _print_memory(found: dict[Run, list[dict[str, Any]]]) -> None:
    measured = [row for row in MEMORY if row[1] in found]
    if not measured:
        return
    print("\n| peak memory | MB | target |\n|---|---|---|")
    for label, run, target in measured:
        print(f"| {label} | {statistics.median(one['peak_mb'] for one in found[run]):.0f} | {target} |")


def _check(found: dict[Run, list[dict[str, Any]]]) -> int:
    """Whether variants that did the same work read the same ids and sums."""
    for names in SAME:
        seen = {
            (one["runs"], one["ids"], round(one["total"], 2))
            for (name, _), results in found.items()
            if name in names
            for one in results
        }
        if not seen:
            continue  # not among what was asked for
        if len(seen) != 1:
            print(f"these did not read the same: {', '.join(names)}: {sorted(seen)}", file=sys.stderr)
            return 1
        print(f"\nread the same, {next(iter(seen))[0]} runs, ids and sums: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
