"""Changing what is logged: aliases, descriptions, tags, links into portfolios, and collections themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from wbgql.errors import NotFound, UsageError
from wbgql.server.accounts import REGISTRY_PREFIX
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts import protection as artifacts_protection
from wbgql.server.artifacts import system as system_artifacts
from wbgql.server.artifacts.aliases import (
    advance_latest,
    check_alias,
    point_alias,
    require_right_to,
    set_alias,
)
from wbgql.server.artifacts.commit import add_member
from wbgql.server.artifacts.logging import (
    check_name,
    create_collection,
    find_client_id,
    find_or_create_type,
    refuse_system_type,
)
from wbgql.server.artifacts.nodes import LATEST, PORTFOLIO, SEQUENCE, writing
from wbgql.server.artifacts.uploads import require_writer
from wbgql.server.backend import Context
from wbgql.server.projects import rows as projects
from wbgql.server.runs import values as run_values
from wbgql.server.store.database import Connection, Row

MAX_TAGS = 20
CORE_REGISTRIES = ("wandb-registry-model", "wandb-registry-dataset")
"""W&B makes these for an organization (W&B docs, registry, 2026-11); here the first link into one does."""


def writable_project(now: Context, entity: str | None, name: str | None) -> Row:
    """A project the viewer may write into.

    Raises:
        NotFound, PermissionDenied: not visible, or only to look at.
    """
    project = projects.find_project(now, entity, name)
    if project is None:
        raise NotFound(f"project {entity}/{name} not found", status=404)
    projects.require_writer(now, now.db, project)
    return project


def writable_collection(now: Context, storage_id: str) -> Row:
    """A collection the viewer may change.

    Raises:
        NotFound, PermissionDenied: deleted, not visible, or only to look at.
    """
    collection = artifacts.find_collection_by_id(now, storage_id)
    project = artifacts.project_of(now, collection["projectPk"])
    if project is None or collection["state"] == "DELETED":
        raise NotFound(f"artifact collection {storage_id!r} not found", status=404)
    projects.require_writer(now, now.db, project)
    return collection


def _committed(now: Context, storage_id: str | None) -> Row:
    version = artifacts.find_version_by_id(now, storage_id)
    if version["state"] != "COMMITTED":
        raise NotFound(f"artifact {storage_id!r} is not committed, or it is deleted", status=404)
    return version


def change_aliases(context: Context, storage_id: str, given: list[dict[str, Any]], *, add: bool) -> list[Row]:
    """Add aliases to a version, each in its collection, or take them away.

    An alias that is added leaves the version it was on; one to take away that is not there is no error.

    Raises:
        NotFound: the version is not in the collection.
        UsageError: not an alias.
    """
    with writing(context) as now:
        version = _committed(now, storage_id)
        collections = {member["collectionPk"] for member in artifacts.memberships(now, version)}
        for one in given:
            project = writable_project(now, one["entityName"], one["projectName"])
            name = one["artifactCollectionName"]
            collection = artifacts.find_collection(now, project, name)
            if collection is None or collection["pk"] not in collections:
                raise NotFound(f"artifact {storage_id!r} is not in collection {name!r}", status=404)
            if add:
                set_alias(now, collection["pk"], version["pk"], check_alias(one["alias"]))
            else:
                require_right_to(now, collection["pk"], one["alias"])
                now.db.execute(
                    "DELETE FROM artifact_aliases WHERE collection_id = ? AND artifact_id = ? AND alias = ?",
                    (collection["pk"], version["pk"], one["alias"]),
                )
    return [
        {key: one[key] for key in ("alias", "artifactCollectionName", "entityName", "projectName")}
        for one in given
    ]


def update_version(context: Context, fields: dict[str, Any]) -> Row:
    """Change a version from an `UpdateArtifactInput`; a null field stays as it is. Safe to repeat.

    Raises:
        NotFound, PermissionDenied: deleted, not visible, or only to look at.
        UsageError: the metadata is not a JSON object, an alias is not one, or a system artifact would expire.
    """
    with writing(context) as now:
        version = artifacts.find_version_by_id(now, fields["artifactID"])
        if version["state"] == "DELETED":
            raise NotFound(f"artifact {fields['artifactID']!r} not found", status=404)
        require_writer(now, version)
        if fields.get("ttlDurationSeconds") not in (None, artifacts.TTL_INHERIT):
            system_artifacts.refuse_change(
                artifacts.collection_of_version(now, version), "setting a time to live of"
            )
        changes = _version_changes(version, fields) | {"updated_at": now.backend.now()}
        assignments = ", ".join(f"{column} = ?" for column in changes)
        now.db.execute(f"UPDATE artifacts SET {assignments} WHERE id = ?", (*changes.values(), version["pk"]))  # noqa: S608
        for one in fields.get("aliases") or []:
            set_alias(now, version["sequencePk"], version["pk"], check_alias(one["alias"]))
    return artifacts.find_version_by_id(context, fields["artifactID"])


def _version_changes(version: Row, fields: dict[str, Any]) -> Row:
    changes = {
        name: fields[name] for name in ("description", "labels", "metadata") if fields.get(name) is not None
    }
    if "metadata" in changes:
        run_values.parse_object(changes["metadata"], "artifact metadata")
    ttl_s = fields.get("ttlDurationSeconds")
    if ttl_s is not None:
        changes["ttl_s"] = None if ttl_s == artifacts.TTL_INHERIT else ttl_s
    changes["tags"] = _changed_tags(version["tagNames"], fields.get("tagsToAdd"), fields.get("tagsToDelete"))
    return changes


def _changed_tags(tags: list[str], add: list[Row] | None, remove: list[Row] | None) -> str:
    gone = {tag["tagName"] for tag in remove or []}
    kept = dict.fromkeys([*tags, *(tag["tagName"] for tag in add or [])])
    return json.dumps([tag for tag in kept if tag not in gone], ensure_ascii=False)


# ---- links ----


def link(context: Context, fields: dict[str, Any]) -> Row:
    """Link a version into a portfolio; return the membership. Safe to repeat.

    The portfolio is made if it is new, and so is its project.

    Raises:
        NotFound, PermissionDenied: the version's own project or the target is not visible or not writable.
        UsageError: the target is a sequence, or holds another type.
    """
    with writing(context) as now:
        version = _committed(now, fields.get("artifactID") or _id_of_client(now, fields.get("clientID")))
        # A link gives others a view of the version, and keeps its time to live from ending it.
        require_writer(now, version)
        portfolio = _portfolio(now, version, fields)
        sql = "SELECT max(version) FROM artifact_members WHERE collection_id = ? AND artifact_id = ?"
        number = now.db.execute(sql, (portfolio["pk"], version["pk"])).get
        if number is None:
            number = add_member(now, portfolio["pk"], version["pk"])
        wanted = {check_alias(one["alias"]) for one in fields.get("aliases") or []}
        for alias in sorted(wanted):
            set_alias(now, portfolio["pk"], version["pk"], alias)
        advance_latest(now, portfolio["pk"], version["pk"])
    found = artifacts.find_member(context, portfolio, f"v{number}")
    assert found is not None
    return artifacts.to_membership(found)


def _id_of_client(now: Context, client_id: str | None) -> str | None:
    found = find_client_id(now, client_id) if client_id else None
    return None if found is None else str(found["serverID"])


def _portfolio(now: Context, version: Row, fields: dict[str, Any]) -> Row:
    kind = artifacts.collection_of_version(now, version)["defaultArtifactType"]["name"]
    if fields.get("artifactPortfolioID"):
        found: Row | None = writable_collection(now, fields["artifactPortfolioID"])
        name = ""
    else:
        name = fields.get("artifactPortfolioName") or ""
        project = _link_target(now, fields.get("entityName"), fields.get("projectName"))
        found = artifacts.find_collection(now, project, name)
        if found is None:
            _refuse_type(now, project, kind)
            return create_collection(now, project, PORTFOLIO, name, find_or_create_type(now, project, kind))
    if found is None or found["__typename"] != PORTFOLIO:
        raise UsageError(
            f"artifact collection {name!r} has versions of its own, choose another name to link to"
        )
    if found["defaultArtifactType"]["name"] != kind:
        raise UsageError(
            f"artifact of type {kind!r} cannot be linked into {found['name']!r}, which holds another type"
        )
    return found


def _refuse_type(now: Context, project: Row, kind: str) -> None:
    sql = "SELECT name FROM artifact_types WHERE project_id = ? ORDER BY name"
    taken = [name for (name,) in now.db.execute(sql, (project["pk"],))]
    if not project["anyType"] and kind not in taken:
        raise UsageError(
            f"registry {project['name']!r} takes artifacts of types {', '.join(taken)} only, not {kind!r}"
        )


def _link_target(now: Context, entity: str | None, name: str | None) -> Row:
    # On W&B a link makes the project it leads to (wandb's system tests, 2026-11), but no registry.
    owner = projects.find_entity(now.db, entity, now.viewer.default_entity_id)
    core = name in CORE_REGISTRIES and owner is not None and owner["kind"] == "organization"
    if name and name.startswith(REGISTRY_PREFIX) and not core:
        return writable_project(now, entity, name)
    return projects.find_or_create(now, now.db, entity, name)[0]


def unlink(context: Context, storage_id: str, portfolio_id: str) -> None:
    """Take a version out of a portfolio; the version itself stays. Repeating it is no error.

    Raises:
        NotFound, PermissionDenied: not visible or not writable.
        UsageError: the collection is where the version was logged.
    """
    with writing(context) as now:
        version = artifacts.find_version_by_id(now, storage_id)
        portfolio = writable_collection(now, portfolio_id)
        if portfolio["__typename"] != PORTFOLIO:
            raise UsageError(
                f"artifact {storage_id!r} was logged to {portfolio['name']!r}, delete it instead"
            )
        artifacts_protection.require_right_to_change(now, portfolio, version["pk"])
        remove_members(now.db, portfolio["pk"], version["pk"])


def remove_members(db: Connection, collection_pk: int, pk: int | None = None) -> None:
    """Take one version, or all, out of a collection, aliases included."""
    for table in ("artifact_members", "artifact_aliases"):
        db.execute(
            f"DELETE FROM {table} WHERE collection_id = ? AND artifact_id = coalesce(?, artifact_id)",  # noqa: S608
            (collection_pk, pk),
        )
    move_latest(db, [collection_pk])


def move_latest(db: Connection, collection_pks: Iterable[int]) -> None:
    """Put `latest` back on the newest version where a collection has lost it."""
    for pk in collection_pks:
        newest = db.execute(
            "SELECT artifact_id FROM artifact_members JOIN artifacts ON artifacts.id = artifact_id"
            " WHERE collection_id = ? AND state = 'COMMITTED' ORDER BY version DESC LIMIT 1",
            (pk,),
        ).get
        sql = "SELECT 1 FROM artifact_aliases WHERE collection_id = ? AND alias = ?"
        if newest is not None and db.execute(sql, (pk, LATEST)).get is None:
            point_alias(db, pk, newest, LATEST)


# ---- collections ----


def make_collection(context: Context, fields: dict[str, Any], kind: str) -> Row:
    """Make an empty sequence or portfolio; one that is there already is returned.

    Raises:
        NotFound, PermissionDenied: the project or type is not visible or not writable.
        UsageError: the name is taken by another kind, or is not a name.
    """
    with writing(context) as now:
        project = writable_project(now, fields["entityName"], fields["projectName"])
        types = {one["id"]: one for one in artifacts.list_types(now, project)}
        if fields["artifactTypeID"] not in types:
            raise NotFound(f"artifact type {fields['artifactTypeID']!r} not found", status=404)
        refuse_system_type(types[fields["artifactTypeID"]]["name"])
        found = artifacts.find_collection(now, project, fields["name"])
        if found is None:
            type_pk = types[fields["artifactTypeID"]]["pk"]
            found = create_collection(now, project, kind, fields["name"], type_pk, fields.get("description"))
        if found["__typename"] != kind:
            raise UsageError(f"artifact collection name is taken: {fields['name']!r}")
    return found


def make_type(context: Context, fields: dict[str, Any]) -> Row:
    """Make an artifact type; one that is there already is returned.

    Raises:
        NotFound, PermissionDenied: the project is not visible or not writable.
    """
    refuse_system_type(fields["name"])
    with writing(context) as now:
        project = writable_project(now, fields["entityName"], fields["projectName"])
        find_or_create_type(now, project, fields["name"], fields.get("description"))
        found = artifacts.find_type(now, project, fields["name"])
    assert found is not None
    return found


def update_collection(context: Context, storage_id: str, name: str | None, description: str | None) -> Row:
    """Rename or describe a collection; null leaves it as it is.

    Raises:
        NotFound, PermissionDenied: not visible or not writable, or a new name where an alias is protected.
        UsageError: the name is taken, or is not a name.
    """
    with writing(context) as now:
        collection = writable_collection(now, storage_id)
        name = collection["name"] if name is None else name
        check_name(name, "artifact collection")
        other = artifacts.find_collection(now, {"pk": collection["projectPk"]}, name)
        if other is not None and other["pk"] != collection["pk"]:
            raise UsageError(f"artifact collection name is taken: {name!r}")
        if name != collection["name"]:
            system_artifacts.refuse_change(collection, "renaming")
            artifacts_protection.require_right_to_change(now, collection)
        now.db.execute(
            "UPDATE artifact_collections SET name = ?, description = coalesce(?, description), updated_at = ?"
            " WHERE id = ?",
            (name, description, now.backend.now(), collection["pk"]),
        )
    return artifacts.find_collection_by_id(context, storage_id)


def move_sequence(context: Context, storage_id: str, type_name: str) -> Row:
    """Give a sequence another type, made if it is new.

    Raises:
        NotFound, PermissionDenied: not visible or not writable, or an alias is protected.
        UsageError: a portfolio, or not a type name.
    """
    with writing(context) as now:
        collection = writable_collection(now, storage_id)
        if collection["__typename"] != SEQUENCE:
            raise UsageError(
                f"artifact collection {collection['name']!r} holds links, its type cannot change"
            )
        if type_name != collection["defaultArtifactType"]["name"]:
            system_artifacts.refuse_change(collection, "changing the type of")
            refuse_system_type(type_name)
            artifacts_protection.require_right_to_change(now, collection)
        type_pk = find_or_create_type(now, {"pk": collection["projectPk"]}, type_name)
        now.db.execute(
            "UPDATE artifact_collections SET type_id = ?, updated_at = ? WHERE id = ?",
            (type_pk, now.backend.now(), collection["pk"]),
        )
    return artifacts.find_collection_by_id(context, storage_id)


def change_collection_tags(context: Context, fields: dict[str, Any], *, add: bool) -> Row:
    """Add tags to a collection, or take them away; return it.

    Raises:
        NotFound, PermissionDenied: not visible or not writable.
        UsageError: too many tags.
    """
    with writing(context) as now:
        project = writable_project(now, fields["entityName"], fields["projectName"])
        name = fields["artifactCollectionName"]
        collection = artifacts.find_collection(now, project, name)
        if collection is None:
            raise NotFound(f"artifact collection {name!r} not found", status=404)
        if len(fields["tags"]) > MAX_TAGS:
            raise UsageError(f"too many tags at once: {len(fields['tags'])}, at most {MAX_TAGS}")
        tags = fields["tags"]
        text = _changed_tags(collection["tagNames"], tags if add else None, None if add else tags)
        now.db.execute(
            "UPDATE artifact_collections SET tags = ?, updated_at = ? WHERE id = ?",
            (text, now.backend.now(), collection["pk"]),
        )
    return artifacts.find_collection_by_id(context, collection["id"])
