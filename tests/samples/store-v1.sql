PRAGMA user_version=1;
CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE organizations (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL);
CREATE TABLE entities (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    organization_id INTEGER REFERENCES organizations(id), created_at TEXT NOT NULL);
CREATE TABLE users (
    id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, name TEXT NOT NULL, email TEXT NOT NULL,
    admin INTEGER NOT NULL, entity_id INTEGER NOT NULL REFERENCES entities(id), created_at TEXT NOT NULL);
CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), hash BLOB NOT NULL UNIQUE,
    hint TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE organization_members (
    organization_id INTEGER NOT NULL, user_id INTEGER NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (organization_id, user_id)) WITHOUT ROWID;
CREATE TABLE team_members (
    entity_id INTEGER NOT NULL, user_id INTEGER NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (entity_id, user_id)) WITHOUT ROWID;
CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, entity_id INTEGER NOT NULL REFERENCES entities(id),
    name TEXT NOT NULL, description TEXT, access TEXT NOT NULL, user_id INTEGER, views TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT, UNIQUE (entity_id, name));
CREATE TABLE project_members (
    project_id INTEGER NOT NULL, user_id INTEGER NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (project_id, user_id)) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects(id),
    name TEXT NOT NULL, display_name TEXT, state TEXT NOT NULL, tags TEXT NOT NULL DEFAULT '[]',
    created_at TEXT NOT NULL, heartbeat_at TEXT, updated_at TEXT NOT NULL, deleted_at TEXT,
    run_group TEXT, job_type TEXT, user_id INTEGER NOT NULL, username TEXT NOT NULL, sweep_name TEXT,
    host TEXT, duration REAL, notes TEXT, description TEXT, commit_sha TEXT, program TEXT, repo TEXT,
    exitcode INTEGER, stop_requested INTEGER NOT NULL DEFAULT 0,
    history_lines INTEGER NOT NULL DEFAULT 0, events_lines INTEGER NOT NULL DEFAULT 0,
    log_lines INTEGER NOT NULL DEFAULT 0, storage_bytes INTEGER NOT NULL DEFAULT 0,
    config_values BLOB, summary_values BLOB, UNIQUE (project_id, name));
CREATE TABLE run_texts (
    run_id INTEGER PRIMARY KEY, config TEXT, summary TEXT, system_metrics TEXT,
    history_keys TEXT);
CREATE TABLE tombstones (subject BLOB PRIMARY KEY, purged_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    entity TEXT NOT NULL, project TEXT NOT NULL, subject TEXT);
CREATE TABLE history (
    run_id INTEGER NOT NULL, writer INTEGER NOT NULL, number INTEGER NOT NULL, step INTEGER,
    row TEXT NOT NULL,
    PRIMARY KEY (run_id, writer, number)) WITHOUT ROWID;
CREATE TABLE lines (
    run_id INTEGER NOT NULL, stream TEXT NOT NULL, writer INTEGER NOT NULL, number INTEGER NOT NULL,
    line TEXT NOT NULL, PRIMARY KEY (run_id, stream, writer, number)) WITHOUT ROWID;
CREATE TABLE writers (
    run_id INTEGER NOT NULL, client TEXT NOT NULL, writer INTEGER NOT NULL,
    PRIMARY KEY (run_id, client)) WITHOUT ROWID;
CREATE TABLE blobs (
    id TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, md5 TEXT NOT NULL, created_at TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run_id INTEGER NOT NULL, name TEXT NOT NULL, blob TEXT,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE (run_id, name));
CREATE TABLE artifact_types (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects(id),
    name TEXT NOT NULL, description TEXT, created_at TEXT NOT NULL, UNIQUE (project_id, name));
CREATE TABLE artifact_collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects(id),
    type_id INTEGER NOT NULL REFERENCES artifact_types(id), kind TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT, tags TEXT NOT NULL DEFAULT '[]', next_version INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT);
CREATE TABLE artifact_members (
    id INTEGER PRIMARY KEY AUTOINCREMENT, collection_id INTEGER NOT NULL, artifact_id INTEGER NOT NULL,
    version INTEGER NOT NULL, created_at TEXT NOT NULL, UNIQUE (collection_id, version));
CREATE TABLE artifact_aliases (
    id INTEGER PRIMARY KEY AUTOINCREMENT, collection_id INTEGER NOT NULL, artifact_id INTEGER NOT NULL,
    alias TEXT NOT NULL, UNIQUE (collection_id, alias));
CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sequence_id INTEGER NOT NULL REFERENCES artifact_collections(id),
    state TEXT NOT NULL, digest TEXT NOT NULL, commit_hash TEXT NOT NULL UNIQUE, description TEXT,
    metadata TEXT, labels TEXT, tags TEXT NOT NULL DEFAULT '[]', history_step INTEGER, ttl_s INTEGER,
    run_id INTEGER, user_id INTEGER NOT NULL, distributed_id TEXT, wanted_aliases TEXT NOT NULL DEFAULT '[]',
    size_bytes INTEGER NOT NULL DEFAULT 0, file_count INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT);
