"""The tables of the store, and what a row in them means. No I/O."""

from __future__ import annotations

from wbgql.server.store import artifact_tables as artifacts_tables

VERSION = 10
"""Kept in `PRAGMA user_version`; a store with a higher one is refused, an older one is migrated."""

ACCOUNTS = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE organizations (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL);
CREATE TABLE entities (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    organization_id INTEGER REFERENCES organizations(id), created_at TEXT NOT NULL);
CREATE TABLE users (
    id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, name TEXT NOT NULL, email TEXT NOT NULL,
    admin INTEGER NOT NULL, entity_id INTEGER NOT NULL REFERENCES entities(id), created_at TEXT NOT NULL,
    account_type TEXT NOT NULL DEFAULT 'USER', default_entity_id INTEGER REFERENCES entities(id));
CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), hash BLOB NOT NULL UNIQUE,
    hint TEXT NOT NULL, created_at TEXT NOT NULL, description TEXT);
CREATE TABLE sessions (
    token BLOB PRIMARY KEY, key_hash BLOB NOT NULL, opened_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE organization_members (
    organization_id INTEGER NOT NULL, user_id INTEGER NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (organization_id, user_id)) WITHOUT ROWID;
CREATE TABLE team_members (
    entity_id INTEGER NOT NULL, user_id INTEGER NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (entity_id, user_id)) WITHOUT ROWID;
CREATE TABLE protected_aliases (
    entity_id INTEGER NOT NULL, alias TEXT NOT NULL, PRIMARY KEY (entity_id, alias)) WITHOUT ROWID;
"""

PROJECTS = """
CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, entity_id INTEGER NOT NULL REFERENCES entities(id),
    name TEXT NOT NULL, description TEXT, access TEXT NOT NULL, user_id INTEGER, views TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT,
    any_type INTEGER NOT NULL DEFAULT 1, UNIQUE (entity_id, name));
CREATE TABLE project_teams (
    project_id INTEGER NOT NULL, entity_id INTEGER NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (project_id, entity_id)) WITHOUT ROWID;
CREATE TABLE project_members (
    project_id INTEGER NOT NULL, user_id INTEGER NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (project_id, user_id)) WITHOUT ROWID;
"""

# Times are UTC text of one width, so that text order is time order. `config_values` and
# `summary_values` are JSONB for filters: config without its {"value": ...} wrapper, and in both
# NaN and infinities as strings. The texts as sent are in `run_texts`, so that a scan stays small.
# `restart` is JSON: for each stream that a new process may begin again, the line it would begin at.
RUNS = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects(id),
    name TEXT NOT NULL, display_name TEXT, state TEXT NOT NULL, tags TEXT NOT NULL DEFAULT '[]',
    created_at TEXT NOT NULL, heartbeat_at TEXT, updated_at TEXT NOT NULL, deleted_at TEXT,
    run_group TEXT, job_type TEXT, user_id INTEGER NOT NULL, username TEXT NOT NULL, sweep_name TEXT,
    host TEXT, duration REAL, notes TEXT, description TEXT, commit_sha TEXT, program TEXT, repo TEXT,
    exitcode INTEGER, stop_requested INTEGER NOT NULL DEFAULT 0,
    history_lines INTEGER NOT NULL DEFAULT 0, events_lines INTEGER NOT NULL DEFAULT 0,
    log_lines INTEGER NOT NULL DEFAULT 0, storage_bytes INTEGER NOT NULL DEFAULT 0,
    config_values BLOB, summary_values BLOB, restart TEXT, UNIQUE (project_id, name));
CREATE INDEX runs_created ON runs (project_id, created_at) WHERE deleted_at IS NULL;
CREATE INDEX runs_state ON runs (project_id, state) WHERE deleted_at IS NULL;
CREATE INDEX runs_alive ON runs (heartbeat_at) WHERE state IN ('running', 'preempting');
CREATE INDEX runs_deleted ON runs (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE TABLE run_texts (
    run_id INTEGER PRIMARY KEY, config TEXT, summary TEXT, system_metrics TEXT,
    history_keys TEXT);
CREATE TABLE tombstones (subject BLOB PRIMARY KEY, purged_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    entity TEXT NOT NULL, project TEXT NOT NULL, subject TEXT);
CREATE TABLE audit_requests (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, user_id INTEGER NOT NULL, mutation TEXT NOT NULL,
    entity TEXT, project TEXT, artifact_id INTEGER, digest TEXT, code INTEGER);
CREATE INDEX audit_requests_at ON audit_requests (at);
"""

# A line is known by its place, as the SDK sends it, so that a chunk sent twice changes nothing.
# `writer` is 0, or counts the writers of a run in shared mode, each of which starts at line 0.
LINES = """
CREATE TABLE history (
    run_id INTEGER NOT NULL, writer INTEGER NOT NULL, number INTEGER NOT NULL, step INTEGER,
    row TEXT NOT NULL,
    PRIMARY KEY (run_id, writer, number)) WITHOUT ROWID;
CREATE INDEX history_step ON history (run_id, step);
CREATE TABLE lines (
    run_id INTEGER NOT NULL, stream TEXT NOT NULL, writer INTEGER NOT NULL, number INTEGER NOT NULL,
    line TEXT NOT NULL, PRIMARY KEY (run_id, stream, writer, number)) WITHOUT ROWID;
CREATE TABLE writers (
    run_id INTEGER NOT NULL, client TEXT NOT NULL, writer INTEGER NOT NULL,
    PRIMARY KEY (run_id, client)) WITHOUT ROWID;
"""

FILES = """
CREATE TABLE blobs (
    id TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, md5 TEXT NOT NULL, created_at TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run_id INTEGER NOT NULL, name TEXT NOT NULL, blob TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE (run_id, name));
"""

SCHEMA = (ACCOUNTS, PROJECTS, RUNS, LINES, FILES, *artifacts_tables.SCHEMA)

RUN_TABLES = ("history", "lines", "writers", "files", "run_texts", *artifacts_tables.RUN_TABLES)
"""Tables whose rows belong to one run by `run_id` and go when it is purged."""

BLOB_OWNERS = ("SELECT blob FROM files WHERE blob IS NOT NULL", *artifacts_tables.BLOB_OWNERS)
"""Queries that name every blob in use; a blob in none of them is an orphan."""
