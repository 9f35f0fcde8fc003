"""What the real SDK saves of a script in a git repository, by what the account says and by what the script says."""

from __future__ import annotations

import json

import pytest

from tests.caller import Caller
from tests.sdk.sdk_process import run_sdk
from wbgql.server import start

pytestmark = pytest.mark.sdk

CODE = """
import subprocess, time, wandb
from pathlib import Path

def git(*arguments):
    who = ("-c", "user.name=ada", "-c", "user.email=ada@localhost")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)

Path("train.py").write_text("lr = 1\\n")
git("init")
git("add", "train.py")
git("commit", "-m", "first")
Path("train.py").write_text("lr = 2\\n")
result = []
for settings in ({}, {"save_code": True}, {"save_code": False}):
    with wandb.init(project="p", settings=wandb.Settings(x_disable_stats=True, **settings)) as run:
        # The SDK looks at the repository on its own time, and a run that ends at once may end before.
        saved = Path(run.dir, "diff.patch" if run.settings.save_code else "wandb-metadata.json")
        deadline = time.monotonic() + 30
        while not saved.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    diff = [file.download(replace=True).read() for file in wandb.Api().run(run.path).files(pattern="diff.patch")]
    result.append(["+lr = 2" in text for text in diff])
"""


@pytest.mark.parametrize(
    ("code_saving", "told", "by_default"), [("on", {"code_saving_enabled": True}, [True]), ("off", {}, [])]
)
def test_the_difference_to_the_commit_is_saved_where_the_account_or_the_script_says(
    tmp_path, code_saving, told, by_default
):
    with start(tmp_path / "store", code_saving=code_saving) as server:
        flags = Caller(server.base_url, server.api_key).ask("{ viewer { flags } }")["viewer"]["flags"]
        # SDK 0.31.0 goes by the account's flags only if it has told who is logged in (2026-11).
        seen = run_sdk(server, tmp_path / "home", CODE, WANDB_SILENT="false")

    assert json.loads(flags) == told
    assert seen == [by_default, [True], []]
