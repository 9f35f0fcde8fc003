"""Manifests: every file of a version with size and digest, read in one download."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from wbgql.artifacts.nodes import ManifestLink, Version
from wbgql.documents import Identified, Operation, Result
from wbgql.downloads import Downloader
from wbgql.errors import NotFound, PermissionDenied, ResultError
from wbgql.wire.session import Session

# Source: wandb SDK 0.31.0 `sdk/artifacts/artifact_manifests/artifact_manifest_v1.py` (2026-11).
_DIGEST_HEADER = b"wandb-artifact-manifest-v1\n"
_ALGORITHM = "alg"


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a version. `digest` is base64 of the content's MD5, unless `extra["alg"]` says otherwise.

    `ref` is set for what the server does not store; its digest is then whatever the other store gave.
    """

    digest: str
    size: int | None = None
    ref: str | None = None
    extra: dict[str, Any] = {}

    @property
    def md5(self) -> str | None:
        """The digest where it is an MD5 of stored content, else None."""
        return None if self.ref or self.extra.get(_ALGORITHM, "MD5") != "MD5" else self.digest


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A version's files by name."""

    version: int
    contents: dict[str, ManifestEntry]

    @property
    def digest(self) -> str:
        """The MD5 over names and digests, in hex: what `Artifact.digest` says of an untouched manifest."""
        found = hashlib.md5(_DIGEST_HEADER, usedforsecurity=False)
        for name in sorted(self.contents):
            found.update(f"{name}:{self.contents[name].digest}\n".encode())
        return found.hexdigest()

    @property
    def stored(self) -> Mapping[str, ManifestEntry]:
        """The files that the server stores."""
        return {name: entry for name, entry in self.contents.items() if entry.ref is None}


class _Manifested(Identified, frozen=True, kw_only=True):
    digest: str
    state: str
    current_manifest: ManifestLink | None


class _GetManifest(Result, frozen=True):
    artifact: _Manifested | None


GET_MANIFEST = Operation("GetManifest", _GetManifest)
OPERATIONS: tuple[Operation[Any], ...] = (GET_MANIFEST,)


def read_manifest(session: Session, downloader: Downloader, version: Version) -> Manifest:
    """Download a version's manifest. One request, and one more where its URL has to be asked for.

    Raises:
        NotFound: the version has no manifest (it is not committed, or its files were removed).
        ResultError: what came is no manifest of version 1.
    """
    link = version.manifest_link or _find_link(session, version)
    try:
        content = downloader.read(link.file.direct_url)
    except (NotFound, PermissionDenied):
        content = downloader.read(_find_link(session, version).file.direct_url)
    return parse_manifest(content, version.path or version.name)


def parse_manifest(content: bytes, name: str) -> Manifest:
    """Decode a manifest; `name` is for messages.

    Raises:
        ResultError: it is none, or of a version this package does not know.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ResultError(f"the manifest of {name!r} cannot be read: {error}") from error
    if manifest.version != 1:
        raise ResultError(
            f"the manifest of {name!r} has version {manifest.version}, only 1 is known: upgrade wbgql"
        )
    return manifest


def _find_link(session: Session, version: Version) -> ManifestLink:
    artifact = session.execute(GET_MANIFEST, id=version.id).artifact
    if artifact is None or artifact.current_manifest is None:
        state = "missing or not visible" if artifact is None else artifact.state.lower()
        raise NotFound(
            f"no manifest of {version.path or version.name!r}: it is {state}", operation=GET_MANIFEST.name
        )
    return artifact.current_manifest
