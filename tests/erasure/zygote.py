"""Forks processes that have everything imported already: a worker starts in a tenth of a second.

Run as a program it reads a JSON object a line: `{"argv", "environ", "out", "err"}` starts the `wbgql` command
and is answered with its pid; `{"wait": pid}` with its exit code, negative for a signal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any


class Zygote:
    """The forking process, from the outside. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.erasure.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def start(self, argv: list[str], environ: dict[str, str], out: Path, err: Path) -> int:
        """Start the command; its pid."""
        return self._ask({"argv": argv, "environ": environ, "out": str(out), "err": str(err)})

    def wait(self, pid: int) -> int:
        """Wait until a process has ended; its exit code, negative for a signal."""
        return self._ask({"wait": pid})

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, command: dict[str, Any]) -> int:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            print(json.dumps(command), file=self._process.stdin, flush=True)
            return int(self._process.stdout.readline())


def _import_everything() -> None:
    import graphql  # noqa: F401
    from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer  # noqa: F401

    import wbgql.cli.main
    import wbgql.erasure.applying  # noqa: F401
    from wbgql.documents import load_documents

    load_documents().get("DeleteRun")


def _fork(command: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    for number, path in ((1, command["out"]), (2, command["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.environ.clear()
    os.environ.update(command["environ"])
    from wbgql.cli.main import main

    code = 1
    try:
        code = main(command["argv"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    _import_everything()
    for line in sys.stdin:
        command = json.loads(line)
        if "wait" in command:
            _, status = os.waitpid(command["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
        else:
            print(_fork(command), flush=True)


if __name__ == "__main__":
    _serve()
