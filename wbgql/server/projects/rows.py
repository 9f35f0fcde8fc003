"""Projects: finding one that the viewer may see, creating, and listing."""

from __future__ import annotations

import base64
import re

from wbgql.errors import NotFound, PermissionDenied, UsageError
from wbgql.server import accounts
from wbgql.server.accounts import REGISTRY_PREFIX
from wbgql.server.artifacts.fields import TableFields
from wbgql.server.backend import Context
from wbgql.server.filters.compile import compile_order, compile_where
from wbgql.server.filters.fields import ColumnField
from wbgql.server.store.database import Connection, Row, row, rows

DEFAULT_PROJECT = "uncategorized"
MAX_NAME = 128
_ROW_NUMBER = re.compile("[0-9]{1,18}")
_PUBLIC = ("ENTITY_READ", "USER_READ", "USER_WRITE")
ACCESSES = ("PRIVATE", "RESTRICTED", *_PUBLIC)

_NODE = """
SELECT projects.id AS pk, projects.name AS name, entities.name AS entityName, projects.entity_id AS entityPk,
    projects.description AS description, projects.access AS access, projects.user_id AS userPk,
    projects.views AS views, projects.created_at AS createdAt, projects.updated_at AS updatedAt,
    projects.any_type AS anyType, entities.kind AS entityKind
FROM projects JOIN entities ON entities.id = projects.entity_id
"""


def make_id(kind: str, *parts: object) -> str:
    """GraphQL ids are base64 of `Kind:part:...`."""
    return base64.b64encode(":".join([kind, *map(str, parts)]).encode()).decode()


def parse_id(kind: str, text: str | None) -> int:
    """The row number in an id made by `make_id`; -1, which no row has, for anything else."""
    found = id_parts(text)
    if len(found) != 2 or found[0] != kind or not _ROW_NUMBER.fullmatch(found[1]):
        return -1
    return int(found[1])


def id_parts(text: str | None) -> list[str]:
    """What `make_id` was given; one empty part for what is no base64 of a text."""
    try:
        return base64.b64decode(text or "", validate=True).decode().split(":")
    except ValueError:  # not ASCII, not base64, or not UTF-8 inside
        return [""]


def find_entity(db: Connection, name: str | None, default_id: int) -> Row | None:
    """An entity by name; null and "" mean the viewer's default, as in artifacts that were made offline."""
    if name:
        return row(db, "SELECT * FROM entities WHERE name = ?", (name,))
    return row(db, "SELECT * FROM entities WHERE id = ?", (default_id,))


def to_node(project: Row) -> Row:
    """Complete a project's row as GraphQL's `Project`."""
    return project | {
        "id": make_id("Project", "v1", project["name"], project["entityName"]),
        "internalId": make_id("ProjectInternalId", project["pk"]),
        "isBenchmark": False,
        "isPublished": False,
        "allowAllArtifactTypesInRegistry": bool(project["anyType"]),
        "tags": [],
        "triggers": [],
        "launchAgents": [],
        "runQueues": [],
        "totalSweeps": 0,
    }


def find_project(context: Context, entity: str | None, name: str | None) -> Row | None:
    """A project the viewer may see; None if it is missing or not visible, which look the same."""
    owner = ("entities.name", entity) if entity else ("entities.id", context.viewer.default_entity_id)
    found = row(
        context.db,
        f"{_NODE} WHERE {owner[0]} = ? AND projects.name = ? AND projects.deleted_at IS NULL",
        (owner[1], name or DEFAULT_PROJECT),
    )
    return to_node(found) if found is not None and is_visible(context, found) else None


def find_project_by_pk(context: Context, pk: int) -> Row | None:
    """A project by row number, if the viewer may see it."""
    found = row(context.db, f"{_NODE} WHERE projects.id = ? AND projects.deleted_at IS NULL", (pk,))
    return to_node(found) if found is not None and is_visible(context, found) else None


def is_registry(project: Row) -> bool:
    """Whether a project is a registry: it belongs to an organization, and its name begins as theirs do."""
    return bool(project["entityKind"] == "organization" and project["name"].startswith(REGISTRY_PREFIX))


