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

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
_TAIL = "\nimport json as _json\nprint('RESULT ' + _json.dumps(result))\n"


def run_sdk(
    server: RunningServer,
    home: Path,
    code: str,
    *arguments: str,
    timeout_s: float = TIMEOUT_S,
    **environment: str,
) -> Any:
    """Run `code`, which sets `result`; return that. `sys.argv[1:]` are the `arguments`."""
    code = textwrap.dedent(code) + _TAIL
    return read_result(start_sdk(server, home, code, *arguments, **environment), timeout_s)


def read_result(process: subprocess.Popen[str], timeout_s: float = TIMEOUT_S) -> Any:
    """Wait for a process that must succeed, and for the JSON it prints behind `RESULT`."""
    output, _ = process.communicate(timeout=timeout_s)
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    assert process.returncode == 0, output
    assert lines, output
    return json.loads(lines[-1].removeprefix("RESULT "))


def start_sdk(
    server: RunningServer, home: Path, code: str, *arguments: str, **environment: str
) -> subprocess.Popen[str]:
    """Start a process that runs `code`, and may end as it likes. Both its streams are in `stdout`."""
    return _start(server, home, ["-c", textwrap.dedent(code), *arguments], environment)


def start_module(server: RunningServer, home: Path, module: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a module of the tests in a process of its own."""
    return _start(server, home, ["-m", module, *arguments], {"PYTHONPATH": str(ROOT)})


def _start(
    server: RunningServer, home: Path, arguments: list[str], environment: dict[str, str]
) -> subprocess.Popen[str]:
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **server.environment(home), **environment},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wandb_command(server: RunningServer, home: Path, *arguments: str, exit_code: int = 0) -> str:
    """Run the SDK's command line, which must end with `exit_code`; return what it said on both streams."""
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
    assert done.returncode == exit_code, done.stdout
    return done.stdout
