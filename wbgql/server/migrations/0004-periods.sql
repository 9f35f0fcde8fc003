-- Runs and artifacts may be kept for different times.
INSERT OR IGNORE INTO settings (key, value)
    SELECT 'periods', json_object('runs_s', value, 'artifacts_s', value, 'system_artifacts', json('false'))
    FROM settings WHERE key = 'retention_s';
DELETE FROM settings WHERE key = 'retention_s';