CREATE TABLE artifact_runs (
    run_id INTEGER NOT NULL, role TEXT NOT NULL, artifact_id INTEGER NOT NULL,
    used_as TEXT NOT NULL DEFAULT '[]', created_at TEXT NOT NULL,
    PRIMARY KEY (run_id, role, artifact_id)) WITHOUT ROWID;
CREATE TABLE artifact_client_ids (
    client_id TEXT PRIMARY KEY, artifact_id INTEGER, sequence_id INTEGER) WITHOUT ROWID;
CREATE TABLE artifact_manifests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, artifact_id INTEGER NOT NULL, type TEXT NOT NULL,
    name TEXT NOT NULL, digest TEXT NOT NULL, base_id INTEGER, blob TEXT, created_at TEXT NOT NULL);
CREATE TABLE artifact_contents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL, md5 TEXT NOT NULL, blob TEXT,
    created_at TEXT NOT NULL, UNIQUE (project_id, md5));
CREATE TABLE artifact_files (
    artifact_id INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    content_id INTEGER, ref TEXT, PRIMARY KEY (artifact_id, name)) WITHOUT ROWID;
INSERT INTO settings VALUES ('retention_s',604800);
INSERT INTO settings VALUES ('secret',X'3ACA5313C0B9D6565CD7AE120BDED6AF34EC6F9BC52FB326C56E48E2DB3B08BA');
INSERT INTO organizations VALUES (1,'acme','2026-11-24T23:07:10.362124Z');
INSERT INTO entities VALUES (1,'admin','user',NULL,'2026-11-24T23:07:08.456395Z');
INSERT INTO entities VALUES (2,'ada','user',NULL,'2026-11-24T23:07:10.360644Z');
INSERT INTO entities VALUES (3,'vision','team',1,'2026-11-24T23:07:10.363358Z');
INSERT INTO users VALUES (1,'admin','admin','admin@localhost',1,1,'2026-11-24T23:07:08.456395Z');
INSERT INTO users VALUES (2,'ada','ada','ada@localhost',0,2,'2026-11-24T23:07:10.360644Z');
INSERT INTO api_keys VALUES (1,1,X'DC4C5D17D972B66638DD360CF701CA3D0D7EF3B06C5156CD4DE5DA931555D567','kkkk','2026-11-24T23:07:08.456395Z');
INSERT INTO api_keys VALUES (2,2,X'E33CDF9C7F7120B98E8C78408953E07F2ECD183006B5606DF349B4C212ACF43E','aaaa','2026-11-24T23:07:10.360644Z');
INSERT INTO organization_members VALUES (1,2,'member');
INSERT INTO team_members VALUES (3,2,'member');
INSERT INTO projects VALUES (1,1,'old',NULL,'PRIVATE',1,NULL,'2026-11-24T23:07:10.430149Z','2026-11-24T23:07:10.457843Z',NULL);
INSERT INTO runs VALUES (1,1,'kept','kept','finished','["a"]','2026-11-24T23:07:10.430758Z','2026-11-24T23:07:10.450177Z','2026-11-24T23:07:10.450177Z',NULL,NULL,NULL,1,'admin',NULL,NULL,NULL,NULL,NULL,NULL,'train.py',NULL,0,0,3,0,0,0,X'7C276C7235302E31',X'CC0C7776616C2F61636335302E39');
INSERT INTO runs VALUES (2,1,'gone','gone','running','[]','2026-11-24T23:07:10.457696Z','2026-11-24T23:07:10.457696Z','2026-11-24T23:07:10.457766Z','2026-11-24T23:07:10.470362Z',NULL,NULL,1,'admin',NULL,NULL,NULL,NULL,NULL,NULL,'train.py',NULL,NULL,0,0,0,0,0,NULL,NULL);
INSERT INTO run_texts VALUES (1,'{"lr": {"value": 0.1}}','{"val/acc": 0.9}',NULL,'{"rows": 3, "lastStep": 2, "keys": {"_step": {"types": {"number": 3}, "monotonic": true, "previous": 2}, "loss": {"types": {"number": 3}, "monotonic": false, "previous": 0.3333333333333333}}}');
INSERT INTO run_texts VALUES (2,NULL,NULL,NULL,NULL);
INSERT INTO audit VALUES (1,'2026-11-24T23:07:10.470818Z','admin','run:delete','admin','old','0f97be28a3a29858edf37838c8ad20bf6c859f105e53d63051ba7e6605affa51');
INSERT INTO history VALUES (1,0,0,0,'{"_step": 0, "loss": 1.0}');
INSERT INTO history VALUES (1,0,1,1,'{"_step": 1, "loss": 0.5}');
INSERT INTO history VALUES (1,0,2,2,'{"_step": 2, "loss": 0.3333333333333333}');
INSERT INTO blobs VALUES ('545161a56a1d807d8b7120f342226e9a',198,'DHjX5Ipcz3X9SuRI3GRTjg==','2026-11-24T23:07:10.531796Z');
INSERT INTO blobs VALUES ('b60b4881d1222b652c3606b8bde45395',1,'xMpCOKC5I4INzFCab3WEmw==','2026-11-24T23:07:10.511089Z');
INSERT INTO artifact_types VALUES (1,1,'dataset',NULL,'2026-11-24T23:07:10.484651Z');
INSERT INTO artifact_collections VALUES (1,1,1,'ArtifactSequence','net',NULL,'[]',1,'2026-11-24T23:07:10.484837Z','2026-11-24T23:07:10.551798Z',NULL);
INSERT INTO artifact_members VALUES (1,1,1,0,'2026-11-24T23:07:10.551798Z');
INSERT INTO artifact_aliases VALUES (1,1,1,'best');
INSERT INTO artifact_aliases VALUES (2,1,1,'latest');
INSERT INTO artifacts VALUES (1,1,'COMMITTED','f4f16726761a599780b157d3dfea6a90','e20b0a498240ab3e1e85',NULL,NULL,NULL,'[]',NULL,NULL,1,1,NULL,'["best"]',1,1,'2026-11-24T23:07:10.485315Z','2026-11-24T23:07:10.552059Z',NULL);
INSERT INTO artifact_runs VALUES (1,'output',1,'[]','2026-11-24T23:07:10.485561Z');
INSERT INTO artifact_manifests VALUES (1,1,'FULL','wandb_manifest.json','DHjX5Ipcz3X9SuRI3GRTjg==',NULL,'545161a56a1d807d8b7120f342226e9a','2026-11-24T23:07:10.521778Z');
INSERT INTO artifact_contents VALUES (1,1,'xMpCOKC5I4INzFCab3WEmw==','b60b4881d1222b652c3606b8bde45395','2026-11-24T23:07:10.500712Z');
INSERT INTO artifact_files VALUES (1,'a.bin','xMpCOKC5I4INzFCab3WEmw==',1,1,NULL);
INSERT OR REPLACE INTO sqlite_sequence VALUES ('projects',1);
INSERT OR REPLACE INTO sqlite_sequence VALUES ('runs',2);
INSERT OR REPLACE INTO sqlite_sequence VALUES ('artifact_types',1);
INSERT OR REPLACE INTO sqlite_sequence VALUES ('artifact_collections',1);
INSERT OR REPLACE INTO sqlite_sequence VALUES ('artifacts',1);
INSERT OR REPLACE INTO sqlite_sequence VALUES ('artifact_contents',1);
INSERT OR REPLACE INTO sqlite_sequence VALUES ('artifact_manifests',1);
INSERT OR REPLACE INTO sqlite_sequence VALUES ('artifact_members',1);
INSERT OR REPLACE INTO sqlite_sequence VALUES ('artifact_aliases',2);
CREATE INDEX runs_created ON runs (project_id, created_at) WHERE deleted_at IS NULL;
CREATE INDEX runs_state ON runs (project_id, state) WHERE deleted_at IS NULL;
CREATE INDEX runs_alive ON runs (heartbeat_at) WHERE state IN ('running', 'preempting');
CREATE INDEX runs_deleted ON runs (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX history_step ON history (run_id, step);
CREATE UNIQUE INDEX artifact_collections_name ON artifact_collections (project_id, name)
    WHERE deleted_at IS NULL;
CREATE INDEX artifact_collections_type ON artifact_collections (type_id);
CREATE INDEX artifact_members_artifact ON artifact_members (artifact_id);
CREATE INDEX artifact_aliases_artifact ON artifact_aliases (artifact_id);
CREATE INDEX artifacts_digest ON artifacts (sequence_id, digest);
CREATE INDEX artifacts_run ON artifacts (run_id);
CREATE INDEX artifacts_deleted ON artifacts (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX artifacts_ttl ON artifacts (created_at) WHERE ttl_s > 0;
CREATE INDEX artifacts_pending ON artifacts (created_at) WHERE state = 'PENDING';
CREATE INDEX artifact_runs_artifact ON artifact_runs (artifact_id, role);
CREATE INDEX artifact_client_ids_artifact ON artifact_client_ids (artifact_id);
CREATE INDEX artifact_client_ids_sequence ON artifact_client_ids (sequence_id);
CREATE INDEX artifact_manifests_artifact ON artifact_manifests (artifact_id);
CREATE INDEX artifact_files_content ON artifact_files (content_id);
