"""What the real wandb SDK logged, read back by the client: files, digests, lineage, bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.caller import new_project
from tests.sdk.sdk_process import run_sdk
from wbgql.client import Client
from wbgql.server import RunningServer
from wbgql.settings import Settings

pytestmark = pytest.mark.sdk

LOG = """
import sys, wandb
from pathlib import Path

project = sys.argv[1]
for name, size in (("a.txt", 3), ("d/b c#é.bin", 100_000), ("empty", 0)):
    Path("data", name).parent.mkdir(parents=True, exist_ok=True)
    Path("data", name).write_bytes(b"x" * size)
with wandb.init(project=project, id="make") as run:
    data = wandb.Artifact("ds", "dataset", metadata={"rows": 3})
    data.add_dir("data")
    data.add_reference("https://example.invalid/big.bin", checksum=False, name="big.bin")
    run.log_artifact(data, aliases=["best"], tags=["keep"]).wait()
with wandb.init(project=project, id="train") as run:
    used = run.use_artifact("ds:best")
    more = wandb.Artifact("ds", "dataset", incremental=True)
    Path("more.txt").write_text("more")
    more.add_file("more.txt")
    run.log_artifact(more).wait()
    net = wandb.Artifact("net", "model")
    net.add_file("data/d/b c#é.bin", "weights.bin")
    run.log_artifact(net).wait()
    run.save("more.txt", policy="now")
result = {"digest": data.digest, "net": net.digest}
"""


@pytest.fixture(scope="module")
def logged(
    local_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, str]]:
    project = new_project()
    return project, run_sdk(local_server, tmp_path_factory.mktemp("sdk-artifacts"), LOG, project)


@pytest.fixture
def client(local_server: RunningServer) -> Iterator[Client]:
    with Client(settings=Settings(base_url=local_server.base_url, api_key=local_server.api_key)) as made:
        yield made


def test_a_logged_version_is_downloaded_and_its_manifest_is_proved(client, logged, tmp_path):
    project, seen = logged

    done = client.download_artifact(f"admin/{project}/ds:best", tmp_path)

    assert done.manifest_matches
    assert done.version.digest == seen["digest"]
    sizes = {file.name: (file.state, file.size_bytes, file.checked) for file in done.result.files}
    assert sizes.pop("big.bin")[0] == "reference"
    assert sizes == {
        "a.txt": ("downloaded", 3, "md5"),
        "d/b c#é.bin": ("downloaded", 100_000, "md5"),
        "empty": ("downloaded", 0, "md5"),
    }


def test_an_incremental_version_is_whole(client, logged, tmp_path):
    project, _ = logged

    done = client.download_artifact(f"admin/{project}/ds:latest", tmp_path)

    assert {file.name for file in done.result.having("downloaded")} == {
        "a.txt", "d/b c#é.bin", "empty", "more.txt",
    }  # fmt: skip


def test_versions_are_found_by_what_the_sdk_gave_them(client, logged):
    path = f"admin/{logged[0]}"

    assert [one.name for one in client.artifacts(path, tag="keep")] == ["ds:v0"]
    assert [one.name for one in client.artifacts(path, alias="best")] == ["ds:v0"]
    assert [one.name for one in client.artifacts(path, collection="ds", metadata={"rows": 3})] == ["ds:v0"]


def test_the_lineage_is_what_the_runs_did(client, logged):
    path = f"admin/{logged[0]}"

    rows = client.lineage(f"{path}/ds:v0").rows()

    short = {(row["from"].removeprefix(f"{path}/"), row["to"].removeprefix(f"{path}/")) for row in rows}
    assert short >= {("make", "ds:v0"), ("ds:v0", "train"), ("train", "net:v0"), ("train", "ds:v1")}


def test_shared_content_is_counted_once(client, logged):
    path = f"admin/{logged[0]}"

    storage = client.storage(path, by="type")

    rows = {row.key: row for row in storage.rows}
    assert rows["dataset"].stored_bytes == 100_003 + 4
    assert rows["model"].artifact_bytes == 100_000
    assert rows["model"].exclusive_bytes == 0
    assert storage.coverage.complete


def test_files_of_the_runs_are_downloaded(client, logged, tmp_path):
    path = f"admin/{logged[0]}"

    done = client.download_files(client.runs(path), tmp_path, pattern="more%")

    assert [file.path.read_text() for file in done.files if file.path] == ["more"]