def rename(context: Context, db: Connection, project: Row, name: str) -> None:
    """Give a project another name. One that becomes a registry begins with the viewer as its only member.

    Raises:
        UsageError: the name is malformed, or another project of the entity has it.
    """
    check_project_name(name)
    if name == project["name"]:
        return
    if row(db, "SELECT 1 FROM projects WHERE entity_id = ? AND name = ?", (project["entityPk"], name)):
        raise UsageError(f"project name is taken: {name!r}")
    db.execute("UPDATE projects SET name = ? WHERE id = ?", (name, project["pk"]))
    if not is_registry(project):
        _begin_registry(context, db, project | {"name": name})


def find_project_by_id(context: Context, project_id: str) -> Row:
    """A project by GraphQL id.

    Raises:
        NotFound: missing, not visible, or not the id of a project.
    """
    parts = id_parts(project_id)
    found = None
    if parts[:2] == ["Project", "v1"] and len(parts) == 4:
        found = find_project(context, parts[3], parts[2])
    elif len(parts) == 2 and parts[0] in ("ProjectInternalId", "Project") and _ROW_NUMBER.fullmatch(parts[1]):
        found = find_project_by_pk(context, int(parts[1]))
    if found is None:
        raise NotFound(f"project {project_id!r} not found", status=404)
    return found


def is_visible(context: Context, project: Row) -> bool:
    """Whether the viewer may look into a project."""
    role = context.role(project["entityPk"])
    if project["access"] in _PUBLIC or role == "admin":
        return True
    if _registry_role(context, context.db, project) is not None:
        return True
    if role is None:
        return False
    return project["access"] != "RESTRICTED" or _is_project_member(context, project)


def role_in(context: Context, db: Connection, project: Row) -> str | None:
    """The viewer's role in a project: that in its entity, or in a registry a better one there."""
    roles = (
        accounts.role_in(db, context.viewer, project["entityPk"]),
        _registry_role(context, db, project),
    )
    return next((role for role in (*accounts.WRITERS, "viewer") if role in roles), None)


def require_writer(context: Context, db: Connection, project: Row) -> None:
    """Refuse who may not write into a project.

    Raises:
        PermissionDenied: not a member, or one who may only look.
    """
    if role_in(context, db, project) not in accounts.WRITERS:
        raise PermissionDenied("permission denied", status=403)


def require_owner(context: Context, db: Connection, project: Row) -> None:
    """Refuse who may not rename, delete or open a project: an admin of the entity may, and its creator.

    Raises:
        PermissionDenied: neither.
    """
    role = role_in(context, db, project)
    is_creator = role in accounts.WRITERS and project["userPk"] == context.viewer.user_id
    if role != "admin" and not is_creator:
        raise PermissionDenied("permission denied: only its creator or an admin may", status=403)


def check_access(access: str) -> str:
    """Return an access that a project can have.

    Raises:
        UsageError: there is no such access.
    """
    if access not in ACCESSES:
        raise UsageError(f"no such access of a project: {access[:20]!r}, use one of {', '.join(ACCESSES)}")
    return access


_ROLES_THERE = """
SELECT role FROM project_members WHERE project_id = ?1 AND user_id = ?2
UNION ALL SELECT project_teams.role FROM project_teams JOIN team_members USING (entity_id)
    WHERE project_id = ?1 AND user_id = ?2
"""


def _registry_role(context: Context, db: Connection, project: Row) -> str | None:
    if not is_registry(project):
        return None
    found = {role for (role,) in db.execute(_ROLES_THERE, (project["pk"], context.viewer.user_id))}
    best = next((role for role in accounts.WRITERS if role in found), None)
    return best or ("viewer" if found else None)


def _is_project_member(context: Context, project: Row) -> bool:
    member = context.db.execute(
        "SELECT 1 FROM project_members WHERE project_id = ? AND user_id = ?",
        (project["pk"], context.viewer.user_id),
    ).get
    return member is not None or project["userPk"] == context.viewer.user_id


PROJECT_FIELDS = TableFields(
    columns={
        "id": ColumnField("projects.id", "number"),
        "name": ColumnField("projects.name", "text"),
        "entity_id": ColumnField("projects.entity_id", "number"),
        "description": ColumnField("projects.description", "text"),
        "createdAt": ColumnField("projects.created_at", "instant"),
        "created_at": ColumnField("projects.created_at", "instant"),
        "updatedAt": ColumnField("projects.updated_at", "instant"),
        "updated_at": ColumnField("projects.updated_at", "instant"),
    },
    json={},
    tie_break="projects.id",
)
"""Keys of `filters` and `order` where projects are listed."""


