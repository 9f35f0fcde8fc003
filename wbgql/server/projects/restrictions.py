"""Restricted projects: those invited, their creator and admins see them; to others they are not there."""

from __future__ import annotations

from collections.abc import Iterable

from wbgql.errors import ConfigError
from wbgql.server.accounts import REGISTRY_PREFIX, find_user_id
from wbgql.server.store.database import Connection, Store

RESTRICTED, TEAM = "RESTRICTED", "PRIVATE"
"""What `Project.access` says: invited people only, or the whole team."""


def restrict(store: Store, entity: str, project: str, members: Iterable[str] = ()) -> list[str]:
    """Restrict a project and invite `members` to it; return all who are invited, by name. Safe to repeat.

    Who is a member already keeps the role, as in a registry.

    Service accounts need an invitation like anybody (W&B docs, service accounts, 2026-11).

    Raises:
        ConfigError: no such project or user.
    """
    with store.write() as db:
        pk = _project_pk(db, entity, project)
        db.execute("UPDATE projects SET access = ? WHERE id = ?", (RESTRICTED, pk))
        for member in members:
            db.execute(
                "INSERT INTO project_members VALUES (?, ?, 'member') ON CONFLICT DO NOTHING",
                (pk, find_user_id(db, member)),
            )
        found = db.execute(
            "SELECT username FROM project_members JOIN users ON users.id = user_id"
            " WHERE project_id = ? ORDER BY username",
            (pk,),
        )
        return [name for (name,) in found]


def share(store: Store, entity: str, project: str) -> None:
    """Show a project to its whole team again, and forget who was invited; a registry keeps its members.

    Raises:
        ConfigError: no such project.
    """
    with store.write() as db:
        pk = _project_pk(db, entity, project)
        db.execute("UPDATE projects SET access = ? WHERE id = ?", (TEAM, pk))
        if not project.startswith(REGISTRY_PREFIX):
            db.execute("DELETE FROM project_members WHERE project_id = ?", (pk,))


def _project_pk(db: Connection, entity: str, project: str) -> int:
    found = db.execute(
        "SELECT projects.id FROM projects JOIN entities ON entities.id = entity_id"
        " WHERE entities.name = ? AND projects.name = ? AND projects.deleted_at IS NULL",
        (entity, project),
    ).get
    if found is None:
        raise ConfigError(f"no such project: '{entity}/{project}', log a run to it first")
    return int(found)
