"""Logs artifacts with the real SDK and prints what it saw as JSON. Run as a process of its own.

Arguments: project, scratch folder. Run `r1` logs online, run `off1` is recorded offline.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import wandb


def log_offline(run: Any, scratch: Path) -> None:
    """One artifact, and a second version of it."""
    for text in ("one", "two"):
        artifact = wandb.Artifact("offline", "late")
        (scratch / "offline.txt").write_text(text)
        artifact.add_file(str(scratch / "offline.txt"))
        run.log_artifact(artifact)


def log_online(run: Any, scratch: Path) -> dict[str, Any]:
    """Everything that makes or uses an artifact."""
    first = dataset(scratch)
    run.log_artifact(first, aliases=["best"], tags=["t1", "t2"]).wait()
    same = run.log_artifact(dataset(scratch)).wait()
    more = wandb.Artifact("ds", "dataset", incremental=True)
    more.add_file(str(scratch / "g.txt"))
    run.log_artifact(more, aliases=["inc"]).wait()

    used = run.use_artifact("ds:best", use_as="train")
    derived = wandb.Artifact("derived", "dataset")
    derived.add(wandb.Table(columns=["x"], data=[[1]]), "tab")
    derived.add_reference(used.get_entry("f.txt"), name="up.txt")
    run.log_artifact(derived).wait()

    draft = run.use_artifact("derived:latest").new_draft()
    draft.add_file(str(scratch / "g.txt"))
    run.log_artifact(draft).wait()

    run.log({"table": wandb.Table(columns=["a"], data=[[1], [2]]), "loss": 1.0})
    run.log_code(str(scratch / "code"))
    run.log_model(str(scratch / "g.txt"), name="net")
    linked = run.link_artifact(first, f"{run.entity}/{run.project}/shelf", aliases=["prod"])
    return {
        "first": [first.version, sorted(first.aliases), first.state, first.size],
        "same": [same.id == first.id, same.version],
        "more": more.version,
        "used": used.name,
        "drafted": draft.version,
        "linked": None if linked is None else linked.qualified_name,
    }


def dataset(scratch: Path) -> Any:
    """An artifact with files, an odd name, an empty file and metadata; equal each time."""
    artifact = wandb.Artifact("ds", "dataset", description="d1", metadata={"rows": 3, "loss": float("nan")})
    artifact.add_file(str(scratch / "f.txt"))
    artifact.add_file(str(scratch / "empty"))
    artifact.add_dir(str(scratch / "d"))
    return artifact


def main(project: str, folder: str) -> None:
    """Log, then print."""
    scratch = Path(folder)
    for name, text in {
        "f.txt": "hello",
        "empty": "",
        "d/a b#é.txt": "odd",
        "g.txt": "new",
        "code/x.py": "1",
    }.items():
        (scratch / name).parent.mkdir(exist_ok=True, parents=True)
        (scratch / name).write_text(text)
    settings = wandb.Settings(x_disable_stats=True)
    with wandb.init(project=project, id="r1", settings=settings) as run:
        seen = log_online(run, scratch)
    with wandb.init(project=project, id="off1", mode="offline", settings=settings) as run:
        log_offline(run, scratch)
        seen["offline"] = str(Path(run.dir).parent)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
