"""Resolvers for the roots, and for users, entities and organizations."""

from __future__ import annotations

import json
from typing import Any

from wbgql.server.api.registry import Info, Resolvers
from wbgql.server.artifacts import protection as artifacts_protection
from wbgql.server.backend import Context
from wbgql.server.likeness.switches import ON
from wbgql.server.projects import rows as projects
from wbgql.server.projects.rows import make_id
from wbgql.server.relay import offset_after, page_size, slice_connection, to_connection
from wbgql.server.runs.pages import parse_filters
from wbgql.server.store.database import Row, row, rows

FEATURES = (
    "MARK_RUN_FILES_UPLOADED",
    "UPDATE_RUN_STATE",
    "ARTIFACT_REGISTRY_SEARCH",
    "INCLUDE_ARTIFACT_TYPES_IN_REGISTRY_CREATION",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
    "STRUCTURED_CONSOLE_LOGS",
    "ARTIFACT_DIGEST_ALGORITHM",
    # What 0.31 takes for granted, and asked for in earlier versions.
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_TAGS",
    "CLIENT_IDS",
    "LARGE_FILENAMES",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
)
"""What this server offers beyond the oldest protocol the SDK speaks; each changes what the SDK sends."""

DEPLOYMENT_ID = "wbgql-local"
MAX_CLI_VERSION = "0.99.0"
NO_ENTITY = 0
"""Stands for an entity that is not there; rows are numbered from 1."""

resolvers = Resolvers()
field = resolvers.field


@field("Query", "viewer")
def viewer(_root: Any, info: Info, **_: Any) -> Row:
    context: Context = info.context
    return context.users[context.viewer.user_id]


@field("Query", "serverInfo")
def server_info(_root: Any, info: Info) -> Row:
    context: Context = info.context
    return {
        "cliVersionInfo": {"max_cli_version": MAX_CLI_VERSION},
        "features": [{"name": name, "isEnabled": True} for name in FEATURES],
        "dataRetentionDuration": int(context.backend.settings.retention_s),
        "deploymentId": DEPLOYMENT_ID,
        "frontendHost": context.base_url,
        "hasLocalLicense": False,
        "licenseFlags": [],
        "pollingOK": True,
        "secureStorageConnectorEnabled": False,
        "streamTableEnabled": False,
        "userLimitReached": False,
        "viewOnlyUserLimitReached": False,
        "registeredModelLimitReached": False,
        "actionHistoryLimit": 0,
    }


@field("Query", "project", "model")
def project(_root: Any, info: Info, entityName: str | None = None, name: str | None = None) -> Row | None:  # noqa: N803
    return projects.find_project(info.context, entityName, name)


@field("Query", "projects", "models")
def project_list(
    _root: Any,
    info: Info,
    entityName: str | None = None,  # noqa: N803
    filters: str | None = None,
    order: str | None = None,
    first: int | None = None,
    after: str | None = None,
    **_: Any,
) -> Row:
    offset, size = offset_after(after), page_size(first)
    given = parse_filters(filters)
    found = projects.list_projects(info.context, entityName, size + 1, offset, filters=given, order=order)
    return to_connection(found[:size], offset, has_next=len(found) > size)


@field("Query", "entity")
def entity(_root: Any, info: Info, name: str | None = None, **_: Any) -> Row | None:
    context: Context = info.context
    found = projects.find_entity(context.db, name, context.viewer.default_entity_id)
    if found is None:
        return _free_name(context, name or "")
    return None if context.role(found["id"]) is None else entity_node(found)


def _free_name(context: Context, name: str) -> Row:
    """An entity that nobody has made: a name that is available, without members or projects.

    Source: `Entity.available`; the system test of `create_team` of the wandb SDK reads a team that was never
    made, by `GetTeamEntity` (2026-11).
    """
    free = {"id": NO_ENTITY, "name": name, "kind": "user", "organization_id": None}
    node = entity_node(free | {"created_at": context.backend.now()})
    return node | {"id": make_id("Entity", name), "available": True}


@field("Query", "entities")
def entities(_root: Any, info: Info, first: int | None = None, after: str | None = None, **_: Any) -> Row:
    context: Context = info.context
    found = rows(context.db, "SELECT * FROM entities ORDER BY name")
    return slice_connection([entity_node(one) for one in found if context.role(one["id"])], first, after)


@field("Query", "user")
def user(_root: Any, info: Info, id: str | None = None, userName: str | None = None) -> Row | None:  # noqa: N803
    context: Context = info.context
    found = (one for one in context.users.values() if userName == one["username"] or id == one["id"])
    return next((one for one in found if context.knows(one["pk"])), None)


