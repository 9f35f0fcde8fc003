"""Runs that go on, or begin again: `resume`, `resume_from`, `fork_from`, an id used twice, `wandb sync`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller, new_project
from tests.sdk.sdk_process import run_sdk, wandb_command
from wbgql.server import RunningServer

pytestmark = pytest.mark.sdk

RESUME = """
import sys, wandb
project = sys.argv[1]

def log(rows, word, **options):
    settings = wandb.Settings(x_disable_stats=True, console="wrap")
    with wandb.init(project=project, settings=settings, **options) as run:
        for _ in range(rows):
            run.log({"x": 1, word: 1})
        print(word)
        return [run.resumed, run.starting_step, dict(run.config), list(run.tags), run.name]

def read(name):
    run = wandb.Api().run(f"admin/{project}/{name}")
    return {
        "steps": [row["_step"] for row in run.scan_history()],
        "summary": sorted(key for key in run.summary._json_dict if not key.startswith("_")),
        "console": [line.content for line in run.console_logs()],
        "config": run.config,
        "state": run.state,
        "branch": run.rawconfig["_wandb"].get("branch_point"),
    }

def refused(**options):
    try:
        log(1, "never", **options)
    except Exception as error:
        return type(error).__name__ + ": " + str(error)

first = log(3, "first", id="a", name="named", tags=["t"], config={"c": 1, "deep": {"z": 1}})
result = {
    "first": first,
    "allow": log(2, "allow", id="a", resume="allow", config={"d": 2}),
    "must": log(1, "must", id="a", resume="must"),
    "resumed": read("a"),
    "allow new": log(1, "allow", id="fresh", resume="allow"),
    "never new": log(1, "never", id="fresh2", resume="never"),
    "must missing": refused(id="missing", resume="must"),
    "rewind": log(2, "rewound", resume_from="a?_step=1", config={"e": 3}),
    "rewound": read("a"),
    "fork": log(2, "forked", fork_from="a?_step=1", id="fork"),
    "forked": read("fork"),
    "rewind missing": refused(resume_from="unknown?_step=1"),
    "again": log(1, "again", id="a"),
    "reused": read("a"),
    "never existing": refused(id="a", resume="never"),
    "runs": sorted(run.id for run in wandb.Api().runs("admin/" + project)),
}
"""

AUTO = """
import os, sys, time, wandb
settings = wandb.Settings(x_disable_stats=True, x_file_stream_transmit_interval=1)
run = wandb.init(project=sys.argv[1], resume="auto", settings=settings)
run.log({"x": 1})
if sys.argv[2] == "breaks off":
    time.sleep(2)
    print("RESULT " + '"' + run.id + '"', flush=True)
    os._exit(0)
run.finish()
result = [run.id, run.resumed, run.starting_step]
"""


@pytest.fixture(scope="module")
def seen(local_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("resuming")
    result: dict[str, Any] = run_sdk(local_server, home, RESUME, new_project())
    return result


def test_a_resumed_run_goes_on_behind_its_last_row(seen):
    config = {"c": 1, "deep": {"z": 1}}

    assert seen["first"] == [False, 0, config, ["t"], "named"]
    assert seen["allow"] == [True, 3, config | {"d": 2}, ["t"], "named"]
    assert seen["must"][:2] == [True, 5]
    assert seen["resumed"] == {
        "steps": [0, 1, 2, 3, 4, 5],
        "summary": ["allow", "first", "must", "x"],
        "console": ["first", "allow", "must"],
        "config": config | {"d": 2},
        "state": "finished",
        "branch": None,
    }


def test_resume_is_refused_by_the_sdk_where_it_must_be(seen):
    assert "does not exist" in seen["must missing"]
    assert "already exists" in seen["never existing"]
    assert seen["allow new"][:2] == seen["never new"][:2] == [False, 0]
    assert seen["runs"] == ["a", "fork", "fresh", "fresh2"]


def test_a_rewound_run_loses_what_came_later_and_keeps_its_config(seen):
    assert seen["rewind"][1:3] == [2, {"c": 1, "deep": {"z": 1}, "d": 2, "e": 3}]
    assert seen["rewound"]["steps"] == [0, 1, 2, 3]
    assert seen["rewound"]["summary"] == ["rewound", "x"]
    assert seen["rewound"]["console"] == ["rewound"]
    assert "run admin/" in seen["rewind missing"]
    assert "/unknown not found" in seen["rewind missing"]


def test_a_fork_goes_on_behind_the_shared_rows_and_names_where_it_comes_from(seen):
    assert seen["fork"][:2] == [False, 2]
    assert seen["forked"]["steps"] == [0, 1, 2, 3]
    assert seen["forked"]["branch"] == {"run_id": "a", "step": 1}


def test_an_id_used_again_without_resume_begins_anew(seen):
    assert seen["again"][:2] == [False, 0]
    assert seen["reused"]["steps"] == [0]
    assert seen["reused"]["summary"] == ["again", "x"]
    assert seen["reused"]["console"] == ["again"]


def test_auto_resumes_what_broke_off(local_server: RunningServer, tmp_path: Path) -> None:
    project = new_project()

    first = run_sdk(local_server, tmp_path, AUTO, project, "breaks off")
    second = run_sdk(local_server, tmp_path, AUTO, project, "ends")

    assert second == [first, True, 1]


OFFLINE = """
import sys, wandb
from pathlib import Path

