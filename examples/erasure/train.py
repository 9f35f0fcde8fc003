"""Logs one run with the real wandb SDK: train.py RUN_ID TAG CANARY."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import wandb


def main(run_id: str, tag: str, canary: str) -> None:
    """Log metrics, a config, notes, console output, a file and a model, each with the canary in it."""
    with wandb.init(
        project="vision", id=run_id, tags=[tag], config={"owner": canary, "lr": 0.1}, notes=f"about {canary}"
    ) as run:
        for step in range(20):
            run.log({"loss": 1.0 / (step + 1)})
        print(f"trained on the data of {canary}")
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.bin"
            weights.write_bytes(canary.encode() * 1000)
            artifact = wandb.Artifact(f"model-{run_id}", type="model", metadata={"owner": canary})
            artifact.add_file(str(weights))
            run.log_artifact(artifact).wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
