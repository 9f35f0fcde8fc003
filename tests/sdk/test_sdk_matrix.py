"""SDKs of four years, each in an environment of its own, through the steps of `any_sdk.py`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import pytest

from tests.caller import new_project
from tests.sdk import environments
from tests.sdk.environments import OLDER, NotInstalledError
from tests.sdk.sdk_process import ROOT
from wbgql.server import RunningServer

SCRIPT = Path(__file__).with_name("any_sdk.py")
STEPS = re.findall(r'^@step\(\s*"([^"]+)"', SCRIPT.read_text(), re.MULTILINE)
QUICK = "0.19.11"
TIMEOUT_S = 240


def drive(python: Path, server: RunningServer, home: Path) -> Any:
    home.mkdir(exist_ok=True)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WANDB_"))
    }
    done = subprocess.run(
        [python, SCRIPT, new_project()],
        env={**environment, **server.environment(home), "WANDB_CONSOLE": "wrap"},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert done.returncode == 0, done.stdout
    assert lines, done.stdout
    return json.loads(lines[-1].removeprefix("RESULT "))


def check(version: str, result: Any) -> None:
    assert result["version"] == version
    assert list(result["steps"]) == STEPS
    wrong = {name: pair for name, pair in result["steps"].items() if pair[0] != pair[1]}
    assert wrong == {}


@pytest.mark.sdk
def test_the_newest_sdk(local_server, tmp_path):
    check(installed("wandb"), drive(Path(sys.executable), local_server, tmp_path))


@pytest.mark.sdk
def test_an_sdk_of_last_year_whose_environment_is_there(local_server, tmp_path):
    try:
        python = environments.find(QUICK)
    except NotInstalledError as missing:
        pytest.skip(str(missing))
    check(QUICK, drive(python, local_server, tmp_path))


@pytest.mark.sdk
@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", OLDER)
def test_an_older_sdk(local_server, tmp_path, version):
    try:
        python = environments.make(version)
    except NotInstalledError as failed:
        pytest.skip(str(failed))
    check(version, drive(python, local_server, tmp_path))


def test_the_table_in_the_docs_names_each_sdk_and_each_step():
    text = (ROOT / "docs/server.md").read_text()
    table = text[text.index("## Which SDKs") :].split("\n## ")[0]

    *older, _newest = re.findall(r"^\| ([0-9.]+) \|", table, re.MULTILINE)
    assert tuple(older) == OLDER
    assert [step for step in STEPS if step not in table] == []
    assert f"{len(STEPS)} steps" in table


def test_without_its_environment_an_sdk_is_missing_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("WBGQL_SDKS", str(tmp_path / "none"))

    with pytest.raises(NotInstalledError, match=r"no environment of wandb 0\.19\.11 in .*none; `make sdks`"):
        environments.find(QUICK)
    assert not (tmp_path / "none").exists()
