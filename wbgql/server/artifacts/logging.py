"""Beginning a version of an artifact, and noting which runs log and use it."""

from __future__ import annotations

import json
import secrets
from typing import Any

from wbgql.errors import NotFound, UsageError
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts.aliases import advance_latest, check_alias, set_alias
from wbgql.server.artifacts.nodes import LATEST, SEQUENCE, VERSION_NAME, writing
from wbgql.server.backend import Context
from wbgql.server.projects import rows as projects
from wbgql.server.projects.rows import make_id
from wbgql.server.runs import rows as runs
from wbgql.server.runs import values as run_values
from wbgql.server.store.database import Connection, Row, row

OUTPUT, INPUT = "output", "input"
SYSTEM_TYPES = ("wandb-history", "wandb-events")
"""Types that only the server makes. The SDK refuses users every name that begins with `wandb-`, but logs
`wandb-run-incremental-table` itself (wandb SDK 0.31.0 `sdk/internal/incremental_table_util.py`, 2026-11).
"""
MAX_NAME = 128


def create(context: Context, fields: dict[str, Any]) -> Row:
    """Begin a version from a `CreateArtifactInput`, or find the one that has this content already.

    Safe to repeat: the same client or distributed id gives the same version. Aliases and tags take
    effect at once where the version is committed, and at the commit otherwise.

    Raises:
        ResponseError: the run was deleted (status 410).
        UsageError: the collection holds another type, or a name or alias cannot be one.
        NotFound, PermissionDenied: see `runs.find_run_by_path`.
    """
    refuse_system_type(fields["artifactTypeName"])
    with writing(context) as now:
        run = _run(now, fields)
        if run is None:
            project, _ = projects.find_or_create(now, now.db, fields["entityName"], fields["projectName"])
        else:
            project = run["project"]
        name = fields.get("artifactCollectionName") or next(
            iter(fields.get("artifactCollectionNames") or []), ""
        )
        sequence = _sequence(now, project, name, fields["artifactTypeName"])
        pk = _same_version(now.db, sequence["pk"], fields) or _insert(now, sequence["pk"], run, fields)
        _map_client_ids(now.db, fields, pk, sequence["pk"])
        if run is not None:
            record(now, pk, run["pk"], OUTPUT)
        _merge_aliases(now, pk, sequence["pk"], fields)
    found = artifacts.find_version(context, pk)
    assert found is not None
    return found


def refuse_system_type(name: str) -> None:
    """Keep users from making what the server keeps from being deleted.

    Raises:
        UsageError: the type is one of the server's own.
    """
    if name in SYSTEM_TYPES:
        raise UsageError(f"artifact type {name!r} is reserved for the server")


def _run(now: Context, fields: dict[str, Any]) -> Row | None:
    if not fields.get("runName"):
        return None
    return runs.find_run_by_path(now, fields["entityName"], fields["projectName"], fields["runName"])


def _sequence(now: Context, project: Row, name: str, type_name: str) -> Row:
    found = artifacts.find_collection(now, project, name)
    if found is None:
        type_pk = find_or_create_type(now, project, type_name)
        return create_collection(now, project, SEQUENCE, name, type_pk)
    if found["__typename"] != SEQUENCE:
        raise UsageError(f"artifact collection {name!r} holds links, choose another name to log to")
    if found["defaultArtifactType"]["name"] != type_name:
        old = found["defaultArtifactType"]["name"]
        raise UsageError(f"artifact {name!r} has type {old!r}, it cannot be logged as {type_name!r}")
    return found


def find_or_create_type(now: Context, project: Row, name: str, description: str | None = None) -> int:
    """The row number of a project's artifact type, made if it is new. `now` is in a transaction.

    Raises:
        UsageError: not a name.
    """
    check_name(name, "artifact type")
    now.db.execute(
        "INSERT INTO artifact_types (project_id, name, description, created_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (project["pk"], name, description, now.backend.now()),
    )
    sql = "SELECT id FROM artifact_types WHERE project_id = ? AND name = ?"
    return int(now.db.execute(sql, (project["pk"], name)).get)


def create_collection(
    now: Context, project: Row, kind: str, name: str, type_pk: int, description: str | None = None
) -> Row:
    """Make a collection. `now` is in a transaction.

    Raises:
        UsageError: not a name.
    """
    check_name(name, "artifact collection")
    at = now.backend.now()
    now.db.execute(
        "INSERT INTO artifact_collections"
        " (project_id, type_id, kind, name, description, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (project["pk"], type_pk, kind, name, description, at, at),
    )
    made = artifacts.collection_of(now, now.db.last_insert_rowid())
    assert made is not None
    return made


def check_name(name: str, what: str) -> None:
    """Refuse what cannot name a collection or type.

    Source: wandb SDK 0.31.0 `sdk/artifacts/_validators.py` (2026-11).

    Raises:
        UsageError: with the name.
    """
    if not name or len(name) > MAX_NAME or set(name) & set("/:") or not name.isprintable():
        raise UsageError(f"not an {what} name: {name!r}, use up to {MAX_NAME} characters without / and :")


