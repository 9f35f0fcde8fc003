"""Files of a version: list them, and download them checked against the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from wbgql.artifacts.manifests import Manifest, ManifestEntry, read_manifest
from wbgql.artifacts.nodes import Version
from wbgql.documents import NOT_FETCHED, Identified, Operation, Result
from wbgql.downloads import Download, Downloader, Wanted
from wbgql.errors import NotFound
from wbgql.files import File
from wbgql.wire.connection import Connection, iter_nodes
from wbgql.wire.session import Session

_FILES_PER_PAGE = 1000
# Up to this many files of a larger version are asked for by name rather than all listed.
_BY_NAME = 200


class _FilesOf(Identified, frozen=True, kw_only=True):
    files: Connection[File] | None
    file_count: int | None = NOT_FETCHED


class _ListArtifactFiles(Result, frozen=True):
    artifact: _FilesOf | None


LIST_ARTIFACT_FILES = Operation("ListArtifactFiles", _ListArtifactFiles, paged=True)
OPERATIONS: tuple[Operation[Any], ...] = (LIST_ARTIFACT_FILES,)


@dataclass(frozen=True, slots=True)
class ArtifactDownload:
    """A version that was downloaded. `manifest_matches`: the manifest is the one the version's digest names.

    False there means that the list of files itself cannot be proved: the manifest was patched, or the
    digest is not an MD5. The files are checked against the manifest all the same.
    """

    version: Version
    result: Download
    manifest_matches: bool


def iter_artifact_files(
    session: Session, artifact_id: str, *, names: list[str] | None = None, page_size: int = _FILES_PER_PAGE
) -> Iterator[File]:
    """Yield the files of a version by its id, lazily, one request a page. Their URLs expire.

    References are among them where the server lists them; `md5` is then what their store said.

    Raises:
        NotFound: the version is missing, not visible, or has no files.
    """

    def fetch(first: int, after: str | None) -> Connection[File]:
        artifact = session.execute(
            LIST_ARTIFACT_FILES, id=artifact_id, names=names, first=first, after=after
        ).artifact
        if artifact is None or artifact.files is None:
            raise NotFound(
                f"no files of artifact {artifact_id!r}: missing, not visible, or without a manifest",
                operation=LIST_ARTIFACT_FILES.name,
            )
        if names is not None or not isinstance(artifact.file_count, int):
            return artifact.files
        return msgspec.structs.replace(artifact.files, total_count=artifact.file_count)

    return iter_nodes(
        fetch,
        changes=session.changes,
        page_size=page_size,
        key=lambda file: file.name,
        what=f"files of artifact {artifact_id!r}",
        counted=True,
    )


def download_artifact(
    session: Session,
    downloader: Downloader,
    version: Version,
    root: Path,
    *,
    pattern: str | None = None,
) -> ArtifactDownload:
    """Download the files of a version into `root`, each checked against the manifest's digest.

    `pattern` keeps the names that fit (`*`, `?`, `[...]`; `*` crosses slashes). Sends one request for
    the manifest and one for each 1000 files, besides the files themselves. Files that are there and
    right are not fetched again; references are reported, not fetched.

    Raises:
        NotFound: the version has no manifest.
        PartialError: some files failed or do not match; nothing of those is left.
        StoreError: the folder cannot be written.
    """
    manifest = read_manifest(session, downloader, version)
    entries = {
        name: entry
        for name, entry in sorted(manifest.contents.items())
        if pattern is None or fnmatchcase(name, pattern)
    }
    wanted = _iter_wanted(session, version, manifest, entries)
    result = downloader.download(wanted, root, total=len(entries))
    return ArtifactDownload(version, result, manifest.digest == version.digest)


def _iter_wanted(
    session: Session, version: Version, manifest: Manifest, entries: dict[str, ManifestEntry]
) -> Iterator[Wanted]:
    """The manifest's files with URLs as the pages bring them; last, those that no page brought."""
    left = {name: entry for name, entry in entries.items() if entry.ref is None}
    few = len(left) <= _BY_NAME and len(left) < len(manifest.contents)
    if left:
        for file in iter_artifact_files(session, version.id, names=sorted(left) if few else None):
            entry = left.pop(file.name, None)
            if entry is not None:
                renew = partial(_find_url, session, version.id, file.name)
                yield Wanted(
                    name=file.name, url=file.direct_url, size_bytes=entry.size, md5=entry.md5, renew=renew
                )
    for name, entry in left.items():
        yield Wanted(name=name, size_bytes=entry.size, md5=entry.md5)
    for name, entry in entries.items():
        if entry.ref is not None:
            yield Wanted(name=name, size_bytes=entry.size, reference=entry.ref)


def _find_url(session: Session, artifact_id: str, name: str) -> str | None:
    files = iter_artifact_files(session, artifact_id, names=[name], page_size=1)
    return next((file.direct_url for file in files if file.name == name), None)
