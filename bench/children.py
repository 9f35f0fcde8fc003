"""A module run in a process of its own, and what it told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def run_module(label: str, environment: Mapping[str, str], module: str, *arguments: str) -> dict[str, Any]:
    """Run a module to its end and return the JSON object in its last line.

    Raises:
        SystemExit: it failed; with the end of what it complained of, after `label`.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{label}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
