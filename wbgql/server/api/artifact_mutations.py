"""Resolvers for mutations of artifacts: logging, using, changing, linking and deleting them."""

from __future__ import annotations

from wbgql.server.api.registry import Resolvers
from wbgql.server.api.versions import manifest_node, tag_nodes
from wbgql.server.artifacts import changes as artifacts_changes
from wbgql.server.artifacts import commit as artifacts_commit
from wbgql.server.artifacts import deletion as artifacts_deletion
from wbgql.server.artifacts import logging as artifacts_logging
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts import protection as artifacts_protection
from wbgql.server.artifacts import uploads as artifacts_uploads
from wbgql.server.artifacts.nodes import PORTFOLIO, SEQUENCE
from wbgql.server.backend import Context
from wbgql.server.projects.rows import make_id
from wbgql.server.relay import to_connection
from wbgql.server.store.database import Row

resolvers = Resolvers()
mutation = resolvers.mutation


@mutation("createArtifactType")
def create_artifact_type(context: Context, given: Row) -> Row:
    return {"artifactType": artifacts_changes.make_type(context, given)}


@mutation("createArtifact")
def create_artifact(context: Context, given: Row) -> Row:
    return {"artifact": artifacts_logging.create(context, given)}


@mutation("createArtifactManifest")
def create_manifest(context: Context, given: Row) -> Row:
    made = artifacts_uploads.create_manifest(context, given)
    return {"artifactManifest": manifest_node(context, made, may_upload=True)}


@mutation("updateArtifactManifest")
def update_manifest(context: Context, given: Row) -> Row:
    changed = artifacts_uploads.update_manifest(context, given)
    return {"artifactManifest": manifest_node(context, changed, may_upload=True)}


@mutation("createArtifactFiles")
def create_files(context: Context, given: Row) -> Row:
    found = artifacts_uploads.create_files(context, given["artifactFiles"], given.get("digestAlgorithm"))
    nodes = [_upload_node(context, file) for file in found]
    return {"files": to_connection(nodes, 0, has_next=False, totalCount=len(nodes), uploadHeaders=[])}


def _upload_node(context: Context, file: Row) -> Row:
    """One file to upload. One PUT does for any size, so parts are never asked for."""
    name, stored = file["name"], file["blob"] is not None
    upload_url = (
        None if stored else context.sign("PUT", artifacts_uploads.CONTENT, file["contentPk"], name=name)
    )
    return {
        "id": make_id("ArtifactFile", file["version"]["pk"], name),
        "name": name,
        "displayName": name,
        "digest": file["digest"],
        "md5": file["md5"],
        "sizeBytes": 0,
        "exists": stored,
        "isReference": False,
        "storagePath": artifacts_uploads.storage_path(file["digest"]),
        "uploadUrl": upload_url,
        "uploadHeaders": [],
        "uploadMultipartUrls": None,
        "directUrl": "",
        "artifact": file["version"],
    }


@mutation("commitArtifact")
def commit_artifact(context: Context, given: Row) -> Row:
    return {"artifact": artifacts_commit.commit(context, given["artifactID"])}


@mutation("useArtifact")
def use_artifact(context: Context, given: Row) -> Row:
    version, run = artifacts_logging.use(context, given)
    return {"artifact": version, "run": run}


@mutation("updateArtifact")
def update_artifact(context: Context, given: Row) -> Row:
    return {"artifact": artifacts_changes.update_version(context, given)}


@mutation("addAliases")
def add_aliases(context: Context, given: Row) -> Row:
    aliases = artifacts_changes.change_aliases(context, given["artifactID"], given["aliases"], add=True)
    version = artifacts.find_version_by_id(context, given["artifactID"])
    return {"aliases": aliases, "artifact": version, "success": True}


@mutation("deleteAliases")
def delete_aliases(context: Context, given: Row) -> Row:
    artifacts_changes.change_aliases(context, given["artifactID"], given["aliases"], add=False)
    return {"success": True}


