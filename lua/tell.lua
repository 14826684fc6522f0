#!lua flags=allow-oom
-- tell says why a product can or cannot be had: its stock, what is held of it, what of that is the caller's, and when the next
-- hold of somebody else ends. Expired entries count for nobody, cleaned away or not.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    up to 500 ids of the caller's own holds
-- answers {1, stock, version, held, own, expiry in ms of the next hold of others or 0}
--         {2}   more than 100 entries have expired: call again
--         {-1}  not loaded
-- cost    O(ids + log holds); at most 100 expired entries are dropped
if #ARGV > MANY then return refuse('tell: more than 500 ids') end
for _, id in ipairs(ARGV) do
  if not named(id) then return refuse('tell: id') end
end
local s = shelf()
if not s.loaded then return { -1 } end
local gone = due(clock())
if not gone then
  spoil(s)
  return { -1 }
end
local held = s.reserved - gone.sum
if #gone.ids > 0 then finish(s, gone.ids, held) end
if gone.more then return { 2 } end
local own, mine = 0, {}
for _, id in ipairs(ARGV) do
  local q = not mine[id] and entry(redis.call('HGET', HOLDS, id))
  if q then own, mine[id] = own + q, true end
end
local first = redis.call('ZRANGE', EXPIRY, 0, #ARGV, 'WITHSCORES') -- one of these is somebody else's, if there is one
for i = 1, #first, 2 do
  if not mine[first[i]] then return { 1, s.n, s.v, held, own, tonumber(first[i + 1]) } end
end
return { 1, s.n, s.v, held, own, 0 }
