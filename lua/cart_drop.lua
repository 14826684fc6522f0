#!lua flags=allow-oom
-- cart_drop ends the mirror of a cart that was bought or given up. What is left for an hour remembers the version, so that a
-- late put does not bring the cart back.
-- KEYS    KEYS[1] cart:{c}  as in cart_put.lua
-- ARGV    version of the cart at its end
-- answers 1 dropped, 0 a newer version is there
-- cost    O(lines)
local v = ARGV[1]
if type(v) ~= 'string' or #v > 16 or not string.find(v, '^%d+$') or tonumber(v) < 1 or tonumber(v) > 9007199254740991 then
  return redis.error_reply('INVALID cart_drop: version')
end
local stored = redis.call('TYPE', KEYS[1]).ok == 'hash' and redis.call('HGET', KEYS[1], 'version')
if stored and string.find(stored, '^%d+$') and tonumber(stored) > tonumber(v) then return 0 end
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'version', v, 'gone', '1')
redis.call('PEXPIRE', KEYS[1], 3600000)
return 1
