"""Has the wandb SDK log a run with a file and an artifact, because wbgql itself logs none."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from wbgql.errors import WbgqlError
from wbgql.extras import install_command
from wbgql.paths import RunPath
from wbgql.settings import Settings

FILE = "wbgql-probe.txt"
ARTIFACT = "wbgql-probe"
TAG = "wbgql-probe"
_MODULE = "wbgql.erasure.probing.logs_run"
_TIMEOUT_S = 120.0
_FOLDERS = ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR")

LogRun = Callable[[RunPath], None]
"""Logs one run with `FILE` and `ARTIFACT`.

Raises:
    WbgqlError: it could not be logged; the message says why.
"""


def log_with_sdk(settings: Settings) -> LogRun:
    """Return what logs a run with the installed SDK, in a process of its own, to the server of `settings`."""

    def log(path: RunPath) -> None:
        if find_spec("wandb") is None:
            raise WbgqlError(f"the wandb SDK is not installed; run: {install_command('demo')}")
        with tempfile.TemporaryDirectory(prefix="wbgql-probe-") as folder:
            environ = {**os.environ, "WANDB_BASE_URL": settings.base_url, "WANDB_SILENT": "true"}
            environ |= {
                "WANDB_ERROR_REPORTING": "false",
                "WANDB_DISABLE_CODE": "true",
                "WANDB_CONSOLE": "off",
            }
            environ |= {name: str(Path(folder) / name.lower()) for name in _FOLDERS}
            if settings.identity_token_file is None:
                environ["WANDB_API_KEY"] = settings.require_api_key()
            for name in _FOLDERS:
                Path(environ[name]).mkdir()
            try:
                done = subprocess.run(  # noqa: S603  # our own module
                    [
                        sys.executable,
                        "-m",
                        "wbgql.erasure.probing.logs_run",
                        path.entity,
                        path.project,
                        path.run_id,
                    ],
                    env=environ,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise WbgqlError(f"the wandb SDK did not log a run within {_TIMEOUT_S:g} s") from error
        if done.returncode != 0:
            raise WbgqlError("the wandb SDK could not log a run to this server")

    return log
