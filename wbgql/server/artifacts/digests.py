"""Digests by which contents of artifacts are known: MD5, or XXH128 where the SDK was asked for it.

Both have 16 bytes and are written in base64, so a digest does not tell which one it is. XXH128 can be
forged, MD5 is kept apart from it: content found by the one is never taken for the other.

Source: wandb SDK 0.31.0 `sdk/artifacts/artifact_manifest_entry.py`, `sdk/lib/hashutil.py` (2026-11).
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from wbgql.errors import UsageError

MD5, XXH128 = "MANIFEST_MD5", "MANIFEST_XXH128"
"""GraphQL's `ArtifactDigestAlgorithm`."""

XXH128_ENTRY = "XXH128"
"""How an entry of a manifest says it, in `extra.alg`; one that says nothing has an MD5."""

_XXH128_KEY = "XXH128:"
_CHUNK_BYTES = 1 << 20


def check_digest(text: str) -> str:
    """Return a base64 digest of 16 bytes.

    Raises:
        UsageError: not one.
    """
    try:
        if len(base64.b64decode(text, validate=True)) == 16:
            return text
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"not a base64 digest of 16 bytes: {text!r}") from error
    raise UsageError(f"not a base64 digest of 16 bytes: {text!r}")


def content_key(digest: str, algorithm: str | None) -> str:
    """What a content is kept under: its MD5 as it is, an XXH128 with its name in front."""
    return f"{_XXH128_KEY}{digest}" if algorithm == XXH128 else digest


def is_of(key: str, path: Path, md5: str) -> bool:
    """Whether the file at `path`, whose MD5 is known, is the content that `key` names."""
    if not key.startswith(_XXH128_KEY):
        return key == md5
    return key == content_key(_xxh128(path), XXH128)


def _xxh128(path: Path) -> str:
    import xxhash  # noqa: PLC0415  # only where a version asks for it

    hasher = xxhash.xxh128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return base64.b64encode(hasher.digest()).decode()
