"""Resolvers for artifact versions: memberships, aliases, manifests, files and lineage."""

from __future__ import annotations

import json
import mimetypes
from typing import Any

from wbgql.server.accounts import REGISTRY_PREFIX
from wbgql.server.api.registry import Info, Resolvers
from wbgql.server.artifacts import commit as artifacts_commit
from wbgql.server.artifacts import digests
from wbgql.server.artifacts import files as artifacts_files
from wbgql.server.artifacts import logging as artifacts_logging
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts import uploads as artifacts_uploads
from wbgql.server.artifacts.nodes import Scope
from wbgql.server.backend import Context
from wbgql.server.projects.rows import make_id
from wbgql.server.relay import offset_after, page_size, slice_connection, to_connection
from wbgql.server.runs import rows as runs
from wbgql.server.store.database import Row, rows

resolvers = Resolvers()
field = resolvers.field


def version_connection(
    context: Context,
    scope: Scope,
    filters: str | None = None,
    order: str | None = None,
    first: int | None = None,
    after: str | None = None,
    **_: Any,
) -> Row:
    """One page of versions."""
    offset, size = offset_after(after), page_size(first)
    found = artifacts.list_versions(
        context, scope, filters=filters, order=order, limit=size + 1, offset=offset
    )
    connection = to_connection(found[:size], offset, has_next=len(found) > size)
    connection["totalCount"] = lambda _info: artifacts.count_versions(context, scope, filters)
    return connection


@field("ArtifactCollectionMembership", "artifactCollection")
def membership_collection(member: Row, info: Info) -> Row | None:
    return artifacts.collection_of(info.context, member["collectionPk"])


@field("ArtifactCollectionMembership", "aliases")
def membership_aliases(member: Row, _info: Info) -> list[Row]:
    return [alias_node(one) for one in _names(member["artifact"]) if one[2] == member["collectionPk"]]


@field("ArtifactCollectionMembership", "files")
def membership_files(member: Row, info: Info, **given: Any) -> Row:
    return version_files(member["artifact"], info, **given)


def _names(version: Row) -> list[Any]:
    """The aliases that were set, then `vN` in each collection, as (row, alias, collection row).

    Source: `Artifact._from_attrs` in wandb SDK 0.16.6 to 0.18.7, which takes the number of a version from
    `Artifact.aliases` and asserts that there is one; SDK 0.31.0 filters it out (2026-11).
    """
    return [*version["aliasRows"], *version["numberRows"]]


def alias_node(found: Any) -> Row:
    """(row, alias, collection row) as GraphQL's `ArtifactAlias`."""
    pk, alias, collection_pk = found
    return {"id": make_id("ArtifactAlias", pk), "alias": alias, "collectionPk": collection_pk}


@field("ArtifactAlias", "artifactCollection")
def alias_collection(alias: Row, info: Info) -> Row | None:
    return artifacts.collection_of(info.context, alias["collectionPk"])


@field("ArtifactAlias", "artifactCollectionName")
def alias_collection_name(alias: Row, info: Info) -> str | None:
    found = artifacts.collection_of(info.context, alias["collectionPk"])
    return None if found is None else str(found["name"])


@field("ArtifactAlias", "artifact")
def alias_artifact(alias: Row, info: Info) -> Row | None:
    return artifacts.find_member(info.context, {"pk": alias["collectionPk"]}, alias["alias"])


# ---- versions ----


@field("Artifact", "artifactSequence")
def version_sequence(version: Row, info: Info) -> Row:
    return artifacts.collection_of_version(info.context, version)


@field("Artifact", "artifactType")
def version_type(version: Row, info: Info) -> Row:
    kind: Row = artifacts.collection_of_version(info.context, version)["defaultArtifactType"]
    return kind


@field("Artifact", "aliases")
def version_aliases(version: Row, info: Info, artifactCollectionName: str | None = None) -> list[Row]:  # noqa: N803
    context: Context = info.context
    nodes = [alias_node(one) for one in _names(version) if artifacts.is_collection_visible(context, one[2])]
    if artifactCollectionName is None:
        return nodes
    return [one for one in nodes if alias_collection_name(one, info) == artifactCollectionName]


@field("Artifact", "versionIndex")
def version_index(version: Row, info: Info, artifactCollectionName: str | None = None) -> int | None:  # noqa: N803
    if artifactCollectionName is None:
        own: int | None = version["versionIndex"]
        return own
    for member in artifacts.memberships(info.context, version):
        collection = artifacts.collection_of(info.context, member["collectionPk"])
        if collection is not None and collection["name"] == artifactCollectionName:
            return int(member["versionIndex"])
    return None


@field("Artifact", "tags")
def version_tags(version: Row, _info: Info) -> list[Row]:
    return tag_nodes(f"a{version['pk']}", version["tagNames"])


