"""Aliases of versions: the one place where they are set, and where the right to is checked."""

from __future__ import annotations

from wbgql.errors import PermissionDenied, UsageError
from wbgql.server import accounts
from wbgql.server.artifacts.nodes import LATEST, VERSION_NAME
from wbgql.server.backend import Context
from wbgql.server.store.database import Connection

MAX_ALIAS = 128


def check_alias(alias: str) -> str:
    """Return an alias that may be set by hand.

    Raises:
        UsageError: not one, or the name of a version.
    """
    if not alias or len(alias) > MAX_ALIAS or set(alias) & set("/:") or VERSION_NAME.fullmatch(alias):
        raise UsageError(f"not an alias: {alias!r}, use up to {MAX_ALIAS} characters without / and :, not vN")
    return alias


_PROTECTED_IN = """
SELECT projects.entity_id FROM artifact_collections AS collections
    JOIN projects ON projects.id = collections.project_id JOIN protected_aliases USING (entity_id)
WHERE collections.id = ? AND protected_aliases.alias = ?
"""


def require_right_to(now: Context, collection_pk: int, alias: str) -> None:
    """Let only an admin of the entity set or remove an alias of a collection that is protected there.

    Raises:
        PermissionDenied: it is, and the viewer is not an admin.
    """
    if not _has_right_to(now, collection_pk, alias):
        raise PermissionDenied("permission denied: protected aliases are for admins", status=403)


def _has_right_to(now: Context, collection_pk: int, alias: str) -> bool:
    entity_pk = now.db.execute(_PROTECTED_IN, (collection_pk, alias)).get
    return entity_pk is None or accounts.role_in(now.db, now.viewer, entity_pk) == "admin"


def set_alias(now: Context, collection_pk: int, pk: int, alias: str) -> None:
    """Point an alias of a collection at a version; it leaves the version it was on.

    Raises:
        PermissionDenied: as `require_right_to`.
    """
    require_right_to(now, collection_pk, alias)
    point_alias(now.db, collection_pk, pk, alias)


def advance_latest(now: Context, collection_pk: int, pk: int) -> None:
    """Point `latest` at a version that was logged or linked.

    Where `latest` is protected and the viewer is not an admin, it stays on the version it is on: the SDK asks
    for it with every version it logs, so a refusal would end all logging.
    """
    taken = "SELECT 1 FROM artifact_aliases WHERE collection_id = ? AND alias = ?"
    if (
        _has_right_to(now, collection_pk, LATEST)
        or now.db.execute(taken, (collection_pk, LATEST)).get is None
    ):
        point_alias(now.db, collection_pk, pk, LATEST)


def point_alias(db: Connection, collection_pk: int, pk: int, alias: str) -> None:
    """Point an alias at a version without asking for rights: `latest`, which the server moves by itself."""
    db.execute(
        "INSERT INTO artifact_aliases (collection_id, artifact_id, alias) VALUES (?, ?, ?)"
        " ON CONFLICT (collection_id, alias) DO UPDATE SET artifact_id = excluded.artifact_id",
        (collection_pk, pk, alias),
    )
