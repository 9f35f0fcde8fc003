"""Environment, settings files, netrc and identity tokens mean to wbgql what they mean to the wandb SDK."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.sdk_process import ROOT
from wbgql.errors import WbgqlError
from wbgql.settings import resolve_settings

ONE, TWO = "https://one.example", "https://two.example"
KEYS = {name: name[0] * 40 for name in ("environ", "netrc", "file")}
COUNT = 300

CHOICES: dict[str, list[Any]] = {
    "WANDB_BASE_URL": [None, None, ONE, f"{TWO}/", "http://127.0.0.1:8080", "https://api.wandb.ai"],
    "WANDB_API_KEY": [None, None, KEYS["environ"]],
    "WANDB_IDENTITY_TOKEN_FILE": [None, None, None, "", "token.jwt"],
    "WANDB_ENTITY": [None, None, "acme"],
    "WANDB_PROJECT": [None, None, "vision"],
    "WANDB_INSECURE_DISABLE_SSL": [None, None, None, "true", "false", "1", "0"],
    "WANDB_CONFIG_DIR": [None, None, "", "other-config"],
    "NETRC": [None, None, "", "other-netrc"],
    "user": [None, None, f"base_url = {ONE}", f"api_key = {KEYS['file']}", "entity: from-user\nproject=p1"],
    "workspace": [None, None, "entity = from-folder", "project = p2\n# a comment", "; nothing"],
    "dot_wandb": [False, False, True],
    "netrc": [
        None,
        f"machine one.example login user password {KEYS['netrc']}",
        f"machine api.wandb.ai\n  login user\n  password {KEYS['netrc']}\n",
        f"machine api.forge.coreweave.com login user password {KEYS['netrc']}",
        f"machine 127.0.0.1:8080 login user password {KEYS['netrc']}",
        f"machine 127.0.0.1 login user password {KEYS['netrc']}",
        f"default login user password {KEYS['netrc']}",
        f"machine two.example login user password {KEYS['netrc']}",
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    chosen: Mapping[str, Any]
    environ: Mapping[str, str]
    home: Path
    cwd: Path

    def for_sdk(self) -> dict[str, Any]:
        # It asks whether it may use the network and the terminal; both are settled here.
        quiet = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "PATH": os.environ["PATH"]}
        return {"environ": {**quiet, **self.environ}, "home": str(self.home), "cwd": str(self.cwd)}

    def ours(self, version: str) -> dict[str, Any]:
        try:
            found = resolve_settings(
                environ=self.environ, home=self.home, cwd=self.cwd, sdk_version=lambda: version
            )
        except WbgqlError:
            return {"error": True}
        return {
            "base_url": found.base_url,
            "entity": found.entity,
            "project": found.project,
            "insecure": not found.verify_tls,
            "api_key": None if found.api_key is None else str(found.api_key),
            "identity_token_file": found.identity_token_file,
            "headers": dict(found.extra_headers),
        }


def make_case(number: int, folder: Path) -> Case:
    chance = random.Random(number)
    chosen = {name: chance.choice(values) for name, values in CHOICES.items()}
    home, cwd = folder / str(number) / "home", folder / str(number) / "work"
    (cwd / "wandb").mkdir(parents=True)
    (home / ".config" / "wandb").mkdir(parents=True)
    environ = {name: value for name, value in chosen.items() if name.isupper() and value is not None}
    environ["HOME"] = str(home)
    config = home / ".config" / "wandb"
    if chosen["WANDB_CONFIG_DIR"]:
        config = home / chosen["WANDB_CONFIG_DIR"]
        config.mkdir()
        environ["WANDB_CONFIG_DIR"] = str(config)
    netrc = home / ".netrc"
    if chosen["NETRC"]:
        netrc = home / chosen["NETRC"]
        environ["NETRC"] = str(netrc)
    if chosen["netrc"] is not None:
        netrc.write_text(chosen["netrc"])
        netrc.chmod(0o600)
    if chosen["WANDB_IDENTITY_TOKEN_FILE"]:
        token = home / chosen["WANDB_IDENTITY_TOKEN_FILE"]
        token.write_text("a.b.c")
        environ["WANDB_IDENTITY_TOKEN_FILE"] = str(token)
    if chosen["dot_wandb"]:
        (cwd / ".wandb").mkdir()
    for text, at in (
        (chosen["user"], config),
        (chosen["workspace"], cwd / ("wandb", ".wandb")[chosen["dot_wandb"]]),
    ):
        if text is not None:
            (at / "settings").write_text(f"[default]\n{text}\n")
    return Case(chosen, environ, home, cwd)


@pytest.mark.sdk
def test_both_resolve_the_same(tmp_path: Path) -> None:
    cases = [make_case(number, tmp_path) for number in range(COUNT)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "sdk" / "resolves_settings.py")],
        input=json.dumps([case.for_sdk() for case in cases]), capture_output=True, text=True, timeout=240, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "WANDB_SILENT": "true"},
    )  # fmt: skip
    told = json.loads(done.stdout)

    wrong = []
    for case, theirs in zip(cases, told["answers"], strict=True):
        ours = case.ours(told["version"])
        if ours != theirs:
            wrong.append({"chosen": dict(case.chosen), "ours": ours, "theirs": theirs})
    assert not wrong, json.dumps(wrong[:5], indent=1) + f"\n{len(wrong)} of {COUNT}"
