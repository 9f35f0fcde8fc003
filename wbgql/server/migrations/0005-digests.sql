-- A version may name its contents by XXH128.
ALTER TABLE artifacts ADD COLUMN digest_algorithm TEXT NOT NULL DEFAULT 'MANIFEST_MD5';
ALTER TABLE artifact_contents RENAME COLUMN md5 TO digest;