@mutation("addProtectedAliases")
def add_protected_aliases(context: Context, given: Row) -> Row:
    aliases = artifacts_protection.protect(context, given["entityName"], given["aliases"])
    return {"aliases": aliases, "clientMutationID": given.get("clientMutationID")}


@mutation("linkArtifact")
def link_artifact(context: Context, given: Row) -> Row:
    member = artifacts_changes.link(context, given)
    collection = artifacts.collection_of(context, member["collectionPk"])
    project = collection and artifacts.project_of(context, collection["projectPk"])
    names = {
        "artifactCollectionName": collection and collection["name"],
        "entityName": project and project["entityName"],
        "projectName": project and project["name"],
    }
    aliases = [alias for _, alias, pk in member["artifact"]["aliasRows"] if pk == member["collectionPk"]]
    return {
        "aliases": [names | {"alias": alias} for alias in aliases],
        "artifactCollectionID": make_id("ArtifactCollection", member["collectionPk"]),
        "artifactID": member["artifact"]["id"],
        "artifactMembership": member,
        "createdAt": member["createdAt"],
        "versionIndex": member["versionIndex"],
    }


@mutation("unlinkArtifact")
def unlink_artifact(context: Context, given: Row) -> Row:
    artifacts_changes.unlink(context, given["artifactID"], given["artifactPortfolioID"])
    return {"artifactID": given["artifactID"], "success": True}


@mutation("createArtifactSequence")
def create_sequence(context: Context, given: Row) -> Row:
    return {"artifactCollection": artifacts_changes.make_collection(context, given, SEQUENCE)}


@mutation("createArtifactPortfolio")
def create_portfolio(context: Context, given: Row) -> Row:
    return {"artifactCollection": artifacts_changes.make_collection(context, given, PORTFOLIO)}


@mutation("updateArtifactSequence")
def update_sequence(context: Context, given: Row) -> Row:
    return _updated(context, given["artifactSequenceID"], given)


@mutation("updateArtifactPortfolio")
def update_portfolio(context: Context, given: Row) -> Row:
    return _updated(context, given["artifactPortfolioID"], given)


def _updated(context: Context, storage_id: str, given: Row) -> Row:
    changed = artifacts_changes.update_collection(
        context, storage_id, given.get("name"), given.get("description")
    )
    return {"artifactCollection": changed}


@mutation("moveArtifactSequence")
def move_sequence(context: Context, given: Row) -> Row:
    moved = artifacts_changes.move_sequence(
        context, given["artifactSequenceID"], given["destinationArtifactTypeName"]
    )
    return {"artifactCollection": moved}


@mutation("createArtifactCollectionTagAssignments")
def add_collection_tags(context: Context, given: Row) -> Row:
    collection = artifacts_changes.change_collection_tags(context, given, add=True)
    names = [tag["tagName"] for tag in given["tags"]]
    tags = tag_nodes(f"c{collection['pk']}", names)
    return {"tags": tags, "clientMutationID": given.get("clientMutationID")}


@mutation("deleteArtifactCollectionTagAssignments")
def delete_collection_tags(context: Context, given: Row) -> Row:
    artifacts_changes.change_collection_tags(context, given, add=False)
    return {"success": True, "clientMutationID": given.get("clientMutationID")}


@mutation("deleteArtifact")
def delete_artifact(context: Context, given: Row) -> Row:
    aliases_too = bool(given.get("deleteAliases"))
    return {
        "artifact": artifacts_deletion.delete_version(
            context, given["artifactID"], delete_aliases=aliases_too
        )
    }


@mutation("deleteArtifactSequence")
def delete_sequence(context: Context, given: Row) -> Row:
    deleted = artifacts_deletion.delete_collection(context, given["artifactSequenceID"], SEQUENCE)
    return {"artifactCollection": deleted}


@mutation("deleteArtifactPortfolio")
def delete_portfolio(context: Context, given: Row) -> Row:
    deleted = artifacts_deletion.delete_collection(context, given["artifactPortfolioID"], PORTFOLIO)
    return {"artifactCollection": deleted}
