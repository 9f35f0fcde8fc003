"""Protected aliases: what keeps a version from being deleted by anyone.

Source: W&B docs, delete artifacts: a version linked to a registry under a protected alias cannot be deleted
by any user, and only a registry admin may move or remove such an alias (2026-11).
"""

from __future__ import annotations

from typing import Any

from wbgql.errors import NotFound, PermissionDenied
from wbgql.server import accounts
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts.aliases import check_alias
from wbgql.server.backend import Context
from wbgql.server.projects import rows as projects
from wbgql.server.store.database import Connection, Row, rows

_HELD = """
SELECT aliases.alias AS alias, collections.name AS collection, collections.id AS collectionPk,
    projects.entity_id AS entityPk
FROM artifact_aliases AS aliases JOIN artifact_collections AS collections ON collections.id = collection_id
    JOIN projects ON projects.id = collections.project_id
    JOIN protected_aliases AS protected ON protected.entity_id = projects.entity_id
        AND protected.alias = aliases.alias
"""


def protect(context: Context, entity: str, aliases: list[str]) -> list[str]:
    """Protect aliases in all collections of an entity; return every protected one, by name. Safe to repeat.

    Raises:
        NotFound: no such entity.
        PermissionDenied: the viewer is not its admin.
        UsageError: not an alias.
    """
    with context.store.write() as db:
        found = projects.find_entity(db, entity, context.viewer.default_entity_id)
        if found is None:
            raise NotFound(f"entity {entity!r} not found", status=404)
        _require_admin(context, found["id"])
        for alias in aliases:
            sql = "INSERT OR IGNORE INTO protected_aliases VALUES (?, ?)"
            db.execute(sql, (found["id"], check_alias(alias)))
        return protected_in(db, found["id"])


def protected_in(db: Connection, entity_pk: int) -> list[str]:
    """The protected aliases of an entity, by name."""
    sql = "SELECT alias FROM protected_aliases WHERE entity_id = ? ORDER BY alias"
    return [alias for (alias,) in db.execute(sql, (entity_pk,))]


def refuse_protected(db: Connection, version_pk: int) -> None:
    """Refuse to delete a version that has a protected alias, whoever asks.

    Raises:
        PermissionDenied: with the alias and the collection it is in.
    """
    held = _protection_of(db, version_pk)
    if held:
        names = ", ".join(f"{one['collection']}:{one['alias']}" for one in held)
        raise PermissionDenied(
            f"artifact has protected aliases: {names}, an admin there must remove them or unlink it first",
            status=403,
        )


def is_protected(db: Connection, version_pk: int) -> bool:
    """Whether a version has a protected alias, in its own entity or a registry of its organization."""
    return bool(_protection_of(db, version_pk))


def _protection_of(db: Connection, version_pk: int) -> list[Row]:
    found = rows(db, f"{_HELD} WHERE aliases.artifact_id = ? ORDER BY aliases.id", (version_pk,))
    at_home = artifacts.links_at_home(db, version_pk) if found else []
    return [one for one in found if one["collectionPk"] in at_home]


def require_right_to_change(now: Context, collection: Row, version_pk: int | None = None) -> None:
    """Let only an admin of the entity change where the protected aliases of a collection lead.

    That is to unlink a version, and to rename, retype or delete the collection: its old name would be free
    for another. With `version_pk`, only the aliases of that version count.

    Raises:
        PermissionDenied: there is such an alias, and the viewer is not an admin.
    """
    _require_right(
        now,
        "aliases.collection_id = ? AND aliases.artifact_id = coalesce(?, aliases.artifact_id)",
        (collection["pk"], version_pk),
    )


def require_right_to_rename_project(now: Context, project: Row) -> None:
    """Let only an admin of the entity rename a project where an alias is protected.

    Raises:
        PermissionDenied: there is such an alias, and the viewer is not an admin.
    """
    _require_right(now, "collections.project_id = ? AND collections.deleted_at IS NULL", (project["pk"],))


def _require_right(now: Context, where: str, params: tuple[Any, ...]) -> None:
    held: list[Any] = rows(now.db, f"{_HELD} WHERE {where} LIMIT 1", params)
    if held:
        _require_admin(now, held[0]["entityPk"])


def _require_admin(context: Context, entity_pk: int) -> None:
    if accounts.role_in(context.db, context.viewer, entity_pk) != "admin":
        raise PermissionDenied("permission denied: protected aliases are for admins", status=403)
