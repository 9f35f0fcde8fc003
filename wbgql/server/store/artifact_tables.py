"""The tables of artifacts, and what a row in them means. No I/O."""

from __future__ import annotations

# A version belongs to the sequence it was logged to and may be linked into portfolios: `artifact_members`
# has one row for each, with the version number there. A version is no member before it is committed.
COLLECTIONS = """
CREATE TABLE artifact_types (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects(id),
    name TEXT NOT NULL, description TEXT, created_at TEXT NOT NULL, UNIQUE (project_id, name));
CREATE TABLE artifact_collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects(id),
    type_id INTEGER NOT NULL REFERENCES artifact_types(id), kind TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT, tags TEXT NOT NULL DEFAULT '[]', next_version INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT);
CREATE UNIQUE INDEX artifact_collections_name ON artifact_collections (project_id, name)
    WHERE deleted_at IS NULL;
CREATE INDEX artifact_collections_type ON artifact_collections (type_id);
CREATE TABLE artifact_members (
    id INTEGER PRIMARY KEY AUTOINCREMENT, collection_id INTEGER NOT NULL, artifact_id INTEGER NOT NULL,
    version INTEGER NOT NULL, created_at TEXT NOT NULL, UNIQUE (collection_id, version));
CREATE INDEX artifact_members_artifact ON artifact_members (artifact_id);
CREATE TABLE artifact_aliases (
    id INTEGER PRIMARY KEY AUTOINCREMENT, collection_id INTEGER NOT NULL, artifact_id INTEGER NOT NULL,
    alias TEXT NOT NULL, UNIQUE (collection_id, alias));
CREATE INDEX artifact_aliases_artifact ON artifact_aliases (artifact_id);
"""

# `wanted_aliases` wait for the commit. `run_id` may name a run that is deleted or purged: versions outlive
# the runs that made them. `ttl_s` is null where the version inherits its time to live.
VERSIONS = """
CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sequence_id INTEGER NOT NULL REFERENCES artifact_collections(id),
    state TEXT NOT NULL, digest TEXT NOT NULL, commit_hash TEXT NOT NULL UNIQUE, description TEXT,
    metadata TEXT, labels TEXT, tags TEXT NOT NULL DEFAULT '[]', history_step INTEGER, ttl_s INTEGER,
    run_id INTEGER, user_id INTEGER NOT NULL, distributed_id TEXT, wanted_aliases TEXT NOT NULL DEFAULT '[]',
    size_bytes INTEGER NOT NULL DEFAULT 0, file_count INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT,
    digest_algorithm TEXT NOT NULL DEFAULT 'MANIFEST_MD5');
CREATE INDEX artifacts_digest ON artifacts (sequence_id, digest);
CREATE INDEX artifacts_run ON artifacts (run_id);
CREATE INDEX artifacts_deleted ON artifacts (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX artifacts_ttl ON artifacts (created_at) WHERE ttl_s > 0;
CREATE INDEX artifacts_pending ON artifacts (created_at) WHERE state = 'PENDING';
CREATE TABLE artifact_runs (
    run_id INTEGER NOT NULL, role TEXT NOT NULL, artifact_id INTEGER NOT NULL,
    used_as TEXT NOT NULL DEFAULT '[]', created_at TEXT NOT NULL,
    PRIMARY KEY (run_id, role, artifact_id)) WITHOUT ROWID;
CREATE INDEX artifact_runs_artifact ON artifact_runs (artifact_id, role);
CREATE TABLE artifact_client_ids (
    client_id TEXT PRIMARY KEY, artifact_id INTEGER, sequence_id INTEGER) WITHOUT ROWID;
CREATE INDEX artifact_client_ids_artifact ON artifact_client_ids (artifact_id);
CREATE INDEX artifact_client_ids_sequence ON artifact_client_ids (sequence_id);
"""

# Contents are known by their digest within one project, so that versions share them: `digest` is what
# `digests.content_key` gives, or `deleted:` and the row number once only deleted versions hold it. A row of
# `artifact_files` made before the commit keeps a content alive while the rest is uploaded.
CONTENTS = """
CREATE TABLE artifact_manifests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, artifact_id INTEGER NOT NULL, type TEXT NOT NULL,
    name TEXT NOT NULL, digest TEXT NOT NULL, base_id INTEGER, blob TEXT, created_at TEXT NOT NULL);
CREATE INDEX artifact_manifests_artifact ON artifact_manifests (artifact_id);
CREATE TABLE artifact_contents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL, digest TEXT NOT NULL, blob TEXT,
    created_at TEXT NOT NULL, UNIQUE (project_id, digest));
CREATE TABLE artifact_files (
    artifact_id INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    content_id INTEGER, ref TEXT, PRIMARY KEY (artifact_id, name)) WITHOUT ROWID;
CREATE INDEX artifact_files_content ON artifact_files (content_id);
"""

SCHEMA = (COLLECTIONS, VERSIONS, CONTENTS)

BLOB_OWNERS = (
    "SELECT blob FROM artifact_manifests WHERE blob IS NOT NULL",
    "SELECT blob FROM artifact_contents WHERE blob IS NOT NULL",
)
"""Queries that name every blob that artifacts use."""

RUN_TABLES = ("artifact_runs",)
"""Tables whose rows belong to one run by `run_id` and go when it is purged."""
