"""Files that should be small, read whole: what comes from elsewhere may be anything."""

from __future__ import annotations

from pathlib import Path

from wbgql.errors import StoreError, UsageError


def read_small(path: Path, limit: int, what: str) -> bytes:
    """Read a file whole that should not be larger than `limit` bytes.

    Raises:
        UsageError: it is larger, so it is not `what`.
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        reason = (error.strerror or "it is no file").lower()
        raise StoreError(f"cannot read {str(path)!r}: {reason}") from error
    if len(content) > limit:
        raise UsageError(f"{str(path)!r} is larger than {limit} bytes: it is not {what}")
    return content
