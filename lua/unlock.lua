#!lua flags=allow-oom
-- unlock gives a lock back if it is still its owner's. A lock is taken with SET key owner NX PX.
-- KEYS    KEYS[1] lock:{customer}:key  string  the owner's token
-- ARGV    owner's token
-- answers 1 given back, 0 it was not this owner's any more
-- cost    O(1)
if redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return 1
end
return 0
