#!lua flags=allow-oom
-- take gives a sweeper some of the products that are due, and marks them as its own: with a score that is later than any
-- expiry, so that a hold that is taken meanwhile brings its product back to its own expiry. What a sweeper has had for too long
-- is taken from it.
-- KEYS    KEYS[1] due:{n}  zset  product id by the expiry in ms of a hold, or, while a sweeper has it, by that sweeper's mark
-- ARGV    most products (up to 100); mark of the sweeper: 4500000000000000 and more, greater the later it began; marks up to
--         which sweepers are taken for dead
--         where Postgres' clock is ahead of that of this Redis, "shift:" and by how many ms
-- answers the products' ids
-- cost    O(products x log of all)
local function whole(s) return type(s) == 'string' and #s <= 16 and string.find(s, '^%d+$') and tonumber(s) or nil end
local most, mark, dead = whole(ARGV[1]), whole(ARGV[2]), whole(ARGV[3])
if not (most and mark and dead) or most < 1 or most > 100 or mark < 4500000000000000 or mark > 9007199254740991 then
  return redis.error_reply('INVALID take: most, mark, dead')
end
local t = redis.call('TIME')
local shift = tonumber(string.match(ARGV[4] or '', '^shift:(%-?%d+)$') or 0)
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000) + shift
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
if #ids < most then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '4500000000000000', string.format('%.0f', dead), 'LIMIT', 0, most - #ids)) do ids[#ids + 1] = id end
end
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], string.format('%.0f', mark), id) end
return ids
