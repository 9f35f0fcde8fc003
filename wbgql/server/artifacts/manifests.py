"""Artifact manifests: the JSON list of a version's files. No I/O.

Source: wandb SDK 0.31.0 `sdk/artifacts/artifact_manifests/artifact_manifest_v1.py` (2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from wbgql.errors import UsageError
from wbgql.scalars import is_encodable, parse_json
from wbgql.server.api.scalars import MAX_INT64
from wbgql.server.artifacts import digests

Manifest = dict[str, Any]

LOCAL_REGION = "minio-local"
"""What W&B's own test server calls its store (wandb SDK 0.31.0, its system tests of artifacts, 2026-11)."""

REGIONS = ("default", LOCAL_REGION)
"""Names of the one store there is."""

_MAX_NAME = 2048


class Entry(msgspec.Struct, frozen=True):
    """One file of a manifest. `digest` is a base64 digest, or the ETag of a reference.

    `content_key` is what the content is kept under, see `digests`. `ref` is set for what lives elsewhere;
    `birth_id` names the version that first had the content.
    """

    name: str
    digest: str
    content_key: str
    size_bytes: int
    ref: str | None
    birth_id: str | None


def parse_manifest(content: bytes) -> Manifest:
    """Decode a manifest as uploaded.

    Raises:
        UsageError: not a manifest of version 1, or its files are to be kept in a region of their own.
    """
    try:
        manifest = parse_json(content)
    except ValueError as error:
        raise UsageError(f"artifact manifest cannot be read as JSON: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("contents"), dict):
        raise UsageError("artifact manifest has no object `contents`")
    if manifest.get("version") != 1:
        raise UsageError(f"artifact manifest has version {manifest.get('version')!r}, this server knows 1")
    _refuse_region(manifest)
    return manifest


def _refuse_region(manifest: Manifest) -> None:
    # Who names a region wants the bytes to be there and nowhere else.
    policy = manifest.get("storagePolicyConfig")
    region = policy.get("storageRegion") if isinstance(policy, dict) else None
    if region not in (None, "", *REGIONS):
        raise UsageError(
            f"invalid storageRegion: {region!r}, this server has only {LOCAL_REGION!r}, log with that or none"
        )


def parse_entries(manifest: Manifest) -> list[Entry]:
    """The files of a manifest, by name.

    Raises:
        UsageError: an entry without a digest, or with a path that leads out of the version.
    """
    return [_entry(name, values) for name, values in sorted(manifest["contents"].items())]


def _entry(name: str, values: Any) -> Entry:
    if not isinstance(values, dict) or not isinstance(values.get("digest"), str):
        raise UsageError(f"artifact manifest has no digest for {name!r}")
    check_path(name)
    texts = {key: values.get(key) for key in ("digest", "ref", "birthArtifactID")}
    wrong = [key for key, text in texts.items() if not (text is None or isinstance(text, str))]
    if wrong or not is_encodable([name, *texts.values()]):
        raise UsageError(f"artifact manifest has no texts for {name[:80]!r}: {', '.join(wrong or texts)}")
    size, extra = values.get("size"), values.get("extra")
    xxh128 = isinstance(extra, dict) and extra.get("alg") == digests.XXH128_ENTRY
    return Entry(
        name=name,
        digest=values["digest"],
        content_key=digests.content_key(values["digest"], digests.XXH128 if xxh128 else digests.MD5),
        size_bytes=size if isinstance(size, int) and 0 < size <= MAX_INT64 else 0,
        ref=values.get("ref"),
        birth_id=values.get("birthArtifactID"),
    )


def check_path(name: str) -> None:
    """Refuse what cannot be a file's path inside a version.

    Raises:
        UsageError: with the name.
    """
    bad = not name or len(name) > _MAX_NAME or "\0" in name or name.startswith("/")
    if bad or ".." in name.split("/"):
        raise UsageError(f"not a path inside an artifact: {name[:80]!r}, use a relative path without '..'")


def merge(base: Manifest | None, changes: Iterable[Manifest]) -> Manifest:
    """Lay incremental or patch manifests over a base; a later one wins where names are equal."""
    merged: Manifest = dict(base) if base else {}
    contents: dict[str, Any] = dict(merged.get("contents", {}))
    for change in changes:
        contents.update(change["contents"])
        merged = {**merged, **change}
    return {**merged, "contents": contents}


def dump_manifest(manifest: Manifest) -> bytes:
    """Encode a manifest as the SDK reads it."""
    return json.dumps(manifest, separators=(",", ":")).encode()
