"""The fixture that other projects use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.caller import Caller

TEST = """
import os

import pytest

def test_one(wandb_server):
    assert os.environ["WANDB_BASE_URL"] == wandb_server.base_url
    import requests
    answer = requests.post(f"{wandb_server.base_url}/graphql", json={"query": "{ viewer { username } }"},
                           auth=("api", os.environ["WANDB_API_KEY"]), timeout=30)
    assert answer.json() == {"data": {"viewer": {"username": "admin"}}}

@pytest.mark.wandb_server(like="saas-2026", without=["Run.storageBytes"])
def test_like_another(wandb_server):
    import requests
    asked = {"query": '{ project(name: "p", entityName: "admin") { run(name: "r") { storageBytes } } }'}
    answer = requests.post(f"{wandb_server.base_url}/graphql", json=asked,
                           auth=("api", os.environ["WANDB_API_KEY"]), timeout=30)
    assert "Cannot query field" in answer.text

def test_without_it():
    import sys
    assert "wbgql.server" not in sys.modules or os.environ.get("WANDB_BASE_URL") is None
"""


def test_each_test_has_a_store_of_its_own(wandb_server):
    caller = Caller(os.environ["WANDB_BASE_URL"], os.environ["WANDB_API_KEY"])

    assert caller.ask('{ models(entityName: "admin") { edges { node { name } } } }') == {
        "models": {"edges": []}
    }


def test_the_plugin_is_found_by_pytest_and_imports_nothing_heavy(tmp_path):
    (tmp_path / "test_it.py").write_text(TEST)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("WANDB_")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "3 passed" in done.stdout, done.stdout
    light = "import wbgql.pytest_plugin, sys; sys.exit(bool({'wandb', 'graphql', 'apsw', 'uvicorn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", light], check=False).returncode == 0


@pytest.mark.sdk
def test_code_under_test_can_call_wandb(wandb_server):
    import wandb

    with wandb.init(project="demo", config={"lr": 0.1}) as run:
        run.log({"loss": 1.0})

    (found,) = wandb.Api().runs("admin/demo")
    assert (found.state, found.config, found.summary["loss"]) == ("finished", {"lr": 0.1}, 1.0)
