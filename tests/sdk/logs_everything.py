"""Logs one run with the real SDK, with everything that a run can log. Run as a process of its own.

Arguments: project. The run is `all`. Prints nothing but what the run's console shall hold.
"""

from __future__ import annotations

import sys
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import wandb

STEPS = 6
BUMPY = [5, 1, 9, 3, 7, 2]
"""What metrics with a summary of their own log, step by step."""


def log_scalars(run: Any) -> None:
    """Names and values of every kind, and metrics that `define_metric` summarises."""
    for kind in ("min", "max", "mean", "last", "first", "none"):
        run.define_metric(f"bumpy_{kind}", summary=kind)
    run.define_metric("val/*", step_metric="epoch", summary="max")
    for step in range(STEPS):
        row = {f"bumpy_{kind}": BUMPY[step] for kind in ("min", "max", "mean", "last", "first", "none")}
        row |= {"loss": 1 / (step + 1), "deep": {"in": {"x": step}}, "dot.ted": step, "sla/shed": step}
        row |= {"epoch": step // 2, "val/acc": step / 10, "ünïcode key": step}
        row |= {"word": "abc", "flag": True, "nothing": None, "big": 2**53 + 1}
        if step == 3:
            row |= {"nan": float("nan"), "inf": float("inf"), "ninf": -float("inf")}
        run.log(row)


def log_media(run: Any) -> None:
    """One of each kind of media that needs no further package."""
    pixels = np.zeros((4, 4, 3), dtype="uint8")
    with wave.open("beep.wav", "wb") as beep:
        beep.setparams((1, 2, 8000, 0, "NONE", ""))
        beep.writeframes(b"\0" * 100)
    table = wandb.Table(columns=["a", "image"], data=[[1, wandb.Image(pixels)]])
    run.log(
        {
            "image": wandb.Image(pixels, caption="black"),
            "images": [wandb.Image(pixels), wandb.Image(pixels)],
            "histogram": wandb.Histogram(np.arange(10)),
            "html": wandb.Html("<b>x</b>"),
            "table": table,
            "audio": wandb.Audio("beep.wav"),
            "cloud": wandb.Object3D(np.zeros((2, 3))),
            "curve": wandb.plot.line(wandb.Table(columns=["x", "y"], data=[[1, 2]]), "x", "y"),
        }
    )


def log_growing_table(run: Any) -> None:
    """A table that is sent piece by piece, as an artifact of a type the SDK keeps for itself."""
    table = wandb.Table(columns=["a"], log_mode="INCREMENTAL")
    for number in range(2):
        table.add_data(number)
        run.log({"growing": table})


def write_console() -> None:
    """A progress bar that rewrites its line, then lines on both streams."""
    for percent in range(0, 101, 20):
        print(f"\rprogress {percent}%", end="", flush=True)
        time.sleep(0.02)
    print("\nafter the bar")
    print("went wrong", file=sys.stderr)


def save_files(run: Any) -> None:
    """A file for each policy; those that change later are rewritten before the run ends."""
    for name in ("now.txt", "end.txt", "live.txt", "sub/deep.txt", "o dd é#%.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("first")
    run.save("now.txt", policy="now")
    run.save("end.txt", policy="end")
    run.save("live.txt", policy="live")
    run.save("sub/*.txt", base_path=".")
    run.save("o dd é#%.txt")
    Path("code").mkdir()
    Path("code/train.py").write_text("print(1)")
    run.log_code("code")
    Path("net.bin").write_bytes(b"weights")
    run.log_model("net.bin", name="net", aliases=["prod"])


def change_while_running(run: Any) -> None:
    """What may be changed of a run that is under way."""
    run.config.update({"late": 1})
    run.config.update({"lr": 0.2}, allow_val_change=True)
    run.name, run.notes = "renamed", "noted"
    run.tags += ("later",)
    run.summary["by hand"] = {"deep": {"er": 1}}
    run.summary.update({"more": 2})


def main(project: str) -> None:
    """Log the run."""
    settings = wandb.Settings(
        x_stats_sampling_interval=1, x_file_stream_transmit_interval=1, console="wrap", save_code=False
    )
    config = {"lr": 0.1, "opt": {"name": "sgd"}, "a.b": 1, "c/d": 2, "nan": float("nan"), "list": [1, 2]}
    run = wandb.init(
        project=project, id="all", name="first", config=config, tags=["early"], group="g", settings=settings
    )
    log_scalars(run)
    save_files(run)
    log_media(run)
    log_growing_table(run)
    run.alert("title", "text", level="WARN")
    write_console()
    change_while_running(run)
    if Path(run.use_model("net:prod")).read_bytes() != b"weights":
        raise SystemExit("the model is not what was logged")
    time.sleep(1.5)
    Path("live.txt").write_text("second")
    Path("end.txt").write_text("second")
    run.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
