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

TIMEOUT_S = 120
_TAIL = "\nimport json as _json\nprint('RESULT ' + _json.dumps(result))\n"


def run_sdk(server: RunningServer, home: Path, code: str, *arguments: str, **environment: str) -> Any:
    """Run `code`, which sets `result`; return that. `sys.argv[1:]` are the `arguments`."""
    process = start_sdk(server, home, textwrap.dedent(code) + _TAIL, *arguments, **environment)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    assert process.returncode == 0, output
    assert lines, output
    return json.loads(lines[-1].removeprefix("RESULT "))


def start_sdk(
    server: RunningServer, home: Path, code: str, *arguments: str, **environment: str
) -> subprocess.Popen[str]:
    """Start a process that runs `code`, and may end as it likes. Both its streams are in `stdout`."""
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, **server.environment(home), **environment},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wandb_command(server: RunningServer, home: Path, *arguments: str) -> str:
    """Run the SDK's command line, which must succeed; return what it said on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", *arguments],
        env={**os.environ, **server.environment(home), "WANDB_SILENT": "false"},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
