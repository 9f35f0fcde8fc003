"""Users, their hashed keys, teams and organizations, and who may see or do what."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from dataclasses import dataclass

from wbgql.errors import ConfigError, PermissionDenied
from wbgql.server.store.database import Connection, Row, Store, rows
from wbgql.server.store.keyring import digest_of
from wbgql.server.store.times import Clock, to_text, utc_now

MIN_KEY_LENGTH = 40
"""The SDK refuses shorter keys (wandb SDK 0.31.0 `sdk/lib/wbauth`, 2026-11)."""

KEY_NAME_LENGTH = 8
SERVICE = "service"
REGISTRY_PREFIX = "wandb-registry-"
"""Projects of an organization's own entity with such a name are registries (wandb SDK 0.31.0, 2026-11)."""

WRITERS = ("admin", "member")
ROLES = ("admin", "member", "viewer", SERVICE)
"""A service account has a member's rights, and `accountType: SERVICE`."""
_NAME = re.compile(r"[\w-][\w .-]{0,63}")


@dataclass(frozen=True)
class Viewer:
    """The owner of the key a request came with."""

    user_id: int
    username: str
    name: str
    email: str
    admin: bool
    entity_id: int
    default_entity_id: int
    created_at: str


def make_key() -> str:
    """A new key of 40 hex digits, the form every SDK version accepts."""
    return secrets.token_hex(20)


def hash_key(db: Connection, key: str) -> bytes:
    """What is stored of a key: an HMAC under a secret that is not in the database. See `Keyring`."""
    return bytes(db.execute("SELECT keyed_hash(?)", (digest_of(key),)).get)


def add_user(
    store: Store,
    name: str,
    key: str | None = None,
    *,
    admin: bool = False,
    email: str | None = None,
    clock: Clock = utc_now,
) -> str:
    """Add a user and an entity of the same name, or one more key for a user who exists; return the key.

    `admin` raises a user who exists, it never lowers one.

    Raises:
        ConfigError: the key is too short, taken, or the name is not a name or belongs to a team.
    """
    check_name(name)
    key = check_key(key, name)
    now = to_text(clock())
    with store.write() as db:
        user_id = _find_or_add_user(db, name, email or f"{name}@localhost", now)
        if admin:
            db.execute("UPDATE users SET admin = 1 WHERE id = ?", (user_id,))
        _add_key(db, user_id, name, key, now)
    return key


