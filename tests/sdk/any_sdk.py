"""Drives whatever wandb SDK is installed through 31 steps, each with the value that must come back.

Run by `test_sdk_matrix.py` as `any_sdk.py PROJECT`, in the environment of each SDK. It uses only what SDKs had
from 0.16.6 on, and of this repository nothing.
"""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import wandb

PROJECT = sys.argv[1]
WAIT_S = 30
FOUND = {}


def step(name, wanted):
    """Do a step at once, and note what it gave next to what it must give. One that fails ends no other."""

    def decorate(function):
        try:
            found = function()
        except Exception as error:  # noqa: BLE001 - what a step gives is the finding, errors too
            found = f"{type(error).__name__}: {error}"
        FOUND[name] = [found, wanted]

    return decorate


def init(name, **given):
    return wandb.init(project=PROJECT, id=name, **given)


def read(name):
    """The run as a new client reads it; clients keep what they read."""
    return wandb.Api().run(f"{PROJECT}/{name}")


def rows(name, key):
    return [row[key] for row in read(name).scan_history(keys=[key])]


def eventually(look, wanted):
    """Look until it gives what is wanted, at most WAIT_S seconds long."""
    end = time.monotonic() + WAIT_S
    while (found := look()) != wanted and time.monotonic() < end:
        time.sleep(0.5)
    return found


def version(name, text, **given):
    made = wandb.Artifact(name, type="model", **given)
    with made.new_file("w.txt") as file:
        file.write(text)
    return made


def text_of(artifact, folder):
    return Path(artifact.download(root=folder), "w.txt").read_text()


def start(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=WAIT_S * 2, check=False
    )


def alone(code):
    """Run code in a process of its own, and wait for its end."""
    return start("-c", f"import wandb\nPROJECT = {PROJECT!r}\n{code}")


def succeed(done):
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def file_of(name, path):
    read(name).file(path).download(root="files", replace=True)
    return Path("files", path).read_bytes()


# ---- a run that logs ----

Path("notes.txt").write_text("kept")
run = init("main", config={"lr": 0.1, "net": {"depth": 3}}, tags=["early"], group="g", job_type="train")
run.define_metric("best", summary="max")
print("a line on the console")
run.save("notes.txt", policy="now")
for number in range(4):
    run.log({"x": number, "val/acc": number / 4, "deep": {"a": {"b": number}}, "best": -((number - 2) ** 2)})


@step("tags change while it runs", ["late", "early"])
def _():
    run.tags = ("late", "early")
    return eventually(lambda: sorted(read("main").tags, reverse=True), ["late", "early"])


@step("name and notes change while it runs", ["renamed", "noted"])
def _():
    run.name, run.notes = "renamed", "noted"
    return eventually(lambda: [read("main").name, read("main").notes], ["renamed", "noted"])


# Some SDKs send it at once, others up to 30 s later; at the end it must be there.
run.config.update({"lr": 0.2, "more": "new"}, allow_val_change=True)
run.log({"odd": [math.nan, math.inf], "nan": math.nan, "big": 2**60})
run.log({"late": 1}, step=10)
pixels = np.zeros((2, 3, 3), dtype=np.uint8)
table = wandb.Table(columns=["name", "score"], data=[["a", 1], ["b", 2.5]])
run.log(
    {"image": wandb.Image(pixels, caption="black"), "bars": wandb.Histogram([1, 1, 2], num_bins=2)}, step=11
)
run.log({"page": wandb.Html("<p>hello</p>"), "table": table}, step=12)
run.summary["said"] = {"why": "by hand"}
first = run.log_artifact(
    version("net", "one", metadata={"acc": 0.5}, description="first"), aliases=["latest", "good"]
)
first.wait()
second = run.log_artifact(version("net", "two"), aliases=["latest", "best"]).wait()
again = run.log_artifact(version("net", "two")).wait()
pointer = wandb.Artifact("pointer", type="dataset")
pointer.add_reference("https://example.org/data.bin", name="data.bin", checksum=False)
run.log_artifact(pointer).wait()
run.finish()


