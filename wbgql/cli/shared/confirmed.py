"""Redirects by a settings file of a folder that the user confirmed once by typing the address.

The file is `$WBGQL_CONFIRMED`, else `confirmed.json` in the user's configuration folder. It holds no key.
An entry counts only for the same settings file, address and origin of the key. A file that another user
owns or may write into counts for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from platformdirs import user_config_path

from wbgql.errors import RedirectRefused
from wbgql.private_files import replace_private


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One confirmed redirect. `settings_file` is absolute, without links."""

    settings_file: str
    base_url: str
    key_origin: str


def confirmations_path(environ: Mapping[str, str]) -> Path:
    """Return where the confirmations of this user are kept."""
    named = environ.get("WBGQL_CONFIRMED")
    return Path(named).expanduser() if named else user_config_path("wbgql") / "confirmed.json"


def is_confirmed(path: Path, error: RedirectRefused) -> bool:
    """Whether the user has confirmed this very redirect. A file that cannot be read confirms nothing."""
    return _confirmation(error) in _read(path)


def remember(path: Path, error: RedirectRefused) -> None:
    """Add a redirect that was confirmed.

    Raises:
        OSError: the file cannot be written.
    """
    kept = [one for one in _read(path) if one != _confirmation(error)]
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_private(path, msgspec.json.format(msgspec.json.encode([*kept, _confirmation(error)])) + b"\n")


def _confirmation(error: RedirectRefused) -> Confirmation:
    return Confirmation(str(Path(error.settings_file).resolve()), error.base_url, error.key_origin)


def _read(path: Path) -> list[Confirmation]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.getuid() or status.st_mode & 0o022:
                return []
            return msgspec.json.decode(file.read(), type=list[Confirmation])
    except (OSError, msgspec.MsgspecError):
        return []
