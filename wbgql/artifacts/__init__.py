"""Artifacts: types, collections, versions, their files and downloads."""

from __future__ import annotations

from typing import Any

from wbgql.artifacts.contents import OPERATIONS as _CONTENTS
from wbgql.artifacts.contents import ArtifactDownload, download_artifact, iter_artifact_files
from wbgql.artifacts.listing import OPERATIONS as _LISTING
from wbgql.artifacts.listing import (
    Orphan,
    VersionQuery,
    get_artifact,
    get_artifact_by_name,
    iter_artifact_types,
    iter_collections,
    iter_logged_artifacts,
    iter_orphans,
    iter_used_artifacts,
    iter_versions,
)
from wbgql.artifacts.manifests import OPERATIONS as _MANIFESTS
from wbgql.artifacts.manifests import Manifest, ManifestEntry, read_manifest
from wbgql.artifacts.names import ArtifactPath, is_number, parse_artifact_path
from wbgql.artifacts.nodes import (
    Artifact,
    ArtifactDetails,
    ArtifactLike,
    ArtifactType,
    Collection,
    CreatedByRun,
    CreatedByUser,
    Version,
)
from wbgql.documents import Operation

OPERATIONS: tuple[Operation[Any], ...] = (*_LISTING, *_MANIFESTS, *_CONTENTS)

__all__ = [
    "OPERATIONS",
    "Artifact",
    "ArtifactDetails",
    "ArtifactDownload",
    "ArtifactLike",
    "ArtifactPath",
    "ArtifactType",
    "Collection",
    "CreatedByRun",
    "CreatedByUser",
    "Manifest",
    "ManifestEntry",
    "Orphan",
    "Version",
    "VersionQuery",
    "download_artifact",
    "get_artifact",
    "get_artifact_by_name",
    "is_number",
    "iter_artifact_files",
    "iter_artifact_types",
    "iter_collections",
    "iter_logged_artifacts",
    "iter_orphans",
    "iter_used_artifacts",
    "iter_versions",
    "parse_artifact_path",
    "read_manifest",
]
