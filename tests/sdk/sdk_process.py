"""Runs code that uses the real wandb SDK in a process of its own, against a local server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from wbgql.server import RunningServer

_TAIL = "\nimport json as _json\nprint('RESULT ' + _json.dumps(result))\n"


def run_sdk(server: RunningServer, home: Path, code: str, *arguments: str, **environment: str) -> Any:
    """Run `code`, which sets `result`; return that. `sys.argv[1:]` are the `arguments`."""
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code) + _TAIL, *arguments],
        env={**os.environ, **server.environment(home), **environment},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines, done.stdout + done.stderr
    return json.loads(lines[-1].removeprefix("RESULT "))
