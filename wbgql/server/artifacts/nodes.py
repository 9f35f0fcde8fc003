"""Artifact types, collections and versions as GraphQL nodes: finding and listing them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from wbgql.errors import NotFound
from wbgql.server.artifacts.fields import COLLECTION_FIELDS, VERSION_FIELDS
from wbgql.server.backend import Context
from wbgql.server.filters.compile import compile_order, compile_where
from wbgql.server.projects import rows as projects
from wbgql.server.projects.rows import make_id, parse_id
from wbgql.server.runs.pages import parse_filters
from wbgql.server.store.database import Connection, Row, row, rows

SEQUENCE, PORTFOLIO = "ArtifactSequence", "ArtifactPortfolio"
LATEST = "latest"
VERSION_NAME = re.compile(r"v(\d{1,18})")

_TYPE = (
    "SELECT id AS pk, project_id AS projectPk, name, description, created_at AS createdAt FROM artifact_types"
)

_COLLECTION = """
SELECT artifact_collections.id AS pk, artifact_collections.project_id AS projectPk,
    artifact_collections.kind AS __typename, artifact_collections.name AS name,
    artifact_collections.description AS description, artifact_collections.tags AS tagNames,
    artifact_collections.created_at AS createdAt, artifact_collections.updated_at AS updatedAt,
    artifact_collections.deleted_at AS deletedAt, types.id AS typePk, types.name AS typeName,
    types.description AS typeDescription, types.created_at AS typeCreatedAt, types.project_id AS typeProjectPk
FROM artifact_collections JOIN artifact_types AS types ON types.id = artifact_collections.type_id
"""

_VERSION = """
SELECT artifacts.id AS pk, artifacts.sequence_id AS sequencePk, artifacts.state AS state,
    artifacts.digest AS digest, artifacts.commit_hash AS commitHash, artifacts.description AS description,
    artifacts.metadata AS metadata, artifacts.labels AS labels, artifacts.tags AS tagNames,
    artifacts.history_step AS historyStep, artifacts.ttl_s AS ttl, artifacts.run_id AS runPk,
    artifacts.user_id AS userPk, artifacts.size_bytes AS size, artifacts.file_count AS fileCount,
    artifacts.digest_algorithm AS digestAlgorithm,
    artifacts.created_at AS createdAt, artifacts.updated_at AS updatedAt, own.version AS versionIndex,
    members.id AS memberPk, members.collection_id AS memberCollectionPk, members.version AS memberVersion,
    members.created_at AS memberCreatedAt,
    (SELECT json_group_array(json_array(a.id, a.alias, a.collection_id))
     FROM artifact_aliases a WHERE a.artifact_id = artifacts.id) AS aliasRows,
    (SELECT json_group_array(json_array('m' || m.id, 'v' || m.version, m.collection_id))
     FROM artifact_members m WHERE m.artifact_id = artifacts.id) AS numberRows{more}
FROM artifacts JOIN artifact_collections AS sequences ON sequences.id = artifacts.sequence_id
    LEFT JOIN artifact_members AS own ON own.collection_id = artifacts.sequence_id
        AND own.artifact_id = artifacts.id
