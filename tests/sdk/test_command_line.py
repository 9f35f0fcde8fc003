"""The command line of the real SDK: artifacts, files of runs, and its own check of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.caller import new_project
from tests.sdk.sdk_process import run_sdk, wandb_command

pytestmark = pytest.mark.sdk

LOG = """
import sys, wandb
from pathlib import Path
Path("kept.txt").write_text("kept")
settings = wandb.Settings(x_disable_stats=True)
with wandb.init(project=sys.argv[1], id="r1", config={"lr": 1}, settings=settings) as run:
    run.save("kept.txt")
result = None
"""


@pytest.mark.full
def test_artifacts_and_files_of_runs_come_and_go_by_the_command_line(local_server, tmp_path: Path) -> None:
    """`wandb artifact put`, `ls`, `get`, and `wandb pull`."""
    project = new_project()
    run_sdk(local_server, tmp_path / "a", LOG, project)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.txt").write_text("put")

    wandb_command(
        local_server, tmp_path, "artifact", "put", "data", "-n", f"admin/{project}/data", "--type", "dataset"
    )
    listed = wandb_command(local_server, tmp_path, "artifact", "ls", f"admin/{project}")
    wandb_command(local_server, tmp_path, "artifact", "get", f"admin/{project}/data:latest", "--root", "got")
    wandb_command(local_server, tmp_path, "pull", "-e", "admin", "-p", project, "r1")

    assert "data:v0" in listed
    assert (tmp_path / "got" / "x.txt").read_text() == "put"
    assert (tmp_path / "kept.txt").read_text() == "kept"


@pytest.mark.full
def test_the_sdks_own_check_of_a_server_passes_but_for_tls_and_sweeps(local_server, tmp_path: Path) -> None:
    """`wandb verify`: what it marks as failed is what this server does not claim to have."""
    said = wandb_command(local_server, tmp_path, "verify", exit_code=1).splitlines()

    results = {line.split("....")[0]: line[-1] for line in said if line.endswith(("✅", "❌"))}
    assert {name for name, mark in results.items() if mark == "❌"} == {
        "Checking requests to base url",
        "Checking requests made over signed URLs",
        "Checking CORs configuration of the bucket",
        "Checking sweep creation and agent execution",
    }
    assert {name for name, mark in results.items() if mark == "✅"} == {
        "Checking if logged in",
        "Checking signed URL upload",
        "Checking ability to send large payloads through proxy",
        "Checking wandb package version is up to date",
        "Checking logged metrics, saving and downloading a file",
        "Checking artifact save and download workflows",
    }
