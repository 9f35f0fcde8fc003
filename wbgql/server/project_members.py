"""Members of registries: users and whole teams, each with a role there.

Who makes a registry is its admin. A role there adds to what the organization gives, it takes nothing away.

Source: wandb SDK 0.31.0 `apis/public/registries/_members.py` and its system tests of registries (2026-11).
"""

from __future__ import annotations

from typing import Any

from wbgql.errors import NotFound, PermissionDenied, UsageError
from wbgql.server import projects
from wbgql.server.accounts import REGISTRY_PREFIX
from wbgql.server.backend import Context
from wbgql.server.projects import parse_id
from wbgql.server.store import Connection, Row, rows

ROLES = ("admin", "member", "viewer", "restricted_viewer")
NEW = "member"
"""The role of who is added."""

_USERS, _TEAMS = ("project_members", "user_id"), ("project_teams", "entity_id")


def list_users(context: Context, project: Row) -> list[Row]:
    """Users who are members, by name: their nodes, with `roleName`."""
    found = rows(
        context.db, "SELECT user_id, role FROM project_members WHERE project_id = ?", (project["pk"],)
    )
    members = [context.users[one["user_id"]] | {"roleName": one["role"]} for one in found]
    return sorted(members, key=lambda member: str(member["username"]))


def list_teams(context: Context, project: Row) -> list[Row]:
    """Teams that are members, by name: their rows, with `roleName`."""
    sql = (
        "SELECT entities.*, role AS roleName FROM project_teams JOIN entities ON entities.id = entity_id"
        " WHERE project_id = ? ORDER BY name"
    )
    return rows(context.db, sql, (project["pk"],))


def add(context: Context, project_id: str, users: list[str], teams: list[str]) -> None:
    """Make users and teams members. Who is one already keeps the role. Safe to repeat.

    Raises:
        NotFound: no such registry, user or team.
        PermissionDenied: the viewer is not its admin.
    """
    with context.store.write() as db:
        pk = _managed(context, project_id)["pk"]
        for table, column, member in _members(db, users, teams):
            sql = f"INSERT INTO {table} (project_id, {column}, role) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608
            db.execute(sql, (pk, member, NEW))


def remove(context: Context, project_id: str, users: list[str], teams: list[str]) -> None:
    """Take members out. Who is none is no error.

    Raises:
        As `add`.
    """
    with context.store.write() as db:
        pk = _managed(context, project_id)["pk"]
        for table, column, member in _members(db, users, teams):
            db.execute(f"DELETE FROM {table} WHERE project_id = ? AND {column} = ?", (pk, member))  # noqa: S608


def set_role(
    context: Context, project_id: str, role: str, *, user: str | None = None, team: str | None = None
) -> None:
    """Change the role of a member.

    Raises:
        NotFound: no such registry, or no such member of it.
        PermissionDenied: the viewer is not its admin.
        UsageError: no such role.
    """
    if role not in ROLES:
        raise UsageError(f"no such role: {role!r}, choose one of {', '.join(ROLES)}")
    with context.store.write() as db:
        pk = _managed(context, project_id)["pk"]
        ((table, column, member),) = _members(db, [user] if user else [], [team] if team else [])
        sql = f"UPDATE {table} SET role = ? WHERE project_id = ? AND {column} = ?"  # noqa: S608
        db.execute(sql, (role, pk, member))
        if not db.changes():
            raise NotFound(f"{user or team!r} is no member of the registry, add it first", status=404)


def _managed(context: Context, project_id: str) -> Row:
    project = projects.find_project_by_id(context, project_id)
    if not project["name"].startswith(REGISTRY_PREFIX):
        raise UsageError(
            f"members are kept for registries only: {project['entityName']}/{project['name']} is none,"
            " use `wbgql server project restrict`"
        )
    if projects.role_in(context, context.db, project) != "admin":
        raise PermissionDenied("permission denied", status=403)
    return project


def _members(db: Connection, users: list[str], teams: list[str]) -> list[tuple[str, str, int]]:
    found = [(*_USERS, _existing(db, "User", "users", one)) for one in users]
    return found + [(*_TEAMS, _existing(db, "Entity", "entities", one)) for one in teams]


def _existing(db: Connection, kind: str, table: str, storage_id: Any) -> int:
    pk = parse_id(kind, storage_id)
    if db.execute(f"SELECT 1 FROM {table} WHERE id = ?", (pk,)).get is None:  # noqa: S608
        raise NotFound(f"{kind.lower()} {storage_id!r} not found", status=404)
    return pk
