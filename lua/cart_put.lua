#!lua
-- cart_put brings the mirror of a cart to a version. The rows in Postgres are the cart; the mirror follows them.
-- A put of some lines is written only onto the version just before it; a put of the whole cart onto any older one.
-- KEYS    KEYS[1] cart:{c}  hash  product id -> quantity, and version, expires (ms); gone = 1 once it was dropped
-- ARGV    'lines' or 'whole', version, expiry in ms, then up to 2,000 times: product id, quantity (0 takes the line away)
-- answers 1 written, 0 that version or a newer one is there, 2 a version is missing: put the whole
-- cost    O(lines). The key goes 24 hours after the cart's expiry
local function whole(s, least)
  if type(s) ~= 'string' or #s > 16 or not string.find(s, '^%d+$') then return nil end
  local n = tonumber(s)
  if n < least or n > 9007199254740991 then return nil end
  return n
end
local mode, version, expires = ARGV[1], whole(ARGV[2], 1), whole(ARGV[3], 1)
if (mode ~= 'lines' and mode ~= 'whole') or not version or not expires then return redis.error_reply('INVALID cart_put: mode, version, expiry') end
if #ARGV > 3 + 2 * 2000 or #ARGV % 2 ~= 1 then return redis.error_reply('INVALID cart_put: lines are up to 2000 times product, quantity') end
for i = 4, #ARGV, 2 do
  if #ARGV[i] ~= 36 or not whole(ARGV[i + 1], 0) then return redis.error_reply('INVALID cart_put: line') end
end
local kind = redis.call('TYPE', KEYS[1]).ok
local stored = kind == 'hash' and whole(redis.call('HGET', KEYS[1], 'version'), 1) or 0
if stored >= version then return 0 end
if mode == 'lines' and stored ~= version - 1 then return 2 end
if mode == 'whole' or kind ~= 'hash' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('HDEL', KEYS[1], 'gone')
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'expires', ARGV[3])
for i = 4, #ARGV, 2 do
  if whole(ARGV[i + 1], 1) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  else
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expires + 86400000))
return 1
