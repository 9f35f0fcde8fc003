"""Resolvers for artifact types and collections, and where projects and entities list them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wbgql.errors import NotFound
from wbgql.server.api.registry import Info, Resolvers
from wbgql.server.api.versions import alias_node, tag_nodes, version_connection
from wbgql.server.artifacts import logging as artifacts_logging
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts.nodes import PORTFOLIO, SEQUENCE
from wbgql.server.backend import Context
from wbgql.server.projects import rows as projects
from wbgql.server.relay import offset_after, page_size, slice_connection, to_connection
from wbgql.server.runs import pages as run_pages
from wbgql.server.store.database import Row

resolvers = Resolvers()
field = resolvers.field

_KINDS = {"SEQUENCE": SEQUENCE, "PORTFOLIO": PORTFOLIO}


# ---- roots and projects ----


@field("Query", "artifact")
def artifact(_root: Any, info: Info, id: str) -> Row | None:
    return _or_none(lambda: artifacts.find_version_by_id(info.context, id))


@field("Query", "artifactCollection", "artifactSequence")
def artifact_collection(_root: Any, info: Info, id: str) -> Row | None:
    return _or_none(lambda: artifacts.find_collection_by_id(info.context, id))


@field("Query", "clientIDMapping")
def client_id_mapping(_root: Any, info: Info, clientID: str) -> Row | None:  # noqa: N803
    return _or_none(lambda: artifacts_logging.find_client_id(info.context, clientID))


def _or_none(find: Callable[[], Row | None]) -> Row | None:
    # What is missing or not visible is null where one thing is read.
    try:
        return find()
    except NotFound:
        return None


@field("Project", "artifactTypes")
def project_types(
    project: Row, info: Info, first: int | None = None, after: str | None = None, **_: Any
) -> Row:
    return slice_connection(artifacts.list_types(info.context, project), first, after)


@field("Project", "artifactType")
def project_type(project: Row, info: Info, name: str) -> Row | None:
    return artifacts.find_type(info.context, project, name)


@field("Project", "artifactCollection")
def project_collection(project: Row, info: Info, name: str) -> Row | None:
    return artifacts.find_collection(info.context, project, name)


@field("Project", "artifact")
def project_artifact(project: Row, info: Info, name: str) -> Row | None:
    return artifacts.find_by_name(info.context, project, name)


@field("Project", "artifactCollectionMembership")
def project_membership(project: Row, info: Info, name: str) -> Row | None:
    found = artifacts.find_by_name(info.context, project, name)
    return found and artifacts.to_membership(found)


@field("Project", "artifactCollections")
def project_collections(project: Row, info: Info, **given: Any) -> Row:
    return _collections(info.context, project, None, **given)


@field("Project", "totalArtifactCollections")
def project_collection_count(project: Row, info: Info) -> int:
    kinds = (SEQUENCE, PORTFOLIO)
    return artifacts.count_collections(info.context, project, type_pk=None, kinds=kinds, filters=None)


@field("Project", "runOutputArtifactsCount")
def project_output_count(project: Row, info: Info, filters: str | None = None) -> int:
    where, params = run_pages.where_sql(info.context, project, filters)
    # The filter stands alone: the tables share names of columns.
    outputs = "role = 'output' AND artifacts.state = 'COMMITTED'"
    tables = "artifact_runs JOIN artifacts ON artifacts.id = artifact_id"
    matching = f"artifact_runs.run_id IN (SELECT runs.id FROM runs WHERE {where})"  # noqa: S608
    sql = f"SELECT count(DISTINCT artifact_id) FROM {tables} WHERE {outputs} AND {matching}"  # noqa: S608
    return int(info.context.db.execute(sql, params).get)


def _collections(
    context: Context,
    project: Row,
    type_pk: int | None,
    collectionTypes: list[str] | None = None,  # noqa: N803
    filters: str | None = None,
    order: str | None = None,
    first: int | None = None,
    after: str | None = None,
    **_: Any,
) -> Row:
    kinds = tuple(_KINDS[one] for one in collectionTypes or _KINDS)
    offset, size = offset_after(after), page_size(first)
    found = artifacts.list_collections(
        context,
        project,
        type_pk=type_pk,
        kinds=kinds,
        filters=filters,
        order=order,
        limit=size + 1,
        offset=offset,
    )
    connection = to_connection(found[:size], offset, has_next=len(found) > size)
    connection["totalCount"] = lambda _info: artifacts.count_collections(
        context, project, type_pk=type_pk, kinds=kinds, filters=filters
    )
    return connection


# ---- types ----


@field("ArtifactType", "project")
def type_project(kind: Row, info: Info) -> Row | None:
    return artifacts.project_of(info.context, kind["projectPk"])


@field("ArtifactType", "artifactCollection")
def type_collection(kind: Row, info: Info, name: str) -> Row | None:
    project = {"pk": kind["projectPk"]}
    return artifacts.find_collection(info.context, project, name, type_pk=kind["pk"])


@field("ArtifactType", "artifactSequence")
def type_sequence(kind: Row, info: Info, name: str) -> Row | None:
    project = {"pk": kind["projectPk"]}
    return artifacts.find_collection(info.context, project, name, type_pk=kind["pk"], kind=SEQUENCE)


@field("ArtifactType", "artifact")
def type_artifact(kind: Row, info: Info, name: str) -> Row | None:
    found = artifacts.find_by_name(info.context, {"pk": kind["projectPk"]}, name)
    if found is None:
        return None
    own = artifacts.collection_of_version(info.context, found)["defaultArtifactType"]
    return found if own["pk"] == kind["pk"] else None


@field("ArtifactType", "artifactCollections")
def type_collections(kind: Row, info: Info, **given: Any) -> Row:
    return _collections(info.context, {"pk": kind["projectPk"]}, kind["pk"], **given)


@field("ArtifactType", "artifactSequences")
def type_sequences(kind: Row, info: Info, **given: Any) -> Row:
    only = given | {"collectionTypes": ["SEQUENCE"]}
    return _collections(info.context, {"pk": kind["projectPk"]}, kind["pk"], **only)


@field("Entity", "artifactCollections")
def entity_collections(
    entity: Row,
    info: Info,
    collectionTypes: list[str] | None = None,  # noqa: N803
    filters: str | None = None,
    projectFilters: str | None = None,  # noqa: N803
    order: str | None = None,
    first: int | None = None,
    after: str | None = None,
    **_: Any,
) -> Row:
    kinds = tuple(_KINDS[one] for one in collectionTypes or _KINDS)
    found = [
        collection
        for project in _projects(info.context, entity, projectFilters)
        for collection in artifacts.list_collections(
            info.context, project, kinds=kinds, filters=filters, order=order
        )
    ]
    return slice_connection(found, page_size(first), after, totalCount=len(found))


@field("Entity", "artifactMemberships")
def entity_memberships(
    entity: Row,
    info: Info,
    projectFilters: str | None = None,  # noqa: N803
    collectionFilters: str | None = None,  # noqa: N803
    **given: Any,
) -> Row:
    found = [
        collection["pk"]
        for project in _projects(info.context, entity, projectFilters)
        for collection in artifacts.list_collections(info.context, project, filters=collectionFilters)
    ]
    connection = version_connection(info.context, artifacts.in_collections(found), **given)
    for edge in connection["edges"]:
        edge["node"] = artifacts.to_membership(edge["node"])
    return connection


def _projects(context: Context, entity: Row, filters: str | None) -> list[Row]:
    given = run_pages.parse_filters(filters)
    return projects.list_projects(context, entity["name"], 2**31, 0, filters=given)


# ---- collections ----


def _collection_field(*names: str) -> Callable[[Any], Any]:
    def register(resolver: Any) -> Any:
        for kind in (SEQUENCE, PORTFOLIO):
            field(kind, *names)(resolver)
        return resolver

    return register


@_collection_field("project")
def collection_project(collection: Row, info: Info) -> Row | None:
    return artifacts.project_of(info.context, collection["projectPk"])


@_collection_field("tags")
def collection_tags(
    collection: Row, _info: Info, first: int | None = None, after: str | None = None, **_: Any
) -> Row:
    return slice_connection(tag_nodes(f"c{collection['pk']}", collection["tagNames"]), first, after)


@_collection_field("triggers")
def collection_triggers(_collection: Row, _info: Info, **_: Any) -> Row:
    return slice_connection([], None, None)


@_collection_field("aliases")
def collection_aliases(
    collection: Row, info: Info, first: int | None = None, after: str | None = None, **_: Any
) -> Row:
    offset, size = offset_after(after), page_size(first)
    sql = (
        "SELECT id, alias, collection_id FROM artifact_aliases WHERE collection_id = ?"
        " ORDER BY id LIMIT ? OFFSET ?"
    )
    found = info.context.db.execute(sql, (collection["pk"], size + 1, offset)).fetchall()
    return to_connection([alias_node(one) for one in found[:size]], offset, has_next=len(found) > size)


@_collection_field("artifactMembership")
def collection_membership(collection: Row, info: Info, aliasName: str) -> Row | None:  # noqa: N803
    found = artifacts.find_member(info.context, collection, aliasName)
    return found and artifacts.to_membership(found)


@_collection_field("artifactMemberships")
def collection_memberships(collection: Row, info: Info, **given: Any) -> Row:
    connection = version_connection(info.context, artifacts.in_collection(collection["pk"]), **given)
    for edge in connection["edges"]:
        edge["node"] = artifacts.to_membership(edge["node"])
    return connection


@_collection_field("artifacts")
def collection_versions(collection: Row, info: Info, **given: Any) -> Row:
    connection = version_connection(info.context, artifacts.in_collection(collection["pk"]), **given)
    for edge in connection["edges"]:
        edge["version"] = f"v{edge['node']['memberVersion']}"
    return connection


@field(SEQUENCE, "latestArtifact")
def sequence_latest(collection: Row, info: Info) -> Row | None:
    return artifacts.find_member(info.context, collection, artifacts.LATEST)
