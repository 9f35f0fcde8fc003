"""Servers that others wrote: what they lack is said, what they have is read, and nothing is claimed of deletions.

`openwandb` is a package of PyPI. It is installed into an environment of its own and started as a process; nothing
of it is imported here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.conftest import Outcome
from tests.sdk import environments
from tests.sdk.environments import NotInstalledError
from wbgql.cli.shared import exit_codes

VERSION = "0.5.25"
KEY = "local" + "0" * 40  # what its documentation tells to use
PATH = "default/vision"
LOG = """
import wandb
for number in range(2):
    with wandb.init(project="vision", id=f"r{number}", config={"lr": 0.1}, tags=["a"]) as run:
        for step in range(3):
            run.log({"loss": 1 / (step + 1)})
"""
ACC = 'summary["loss"]'
READING = {
    "projects list": ("projects", "list"),
    "fields": ("fields", PATH),
    "runs list": ("runs", "list", PATH),
    "runs list --where": ("runs", "list", PATH, "--where", f"{ACC} > 0"),
    "runs count": ("runs", "count", PATH),
    "runs show": ("runs", "show", f"{PATH}/r1"),
    "runs stats": ("runs", "stats", PATH, "--by", 'config["lr"]'),
    "runs explain": ("runs", "explain", PATH, "--where", f"{ACC} > 0"),
    "runs export": ("runs", "export", PATH, "--format", "jsonl", "--to", "{folder}/out"),
    "history": ("history", f"{PATH}/r1", "--json"),
    "logs": ("logs", f"{PATH}/r1"),
    "system": ("system", f"{PATH}/r1"),
    "files list": ("files", "list", f"{PATH}/r1"),
    "artifacts list": ("artifacts", "list", PATH),
    "storage": ("storage", PATH),
}
CHANGING = {
    "runs tag": ("runs", "tag", f"{PATH}/r1", "b"),
    "runs update": ("runs", "update", f"{PATH}/r1", "--set-config", "lr=0.9"),
    "runs delete": ("runs", "delete", f"{PATH}/r1", "--apply", "--yes", "--host", "{host}"),
    "runs undelete": ("runs", "undelete", PATH, "r1", "--yes", "--host", "{host}"),
    "erase plan": (
        "erase", "plan", PATH, "--where", f"{ACC} > 0", "--request", "R-1", "--basis", "gdpr-17",
        "--max-percent", "100", "-o", "{folder}/plan.json",
    ),
    "erase probe": ("erase", "probe", "default/probe", "--without-sdk", "--yes", "--host", "{host}"),
}  # fmt: skip


@dataclass(frozen=True)
class Other:
    """A running server of somebody else, with two runs in `default/vision`."""

    base_url: str
    folder: Path

    def __call__(self, *argv: str) -> Outcome:
        host = self.base_url.removeprefix("http://")
        words = [word.format(host=host, folder=self.folder) for word in argv]
        done = subprocess.run(
            [sys.executable, "-m", "wbgql", *words], env=self.environ, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    @property
    def environ(self) -> dict[str, str]:
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "WBGQL_"))
        }
        return plain | {
            "HOME": str(self.folder), "WANDB_BASE_URL": self.base_url, "WANDB_API_KEY": KEY,
            "WANDB_DIR": str(self.folder), "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false",
            "WBGQL_STATE": str(self.folder / "state"), "WBGQL_HOLDS": str(self.folder / "holds.json"),
        }  # fmt: skip

    def runs(self) -> dict[str, Any]:
        """The ids and configs of the runs, asked for as the wandb SDK does."""
        query = (
            'query Q($name: String!) { model(name: "vision", entityName: "default") {'
            " bucket(name: $name) { name config } } }"
        )
        found = {}
        for name in ("r0", "r1"):
            body = {"query": query, "variables": {"name": name}}
            answer = requests.post(
                f"{self.base_url}/graphql", json=body, auth=("api", KEY), timeout=30
            ).json()
            found[name] = json.loads(answer["data"]["model"]["bucket"]["config"])["lr"]["value"]
        return found


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Other]:
    try:
        check = f"from importlib.metadata import version; assert version('openwandb') == {VERSION!r}"
        python = environments.make_with(f"openwandb-{VERSION}", f"openwandb=={VERSION}", check=check)
    except NotInstalledError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("other")
    port = free_port()
    command = [str(python.with_name("openwandb")), "serve", "--host", "127.0.0.1", "-p", port]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder / "data")], env=os.environ | {"HOME": str(folder)}, stdout=log,
            stderr=log,
        )  # fmt: skip
    try:
        made = Other(f"http://127.0.0.1:{port}", folder)
        wait_for(made.base_url)
        assert made("hold", "init").code == 0
        subprocess.run([sys.executable, "-c", LOG], env=made.environ, cwd=folder, timeout=120, check=True)
        yield made
    finally:
        process.kill()
        process.wait()


def free_port() -> str:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


def wait_for(base_url: str) -> None:
    for _ in range(100):
        try:
            requests.get(base_url, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server did not start")


@pytest.mark.full
@pytest.mark.sdk
@pytest.mark.parametrize("name", READING)
def test_a_read_says_what_the_server_lacks_or_gives_what_was_logged(other: Other, name: str) -> None:
    got = other(*READING[name])

    assert "Traceback" not in got.err
    if got.code == exit_codes.OK:
        assert "r1" in got.out
    else:
        assert got.code == exit_codes.LACKING
        assert "the schema of" in got.err or "its schema has no" in got.err


@pytest.mark.full
@pytest.mark.sdk
@pytest.mark.parametrize("name", CHANGING)
def test_nothing_is_changed_or_claimed_where_what_decides_is_missing(other: Other, name: str) -> None:
    before = other.runs()
    got = other(*CHANGING[name])

    assert (got.code, got.out) == (exit_codes.LACKING, "")
    assert "which this operation cannot do without" in got.err
    assert other.runs() == before == {"r0": 0.1, "r1": 0.1}
    assert not (other.folder / "plan.json").exists()


@pytest.mark.full
@pytest.mark.sdk
def test_doctor_and_the_live_check_say_what_does_not_work(other: Other) -> None:
    whoami, doctor, checked = other("whoami"), other("doctor", "--json"), other("schema", "check", "--live")

    assert json.loads(whoami.out)["default_entity"] == "default"
    found = {row["check"]: row["level"] for row in json.loads(doctor.out)}
    assert (doctor.code, found["key"], found["rights"], found["schema"]) == (3, "ok", "problem", "problem")
    operations = {row["operation"]: row for row in json.loads(checked.out)["operations"]}
    assert checked.code == exit_codes.LACKING
    assert operations["GetViewer"]["outcome"].startswith("works")
    assert operations["DeleteRun"]["outcome"] == "does not work"
