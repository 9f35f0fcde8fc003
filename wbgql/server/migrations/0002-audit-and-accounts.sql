-- The audit log learns how a request was answered and which content it was about; service accounts and
-- protected aliases get a place.
ALTER TABLE audit ADD COLUMN code INTEGER NOT NULL DEFAULT 200;
ALTER TABLE audit ADD COLUMN digest TEXT;
ALTER TABLE users ADD COLUMN account_type TEXT NOT NULL DEFAULT 'USER';
CREATE TABLE protected_aliases (
    entity_id INTEGER NOT NULL, alias TEXT NOT NULL, PRIMARY KEY (entity_id, alias)) WITHOUT ROWID;
