-- The secret of the store moves to a file beside it, and keys are kept as an HMAC under it. Sessions are
-- kept by the server, so that signing out ends them.
UPDATE api_keys SET hash = keyed_hash(hash);
DELETE FROM settings WHERE key = 'secret';
CREATE TABLE sessions (
    token BLOB PRIMARY KEY, key_hash BLOB NOT NULL, opened_at INTEGER NOT NULL) WITHOUT ROWID;
