"""What filter and order keys mean for artifact versions and collections. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wbgql.server.filters.fields import ColumnField, Field, FilterRefused, JsonField, split_key

_ALIASES = "(SELECT json_group_array(alias) FROM artifact_aliases a WHERE a.artifact_id = artifacts.id)"


@dataclass(frozen=True)
class TableFields:
    """Plain columns, and JSON arrays or objects, by the keys a filter may name."""

    columns: Mapping[str, ColumnField]
    json: Mapping[str, str]
    tie_break: str

    def resolve(self, key: str) -> Field:
        head, *rest = split_key(key)
        if head in self.json:
            return JsonField(self.json[head], tuple(rest), root_array=True)
        if not rest and head in self.columns:
            return self.columns[head]
        raise FilterRefused(f"invalid column {key!r}")


VERSION_FIELDS = TableFields(
    columns={
        "state": ColumnField("artifacts.state", "text"),
        "digest": ColumnField("artifacts.digest", "text"),
        "description": ColumnField("artifacts.description", "text"),
        "commitHash": ColumnField("artifacts.commit_hash", "text"),
        "name": ColumnField("sequences.name", "text"),
        "size": ColumnField("artifacts.size_bytes", "number"),
        "fileCount": ColumnField("artifacts.file_count", "number"),
        "versionIndex": ColumnField("members.version", "number"),
        "version_index": ColumnField("members.version", "number"),
        "createdAt": ColumnField("artifacts.created_at", "instant"),
        "created_at": ColumnField("artifacts.created_at", "instant"),
        "updatedAt": ColumnField("artifacts.updated_at", "instant"),
        "updated_at": ColumnField("artifacts.updated_at", "instant"),
    },
    json={
        "tag": "artifacts.tags",
        "tags": "artifacts.tags",
        "alias": _ALIASES,
        "aliases": _ALIASES,
        "metadata": "artifacts.metadata",
    },
    tie_break="artifacts.id",
)
"""Keys of `filters` and `order` where versions are listed."""

COLLECTION_FIELDS = TableFields(
    columns={
        "name": ColumnField("artifact_collections.name", "text"),
        "description": ColumnField("artifact_collections.description", "text"),
        "type": ColumnField("types.name", "text"),
        "createdAt": ColumnField("artifact_collections.created_at", "instant"),
        "created_at": ColumnField("artifact_collections.created_at", "instant"),
        "updatedAt": ColumnField("artifact_collections.updated_at", "instant"),
        "updated_at": ColumnField("artifact_collections.updated_at", "instant"),
    },
    json={"tag": "artifact_collections.tags", "tags": "artifact_collections.tags"},
    tie_break="artifact_collections.id",
)
"""Keys of `filters` and `order` where collections are listed."""
