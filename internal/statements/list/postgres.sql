-- at: direct.go placeOf
SELECT pg_postmaster_start_time(), oid FROM pg_database WHERE datname = current_database()

-- at: direct.go serves
SELECT pg_backend_pid()

-- at: schema.go ReadSchema
SELECT coalesce(array_agg(DISTINCT version_id ORDER BY version_id), '{}') FROM goose_db_version
WHERE is_applied AND version_id > 0

-- at: schema.go ReadSchema
SELECT to_regclass('goose_db_version') IS NOT NULL
