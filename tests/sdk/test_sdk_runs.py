"""The real wandb SDK logs to the local server and reads back what it logged."""

from __future__ import annotations

import math

import pytest

from tests.caller import new_project
from tests.sdk.sdk_process import run_sdk

pytestmark = pytest.mark.sdk

LOG = """
import sys, wandb
assert wandb.login(verify=True)
run = wandb.init(project=sys.argv[1], id="r1", name="first", group="g", job_type="train", tags=["a", "b"],
                 notes="hello", config={"lr": 0.1, "opt": {"name": "sgd"}, "a.b": 1})
run.define_metric("acc", summary="max")
for step in range(12):
    run.log({"loss": 1 / (step + 1), "acc": step % 5, "bad": float("nan"), "deep": {"x": step}})
run.config.update({"late": True})
run.summary["note"] = "done"
print("hello console")
open("a b#é.txt", "w").write("content")
run.save("a b#é.txt")
run.finish()
result = None
"""

READ = """
import sys, wandb
api = wandb.Api()
(run,) = api.runs("admin/" + sys.argv[1], filters={"config.lr": 0.1, "summary_metrics.note": "done"})
same = api.run(f"admin/{sys.argv[1]}/r1")
result = {
    "id": run.id, "name": run.name, "state": run.state, "group": run.group, "tags": run.tags, "notes": run.notes,
    "config": run.config, "summary": {k: v for k, v in run.summary._json_dict.items() if not k.startswith("_")},
    "user": run.user.username, "job_type": run.job_type, "last": same.lastHistoryStep,
    "history": same.history(pandas=False), "keys": same.history(keys=["loss"], pandas=False, samples=3),
    "scan": list(same.scan_history()), "scan_keys": list(same.scan_history(keys=["deep.x"], page_size=5)),
    "files": {f.name: f.size for f in same.files()},
    "content": same.file("a b#é.txt").download(root=".", replace=True).read(),
    "console": [line.content for line in same.console_logs()],
    "count": len(api.runs("admin/" + sys.argv[1])),
    "none": [r.id for r in api.runs("admin/" + sys.argv[1], filters={"state": "crashed"})],
    "projects": [p.name for p in api.projects("admin")],
    "viewer": api.viewer.username,
    "python": same.metadata["python"],
}
"""


@pytest.fixture(scope="module")
def logged(local_server, tmp_path_factory) -> tuple[str, dict]:
    """A project with one run logged by the SDK, and what the SDK reads of it."""
    project, home = new_project(), tmp_path_factory.mktemp("sdk")
    run_sdk(local_server, home, LOG, project)
    return project, run_sdk(local_server, home, READ, project)


def test_a_run_is_read_as_it_was_logged(logged):
    project, run = logged

    assert (run["id"], run["name"], run["state"], run["group"]) == ("r1", "first", "finished", "g")
    assert (sorted(run["tags"]), run["notes"], run["job_type"]) == (["a", "b"], "hello", "train")
    assert run["config"] == {"lr": 0.1, "opt": {"name": "sgd"}, "a.b": 1, "late": True}
    assert run["summary"]["acc"] == {"max": 4}
    assert run["summary"]["note"] == "done"
    assert math.isnan(run["summary"]["bad"])
    assert (run["user"], run["viewer"]) == ("admin", "admin")
    assert project in run["projects"]
    assert (run["count"], run["none"]) == (1, [])


def test_history_is_read_whole_sampled_and_by_key(logged):
    _, run = logged

    assert run["last"] == 11
    assert [row["_step"] for row in run["history"]] == list(range(12))
    assert [row["deep"] for row in run["scan"]] == [{"x": step} for step in range(12)]
    assert [row["_step"] for row in run["keys"]] == [0, 6, 11]
    assert [row["deep.x"] for row in run["scan_keys"]] == list(range(12))


def test_files_console_and_metadata_are_read(logged):
    _, run = logged

    assert run["files"]["a b#é.txt"] == len("content")
    assert {"config.yaml", "output.log", "wandb-metadata.json", "wandb-summary.json"} <= set(run["files"])
    assert run["content"] == "content"
    assert "hello console" in run["console"]
    assert run["python"].startswith("CPython")


