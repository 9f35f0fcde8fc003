"""Artifacts with the real wandb SDK: what can be made, linked, changed and deleted, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.caller import new_project
from tests.sdk.sdk_process import read_result, run_sdk, start_module
from wbgql.server import RunningServer

pytestmark = pytest.mark.sdk


@pytest.fixture(scope="module")
def names() -> tuple[str, str]:
    return new_project(), new_project()


@pytest.fixture(scope="module")
def seen(
    local_server: RunningServer, tmp_path_factory: pytest.TempPathFactory, names: tuple[str, str]
) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("artifact-life")
    process = start_module(local_server, home, "tests.sdk.artifact_life", *names, str(home / "scratch"))
    result: dict[str, Any] = read_result(process)
    return result


def test_versions_are_made_from_drafts_by_several_and_without_a_run(seen):
    logging = seen["logging"]

    assert logging["draft"] == ["d/b"]
    assert logging["distributed"] == ["v0", ["one", "two"]]
    assert logging["many"] == [120, 120]
    assert logging["empty"] == 0
    assert seen["outside"] == ["v0", "finished"]


def test_a_time_to_live_is_kept_with_the_version(seen):
    assert seen["logging"]["ttl"] == ["1 day, 0:00:00", "None"]


def test_another_type_and_a_region_are_refused_with_the_reason(seen):
    assert "already exists with type 'dataset'" in seen["logging"]["type"]
    assert "invalid storageRegion: 'mars'" in seen["logging"]["region"]


def test_the_servers_own_region_can_be_named(seen):
    assert seen["logging"]["here"] == "COMMITTED"


def test_the_sdk_is_told_what_the_server_knows_of_artifacts(seen):
    assert seen["logging"]["features"] == [True, True, True, True]


def test_xxh128_names_contents_unless_the_collection_has_md5(seen):
    fresh, known = seen["logging"]["hashed"]

    assert fresh == ["MANIFEST_XXH128", "tenBrQcbPn/Hec+qXlI4GA==", ["hello.txt"]]
    assert known == ["MANIFEST_MD5", "XUFAKrxLKna5cZ2REBfFkg==", ["hello.txt"]]


def test_references_are_kept_and_followed(seen):
    references = seen["references"]

    assert references["kinds"] == {"x.txt": "file", "big.bin": "https", "up": "wandb-artifact"}
    assert references["fetched"] == {"up": "1", "x.txt": "far"}
    assert references["borrowed"] == [[7]]


def test_links_lead_into_this_project_a_new_one_and_the_model_registry(seen, names):
    here, there = names

    assert seen["links"]["linked"] == [
        f"{here}/shelf:v0", f"{there}/shelf:v0", f"{here}/drafts:v0", "model-registry/registered:v0",
    ]  # fmt: skip
    assert seen["links"]["source"] is True
    assert seen["links"]["aliases"] == [["staging"], ["best"]]


def test_a_deleted_link_leaves_its_source_alone(seen):
    assert seen["links"]["left"] == [False, False, True, True]
    assert "is not a linked artifact" in seen["links"]["unlink source"]


def test_collections_are_changed_and_versions_found_in_them(seen):
    collections = seen["collections"]

    assert collections["changed"] == ["about", ["one", "two words"], ["renamed:v0", "renamed:v1"]]
    assert collections["retyped"] == "shorts"
    assert collections["tagged"] == ["v0"]
    assert collections["ordered"] == ["v0", "v1"]
    assert collections["portfolio"] is False
    assert collections["exists"] == [True, False]


def test_a_version_in_use_can_be_deleted_but_not_one_with_aliases_unasked(seen):
    deleting = seen["deleting"]

    assert "set deleteAliases" in deleting["refused"]
    assert deleting["latest"] == "v0"
    assert deleting["used"] == []
    assert deleting["prefix"] == ["d"]
    assert deleting["checkout"] == ["a", "d"]
    assert deleting["by digest"] == "v0"
    assert deleting["again"] == ["v0", 1]


BIG = """
import os, wandb
size = 2 * 2**30 + 5
with open("big.bin", "wb") as file:
    file.truncate(size)
    file.seek(size - 5)
    file.write(b"12345")
settings = wandb.Settings(x_disable_stats=True)
with wandb.init(project="big", settings=settings) as run:
    artifact = wandb.Artifact("big", "dataset")
    artifact.add_file("big.bin", policy="immutable", skip_cache=True)
    version = run.log_artifact(artifact).wait()
    found = wandb.Api().artifact("admin/big/big:v0").download("down", skip_cache=True)
result = [version.size, os.path.getsize(found + "/big.bin")]
os.unlink(found + "/big.bin")
os.unlink("big.bin")
"""


@pytest.mark.full
@pytest.mark.timeout(400)
def test_a_file_for_which_the_sdk_wants_parts_is_sent_whole(wandb_server, tmp_path: Path) -> None:
    """From 2 GiB on the SDK offers a multipart upload, and does without if no part addresses come back."""
    assert run_sdk(wandb_server, tmp_path, BIG, timeout_s=300) == [2**31 + 5, 2**31 + 5]