def tag_nodes(owner: str, names: list[str]) -> list[Row]:
    """Tag names as GraphQL's `Tag`. `owner` keeps the ids of equal names apart."""
    return [
        {"id": make_id("Tag", owner, name), "name": name, "attributes": "{}", "tagCategoryName": ""}
        for name in names
    ]


@field("Artifact", "artifactMemberships")
def version_memberships(version: Row, info: Info) -> Row:
    return slice_connection(_memberships(info.context, version), None, None)


@field("Artifact", "artifactCollections")
def version_collections(version: Row, info: Info) -> Row:
    members = _memberships(info.context, version)
    found = [artifacts.collection_of(info.context, member["collectionPk"]) for member in members]
    return slice_connection(found, None, None, totalCount=len(found))


def _memberships(context: Context, version: Row) -> list[Row]:
    """Memberships in projects the viewer may see: a link into a hidden registry is not told."""
    return [
        member
        for member in artifacts.memberships(context, version)
        if artifacts.is_collection_visible(context, member["collectionPk"])
    ]


@field("Artifact", "isLinkedToGlobalRegistry")
def version_in_registry(version: Row, info: Info) -> bool:
    return _in_registry(info.context, "members.artifact_id = ?", version["pk"])


@field("ArtifactSequence", "hasArtifactVersionLinkedToGlobalRegistry")
@field("ArtifactPortfolio", "hasArtifactVersionLinkedToGlobalRegistry")
def collection_in_registry(collection: Row, info: Info) -> bool:
    return _in_registry(info.context, "artifacts.sequence_id = ?", collection["pk"])


@field("ArtifactSequence", "digestAlgorithm")
def sequence_digest_algorithm(collection: Row, info: Info) -> str:
    """That of its newest version: the SDK goes back to MD5 for the next one if it is that."""
    sql = (
        "SELECT digest_algorithm FROM artifact_members JOIN artifacts ON artifacts.id = artifact_id"
        " WHERE collection_id = ? ORDER BY version DESC LIMIT 1"
    )
    return str(info.context.db.execute(sql, (collection["pk"],)).get or digests.MD5)


def _in_registry(context: Context, where: str, pk: int) -> bool:
    sql = (
        "SELECT 1 FROM artifact_members AS members JOIN artifacts ON artifacts.id = artifact_id"  # noqa: S608
        " JOIN artifact_collections AS links ON links.id = collection_id"
        " JOIN projects ON projects.id = project_id"
        f" WHERE {where} AND links.kind = 'ArtifactPortfolio' AND projects.name GLOB '{REGISTRY_PREFIX}*'"
        " LIMIT 1"
    )
    return context.db.execute(sql, (pk,)).get is not None


@field("Artifact", "createdBy")
def version_creator(version: Row, info: Info) -> Row | None:
    """The run that made it; its user where the run is deleted, purged, or there was none."""
    context: Context = info.context
    found = visible_runs(context, "runs.id = ?", (version["runPk"],), 1, 0)
    return found[0] if found else context.users.get(version["userPk"])


@field("Artifact", "usedBy")
def version_used_by(
    version: Row, info: Info, first: int | None = None, after: str | None = None, **_: Any
) -> Row:
    context: Context = info.context
    offset, size = offset_after(after), page_size(first)
    where = "runs.id IN (SELECT run_id FROM artifact_runs WHERE artifact_id = ? AND role = 'input')"
    found = visible_runs(context, where, (version["pk"],), size + 1, offset)
    connection = to_connection(found[:size], offset, has_next=len(found) > size)
    connection["totalCount"] = lambda _info: version_used_count(version, info)
    return connection


@field("Artifact", "dependsOn")
def version_depends_on(version: Row, info: Info) -> Row:
    return _neighbours(info.context, artifacts.inputs_of_creator(version))


@field("Artifact", "dependencyOf")
def version_dependency_of(version: Row, info: Info) -> Row:
    return _neighbours(info.context, artifacts.outputs_of_users(version))


def _neighbours(context: Context, scope: Scope) -> Row:
    """All versions of a scope that the viewer may see, counted without the others."""
    found = artifacts.list_versions(context, scope)
    seen = [version for version in found if artifacts.is_version_visible(context, version)]
    return slice_connection(seen, None, None, totalCount=len(seen))


@field("Artifact", "usedCount")
def version_used_count(version: Row, info: Info) -> int:
    sql = (
        "SELECT count(*) FROM artifact_runs JOIN runs ON runs.id = run_id"
        " WHERE artifact_id = ? AND role = 'input' AND runs.deleted_at IS NULL"
    )
    return int(info.context.db.execute(sql, (version["pk"],)).get)


