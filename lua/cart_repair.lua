#!lua
-- cart_repair sets the mirror of a cart right as a compare-and-set: only if its version is still the one that was compared.
-- KEYS    KEYS[1] cart:{c}  as in cart_put.lua
-- ARGV    version that was compared ('0': no key, or one that is no cart), new version (0: the cart is no more), expiry in ms,
--         then up to 2,000 times: product id, quantity from 1
-- answers 1 written, 2 changed meanwhile
-- cost    O(lines)
local function whole(s, least)
  if type(s) ~= 'string' or #s > 16 or not string.find(s, '^%d+$') then return nil end
  local n = tonumber(s)
  if n < least or n > 9007199254740991 then return nil end
  return n
end
local was, version, expires = whole(ARGV[1], 0), whole(ARGV[2], 0), whole(ARGV[3], 0)
if not was or not version or not expires or (version > 0 and expires == 0) then return redis.error_reply('INVALID cart_repair: versions, expiry') end
if #ARGV > 3 + 2 * 2000 or #ARGV % 2 ~= 1 then return redis.error_reply('INVALID cart_repair: lines are up to 2000 times product, quantity') end
for i = 4, #ARGV, 2 do
  if #ARGV[i] ~= 36 or not whole(ARGV[i + 1], 1) then return redis.error_reply('INVALID cart_repair: line') end
end
local stored = redis.call('TYPE', KEYS[1]).ok == 'hash' and whole(redis.call('HGET', KEYS[1], 'version'), 1) or 0
if stored ~= was then return 2 end
redis.call('UNLINK', KEYS[1])
if version == 0 then return 1 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'expires', ARGV[3])
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expires + 86400000))
return 1