@field("Query", "users")
def users(
    _root: Any,
    info: Info,
    query: str | None = None,
    usernames: list[str] | None = None,
    ids: list[str] | None = None,
    first: int | None = None,
    after: str | None = None,
    **_: Any,
) -> Row:
    context: Context = info.context
    found = [
        one
        for one in context.users.values()
        if context.knows(one["pk"])
        and (query is None or query in one["username"] or query in one["email"])
        and (usernames is None or one["username"] in usernames)
        and (ids is None or one["id"] in ids)
    ]
    return slice_connection(found, first, after)


@field("User", "email")
def user_email(source: Row, info: Info) -> str:
    """Empty for those with whom the viewer shares no team or organization."""
    return str(source["email"]) if info.context.knows(source["pk"]) else ""


@field("Query", "organization")
def organization(_root: Any, info: Info, name: str | None = None, id: str | None = None) -> Row | None:
    context: Context = info.context
    found = row(context.db, "SELECT * FROM organizations WHERE name = ?", (name,))
    if found is None and id is not None:
        every = rows(context.db, "SELECT * FROM organizations")
        found = next((one for one in every if organization_node(one)["id"] == id), None)
    return None if found is None or not _sees_organization(context, found["id"]) else organization_node(found)


def _sees_organization(context: Context, pk: int) -> bool:
    if context.viewer.admin:
        return True
    sql = "SELECT 1 FROM organization_members WHERE organization_id = ? AND user_id = ?"
    return context.db.execute(sql, (pk, context.viewer.user_id)).get is not None


@field("User", "teams")
def user_teams(source: Row, info: Info, first: int | None = None, after: str | None = None, **_: Any) -> Row:
    context: Context = info.context
    found = rows(
        context.db,
        "SELECT * FROM entities WHERE id = ? OR id IN (SELECT entity_id FROM team_members WHERE user_id = ?)"
        " ORDER BY kind DESC, name",
        (source["entityPk"], source["pk"]),
    )
    return slice_connection([entity_node(one) for one in found], first, after)


@field("User", "organizations")
def user_organizations(source: Row, info: Info, **_: Any) -> list[Row]:
    sql = (
        "SELECT * FROM organizations WHERE id IN"
        " (SELECT organization_id FROM organization_members WHERE user_id = ?) ORDER BY name"
    )
    return [organization_node(one) for one in rows(info.context.db, sql, (source["pk"],))]


@field("User", "apiKeys")
def user_api_keys(source: Row, info: Info, **_: Any) -> Row:
    context: Context = info.context
    if not context.viewer.admin and source["pk"] != context.viewer.user_id:
        return slice_connection([], None, None)
    sql = "SELECT id, hint AS name, description FROM api_keys WHERE user_id = ? ORDER BY id"
    found = rows(context.db, sql, (source["pk"],))
    keys = [key | {"id": make_id("ApiKey", key["id"]), "ips": []} for key in found]
    return slice_connection(keys, None, None)


@field("User", "flags")
def user_flags(_user: Row, info: Info) -> str:
    """What the SDK takes over as its settings.

    Never `code_saving_enabled: false`: it would overrule a script that asks for its code to be saved
    (wandb SDK 0.31.0 `sdk/wandb_init.py`, 2026-11).
    """
    saves = info.context.backend.settings.code_saving == ON
    return json.dumps({"code_saving_enabled": True} if saves else {})


@field("User", "userEntity")
def user_entity(source: Row, info: Info) -> Row | None:
    return _entity_by_pk(info, source["entityPk"])


@field("User", "defaultEntity")
def user_default_entity(source: Row, info: Info) -> Row | None:
    return _entity_by_pk(info, source["defaultEntityPk"])


def _entity_by_pk(info: Info, pk: int) -> Row | None:
    found = row(info.context.db, "SELECT * FROM entities WHERE id = ?", (pk,))
    return None if found is None else entity_node(found)


@field("User", "totalRuns")
def user_total_runs(source: Row, info: Info) -> int:
    sql = "SELECT count(*) FROM runs WHERE user_id = ? AND deleted_at IS NULL"
    return int(info.context.db.execute(sql, (source["pk"],)).get)


def entity_node(found: Row) -> Row:
    """An entity's row as GraphQL's `Entity`."""
    team = found["kind"] == "team"
    return {
        "pk": found["id"],
        "id": make_id("Entity", found["id"]),
        "name": found["name"],
        "isTeam": team,
        "entityType": found["kind"],
        "createdAt": found["created_at"],
        "organizationPk": found["organization_id"],
        "available": False,
        "codeSavingEnabled": False,
        "defaultAccess": "PRIVATE",
        "isPaid": False,
        "privateOnly": False,
        "readOnlyAdmin": False,
        "artifactTTLDurationSeconds": 0,
        "referenceBytes": 0,
        "tagCategories": [],
        "workflowsAdmins": [],
        "xxhashDigestsEnabled": True,
    }


