-- at: clocks.go server.checkPostgresClock
SELECT clock_timestamp()

-- at: selfcheck.go selfCheck
SELECT current_setting('wal_level'), current_setting('synchronous_commit'), current_setting('fsync'),
current_setting('full_page_writes'), current_setting('max_slot_wal_keep_size')