@step("metrics", [0, 1, 2, 3])
def _():
    return rows("main", "x")


@step("keys with slashes and nested keys", [[0.0, 0.25, 0.5, 0.75], [0, 1, 2, 3]])
def _():
    return [rows("main", "val/acc"), rows("main", "deep.a.b")]


@step("NaN and integers beyond 53 bits", ["nan", 2**60])
def _():
    found = [row for row in read("main").scan_history() if row.get("big") is not None]
    return [str(found[0]["nan"]).lower(), found[0]["big"]]


@step("config", [0.2, 3, "new"])
def _():
    config = read("main").config
    return [config["lr"], config["net"]["depth"], config["more"]]


@step("steps", [[0, 1, 2, 3, 4, 10, 11, 12], 12])
def _():
    return [[row["_step"] for row in read("main").scan_history()], read("main").lastHistoryStep]


@step("summary", [3, "by hand", 1])
def _():
    summary = read("main").summary
    return [summary["x"], summary["said"]["why"], summary["late"]]


@step("define_metric", {"max": 0})
def _():
    return dict(read("main").summary["best"])


@step("state, group, job type", ["finished", "g", "train"])
def _():
    found = read("main")
    return [found.state, found.group, found.job_type]


@step("console", True)
def _():
    return eventually(lambda: b"a line on the console" in file_of("main", "output.log"), True)


@step("saved file", "kept")
def _():
    return file_of("main", "notes.txt").decode()


@step("image", ["image-file", 3, 2, "\x89PNG"])
def _():
    found = read("main").summary["image"]
    return [
        found["_type"],
        found["width"],
        found["height"],
        file_of("main", found["path"])[:4].decode("latin-1"),
    ]


@step("histogram", [2, 1])
def _():
    return list(read("main").summary["bars"]["values"])


@step("HTML", True)
def _():
    return b"<p>hello</p>" in file_of("main", read("main").summary["page"]["path"])


@step("table, as a file and as an artifact", [["name", "score"], [["a", 1], ["b", 2.5]], True])
def _():
    found = json.loads(file_of("main", read("main").summary["table"]["path"]))
    (artifact,) = (one for one in read("main").logged_artifacts() if one.type == "run_table")
    back = artifact.get("table")
    return [found["columns"], found["data"], [back.columns, back.data] == [found["columns"], found["data"]]]


# ---- artifacts ----


@step("versions, and the same content again", ["v0", "v1", "v1"])
def _():
    return [first.version, second.version, again.version]


@step("logged artifacts", ["net:v0", "net:v1", "pointer:v0"])
def _():
    return sorted(one.name for one in read("main").logged_artifacts() if one.type in ("model", "dataset"))


@step("download by alias", ["one", "two", "two"])
def _():
    names = ("net:good", "net:best", "net:latest")
    return [text_of(wandb.Api().artifact(f"{PROJECT}/{name}"), name.replace(":", "-")) for name in names]


@step("aliases and metadata change", [["better", "good"], {"acc": 0.75}, "first"])
def _():
    found = wandb.Api().artifact(f"{PROJECT}/net:v0")
    found.aliases.append("better")
    found.metadata["acc"] = 0.75
    found.save()
    found = wandb.Api().artifact(f"{PROJECT}/net:better")
    return [sorted(found.aliases), dict(found.metadata), found.description]


@step("reference", "https://example.org/data.bin")
def _():
    return wandb.Api().artifact(f"{PROJECT}/pointer:latest").manifest.entries["data.bin"].ref


