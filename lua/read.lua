#!lua flags=allow-oom
-- read says what of a product can be held now. Expired entries count for nobody, cleaned away or not.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    hold id whose own hold is asked for, or ''
-- answers {1, stock, held by live entries, own quantity, own expiry in ms, version, units of the stock that a checkout of the own
--         hold could have: its quantity, or fewer where more is held than there is}
--         {2, 0, 0, 0, 0, 0}   more than 100 entries have expired: call again
--         {-1, 0, 0, 0, 0, 0}  not loaded
-- cost    O(log holds); at most 100 expired entries are dropped
local id = ARGV[1]
if id ~= '' and not named(id) then return refuse('read: id') end
local s = shelf()
if not s.loaded then return { -1, 0, 0, 0, 0, 0 } end
local gone = due(clock())
if not gone then
  spoil(s)
  return { -1, 0, 0, 0, 0, 0 }
end
local reserved = s.reserved - gone.sum
if #gone.ids > 0 then finish(s, gone.ids, reserved) end
if gone.more then return { 2, 0, 0, 0, 0, 0 } end
local q, e, _, marks = entry(id ~= '' and redis.call('HGET', HOLDS, id) or nil)
local left = q or 0
if q and s.n < reserved then
  local others = promised(marks and q or 0)
  if not others then
    spoil(s)
    return { -1, 0, 0, 0, 0, 0 }
  end
  left = math.max(0, math.min(q, s.n - others))
end
return { 1, s.n, reserved, q or 0, e or 0, s.v, left }
