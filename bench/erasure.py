"""`python -m bench.erasure`: what a job of erasure costs by itself, for each run it hides.

The server is in this process and answers at once, nothing limits the rate: what is left is the job's own
work, with its ledger on an SQLite file that is synced at every step. One worker, one core; imports and the
parsing of operations are outside the clock.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.erasure.fake_server import large_case
from wbgql.erasure.applying import Ask, Options, apply
from wbgql.erasure.reading.limiting import Limits

TARGET_MS = 5.0


def main() -> int:
    """Measure, print the row, and say whether the target was met."""
    parser = argparse.ArgumentParser(prog="python -m bench.erasure", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    options = Options(limits=Limits(rate=1e9), workers=1)
    with tempfile.TemporaryDirectory() as folder, large_case(Path(folder), runs) as (case, client, server):
        import dbos  # noqa: F401  # half a second, once in a process

        client.documents.get("DeleteRun")
        wall, cpu = time.perf_counter(), time.process_time()
        done = apply(case, client, Ask(digest=case.plan.digest), options=options)
        wall_ms = (time.perf_counter() - wall) * 1000 / runs
        cpu_ms = (time.process_time() - cpu) * 1000 / runs
        if done.counts != {"run": {"hidden": runs}} or server.deletions != runs:
            print(f"not all runs were hidden once: {done.counts}", file=sys.stderr)
            return 1
    print("| erasing, one core | per run | target |\n|---|---|---|")
    print(
        f"| wall, {runs} runs, start and end of the engine included | {wall_ms:.2f} ms | {TARGET_MS:g} ms |"
    )
    print(f"| CPU | {cpu_ms:.2f} ms |  |")
    return 0 if wall_ms < TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
