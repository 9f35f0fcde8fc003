"""Logs one run with a file and an artifact through the wandb SDK; the probe runs it as a process of its own.

python -m wbgql.erasure.probing.logs_run ENTITY PROJECT RUN
"""

from __future__ import annotations

import sys
from pathlib import Path

import wandb

from wbgql.erasure.probing.logged import ARTIFACT, FILE, TAG


def main(entity: str, project: str, run_id: str) -> None:
    """Log the run and wait until its artifact is committed."""
    with wandb.init(entity=entity, project=project, id=run_id, tags=[TAG]) as run:
        run.log({"step": 1})
        kept = Path(run.dir) / FILE
        kept.write_text("written by wbgql erase probe\n", encoding="utf-8")
        run.save(str(kept), base_path=run.dir, policy="now")
        artifact = wandb.Artifact(ARTIFACT, type="probe")
        with artifact.new_file("probe.txt") as file:
            file.write("written by wbgql erase probe\n")
        run.log_artifact(artifact).wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
