"""Exports of runs that go on after an interruption: numbered parts and a manifest of what they hold."""

from __future__ import annotations

from wbgql.exports.manifests import MANIFEST, Manifest, Part, Unread, read_manifest
from wbgql.exports.writing import ROWS_PER_PART, Export, export_runs

__all__ = [
    "Export",
    "export_runs",
    "Manifest",
    "Part",
    "Unread",
    "read_manifest",
    "MANIFEST",
    "ROWS_PER_PART",
]