"""
_OWN_MEMBER = "LEFT JOIN artifact_members AS members ON members.id = own.id"
_ALL_MEMBERS = "JOIN artifact_members AS members ON members.artifact_id = artifacts.id"


@dataclass(frozen=True)
class Scope:
    """Which versions a list is about: joins beside the standard ones, and a condition with its values."""

    joins: str
    where: str
    params: tuple[Any, ...]
    columns: str = ""
    order: str = "members.version DESC"


def in_collection(pk: int) -> Scope:
    """The versions of a sequence, or those linked into a portfolio."""
    return Scope(_ALL_MEMBERS, "members.collection_id = ?", (pk,))


def in_collections(pks: list[int]) -> Scope:
    """The versions of several collections, once for each they are in."""
    listed = f"members.collection_id IN ({','.join('?' * len(pks))})"
    return Scope(_ALL_MEMBERS, listed, tuple(pks), order="members.created_at DESC, members.id DESC")


def of_run(pk: int, role: str) -> Scope:
    """What a run logged ("output") or used ("input")."""
    joins = f"{_OWN_MEMBER} JOIN artifact_runs AS io ON io.artifact_id = artifacts.id"
    columns, order = ", io.used_as AS usedAs", "io.created_at DESC, artifacts.id DESC"
    return Scope(joins, "io.run_id = ? AND io.role = ?", (pk, role), columns, order)


def inputs_of_creator(version: Row) -> Scope:
    """What the run that logged a version used."""
    used = "SELECT artifact_id FROM artifact_runs WHERE role = 'input' AND run_id = ?"
    return Scope(_OWN_MEMBER, f"artifacts.id IN ({used})", (version["runPk"],))


def outputs_of_users(version: Row) -> Scope:
    """What the runs that used a version logged."""
    users = "SELECT run_id FROM artifact_runs WHERE role = 'input' AND artifact_id = ?"
    made = f"SELECT artifact_id FROM artifact_runs WHERE role = 'output' AND run_id IN ({users})"  # noqa: S608
    return Scope(_OWN_MEMBER, f"artifacts.id IN ({made})", (version["pk"],))


# ---- types ----


def find_type(context: Context, project: Row, name: str) -> Row | None:
    """An artifact type of a project, by name."""
    found = row(context.db, f"{_TYPE} WHERE project_id = ? AND name = ?", (project["pk"], name))
    return found and _type_node(found)


def list_types(context: Context, project: Row) -> list[Row]:
    """Every artifact type of a project, by name."""
    found = rows(context.db, f"{_TYPE} WHERE project_id = ? ORDER BY name", (project["pk"],))
    return [_type_node(one) for one in found]


def _type_node(values: Row) -> Row:
    return values | {"id": make_id("ArtifactType", values["pk"])}


# ---- collections ----


def find_collection(
    context: Context, project: Row, name: str, *, type_pk: int | None = None, kind: str | None = None
) -> Row | None:
    """A live collection of a project, by name."""
    found = row(
        context.db,
        f"{_COLLECTION} WHERE artifact_collections.project_id = ? AND artifact_collections.name = ?"
        " AND artifact_collections.deleted_at IS NULL AND types.id = coalesce(?, types.id)"
        " AND artifact_collections.kind = coalesce(?, artifact_collections.kind)",
        (project["pk"], name, type_pk, kind),
    )
    return found and _collection_node(found)


def find_collection_by_id(context: Context, storage_id: str) -> Row:
    """A collection the viewer may see; deleted ones too, until they are purged.

    Raises:
        NotFound: no such collection, or not visible.
    """
    found = collection_of(context, parse_id("ArtifactCollection", storage_id))
    if found is None or project_of(context, found["projectPk"]) is None:
        raise NotFound(f"artifact collection {storage_id!r} not found", status=404)
    return found


def collection_of(context: Context, pk: int) -> Row | None:
    """A collection by row number, read once in a request."""
    load_collections(context, [pk])
    found: Row | None = context.memo.get(("collection", pk))
    return found


def load_collections(context: Context, pks: Iterable[int]) -> None:
    """Read collections with one query, so that a page of versions needs no more than that."""
    missing = sorted({pk for pk in pks if ("collection", pk) not in context.memo})
    if not missing:
        return
    marks = ",".join("?" * len(missing))
    for found in rows(context.db, f"{_COLLECTION} WHERE artifact_collections.id IN ({marks})", missing):
        context.memo["collection", found["pk"]] = _collection_node(found)


def list_collections(
    context: Context,
    project: Row,
    *,
    type_pk: int | None = None,
    kinds: tuple[str, ...] = (SEQUENCE, PORTFOLIO),
    filters: str | None = None,
    order: str | None = None,
    limit: int = -1,
    offset: int = 0,
) -> list[Row]:
    """Live collections of a project, newest first where no order is asked for. One query.

    Raises:
        UsageError: a filter or order the server does not understand.
    """
    where, params = _collections_where(project, type_pk, kinds, filters)
    by = compile_order(order or "-created_at", COLLECTION_FIELDS).sql
    sql = f"{_COLLECTION} WHERE {where} ORDER BY {by} LIMIT ? OFFSET ?"
    return [_collection_node(found) for found in rows(context.db, sql, (*params, limit, offset))]


def count_collections(
    context: Context, project: Row, *, type_pk: int | None, kinds: tuple[str, ...], filters: str | None
) -> int:
    """How many collections `list_collections` would give without a limit."""
    where, params = _collections_where(project, type_pk, kinds, filters)
    joined = "artifact_collections JOIN artifact_types AS types ON types.id = artifact_collections.type_id"
    return int(context.db.execute(f"SELECT count(*) FROM {joined} WHERE {where}", params).get)  # noqa: S608


def _collections_where(
    project: Row, type_pk: int | None, kinds: tuple[str, ...], filters: str | None
) -> tuple[str, tuple[Any, ...]]:
    compiled = compile_where(parse_filters(filters), COLLECTION_FIELDS)
    where = (
        "artifact_collections.project_id = ? AND artifact_collections.deleted_at IS NULL"
        f" AND artifact_collections.kind IN ({','.join('?' * len(kinds))})"
        f" AND (? IS NULL OR types.id = ?) AND ({compiled.sql})"
    )
    return where, (project["pk"], *kinds, type_pk, type_pk, *compiled.params)


def _collection_node(values: Row) -> Row:
    kind = {name: values.pop(f"type{name[0].upper()}{name[1:]}") for name in _TYPE_FIELDS}
    return values | {
        "id": make_id("ArtifactCollection", values["pk"]),
        "state": "READY" if values["deletedAt"] is None else "DELETED",
        "tagNames": json.loads(values["tagNames"]),
        "defaultArtifactType": _type_node(kind),
    }


_TYPE_FIELDS = ("pk", "name", "description", "createdAt", "projectPk")


# ---- versions ----


def list_versions(
    context: Context,
    scope: Scope,
    *,
    filters: str | None = None,
    order: str | None = None,
    limit: int = -1,
    offset: int = 0,
) -> list[Row]:
    """Committed versions, newest first where no order is asked for. One query, and one for their collections.

    Raises:
        UsageError: a filter or order the server does not understand.
    """
    where, params = _versions_where(scope, filters)
    by = compile_order(order, VERSION_FIELDS).sql if order else scope.order
    sql = f"{_VERSION.format(more=scope.columns)} {scope.joins} WHERE {where} ORDER BY {by} LIMIT ? OFFSET ?"
    return _version_nodes(context, rows(context.db, sql, (*params, limit, offset)))


def count_versions(context: Context, scope: Scope, filters: str | None = None) -> int:
    """How many versions `list_versions` would give without a limit."""
    where, params = _versions_where(scope, filters)
    tables = _VERSION[_VERSION.index("FROM artifacts") :]
    return int(context.db.execute(f"SELECT count(*) {tables} {scope.joins} WHERE {where}", params).get)


def _versions_where(scope: Scope, filters: str | None) -> tuple[str, tuple[Any, ...]]:
    compiled = compile_where(parse_filters(filters), VERSION_FIELDS)
    where = f"artifacts.state = 'COMMITTED' AND {scope.where} AND ({compiled.sql})"
    return where, (*scope.params, *compiled.params)


def find_version(context: Context, pk: int) -> Row | None:
    """A version in any state by row number, as its own sequence sees it; None if it is missing or purged."""
    return _find(context, _OWN_MEMBER, "artifacts.id = ?", (pk,))


def find_version_by_id(context: Context, storage_id: str | None) -> Row:
    """A version in any state that the viewer may see: where it was logged, or where it is linked.

    Raises:
        NotFound: no such version, or not visible.
    """
    found = find_version(context, parse_id("Artifact", storage_id))
    if found is None or not is_version_visible(context, found):
        raise NotFound(f"artifact {storage_id!r} not found", status=404)
    return found


_LINKS_AT_HOME = """
SELECT DISTINCT members.collection_id FROM artifacts
    JOIN artifact_collections AS homes ON homes.id = artifacts.sequence_id
    JOIN projects AS home_projects ON home_projects.id = homes.project_id
    JOIN entities AS home ON home.id = home_projects.entity_id
    JOIN artifact_members AS members ON members.artifact_id = artifacts.id
    JOIN artifact_collections AS collections ON collections.id = members.collection_id
    JOIN projects ON projects.id = collections.project_id JOIN entities ON entities.id = projects.entity_id
