#!lua
-- hold sets the hold of one id on one product to a quantity, absolutely: the same call twice is the same as once. The id's own
-- hold never stands in its way.
-- KEYS    the product's four (product.inc.lua)
-- ARGV    hold id, quantity 1..2^53-1, expiry in ms
-- answers {1, most, quantity, expiry}  held; most is what this hold could be set to, the rest is what it was before (or 0, 0)
--         {0, most}    not enough; nothing changed
--         {2}          expired entries remain and could decide it: call again
--         {-1}         not loaded
--         {-2}         the expiry has passed already
-- cost    O(log holds); at most 100 expired entries are dropped
local id, q, e = ARGV[1], whole(ARGV[2], 1, MOST), whole(ARGV[3], 1, MOST)
if not named(id) then return refuse('hold: id') end
if not q then return refuse('hold: quantity is no whole number from 1 to 2^53-1') end
if not e then return refuse('hold: expiry is no whole number of ms') end
local s = shelf()
if not s.loaded then return { -1 } end
local now = clock()
if e <= now then return { -2 } end
local gone = due(now)
local value = redis.call('HGET', HOLDS, id)
local own, was = entry(value)
if not gone or (value and not own) then
  spoil(s)
  return { -1 }
end
if own and gone.set[id] then own, was = nil, nil end
local reserved = s.reserved - gone.sum
local most = s.n - reserved + (own or 0)
if q > most then
  if #gone.ids > 0 then finish(s, gone.ids, reserved) end
  if gone.more then return { 2 } end
  return { 0, math.max(most, 0) }
end
if own ~= q or was ~= e or #gone.ids > 0 then
  finish(s, gone.ids, reserved - (own or 0) + q)
  put(id, q, e)
end
return { 1, most, own or 0, was or 0 }
