-- The audit log notes each request; service accounts and protected aliases get a place.
CREATE TABLE audit_requests (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, user_id INTEGER NOT NULL, mutation TEXT NOT NULL,
    entity TEXT, project TEXT, artifact_id INTEGER, digest TEXT, code INTEGER);
CREATE INDEX audit_requests_at ON audit_requests (at);
ALTER TABLE users ADD COLUMN account_type TEXT NOT NULL DEFAULT 'USER';
CREATE TABLE protected_aliases (
    entity_id INTEGER NOT NULL, alias TEXT NOT NULL, PRIMARY KEY (entity_id, alias)) WITHOUT ROWID;