@step("use_artifact and lineage", ["two", ["net:v1"], ["user"], "main"])
def _():
    user = init("user")
    used = user.use_artifact("net:best")
    text = text_of(used, "used")
    user.finish()
    found = wandb.Api().artifact(f"{PROJECT}/net:v1")
    names = [one.name for one in read("user").used_artifacts()]
    return [text, names, [one.id for one in found.used_by()], found.logged_by().id]


# ---- ends and goes on ----


@step("exit code", "failed")
def _():
    init("broken").finish(exit_code=1)
    return read("broken").state


@step("resume", [[0, 1, 2, 3, 4, 5], True, "finished"])
def _():
    part = init("resumed")
    for number in range(3):
        part.log({"x": number})
    part.finish()
    part = init("resumed", resume="must")
    for number in range(3, 6):
        part.log({"x": number})
    was_resumed = bool(part.resumed)
    part.finish()
    return [rows("resumed", "x"), was_resumed, read("resumed").state]


@step("resume that is refused", [True, []])
def _():
    # In a process of its own: SDKs before 0.18 answer nothing more after it.
    done = alone("wandb.init(project=PROJECT, id='nobody', resume='must')")
    return [done.returncode != 0, [one.id for one in wandb.Api().runs(PROJECT) if one.id == "nobody"]]


# ---- offline ----


# The file is there when it is synced: what `new_file` makes goes with the process that made it.
Path("offline.txt").write_text("offline")
OFFLINE = """
run = wandb.init(project=PROJECT, id="off", mode="offline", config={"seed": 7})
for number in range(3):
    run.log({"x": number})
made = wandb.Artifact("offline-net", type="model")
made.add_file("offline.txt", name="w.txt")
run.log_artifact(made)
run.finish()
"""


def offline_folder():
    (found,) = Path(os.environ["WANDB_DIR"], "wandb").glob("offline-run-*-off")
    return found


def sync():
    succeed(start("-m", "wandb", "sync", str(offline_folder())))


@step("offline and sync", [[0, 1, 2], 7, "finished", "offline"])
def _():
    succeed(alone(OFFLINE))
    sync()
    artifact = wandb.Api().artifact(f"{PROJECT}/offline-net:v0")
    return [rows("off", "x"), read("off").config["seed"], read("off").state, text_of(artifact, "offline")]


@step("sync again", [0, 1, 2])
def _():
    for mark in offline_folder().glob("*.synced"):
        mark.unlink()
    sync()
    return rows("off", "x")


# ---- the public API ----


@step("runs by filter and order", [["main"], ["resumed", "main", "off"]])
def _():
    filtered = wandb.Api().runs(PROJECT, filters={"config.lr": 0.2})
    ordered = wandb.Api().runs(
        PROJECT, filters={"summary_metrics.x": {"$gte": 2}}, order="-summary_metrics.x"
    )
    return [[one.id for one in filtered], [one.id for one in ordered]]


@step("update of a run", [0.3, 9, ["done"]])
def _():
    found = read("main")
    found.config["lr"] = 0.3
    found.tags = ["done"]
    found.summary["x"] = 9
    found.summary.update()
    found.update()
    found = read("main")
    return [found.config["lr"], found.summary["x"], found.tags]


@step("deletion of a version", ["net:v1", True])
def _():
    wandb.Api().artifact(f"{PROJECT}/net:v0").delete(delete_aliases=True)
    left = [one.name for one in read("main").logged_artifacts() if one.type == "model"]
    try:
        wandb.Api().artifact(f"{PROJECT}/net:good")
    except Exception:  # noqa: BLE001 - each SDK has an error of its own for it
        return [*left, True]
    return [*left, False]


@step("deletion of a run", [True, ["broken", "main", "off", "resumed"]])
def _():
    read("user").delete()
    try:
        read("user")
    except Exception:  # noqa: BLE001 - each SDK has an error of its own for it
        return [True, sorted(one.id for one in wandb.Api().runs(PROJECT))]
    return [False, None]


print("RESULT " + json.dumps({"version": wandb.__version__, "steps": FOUND}))