WHERE artifacts.id = ? AND (entities.id = home.id
    OR (entities.kind = 'organization' AND entities.organization_id = home.organization_id))
"""


def links_at_home(db: Connection, version_pk: int) -> list[int]:
    """The collections of a version in its own entity, and in the registries of its organization.

    Only these links give others a view of the version, or keep it from being deleted. Links into any other
    entity do not: there, somebody else decides who is an admin, and who may look.
    """
    return [pk for (pk,) in db.execute(_LINKS_AT_HOME, (version_pk,))]


def is_version_visible(context: Context, version: Row) -> bool:
    """Whether the viewer may see a version: where it was logged, or at one of `links_at_home`."""
    if is_collection_visible(context, version["sequencePk"]):
        return True
    key = ("linked", version["pk"])
    if key not in context.memo:
        pks = links_at_home(context.db, version["pk"])
        context.memo[key] = any(is_collection_visible(context, pk) for pk in pks)
    return bool(context.memo[key])


def is_collection_visible(context: Context, pk: int) -> bool:
    """Whether the viewer may see the project of a collection."""
    found = collection_of(context, pk)
    return found is not None and project_of(context, found["projectPk"]) is not None


def find_member(context: Context, collection: Row, alias: str) -> Row | None:
    """The committed version that an alias, `vN`, commit hash or digest names in a collection."""
    match = VERSION_NAME.fullmatch(alias)
    if match:
        return _find_here(context, collection["pk"], _BY_NUMBER, int(match[1]))
    for named in (_BY_ALIAS, _BY_HASH):
        found = _find_here(context, collection["pk"], named, alias)
        if found is not None:
            return found
    return None


# The plus keeps SQLite from walking the whole collection to find what the first condition names.
_BY_NUMBER = "members.version = ?2 AND members.collection_id = ?1"
_BY_ALIAS = (
    "artifacts.id IN (SELECT artifact_id FROM artifact_aliases WHERE collection_id = ?1 AND alias = ?2)"
    " AND +members.collection_id = ?1"
)
_BY_HASH = (
    "artifacts.id IN (SELECT id FROM artifacts WHERE commit_hash = ?2"
    " UNION ALL SELECT id FROM artifacts WHERE sequence_id = ?1 AND digest = ?2)"
    " AND +members.collection_id = ?1"
)


def _find_here(context: Context, collection_pk: int, named: str, value: str | int) -> Row | None:
    where = f"artifacts.state = 'COMMITTED' AND {named}"
    return _find(context, _ALL_MEMBERS, where, (collection_pk, value))


def find_by_name(context: Context, project: Row, name: str) -> Row | None:
    """A version by `collection:alias`; the latest where there is no alias."""
    collection_name, _, alias = name.partition(":")
    collection = find_collection(context, project, collection_name)
    return collection and find_member(context, collection, alias or LATEST)


def memberships(context: Context, version: Row) -> list[Row]:
    """The version as each of its collections sees it, its own sequence first."""
    sql = f"{_VERSION.format(more='')} {_ALL_MEMBERS} WHERE artifacts.id = ? ORDER BY members.id"
    return [
        to_membership(found) for found in _version_nodes(context, rows(context.db, sql, (version["pk"],)))
    ]


def to_membership(version: Row) -> Row:
    """A version found in a collection, as that collection's membership."""
    return {
        "id": make_id("ArtifactCollectionMembership", version["memberPk"]),
        "collectionPk": version["memberCollectionPk"],
        "versionIndex": version["memberVersion"],
        "createdAt": version["memberCreatedAt"],
        "commitHash": version["commitHash"],
        "artifact": version,
    }