def list_projects(
    context: Context,
    entity: str | None,
    limit: int,
    offset: int,
    *,
    filters: object = None,
    order: str | None = None,
) -> list[Row]:
    """Projects of an entity that the viewer may see, latest change first where no order is asked for.

    `filters` is a decoded filter.

    Raises:
        UsageError: a filter or order the server does not understand.
    """
    owner = find_entity(context.db, entity, context.viewer.default_entity_id)
    if owner is None:
        return []
    compiled = compile_where(filters or {}, PROJECT_FIELDS)
    by = compile_order(order or "-updated_at", PROJECT_FIELDS).sql
    found = rows(
        context.db,
        f"{_NODE} WHERE projects.entity_id = ? AND projects.deleted_at IS NULL AND ({compiled.sql})"
        f" ORDER BY {by}",
        (owner["id"], *compiled.params),
    )
    return [to_node(project) for project in found if is_visible(context, project)][offset : offset + limit]


def find_or_create(
    context: Context, db: Connection, entity: str | None, name: str | None
) -> tuple[Row, bool]:
    """The project to write into, made if it is missing; and whether it was made. `db` is in a transaction.

    Raises:
        NotFound: no such entity.
        PermissionDenied: the viewer may not write there.
        UsageError: not a project name.
    """
    owner = find_entity(db, entity, context.viewer.default_entity_id)
    if owner is None:
        raise NotFound(f"entity {entity} not found during upsertBucket", status=404)
    name = name or DEFAULT_PROJECT
    found = row(db, f"{_NODE} WHERE projects.entity_id = ? AND projects.name = ?", (owner["id"], name))
    accounts.require_writer(db, context.viewer, owner["id"])
    if found is not None:
        if not is_visible(context, found):
            raise NotFound(f"project {entity}/{name} not found", status=404)
        return _revived(context, db, found), False
    check_project_name(name)
    now = context.backend.now()
    db.execute(
        "INSERT INTO projects (entity_id, name, access, user_id, created_at, updated_at)"
        " VALUES (?, ?, 'PRIVATE', ?, ?, ?)",
        (owner["id"], name, context.viewer.user_id, now, now),
    )
    made = row(db, f"{_NODE} WHERE projects.id = ?", (db.last_insert_rowid(),))
    assert made is not None
    _begin_registry(context, db, made)
    return to_node(made), True


def _revived(context: Context, db: Connection, project: Row) -> Row:
    """The node of a project that exists or is created; nothing of a deleted one comes back."""
    now = context.backend.now()
    db.execute(
        "UPDATE projects SET deleted_at = NULL, access = 'PRIVATE', description = NULL, views = NULL,"
        " any_type = 1, user_id = ?, created_at = ?, updated_at = ? WHERE id = ? AND deleted_at IS NOT NULL",
        (context.viewer.user_id, now, now, project["pk"]),
    )
    if not db.changes():
        return to_node(project)
    for table in ("project_members", "project_teams"):
        db.execute(f"DELETE FROM {table} WHERE project_id = ?", (project["pk"],))  # noqa: S608
    _begin_registry(context, db, project)
    made = row(db, f"{_NODE} WHERE projects.id = ?", (project["pk"],))
    assert made is not None
    return to_node(made)


def _begin_registry(context: Context, db: Connection, project: Row) -> None:
    if not is_registry(project):
        return
    for table in ("project_members", "project_teams"):
        db.execute(f"DELETE FROM {table} WHERE project_id = ?", (project["pk"],))  # noqa: S608
    maker = (project["pk"], context.viewer.user_id)
    db.execute("INSERT INTO project_members VALUES (?, ?, 'admin')", maker)


def check_project_name(name: str) -> None:
    """Refuse what the SDK refuses too (wandb SDK 0.31.0 `wandb_settings`, 2026-11).

    Raises:
        UsageError: with the name.
    """
    if not name or len(name) > MAX_NAME or set(name) & set("/\\#?%:") or not is_path_part(name):
        raise UsageError(f"not a project name: {name!r}, use up to {MAX_NAME} characters without /\\#?%:")


def is_path_part(name: str) -> bool:
    """Whether a name can stand in a URL: HTTP clients take `.` and `..` away before they send."""
    return name.isprintable() and name not in (".", "..")
