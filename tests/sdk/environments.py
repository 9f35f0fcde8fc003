"""Python environments of older wandb SDKs, kept in a cache folder outside the repository.

    python -m tests.sdk.environments [VERSION...]

makes them, by default all of them, each with `venv` and pip; what is there already is kept. `WBGQL_SDKS` names the folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs
from filelock import FileLock

OLDER = ("0.16.6", "0.17.9", "0.18.7", "0.19.11", "0.21.4", "0.23.0", "0.25.1", "0.27.2", "0.28.2", "0.29.0")
# SDKs before 0.18 import pkg_resources and know NumPy 1 only; images need Pillow.
_BESIDE = ("numpy<2", "setuptools<81", "pillow")
_INSTALL_TIMEOUT_S = 600


class NotInstalledError(Exception):
    """There is no environment of an SDK, and none could be made; the words say why."""


def folder() -> Path:
    """Where the environments are: `WBGQL_SDKS`, or below the user's cache folder."""
    named = os.environ.get("WBGQL_SDKS")
    return Path(named) if named else platformdirs.user_cache_path("wbgql") / "sdks"


def find(version: str) -> Path:
    """Return the Python that has this SDK.

    Raises:
        NotInstalledError: there is none, or it was not finished.
    """
    if not _ready(version).exists():
        raise NotInstalledError(
            f"no environment of wandb {version} in {folder()}; `make sdks` makes it (needs the network)"
        )
    return _python(version)


def make(version: str) -> Path:
    """Return the Python that has this SDK; install it first where it is missing. Safe to call from several processes.

    Raises:
        NotInstalledError: pip could not install it, or it cannot be imported.
    """
    check = f"import wandb; assert wandb.__version__ == {version!r}, wandb.__version__"
    return make_with(version, f"wandb=={version}", *_BESIDE, check=check)


def make_with(name: str, *requirements: str, check: str) -> Path:
    """Return the Python of the environment `name`, made of `requirements` where it is missing. `check` is code.

    Raises:
        NotInstalledError: pip could not install them, or `check` fails.
    """
    home = folder()
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f"{name}.lock"):
        if not _ready(name).exists():
            venv.create(home / name, with_pip=True, clear=True)
            quiet = ("--quiet", "--disable-pip-version-check", "--retries=1")
            _run(name, "-m", "pip", "install", *quiet, *requirements)
            _run(name, "-c", check)
            _ready(name).touch()
    return _python(name)


def _ready(version: str) -> Path:
    return folder() / version / "ready"


def _python(version: str) -> Path:
    return folder() / version / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _run(version: str, *arguments: str) -> None:
    try:
        done = subprocess.run(
            [_python(version), *arguments],
            env={**os.environ, "WANDB_ERROR_REPORTING": "false"},
            cwd=folder(),
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstalledError(f"{version}: not installed within {_INSTALL_TIMEOUT_S} s") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise NotInstalledError(f"{version} could not be installed in {folder()}: {''.join(last)}")


if __name__ == "__main__":
    failures = []
    for wanted in sys.argv[1:] or OLDER:
        try:
            print(f"wandb {wanted}: {make(wanted)}")
        except NotInstalledError as failure:
            failures.append(str(failure))
    sys.exit("\n".join(failures) or 0)