@field("Entity", "organization")
def entity_organization(source: Row, info: Info) -> Row | None:
    found = row(info.context.db, "SELECT * FROM organizations WHERE id = ?", (source["organizationPk"],))
    return None if found is None else organization_node(found)


@field("Entity", "organizationId")
def entity_organization_id(source: Row, _info: Info) -> str | None:
    pk = source["organizationPk"]
    return None if pk is None else make_id("Organization", pk)


@field("Entity", "project")
def entity_project(source: Row, info: Info, name: str | None = None) -> Row | None:
    return projects.find_project(info.context, source["name"], name)


@field("Entity", "projects")
def entity_projects(source: Row, info: Info, **given: Any) -> Row:
    return project_list(None, info, source["name"], **given)


@field("Entity", "projectCount")
def entity_project_count(source: Row, info: Info) -> int:
    return len(projects.list_projects(info.context, source["name"], 2**31, 0))


@field("Entity", "readOnly")
def entity_read_only(source: Row, info: Info) -> bool:
    return source["pk"] == NO_ENTITY or info.context.role(source["pk"]) not in ("admin", "member")


@field("Entity", "protectedAliases")
def entity_protected_aliases(source: Row, info: Info, **_: Any) -> list[str]:
    return artifacts_protection.protected_in(info.context.db, source["pk"])


@field("Entity", "storageBytes")
def entity_storage(source: Row, info: Info) -> int:
    sql = (
        "SELECT coalesce(sum(storage_bytes), 0) FROM runs JOIN projects ON projects.id = project_id"
        " WHERE entity_id = ? AND runs.deleted_at IS NULL"
    )
    return int(info.context.db.execute(sql, (source["pk"],)).get)


@field("Entity", "integrations", "triggers")
def entity_no_connection(_source: Row, _info: Info, **_: Any) -> Row:
    return slice_connection([], None, None)


@field("Entity", "members")
def entity_members(source: Row, info: Info) -> list[Row]:
    """The members of a team, to those in it; the one user of a personal entity."""
    context: Context = info.context
    if context.role(source["pk"]) is None:
        return []
    owner = entity_user(source, info)
    if owner is not None:
        return [owner | {"role": "admin", "pending": False}]
    found = rows(context.db, "SELECT user_id, role FROM team_members WHERE entity_id = ?", (source["pk"],))
    return [
        context.users[member["user_id"]] | {"role": member["role"], "pending": False}
        for member in found
        if member["user_id"] in context.users
    ]


@field("Entity", "memberCount")
def entity_member_count(source: Row, info: Info) -> int:
    return len(entity_members(source, info))


@field("Entity", "user")
def entity_user(source: Row, info: Info) -> Row | None:
    return next((one for one in info.context.users.values() if one["entityPk"] == source["pk"]), None)


def organization_node(found: Row) -> Row:
    """An organization's row as GraphQL's `Organization`."""
    return {
        "pk": found["id"],
        "id": make_id("Organization", found["id"]),
        "name": found["name"],
        "createdAt": found["created_at"],
        "available": True,
        "featureFlags": [],
        "orgType": "ORGANIZATION",
        "pendingInvites": [],
        "roles": [],
        "usedViewOnlySeats": 0,
    }


@field("Organization", "teams")
def organization_teams(source: Row, info: Info) -> list[Row]:
    sql = "SELECT * FROM entities WHERE organization_id = ? AND kind = 'team' ORDER BY name"
    return [entity_node(one) for one in rows(info.context.db, sql, (source["pk"],))]


@field("Organization", "orgEntity")
def organization_entity(source: Row, info: Info) -> Row | None:
    sql = "SELECT * FROM entities WHERE organization_id = ? AND kind = 'organization'"
    found = row(info.context.db, sql, (source["pk"],))
    return None if found is None else entity_node(found)


@field("Organization", "members")
def organization_members(source: Row, info: Info) -> list[Row]:
    context: Context = info.context
    found = rows(
        context.db,
        "SELECT user_id, role FROM organization_members WHERE organization_id = ?",
        (source["pk"],),
    )
    people = [(context.users[member["user_id"]], member["role"]) for member in found]
    return [
        person | {"role": role, "admin": role == "admin", "photoUrl": "", "user": person}
        for person, role in people
    ]


@field("Organization", "usedSeats")
def organization_seats(source: Row, info: Info) -> int:
    return len(organization_members(source, info))
