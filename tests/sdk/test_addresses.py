"""The real wandb SDK against a server below a path prefix, named by another host name than the usual one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sdk.sdk_process import run_sdk
from wbgql.server import start

pytestmark = pytest.mark.sdk

CODE = """
import wandb
from pathlib import Path

Path("a b#é.txt").write_text("saved")
settings = wandb.Settings(x_disable_stats=True)
with wandb.init(project="sp ace é.x", id="r1", settings=settings) as run:
    run.log({"x": 1, "table": wandb.Table(columns=["a"], data=[[1]])})
    run.save("a b#é.txt")
    artifact = wandb.Artifact("data", "dataset")
    artifact.add_file("a b#é.txt")
    run.log_artifact(artifact).wait()
api = wandb.Api()
found = api.run(f"{run.entity}/{run.project}/r1")
version = api.artifact(f"{run.entity}/{run.project}/data:v0")
result = {
    "rows": len(list(found.scan_history())),
    "saved": found.file("a b#é.txt").download(root="down").read(),
    "metadata": bool(found.metadata),
    "whole": (Path(version.download("whole")) / "a b#é.txt").read_text(),
    "entry": Path(version.get_entry("a b#é.txt").download("entry", skip_cache=True)).read_text(),
    "urls": [found.url, found.file("a b#é.txt").url, found.file("a b#é.txt").direct_url],
}
"""


def test_the_sdk_works_below_a_path_prefix_and_gets_addresses_of_the_host_it_asked(tmp_path: Path) -> None:
    with start(tmp_path / "store", path_prefix="/some/wandb") as server:
        base_url = server.base_url.replace("127.0.0.1", "localhost")

        result = run_sdk(server, tmp_path / "home", CODE, WANDB_BASE_URL=base_url)

    assert all(url.startswith(f"{base_url}/") for url in result.pop("urls"))
    assert result == {"rows": 1, "saved": "saved", "metadata": True, "whole": "saved", "entry": "saved"}