def _find(context: Context, joins: str, where: str, params: tuple[Any, ...]) -> Row | None:
    sql = f"{_VERSION.format(more='')} {joins} WHERE {where} ORDER BY +members.version DESC LIMIT 1"
    found = _version_nodes(context, rows(context.db, sql, params))
    return found[0] if found else None


def _version_nodes(context: Context, found: list[Row]) -> list[Row]:
    for version in found:
        version["aliasRows"] = json.loads(version["aliasRows"])
        version["numberRows"] = json.loads(version["numberRows"])
    collections = {version["sequencePk"] for version in found}
    collections |= {pk for version in found for _, _, pk in (*version["aliasRows"], *version["numberRows"])}
    load_collections(context, collections)
    return [_version_node(version) for version in found]


def _version_node(values: Row) -> Row:
    ttl = values["ttl"]
    return values | {
        "id": make_id("Artifact", values["pk"]),
        "tagNames": json.loads(values["tagNames"]),
        "ttlDurationSeconds": TTL_OFF if ttl is None else ttl,
        "ttlIsInherited": ttl is None,
        "storageBytes": values["size"],
        "isGenerated": False,
    }


TTL_INHERIT, TTL_OFF = -1, -2
"""What the SDK sends for a time to live that is inherited or off; no project here sets one to inherit."""


def collection_of_version(context: Context, version: Row) -> Row:
    """The sequence a version was logged to."""
    found = collection_of(context, version["sequencePk"])
    assert found is not None
    return found


def project_of(context: Context, pk: int) -> Row | None:
    """A project by row number if the viewer may see it, read once in a request."""
    if ("project", pk) not in context.memo:
        context.memo["project", pk] = projects.find_project_by_pk(context, pk)
    found: Row | None = context.memo["project", pk]
    return found


@contextmanager
def writing(context: Context) -> Iterator[Context]:
    """One transaction, as a context whose reads see what it wrote."""
    with context.store.write() as db:
        yield replace(context, db=db, memo={})
    context.memo.clear()
