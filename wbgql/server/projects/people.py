"""What users change about each other through the API: keys, teams and their members."""

from __future__ import annotations

from typing import Any

from wbgql.errors import NotFound, PermissionDenied, ResponseError
from wbgql.server import accounts
from wbgql.server.backend import Context
from wbgql.server.projects.rows import make_id, parse_id
from wbgql.server.store.database import Connection, Row, row

TAKEN = 409


def add_key(context: Context, description: str | None) -> Row:
    """Make one more key for the viewer; this once its node has the key itself for a name."""
    key = accounts.make_key()
    with context.store.write() as db:
        pk = accounts.insert_key(db, context.viewer.user_id, key, context.backend.now(), description)
    return {"id": make_id("ApiKey", pk), "name": key, "description": description, "ips": []}


def delete_key(context: Context, storage_id: str | None) -> None:
    """Delete a key: one's own, or as an admin anybody's.

    Raises:
        NotFound: no such key, or it is another user's.
    """
    pk = parse_id("ApiKey", storage_id)
    with context.store.write() as db:
        db.execute(
            "DELETE FROM api_keys WHERE id = ? AND (user_id = ? OR ?)",
            (pk, context.viewer.user_id, context.viewer.admin),
        )
        if not db.changes():
            raise NotFound(f"API key {storage_id!r} not found", status=404)


def add_user(context: Context, email: str, admin: bool) -> Row:
    """Add a user named like the first part of `email`; only an admin may. The user has no key yet.

    Raises:
        PermissionDenied: the viewer is no admin.
        ResponseError: name or email is taken (status 409).
        ConfigError: the first part is no name.
    """
    if not context.viewer.admin:
        raise PermissionDenied("permission denied", status=403)
    name = email.partition("@")[0]
    accounts.check_name(name)
    with context.store.write() as db:
        if _find_user(db, email) is not None:
            raise ResponseError(f"user {email!r} already exists", status=TAKEN)
        _refuse_taken(db, name)
        pk = accounts.insert_user(db, name, email, context.backend.now())
        db.execute("UPDATE users SET admin = ? WHERE id = ?", (admin, pk))
    return _user(context, pk)


def add_team(context: Context, name: str, admin: str | None) -> Row:
    """Add a team with the viewer, or as an admin somebody else, for its admin; return its row.

    Raises:
        PermissionDenied: for somebody else, and the viewer is no admin.
        NotFound: no such user.
        ResponseError: the name is taken (status 409).
        ConfigError: not a name.
    """
    accounts.check_name(name)
    with context.store.write() as db:
        member = context.viewer.user_id if admin is None else _require_user(db, admin)
        if member != context.viewer.user_id and not context.viewer.admin:
            raise PermissionDenied("permission denied", status=403)
        _refuse_taken(db, name)
        at = context.backend.now()
        db.execute("INSERT INTO entities (name, kind, created_at) VALUES (?, 'team', ?)", (name, at))
        team = db.last_insert_rowid()
        db.execute("INSERT INTO team_members VALUES (?, ?, 'admin')", (team, member))
    found = row(context.db, "SELECT * FROM entities WHERE id = ?", (team,))
    assert found is not None
    return found


def invite(context: Context, entity: str, user: str, role: str) -> Row:
    """Make a user who is known by name or email a member of a team, at once; return the user.

    Raises:
        PermissionDenied: the viewer is not an admin of the team.
        NotFound: no such team, or no user of this address, or of this name whom the viewer knows. There is
            no mail.
        ResponseError: a member already (status 409).
        ConfigError: no such role.
    """
    accounts.check_role(role)
    with context.store.write() as db:
        team = _require_team(context, db, entity)
        pk = _require_user(db, user)
        if not context.knows(pk) and user != context.users[pk]["email"]:
            # Members read each other's address, and nobody asked this user. Who writes it knows it already.
            raise NotFound(f"user {user!r} not found", status=404)
        db.execute("INSERT INTO team_members VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (team, pk, role))
        if not db.changes():
            raise ResponseError(f"user {user!r} is a member of {entity!r} already", status=TAKEN)
    return _user(context, pk)


def remove_member(context: Context, entity: str, user_id: str | None) -> bool:
    """Take a user out of a team; whether there was one to take out.

    Whose default entity it was is left with their own, so that runs without an entity still have a place.

    Raises:
        PermissionDenied: neither an admin of the team nor the user.
        NotFound: no such team.
    """
    pk = parse_id("User", user_id)
    with context.store.write() as db:
        team = _require_team(context, db, entity, unless=pk)
        db.execute("DELETE FROM team_members WHERE entity_id = ? AND user_id = ?", (team, pk))
        removed = db.changes() > 0
        db.execute(
            "DELETE FROM project_members WHERE user_id = ? AND project_id IN"
            " (SELECT id FROM projects WHERE entity_id = ?)",
            (pk, team),
        )
        db.execute(
            "UPDATE users SET default_entity_id = NULL WHERE default_entity_id = ? AND id = ?", (team, pk)
        )
        return removed


def _require_team(context: Context, db: Connection, name: str, unless: int | None = None) -> int:
    """The row number of a team the viewer administers, or is himself the user `unless`.

    A member of the team who is an admin of its organization administers it, too.
    """
    team = db.execute("SELECT id FROM entities WHERE name = ? AND kind = 'team'", (name,)).get
    role = None if team is None else accounts.role_in(db, context.viewer, team)
    if role is not None and _administers_organization(db, context.viewer.user_id, team):
        role = "admin"
    if role is None:
        raise NotFound(f"team {name!r} not found", status=404)
    if role != "admin" and unless != context.viewer.user_id:
        raise PermissionDenied("permission denied", status=403)
    return int(team)


def _administers_organization(db: Connection, user_id: int, team: int) -> bool:
    sql = (
        "SELECT 1 FROM organization_members AS members JOIN entities USING (organization_id)"
        " WHERE entities.id = ? AND user_id = ? AND role = 'admin'"
    )
    return db.execute(sql, (team, user_id)).get is not None


def set_default_entity(context: Context, entity: str) -> Row:
    """Choose the entity that is meant where the viewer names none; return the viewer.

    Raises:
        NotFound: no such entity, or the viewer is not in it.
    """
    with context.store.write() as db:
        found = db.execute("SELECT id FROM entities WHERE name = ?", (entity,)).get
        if found is None or accounts.role_in(db, context.viewer, found) is None:
            raise NotFound(f"entity {entity!r} not found", status=404)
        db.execute("UPDATE users SET default_entity_id = ? WHERE id = ?", (found, context.viewer.user_id))
    return _user(context, context.viewer.user_id)


def _find_user(db: Connection, name_or_email: str) -> int | None:
    sql = "SELECT id FROM users WHERE username = ?1 OR email = ?1"
    found: int | None = db.execute(sql, (name_or_email,)).get
    return found


def _require_user(db: Connection, name_or_email: str) -> int:
    found = _find_user(db, name_or_email)
    if found is None:
        raise NotFound(f"user {name_or_email!r} not found", status=404)
    return found


def _refuse_taken(db: Connection, name: str) -> None:
    if db.execute("SELECT 1 FROM entities WHERE name = ?", (name,)).get:
        raise ResponseError(f"name is taken: {name!r}, choose another", status=TAKEN)


def _user(context: Context, pk: int) -> Row:
    context.__dict__.pop("users", None)
    user: dict[str, Any] = context.users[pk]
    return user
