#!lua
-- recount adds up what is held of a product, and what of it is marked, in pages, in the order in which the holds end, while others change:
-- every script says what it does to an entry that has been counted (product.inc.lua). With the last page the sums are set right.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    '1' to begin, '0' to go on; '1' to set the sums right, '0' only to say what they ought to be
-- answers {0} go on; {1, reserved, marked or '', their right values} as they were; {-1} not loaded, or nobody has begun
-- cost    O(100 x log holds)
local PAGE = 100
if not (ARGV[1] == '0' or ARGV[1] == '1') or not (ARGV[2] == '0' or ARGV[2] == '1') then return refuse('recount: begin, fix') end
local s = shelf()
if not s.loaded then return { -1 } end
if ARGV[1] == '1' then walk = { e = 0, units = 0, marked = 0, id = '' } end
if not walk then return { -1 } end

-- behind gives the rank of the first entry that is not counted. Those that end at one moment are in the order of their ids.
local function behind()
  local low = redis.call('ZCOUNT', EXPIRY, '-inf', '(' .. text(walk.e))
  local high = low + redis.call('ZCOUNT', EXPIRY, text(walk.e), text(walk.e))
  while low < high do
    local mid = math.floor((low + high) / 2)
    if redis.call('ZRANGE', EXPIRY, mid, mid)[1] <= walk.id then low = mid + 1 else high = mid end
  end
  return low
end

local from = behind()
local page, ids = redis.call('ZRANGE', EXPIRY, from, from + PAGE - 1, 'WITHSCORES'), {}
for i = 1, #page, 2 do ids[#ids + 1] = page[i] end
for _, value in ipairs(#ids > 0 and redis.call('HMGET', HOLDS, unpack(ids)) or {}) do
  local q, _, _, marks = entry(value)
  walk.units = walk.units + (q or 0)
  if marks then walk.marked = walk.marked + q end
end
if #ids == PAGE then
  walk.e, walk.id = tonumber(page[#page]), ids[#ids]
  keepWalk()
  return { 0 }
end
redis.call('HDEL', STOCK, 'walk')
local answer = { 1, text(s.reserved), counted and text(counted) or '', text(walk.units), text(walk.marked) }
if ARGV[2] == '1' and (s.reserved ~= walk.units or counted ~= walk.marked) then
  count(s, walk.units)
  redis.call('HSET', STOCK, 'm', text(walk.marked))
  touch(s)
end
return answer
