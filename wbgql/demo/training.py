"""Logs runs with the real wandb SDK; the demo runs it as a process of its own.

python -m wbgql.demo.training finished COUNT | failed | running | again RUN
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import wandb

PROJECT = "vision"
CANARY = "CANARY-subject-4711"


def log_finished(number: int) -> None:
    """One run of a few steps: nested and slashed metrics, NaN, a nested config, tags, a file, an artifact."""
    run_id = f"live-{number}"
    subject = f"{CANARY}-{run_id}"
    config = {"lr": 0.1 / number, "model": {"name": "resnet", "depth": 18 * number}, "owner": subject}
    with wandb.init(
        project=PROJECT,
        id=run_id,
        name=f"live training {number}",
        config=config,
        tags=["live", "keep"] if number == 1 else ["live"],
        notes=f"logged by the wandb SDK, {subject}",
    ) as run:
        for step in range(5):
            accuracy = 0.90 + 0.01 * number + 0.005 * step
            run.log({"loss": 1.0 / (step + number), "val/acc": accuracy, "speed": {"img_s": 100.0 * number}})
        diverged = math.nan if number == 2 else 0.5
        run.log({"grad_norm": diverged, "best": math.inf})
        print(f"training of {subject} done")
        notes = Path(run.dir) / "notes.txt"
        notes.write_text(f"private notes about {subject}\n", encoding="utf-8")
        run.save(str(notes), base_path=run.dir, policy="now")
        if number == 1:
            artifact = wandb.Artifact("weights", type="model")
            with artifact.new_file("weights.bin", mode="wb") as file:
                file.write(bytes(range(256)) * 16)
            run.log_artifact(artifact).wait()


def log_failed() -> None:
    """One run that ends in an exception."""
    run = wandb.init(project=PROJECT, id="live-failed", name="live failure", tags=["live"])
    run.log({"loss": 9.0})
    raise SystemExit("training failed, as the story wants it")


def log_running() -> None:
    """One run that goes on until standard input is closed."""
    run = wandb.init(project=PROJECT, id="live-running", name="live, still running", tags=["live"])
    run.log({"loss": 3.0, "val/acc": 0.5})
    print("running", flush=True)
    sys.stdin.read()
    run.finish()


def main(arguments: list[str]) -> None:
    """Log what `arguments` name."""
    match arguments:
        case ["finished", count]:
            for number in range(1, int(count) + 1):
                log_finished(number)
        case ["failed"]:
            log_failed()
        case ["running"]:
            log_running()
        case ["again", run_id]:
            wandb.init(project=PROJECT, id=run_id).finish()
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
