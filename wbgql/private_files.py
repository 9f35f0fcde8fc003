"""Write files that only their owner may read, whatever the umask. The caller names the file in its error."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def replace_private(path: Path, content: bytes) -> None:
    """Write a file (mode 0600) in place of the one that is there: whole and on the disk, or not at all.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    fresh = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        create_private(fresh, content)
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def create_private(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that is not there yet, on the disk when this returns.

    Raises:
        FileExistsError: something lies there, if only a link that leads nowhere.
        OSError: it cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
