"""Where a downloaded file may lie, and whether one that lies there is right."""

from __future__ import annotations

import base64
import binascii
import hashlib
from contextlib import suppress
from pathlib import Path, PureWindowsPath

from wbgql.errors import UsageError


def safe_path(root: Path, name: str) -> Path:
    """Return where a file of this name belongs below `root`, which must be resolved.

    Raises:
        UsageError: the name is absolute, empty, climbs with `..`, names a drive, holds a NUL or half a
            surrogate pair, or leads out of `root` through a link.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"name {name[:200]!r} cannot be written as UTF-8: refused") from error
    windows = PureWindowsPath(name)
    parts = name.split("/")
    climbs = ".." in parts or ".." in windows.parts
    if not name or "\0" in name or climbs or name.startswith("/") or windows.drive or parts[-1] in ("", "."):
        raise UsageError(f"name {name[:200]!r} leads out of the folder or names no file: refused")
    path = root.joinpath(*parts)
    if not path.parent.resolve().is_relative_to(root):
        raise UsageError(f"name {name[:200]!r} leads out of {str(root)!r} through a link: refused")
    return path


def is_right(path: Path, size_bytes: int | None, md5: str) -> bool:
    """Whether a regular file of this size and MD5 (in hex) is there."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        if size_bytes is not None and path.stat().st_size != size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, _md5).hexdigest() == md5
    except PermissionError:
        return False


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def hex_md5(text: str | None) -> str | None:
    """Return a digest as W&B writes it (base64, or hex) in hex; None for anything that is no MD5."""
    if text is None:
        return None
    with suppress(ValueError):
        if len(text) == 32:
            return bytes.fromhex(text).hex()
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) == 16 else None


def to_base64(hexadecimal: str) -> str:
    """A digest in hex as W&B writes it."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
