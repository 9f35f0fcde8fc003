"""What all requests share, and what one request brings along."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from wbgql.errors import PermissionDenied
from wbgql.server import accounts
from wbgql.server.accounts import Viewer
from wbgql.server.filters.compile import IndexPath, register_functions
from wbgql.server.likeness.replica import Replica
from wbgql.server.settings import FULL, ServerSettings
from wbgql.server.store.blobs import Blobs
from wbgql.server.store.clocks import StoreClock
from wbgql.server.store.database import Connection, Row, Store, row, rows
from wbgql.server.store.signing import Signer
from wbgql.server.store.times import Clock, to_text, utc_now


def make_subject(secret: bytes, project_pk: int, run: str) -> bytes:
    """The keyed hash that stands for a run in tombstones and the audit log."""
    return hmac.digest(secret, f"{project_pk}/{run}".encode(), "sha256")


@dataclass
class PendingMove:
    """A move that was accepted and is not done yet. `due`: when it is, by the monotonic clock."""

    task: str
    due: float
    do: Callable[[], None]


class Backend:
    """The opened store with its contents, keys and clock.

    Raises:
        StoreError: as `Store`.
    """

    def __init__(self, settings: ServerSettings, *, clock: Clock = utc_now) -> None:
        self.settings = settings
        durable = settings.sync == FULL
        self.store = Store(settings.data, prepare=[register_functions], durable=durable)
        self.blobs = Blobs(settings.data / "blobs", durable=durable)
        self.clock = StoreClock(self.store, clock)
        self.keyring = self.store.keyring
        self.signer = Signer(
            hmac.digest(self.keyring.signing, b"urls", "sha256"),
            upload_ttl_s=settings.upload_url_ttl_s,
            download_ttl_s=settings.download_url_ttl_s,
        )
        self.started_at = self.now()
        self.replica = Replica(self.store, settings.stale_reads_s)
        self.moves: list[PendingMove] = []
        self.moving = threading.Lock()
        self.path_uses: dict[tuple[IndexPath, ...], int] = {}

    def now(self) -> str:
        """The present instant as the store keeps it."""
        return to_text(self.clock())

    def subject(self, project_pk: int, run: str) -> bytes:
        """What is kept of a purged run: a keyed hash, so that its id stays refused.

        Made with the project's row number, which outlives a rename and is never used again.
        """
        return make_subject(self.keyring.subjects, project_pk, run)

    def close(self) -> None:
        """Close the store."""
        self.replica.close()
        self.store.close()


@dataclass
class Context:
    """One request: who asks, through which address, and a connection to read with.

    `shared` is set for a writer in the SDK's shared mode, where several processes log to one run.
    """

    backend: Backend
    viewer: Viewer
    base_url: str
    db: Connection
    shared: bool = False
    roles: dict[int, str | None] = field(default_factory=dict)
    prebuilt: list[tuple[list[str | int], Any]] = field(default_factory=list)
    """Parts of the answer that are put in after execution: (path, value)."""
    memo: dict[Any, Any] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.backend.store

    def role(self, entity_id: int) -> str | None:
        """The viewer's role in an entity, looked up once."""
        if entity_id not in self.roles:
            self.roles[entity_id] = accounts.role_in(self.db, self.viewer, entity_id)
        return self.roles[entity_id]

    def may_destroy(self, db: Connection, run_pk: int) -> bool:
        """Whether the viewer may destroy what a run holds: a member their own runs', an admin all runs'."""
        found = row(
            db,
            "SELECT runs.user_id, entity_id FROM runs JOIN projects ON projects.id = project_id"
            " WHERE runs.id = ?",
            (run_pk,),
        )
        role = None if found is None else self.role(found["entity_id"])
        own = found is not None and found["user_id"] == self.viewer.user_id
        return role == "admin" or (role == "member" and own)

    def require_owner(self, db: Connection, run_pk: int) -> None:
        """Raise `PermissionDenied` if the viewer may not destroy what a run holds."""
        if not self.may_destroy(db, run_pk):
            raise PermissionDenied("permission denied", status=403)

    @cached_property
    def _colleagues(self) -> frozenset[int]:
        """Rows of the users with whom the viewer shares a team or an organization, and the viewer's own."""
        found = self.db.execute(
            "SELECT theirs.user_id FROM team_members AS own JOIN team_members AS theirs USING (entity_id)"
            " WHERE own.user_id = ?1 UNION SELECT theirs.user_id FROM organization_members AS own"
            " JOIN organization_members AS theirs USING (organization_id) WHERE own.user_id = ?1",
            (self.viewer.user_id,),
        )
        return frozenset({self.viewer.user_id, *(pk for (pk,) in found)})

    def knows(self, user_pk: int) -> bool:
        """Whether the viewer may find a user by name and read their address: colleagues, and admins all."""
        return self.viewer.admin or user_pk in self._colleagues

    @cached_property
    def users(self) -> dict[int, Row]:
        """Every user's node by row number, read once: a page of runs needs their names."""
        sql = (
            "SELECT users.*, coalesce(entities.name, username) AS default_entity"
            " FROM users LEFT JOIN entities ON entities.id = default_entity_id"
        )
        return {user["id"]: accounts.user_node(user) for user in rows(self.db, sql)}

    def sign(self, method: str, kind: str, value: Any, *, name: str = "") -> str:
        """An absolute URL that allows one upload or download."""
        return self.backend.signer.url(self.base_url, method, kind, value, name=name)