def visible_runs(context: Context, where: str, params: tuple[Any, ...], limit: int, offset: int) -> list[Row]:
    """Live runs in projects the viewer may see, by age; hidden ones may make a page shorter."""
    sql = (
        f"SELECT {runs.NODE_SQL} FROM runs WHERE {where} AND runs.deleted_at IS NULL"  # noqa: S608
        " ORDER BY runs.id LIMIT ? OFFSET ?"
    )
    nodes = []
    for found in rows(context.db, sql, (*params, limit, offset)):
        project = artifacts.project_of(context, found["projectPk"])
        if project is not None:
            nodes.append(runs.to_node(found, project, context.users))
    return nodes


@field("Artifact", "currentManifest")
def version_manifest(version: Row, info: Info) -> Row | None:
    found = artifacts_commit.find_current_manifest(info.context, version)
    return found and manifest_node(info.context, found, may_upload=False) | {"artifact": version}


def manifest_node(context: Context, manifest: Row, *, may_upload: bool) -> Row:
    """A manifest's row as GraphQL's `ArtifactManifest`, with URLs to read and, while it is made, upload."""
    pk, name = manifest["pk"], manifest["name"]
    file = {
        "id": make_id("ArtifactManifestFile", pk),
        "name": name,
        "displayName": name,
        "digest": manifest["digest"],
        "md5": manifest["digest"],
        "sizeBytes": 0,
        "exists": manifest["blob"] is not None,
        "isReference": False,
        "uploadUrl": context.sign("PUT", artifacts_uploads.MANIFEST, pk, name=name) if may_upload else None,
        "uploadHeaders": [],
        "directUrl": context.sign("GET", artifacts_uploads.MANIFEST, pk, name=name),
    }
    return manifest | {"id": make_id("ArtifactManifest", pk), "file": file}


@field("ArtifactManifest", "artifact")
def manifest_artifact(manifest: Row, info: Info) -> Row | None:
    return manifest.get("artifact") or artifacts.find_version(info.context, manifest["artifactPk"])


# ---- files ----


@field("Artifact", "files")
def version_files(
    version: Row,
    info: Info,
    names: list[str] | None = None,
    first: int | None = None,
    after: str | None = None,
    **_: Any,
) -> Row:
    context: Context = info.context
    offset, size = offset_after(after), page_size(first)
    found = artifacts_files.list_files(context.db, version["pk"], names=names, limit=size + 1, offset=offset)
    nodes = [_file_node(context, version, file) for file in found[:size]]
    connection = to_connection(nodes, offset, has_next=len(found) > size)
    connection["totalCount"] = lambda _info: artifacts_files.count_files(
        context.db, version["pk"], names=names
    )
    return connection | {"uploadHeaders": []}


@field("Artifact", "filesByManifestEntries")
def version_files_by_entries(version: Row, info: Info, entries: list[Row] | None = None, **_: Any) -> Row:
    wanted = [entry["name"] for entry in entries or []]
    found = {
        file["name"]: _file_node(info.context, version, file)
        for file in artifacts_files.list_files(info.context.db, version["pk"], names=wanted)
    }
    nodes = [found[name] for name in wanted if name in found]
    return slice_connection(nodes, None, None, totalCount=len(nodes)) | {"uploadHeaders": []}


def _file_node(context: Context, version: Row, file: Row) -> Row:
    name, url = file["name"], file["ref"]
    if url is None:
        path = artifacts_uploads.storage_path(file["digest"])
        url = context.sign("GET", artifacts_uploads.CONTENT, [version["pk"], file["contentPk"]], name=path)
    return file | {
        "id": make_id("ArtifactFile", version["pk"], name),
        "displayName": name,
        "mimetype": mimetypes.guess_type(name)[0],
        "updatedAt": version["updatedAt"],
        "exists": True,
        "isReference": file["ref"] is not None,
        "storagePath": None if file["ref"] else artifacts_uploads.storage_path(file["digest"]),
        "uploadUrl": None,
        "uploadHeaders": [],
        "directUrl": url,
        "artifact": version,
    }


# ---- runs ----


@field("Run", "outputArtifacts")
def run_outputs(run: Row, info: Info, **given: Any) -> Row:
    return version_connection(info.context, artifacts.of_run(run["pk"], artifacts_logging.OUTPUT), **given)


@field("Run", "inputArtifacts")
def run_inputs(run: Row, info: Info, **given: Any) -> Row:
    context: Context = info.context
    scope = artifacts.of_run(run["pk"], artifacts_logging.INPUT)
    found = artifacts.list_versions(context, scope, filters=given.get("filters"), order=given.get("order"))
    seen = [version for version in found if artifacts.is_version_visible(context, version)]
    size = page_size(given.get("first"))
    connection = slice_connection(seen, size, given.get("after"), totalCount=len(seen))
    for edge in connection["edges"]:
        edge["usedAs"] = json.loads(edge["node"]["usedAs"])
    return connection
