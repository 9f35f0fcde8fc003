"""Artifacts with the real wandb SDK: logged in one process, read and changed in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller, new_project
from tests.server.artifact_logger import ArtifactLogger
from wbgql.server import RunningServer

pytestmark = pytest.mark.sdk

ROOT = Path(__file__).parents[2]
PATHS = {"PYTHONPATH": str(ROOT)}


def run_python(server: RunningServer, home: Path, *arguments: str) -> str:
    """Run Python with the SDK pointed at a server; return what it printed."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **server.environment(home), **PATHS}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def last_line(text: str) -> Any:
    return json.loads(text.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def online(local_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one process saw that logged, and another that read, changed and deleted."""
    home, project = tmp_path_factory.mktemp("artifacts"), new_project()
    scratch = str(home / "scratch")
    seen = last_line(run_python(local_server, home / "a", "-m", "tests.sdk.logs_artifacts", project, scratch))
    with ThreadPoolExecutor() as pool:
        # A home of its own, so that nothing comes out of the first one's cache.
        read = pool.submit(
            run_python, local_server, home / "b", "-m", "tests.sdk.reads_artifacts", project, scratch
        )
        for more in ([], ["--include-synced"]):
            run_python(local_server, home / "a", "-m", "wandb", "sync", *more, seen["offline"])
        return seen | last_line(read.result()) | {"project": project}


def test_wait_returns_a_committed_version(online):
    assert online["first"] == ["v0", ["best", "latest"], "COMMITTED", 8]


def test_equal_content_is_the_same_version(online):
    assert online["same"] == [True, "v0"]


def test_versions_made_from_a_base_or_a_draft_count_on(online):
    assert (online["more"], online["drafted"]) == ("v1", "v1")


def test_download_brings_every_file(online):
    assert online["download"] == {"f.txt": "hello", "empty": "", "a b#é.txt": "odd"}
    assert online["incremental"] == online["download"] | {"g.txt": "new"}
    assert online["entry"] == "hello"


def test_references_between_artifacts_are_followed(online):
    assert online["draft"]["up.txt"] == "hello"
    assert online["table"] == [[1]]


def test_a_run_lists_what_it_logged_and_used(online):
    logged = online["logged"]
    assert {"ds:v0 dataset", "ds:v1 dataset", "derived:v0 dataset", "derived:v1 dataset"} < set(logged)
    assert {"model", "run_table", "code"} < {one.split()[1] for one in logged}
    assert online["logged_count"] == len(logged)
    assert online["used"] == ["derived:v0", "ds:v0"]
    assert (online["logged_by"], online["used_by"]) == ("r1", ["r1"])


def test_metadata_tags_and_description_are_kept(online):
    assert online["best"] == [{"rows": 3, "loss": None}, ["t1", "t2"], "d1", 8, 3, ["best"]]


def test_types_collections_versions_and_files_are_listed(online):
    assert set(online["types"]) - {"late"} == {
        "code",
        "dataset",
        "model",
        "run_table",
        "wandb-history",  # made by the server when a run finishes
    }
    assert online["collections"] == ["derived", "ds", "shelf"]
    assert online["collections_b"] == ["ds"]
    assert online["versions"] == ["v1", "v0"]
    assert online["files"] == [3, ["a b#é.txt", "empty", "f.txt"]]
    assert online["model"] == "model"


def test_a_link_is_seen_from_both_sides(online):
    assert online["shelf"] == ["shelf:prod", True, "ds:v0", ["shelf:v0"]]
    assert online["linked"] == f"admin/{online['project']}/shelf:v0"


def test_save_changes_a_version_and_its_collection(online):
    assert online["changed"] == ["d2", 1, "3 days, 0:00:00", ["prod"], ["t2", "t3"]]
    assert online["collection"] == ["about", ["x y"], ["inc", "latest", "prod"]]


def test_delete_needs_leave_for_aliases_and_moves_latest_back(online):
    assert "set deleteAliases" in online["refused"]
    assert online["deleted_after"] is False
    assert online["latest_after"] == "v0"
    assert online["linked_after"] is False
    assert online["collection_after"] is False


def test_artifacts_recorded_offline_arrive_with_a_sync_and_only_once(online, local_server):
    logger = ArtifactLogger(Caller(local_server.base_url, local_server.api_key), online["project"])

    assert logger.by_name("offline:v0")["state"] == "COMMITTED"
    assert logger.by_name("offline:latest")["versionIndex"] == 1
    assert logger.by_name("offline:v2") is None