def check_key(key: str | None, name: str) -> str:
    """Return a key for the user `name`, made if there is none.

    Raises:
        ConfigError: too short, or of other characters than ASCII has without the space.
    """
    key = make_key() if key is None else key
    if len(key) < MIN_KEY_LENGTH:
        raise ConfigError(
            f"key has {len(key)} characters, at least {MIN_KEY_LENGTH} are needed: user {name!r}"
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigError(f"key has spaces or characters that are not ASCII: user {name!r}")
    return key


def rotate_key(store: Store, name: str, key: str | None = None, *, clock: Clock = utc_now) -> str:
    """Give a user one new key in place of all they had, and return it. The old ones are refused at once.

    Raises:
        ConfigError: no such user, or the key is too short or another user's.
    """
    key = check_key(key, name)
    with store.write() as db:
        user_id = find_user_id(db, name)
        db.execute("DELETE FROM api_keys WHERE user_id = ?", (user_id,))
        _add_key(db, user_id, name, key, to_text(clock()))
    return key


def _add_key(db: Connection, user_id: int, name: str, key: str, now: str) -> None:
    owner = db.execute("SELECT user_id FROM api_keys WHERE hash = ?", (hash_key(db, key),)).get
    if owner not in (None, user_id):
        raise ConfigError(f"key belongs to another user: {name!r}, make a new one")
    if owner is None:
        insert_key(db, user_id, key, now)


def insert_key(db: Connection, user_id: int, key: str, now: str, description: str | None = None) -> int:
    """Keep a key: its hash, and its beginning to tell it by, as W&B names keys. Returns its row number."""
    db.execute(
        "INSERT INTO api_keys (user_id, hash, hint, created_at, description) VALUES (?, ?, ?, ?, ?)",
        (user_id, hash_key(db, key), key[:KEY_NAME_LENGTH], now, description),
    )
    return db.last_insert_rowid()


def _find_or_add_user(db: Connection, name: str, email: str, now: str) -> int:
    found = db.execute("SELECT id FROM users WHERE username = ?", (name,)).get
    if found is not None:
        return int(found)
    if db.execute("SELECT 1 FROM entities WHERE name = ?", (name,)).get:
        raise ConfigError(f"name belongs to a team: {name!r}, choose another")
    return insert_user(db, name, email, now)


def insert_user(db: Connection, name: str, email: str, now: str) -> int:
    """Add a user and the entity of the same name, both new; return the user's row number."""
    db.execute("INSERT INTO entities (name, kind, created_at) VALUES (?, 'user', ?)", (name, now))
    db.execute(
        "INSERT INTO users (username, name, email, admin, entity_id, created_at) VALUES (?, ?, ?, 0, ?, ?)",
        (name, name, email, db.last_insert_rowid(), now),
    )
    return db.last_insert_rowid()


def check_name(name: str) -> None:
    """Refuse what cannot stand in a URL as an entity, user or organization.

    Raises:
        ConfigError: with the name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"not a name of 1 to 64 letters, digits, '_', '-', '.' or spaces: {name!r}")


def count_users(store: Store) -> int:
    """How many users the store has."""
    with store.read() as db:
        return int(db.execute("SELECT count(*) FROM users").get)


def list_users(store: Store) -> list[Row]:
    """Every user: `username`, `email`, `admin`, `account_type`, `keys` (how many), `created_at`, by name."""
    with store.read() as db:
        found = rows(
            db,
            "SELECT username, email, admin, account_type, created_at,"
            " (SELECT count(*) FROM api_keys WHERE user_id = users.id) AS keys FROM users ORDER BY username",
        )
    return [user | {"admin": bool(user["admin"])} for user in found]


def add_org(store: Store, name: str, member: str, role: str = "member", *, clock: Clock = utc_now) -> None:
    """Add an organization if it is new, and `member` to it, or change the member's role.

    An organization has an entity of its own, which holds its registries.

    Raises:
        ConfigError: no such user, role or name.
    """
    check_name(name)
    with store.write() as db:
        db.execute(
            "INSERT OR IGNORE INTO organizations (name, created_at) VALUES (?, ?)", (name, to_text(clock()))
        )
        organization = db.execute("SELECT id FROM organizations WHERE name = ?", (name,)).get
        db.execute(
            "INSERT OR IGNORE INTO entities (name, kind, organization_id, created_at)"
            " VALUES (?, 'organization', ?, ?)",
            (f"{name}_registries", organization, to_text(clock())),
        )
        db.execute(
            "INSERT OR REPLACE INTO organization_members VALUES (?, ?, ?)",
            (organization, find_user_id(db, member), check_role(role)),
        )


def add_team(
    store: Store,
    name: str,
    org: str | None = None,
    member: str | None = None,
    *,
    role: str = "member",
    clock: Clock = utc_now,
) -> None:
    """Add a team if it is new, put it under `org`, and add `member` or change the member's role.

    Raises:
        ConfigError: no such user, organization or role, or the name belongs to a user.
    """
    check_name(name)
    with store.write() as db:
        kind = db.execute("SELECT kind FROM entities WHERE name = ?", (name,)).get
        if kind == "user":
            raise ConfigError(f"name belongs to a user: {name!r}, choose another")
        if kind is None:
            db.execute(
                "INSERT INTO entities (name, kind, created_at) VALUES (?, 'team', ?)",
                (name, to_text(clock())),
            )
        team = db.execute("SELECT id FROM entities WHERE name = ?", (name,)).get
        if org is not None:
            organization = db.execute("SELECT id FROM organizations WHERE name = ?", (org,)).get
            if organization is None:
                raise ConfigError(f"no such organization: {org!r}, add it first")
            db.execute("UPDATE entities SET organization_id = ? WHERE id = ?", (organization, team))
        if member is not None:
            user_id = find_user_id(db, member)
            db.execute(
                "INSERT OR REPLACE INTO team_members VALUES (?, ?, ?)", (team, user_id, check_role(role))
            )
            if role == SERVICE:
                db.execute("UPDATE users SET account_type = 'SERVICE' WHERE id = ?", (user_id,))


def find_user_id(db: Connection, username: str) -> int:
    """A user's row number.

    Raises:
        ConfigError: no such user.
    """
    found = db.execute("SELECT id FROM users WHERE username = ?", (username,)).get
    if found is None:
        raise ConfigError(f"no such user: {username!r}, add it first")
    return int(found)


def check_role(role: str) -> str:
    """Return a role that there is.

    Raises:
        ConfigError: there is no such role.
    """
    if role not in ROLES:
        raise ConfigError(f"no such role: {role!r}, choose one of {', '.join(ROLES)}")
    return role


def find_viewer(db: Connection, key: str) -> Viewer | None:
    """The owner of `key`, or None."""
    return find_viewer_by_hash(db, hash_key(db, key))


def find_viewer_by_hash(db: Connection, digest: bytes) -> Viewer | None:
    """The owner of the key with this hash, or None."""
    found = next(
        db.execute(
            "SELECT hash, users.id, username, name, email, admin, entity_id, default_entity_id,"
            " users.created_at FROM api_keys JOIN users ON users.id = user_id WHERE hash = ?",
            (digest,),
        ),
        None,
    )
    if found is None or not hmac.compare_digest(found[0], digest):
        return None
    _, user_id, username, name, email, admin, own, default, created_at = found
    return Viewer(user_id, username, name, email, bool(admin), own, default or own, created_at)


def user_node(user: Row) -> Row:
    """A user's row as GraphQL's `User`."""
    return {
        "__typename": "User",
        "pk": user["id"],
        "id": base64.b64encode(f"User:{user['id']}".encode()).decode(),
        "username": user["username"],
        "name": user["name"],
        "email": user["email"],
        "admin": bool(user["admin"]),
        "entity": user["default_entity"],
        "createdAt": user["created_at"],
        "entityPk": user["entity_id"],
        "defaultEntityPk": user["default_entity_id"] or user["entity_id"],
        "private": False,
        "hideTeamsFromPublic": False,
        "accountType": user["account_type"],
    }


def role_in(db: Connection, viewer: Viewer, entity_id: int) -> str | None:
    """The viewer's role in an entity: "admin", "member", "viewer", or None outside it."""
    if viewer.admin or entity_id == viewer.entity_id:
        return "admin"
    role: str | None = db.execute(
        "SELECT role FROM team_members WHERE entity_id = ? AND user_id = ?", (entity_id, viewer.user_id)
    ).get
    if role is None:
        role = db.execute(
            "SELECT role FROM organization_members AS members JOIN entities USING (organization_id)"
            " WHERE entities.id = ? AND entities.kind = 'organization' AND user_id = ?",
            (entity_id, viewer.user_id),
        ).get
    return "member" if role == SERVICE else role


def require_writer(db: Connection, viewer: Viewer, entity_id: int) -> str:
    """The viewer's role in an entity, which must allow writing.

    Raises:
        PermissionDenied: not a member, or one who may only look.
    """
    role = role_in(db, viewer, entity_id)
    if role not in WRITERS:
        raise PermissionDenied("permission denied", status=403)
    return role
