"""Members of registries: users and whole teams, each with a role there.

Who makes a registry is its admin. A role there adds to what the organization gives, it takes nothing away.

Source: wandb SDK 0.31.0 `apis/public/registries/_members.py` and its system tests of registries (2026-11).
"""

from __future__ import annotations

from wbgql.errors import NotFound, PermissionDenied, UsageError
from wbgql.server.backend import Context
from wbgql.server.projects import rows as projects
from wbgql.server.projects.rows import parse_id
from wbgql.server.store.database import Connection, Row, rows

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
        NotFound: no such registry, or no user or team of that id whom the viewer may know of.
        PermissionDenied: the viewer is not its admin.
    """
    with context.store.write() as db:
        registry = _managed(context, project_id)
        for table, column, member in _members(context, db, registry, users, teams):
            sql = f"INSERT INTO {table} (project_id, {column}, role) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608
            db.execute(sql, (registry["pk"], member, NEW))


def remove(context: Context, project_id: str, users: list[str], teams: list[str]) -> None:
    """Remove members. Names that are not members are ignored.

    Raises:
        As `add`.
    """
    with context.store.write() as db:
        registry = _managed(context, project_id)
        for table, column, member in _members(context, db, registry, users, teams):
            db.execute(f"DELETE FROM {table} WHERE project_id = ? AND {column} = ?", (registry["pk"], member))  # noqa: S608


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
        registry = _managed(context, project_id)
        users, teams = [user] if user else [], [team] if team else []
        ((table, column, member),) = _members(context, db, registry, users, teams)
        sql = f"UPDATE {table} SET role = ? WHERE project_id = ? AND {column} = ?"  # noqa: S608
        db.execute(sql, (role, registry["pk"], member))
        if not db.changes():
            raise NotFound(f"{user or team!r} is no member of the registry, add it first", status=404)


def _managed(context: Context, project_id: str) -> Row:
    project = projects.find_project_by_id(context, project_id)
    if not projects.is_registry(project):
        raise UsageError(
            f"members are kept for registries only: {project['entityName']}/{project['name']} is none,"
            " use `wbgql server project restrict`"
        )
    if projects.role_in(context, context.db, project) != "admin":
        raise PermissionDenied("permission denied", status=403)
    return project


def _members(
    context: Context, db: Connection, registry: Row, users: list[str], teams: list[str]
) -> list[tuple[str, str, int]]:
    """The members that are named, if the viewer may know of them or they are members already."""
    found = []
    for kind, (table, column), named in (("User", _USERS, users), ("Entity", _TEAMS, teams)):
        for storage_id in named:
            pk = parse_id(kind, storage_id)
            sql = f"SELECT 1 FROM {table} WHERE project_id = ? AND {column} = ?"  # noqa: S608
            is_member = db.execute(sql, (registry["pk"], pk)).get is not None
            if not is_member and not (_knows_user if kind == "User" else _knows_team)(
                context, db, registry, pk
            ):
                raise NotFound(f"{kind.lower()} {storage_id!r} not found", status=404)
            found.append((table, column, pk))
    return found


def _knows_user(context: Context, db: Connection, _registry: Row, pk: int) -> bool:
    return db.execute("SELECT 1 FROM users WHERE id = ?", (pk,)).get is not None and context.knows(pk)


def _knows_team(context: Context, db: Connection, registry: Row, pk: int) -> bool:
    """Teams of the registry's own organization, and those that the viewer is in."""
    sql = (
        "SELECT teams.organization_id IS NOT NULL AND teams.organization_id = own.organization_id"
        " FROM entities AS teams JOIN entities AS own ON own.id = ?"
        " WHERE teams.id = ? AND teams.kind = 'team'"
    )
    in_organization = db.execute(sql, (registry["entityPk"], pk)).get
    return in_organization is not None and (bool(in_organization) or context.role(pk) is not None)