settings = wandb.Settings(x_disable_stats=True, console="wrap")
with wandb.init(project=sys.argv[1], id="off", mode="offline", config={"a": 1}, settings=settings) as run:
    for step in range(3):
        run.log({"x": step})
    print("offline")
    Path("kept.txt").write_text("kept")
    run.save("kept.txt")
    artifact = wandb.Artifact("data", "dataset")
    artifact.add_file("kept.txt")
    run.log_artifact(artifact)
    run.log({"table": wandb.Table(columns=["a"], data=[[1]])})
    result = run.settings.sync_dir
"""

READ = """
import sys, wandb
run = wandb.Api().run(f"admin/{sys.argv[1]}/{sys.argv[2]}")
result = [
    run.state, run.config, [row["_step"] for row in run.scan_history()],
    [line.content for line in run.console_logs()],
    run.file("kept.txt").download(root="down", replace=True).read(),
    sorted(one.name for one in run.logged_artifacts() if not one.type.startswith("wandb-")),
]
"""


def test_an_offline_run_is_synced_once_or_twice_but_not_onto_a_deleted_one(
    local_server: RunningServer, tmp_path: Path
) -> None:
    """`wandb sync` three times: the run is new, it is there, it is deleted."""
    project = new_project()
    folder = run_sdk(local_server, tmp_path, OFFLINE, project)
    caller = Caller(local_server.base_url, local_server.api_key)

    wandb_command(local_server, tmp_path, "sync", folder)
    again = wandb_command(local_server, tmp_path, "sync", "--include-synced", folder)
    read = run_sdk(local_server, tmp_path, READ, project, "off")
    caller.ask(
        "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }",
        id=caller.run(project, "off")["id"],
    )
    refused = wandb_command(local_server, tmp_path, "sync", "--include-synced", folder)

    assert read == ["finished", {"a": 1}, [0, 1, 2, 3], ["offline"], "kept", ["data:v0", "run-off-table:v0"]]
    assert "already exists with the same content" in again
    assert f"run admin/{project}/off was previously created and deleted" in refused
    assert caller.run(project, "off") is None


CHAIN = """
import sys, wandb
folders = []
for word in "abc":
    settings = wandb.Settings(x_disable_stats=True)
    with wandb.init(project=sys.argv[1], id="chain", resume="allow", settings=settings) as run:
        run.log({"word": word})
        folders.append(run.settings.sync_dir)
result = folders
"""


@pytest.mark.full
def test_the_parts_of_a_resumed_run_are_synced_in_order_to_another_id(
    local_server: RunningServer, tmp_path: Path
) -> None:
    """`wandb sync --id` with three folders of one run, named out of order."""
    project = new_project()
    first, second, third = run_sdk(local_server, tmp_path, CHAIN, project)

    wandb_command(local_server, tmp_path, "sync", "--include-online", "--id", "copy", third, first, second)

    rows = Caller(local_server.base_url, local_server.api_key).run(project, "copy")["history"]
    assert [row.split('"word":')[1][:3] for row in rows] == ['"a"', '"b"', '"c"']