def test_the_public_api_changes_and_deletes(local_server, tmp_path):
    project = new_project()
    code = """
    import sys, wandb
    api = wandb.Api()
    project = "admin/" + sys.argv[1]
    made = api.create_run(run_id="made", project=sys.argv[1], entity="admin")
    run = api.run(project + "/made")
    run.config["lr"] = 2
    run.tags = ["new"]
    run.display_name = "renamed"
    run.notes = "noted"
    run.update()
    run.summary["acc"] = 0.5
    run.summary.update()
    open("up.txt", "w").write("up")
    run.upload_file("up.txt")
    again = wandb.Api().run(project + "/made")
    result = {"config": again.config, "tags": again.tags, "name": again.name, "notes": again.notes,
              "acc": again.summary["acc"], "files": [f.name for f in again.files()], "state": again.state}
    again.file("up.txt").delete()
    result["left"] = [f.name for f in wandb.Api().run(project + "/made").files()]
    again.update_state("failed")
    result["failed"] = wandb.Api().run(project + "/made").state
    again.delete()
    again.delete()
    result["runs"] = [r.id for r in wandb.Api().runs(project)]
    try:
        wandb.Api().run(project + "/made")
    except Exception as error:
        result["missing"] = type(error).__name__
    try:
        wandb.Api().runs(project, filters={"$foo": 1})[0]
    except Exception as error:
        result["bad filter"] = str(error)
    """

    result = run_sdk(local_server, tmp_path, code, project)

    assert result.pop("bad filter").find("$foo") >= 0
    assert result == {
        "config": {"lr": 2},
        "tags": ["new"],
        "name": "renamed",
        "notes": "noted",
        "acc": 0.5,
        "files": ["up.txt"],
        "state": "running",
        "left": [],
        "failed": "failed",
        "runs": [],
        "missing": "CommError",
    }


def test_a_run_is_resumed_where_it_ended_and_a_deleted_id_is_refused(local_server, tmp_path):
    project = new_project()
    code = """
    import sys, time, wandb
    settings = wandb.Settings(init_timeout=30)
    for resume in (None, "must", "allow"):
        with wandb.init(project=sys.argv[1], id="r1", resume=resume, config={"first": 1} if not resume else None) as run:
            for _ in range(3):
                run.log({"x": 1})
            run.summary[f"seen-{resume}"] = True
    api = wandb.Api()
    found = api.run(f"admin/{sys.argv[1]}/r1")
    result = {"steps": [row["_step"] for row in found.scan_history()], "config": found.config,
              "seen": sorted(key for key in found.summary.keys() if key.startswith("seen"))}
    try:
        wandb.init(project=sys.argv[1], id="unknown", resume="must")
    except Exception as error:
        result["unknown"] = type(error).__name__
    found.delete()
    started = time.monotonic()
    try:
        wandb.init(project=sys.argv[1], id="r1", settings=settings)
    except Exception as error:
        result["deleted"] = str(error)
    result["quick"] = time.monotonic() - started < 15
    """

    result = run_sdk(local_server, tmp_path, code, project)

    assert "previously created and deleted" in result.pop("deleted")
    assert result == {
        "steps": list(range(9)),
        "config": {"first": 1},
        "seen": ["seen-None", "seen-allow", "seen-must"],
        "unknown": "UsageError",
        "quick": True,
    }


def test_a_run_deleted_while_it_logs_does_not_come_back(tmp_path, local_server):
    project = new_project()
    code = """
    import sys, time, wandb
    run = wandb.init(project=sys.argv[1], id="r1", settings=wandb.Settings(x_file_stream_transmit_interval=1))
    run.log({"x": 1})
    time.sleep(2)
    wandb.Api().run(f"admin/{sys.argv[1]}/r1").delete()
    run.log({"x": 2})
    time.sleep(2)
    run.finish()
    result = [r.id for r in wandb.Api().runs("admin/" + sys.argv[1])]
    """

    assert run_sdk(local_server, tmp_path, code, project) == []