def _same_version(db: Connection, sequence_pk: int, fields: dict[str, Any]) -> int | None:
    here = "SELECT id FROM artifacts WHERE sequence_id = ? AND state <> 'DELETED'"
    ways = [
        (
            " AND id = (SELECT artifact_id FROM artifact_client_ids WHERE client_id = ?)",
            fields.get("clientID"),
        ),
        (" AND distributed_id = ?", fields.get("distributedID")),
    ]
    if fields.get("enableDigestDeduplication"):
        ways.append((" AND digest = ? AND state = 'COMMITTED' ORDER BY id DESC LIMIT 1", fields["digest"]))
    for condition, value in ways:
        found = db.execute(here + condition, (sequence_pk, value)).get if value else None
        if found is not None:
            return int(found)
    return None


def _insert(now: Context, sequence_pk: int, run: Row | None, fields: dict[str, Any]) -> int:
    if fields.get("metadata"):
        run_values.parse_object(fields["metadata"], "artifact metadata")
    ttl_s = fields.get("ttlDurationSeconds")
    at = now.backend.now()
    now.db.execute(
        "INSERT INTO artifacts (sequence_id, state, digest, commit_hash, description, metadata, labels, tags,"
        " history_step, ttl_s, run_id, user_id, distributed_id, digest_algorithm, created_at, updated_at)"
        " VALUES (?, 'PENDING', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            sequence_pk,
            fields["digest"],
            secrets.token_hex(10),
            fields.get("description"),
            fields.get("metadata"),
            fields.get("labels"),
            json.dumps(sorted({tag["tagName"] for tag in fields.get("tags") or []})),
            fields.get("historyStep"),
            None if ttl_s == artifacts.TTL_INHERIT else ttl_s,
            None if run is None else run["pk"],
            now.viewer.user_id,
            fields.get("distributedID"),
            fields["digestAlgorithm"],
            at,
            at,
        ),
    )
    return now.db.last_insert_rowid()


def _map_client_ids(db: Connection, fields: dict[str, Any], pk: int, sequence_pk: int) -> None:
    if fields.get("clientID"):
        db.execute("INSERT OR IGNORE INTO artifact_client_ids VALUES (?, ?, NULL)", (fields["clientID"], pk))
    if fields.get("sequenceClientID"):
        db.execute(
            "INSERT OR IGNORE INTO artifact_client_ids VALUES (?, NULL, ?)",
            (fields["sequenceClientID"], sequence_pk),
        )


def _merge_aliases(now: Context, pk: int, sequence_pk: int, fields: dict[str, Any]) -> None:
    given = {one["alias"] for one in fields.get("aliases") or []}
    # `vN` is its name already if it turns out to be that version, which is known at the commit.
    wanted = {alias if VERSION_NAME.fullmatch(alias) else check_alias(alias) for alias in given}
    found = row(now.db, "SELECT state, wanted_aliases FROM artifacts WHERE id = ?", (pk,))
    assert found is not None
    if found["state"] == "COMMITTED":
        sql = "SELECT version FROM artifact_members WHERE collection_id = ? AND artifact_id = ?"
        number = now.db.execute(sql, (sequence_pk, pk)).get
        for alias in sorted(wanted - {f"v{number}", LATEST}):
            set_alias(now, sequence_pk, pk, check_alias(alias))
        if LATEST in wanted:
            advance_latest(now, sequence_pk, pk)
        return
    aliases = json.dumps(sorted(wanted | set(json.loads(found["wanted_aliases"]))))
    now.db.execute("UPDATE artifacts SET wanted_aliases = ? WHERE id = ?", (aliases, pk))


def record(now: Context, pk: int, run_pk: int, role: str, used_as: str | None = None) -> None:
    """Note that a run logged or used a version."""
    now.db.execute(
        "INSERT INTO artifact_runs (run_id, role, artifact_id, created_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (run_pk, role, pk, now.backend.now()),
    )
    if used_as:
        key = (run_pk, role, pk)
        found = row(now.db, f"SELECT used_as FROM artifact_runs WHERE {_RUN_KEY}", key)  # noqa: S608
        names = json.loads(found["used_as"]) if found else []
        text = json.dumps(list(dict.fromkeys([*names, used_as])))
        now.db.execute(f"UPDATE artifact_runs SET used_as = ? WHERE {_RUN_KEY}", (text, *key))  # noqa: S608


_RUN_KEY = "run_id = ? AND role = ? AND artifact_id = ?"


def use(context: Context, fields: dict[str, Any]) -> tuple[Row, Row]:
    """Note that a run uses a version; return the version and the run. A version that is pending may be used.

    Raises:
        NotFound: the version is missing, deleted or not visible.
        ResponseError: the run was deleted (status 410).
    """
    with writing(context) as now:
        run = runs.find_run_by_path(now, fields["entityName"], fields["projectName"], fields["runName"])
        version = artifacts.find_version_by_id(now, fields["artifactID"])
        if version["state"] == "DELETED":
            raise NotFound(f"artifact {fields['artifactID']!r} not found", status=404)
        record(now, version["pk"], run["pk"], INPUT, fields.get("usedAs"))
    return version, run


def find_client_id(context: Context, client_id: str) -> Row | None:
    """What a client's own id stands for, kept as long as the version: history refers to tables by it."""
    found = row(context.db, "SELECT * FROM artifact_client_ids WHERE client_id = ?", (client_id,))
    if found is None:
        return None
    if found["artifact_id"] is not None:
        entry = artifacts.find_version_by_id(context, make_id("Artifact", found["artifact_id"]))
        entry |= {"__typename": "Artifact"}
    else:
        entry = artifacts.find_collection_by_id(context, make_id("ArtifactCollection", found["sequence_id"]))
    return {"clientID": client_id, "serverID": entry["id"], "entry": entry}
