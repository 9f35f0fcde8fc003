"""Optional packages: which extra brings each one, and the command that installs it here."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wbgql.errors import ConfigError

MODULES = {
    "server": ("apsw", "fastmigrate", "itsdangerous", "starlette", "uvicorn", "xxhash"),
    "check": ("cryptography",),
    "jobs": ("cryptography", "dbos", "jinja2", "sqlalchemy", "yaml"),
    "frames": ("polars", "pyarrow"),
    "charts": ("plotly",),
    "demo": ("wandb",),
}
"""The modules that each extra brings."""


@lru_cache
def installed_version(package: str) -> str | None:
    """Return the version of an installed package, None if it is not there. Imports nothing of it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def missing(error: ImportError) -> ConfigError | None:
    """Return the error that says how to install what `error` misses; None if no extra brings it."""
    module = (error.name or "").partition(".")[0]
    extra = next((name for name, modules in MODULES.items() if module in modules), None)
    if extra is None:
        return None
    return ConfigError(f"the package {module!r} is not installed; run: {install_command(extra)}")


def install_command(extra: str) -> str:
    """Return the shell command that adds `extra` to this installation.

    An installation from a folder names that folder, since only a released version is in the package index.
    The folder is in `direct_url.json`, which pip writes (PEP 610, read 2026-11).
    """
    try:
        record = metadata.distribution("wbgql").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        record = None
    found = json.loads(record) if record else {}
    url = urlsplit(found.get("url", ""))
    folder = Path(unquote(url.path))
    if url.scheme != "file" or not folder.is_dir():
        return f"pip install 'wbgql[{extra}]'"
    editable = "-e " if found.get("dir_info", {}).get("editable") else ""
    return f"pip install {editable}'{folder}[{extra}]'"
