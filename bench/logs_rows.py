"""What the SDK's user feels: logs rows at a steady rate, and says how long that and the end of the run took.

Run as `python -m bench.logs_rows PROJECT NAME ROWS PER_SECOND [READY GO]`, with the SDK's settings in the
environment. With READY and GO it makes a file NAME in the folder READY, and logs once there is a file GO.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import wandb


def main(project: str, name: str, rows: int, per_second: int, *barrier: str) -> None:
    """Log `rows` of ten metrics and print what was measured as JSON."""
    run = wandb.init(project=project, id=name, settings=wandb.Settings(x_disable_stats=True))
    _wait(name, *map(Path, barrier))
    times = []
    start = time.perf_counter()
    for number in range(rows):
        time.sleep(max(0.0, start + number / per_second - time.perf_counter()))
        before = time.perf_counter()
        run.log({f"metric_{key}": number * key for key in range(10)})
        times.append(time.perf_counter() - before)
    logged = time.perf_counter()
    run.finish()
    print(
        json.dumps(
            {
                "loop_s": logged - start,
                "log_us": sum(times) / rows * 1e6,
                "median_us": statistics.median(times) * 1e6,
                "worst_ms": max(times) * 1e3,
                "finish_s": time.perf_counter() - logged,
            }
        )
    )


def _wait(name: str, ready: Path | None = None, go: Path | None = None) -> None:
    if ready is None or go is None:
        return
    (ready / name).touch()
    while not go.exists():
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
