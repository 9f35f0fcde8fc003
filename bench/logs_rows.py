"""What the SDK's user feels: logs rows at a steady rate, and says how long that and the end of the run took.

Run as `python -m bench.logs_rows PROJECT NAME ROWS PER_SECOND`, with the SDK's settings in the environment.
"""

from __future__ import annotations

import json
import sys
import time

import wandb


def main(project: str, name: str, rows: int, per_second: int) -> None:
    """Log `rows` of ten metrics and print what was measured as JSON."""
    run = wandb.init(project=project, id=name, settings=wandb.Settings(x_disable_stats=True))
    in_log = worst = 0.0
    start = time.perf_counter()
    for number in range(rows):
        time.sleep(max(0.0, start + number / per_second - time.perf_counter()))
        before = time.perf_counter()
        run.log({f"metric_{key}": number * key for key in range(10)})
        took = time.perf_counter() - before
        in_log, worst = in_log + took, max(worst, took)
    logged = time.perf_counter()
    run.finish()
    print(
        json.dumps(
            {
                "loop_s": logged - start,
                "log_us": in_log / rows * 1e6,
                "worst_ms": worst * 1e3,
                "finish_s": time.perf_counter() - logged,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
