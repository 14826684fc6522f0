#!lua
-- extend moves the expiry of a live hold to a later time. It never shortens one, never brings one back, and it alone decides
-- whether the hold has expired. A checkout marks it, so that it can undo this and nobody else can; it is refused where the stock
-- is less than what is held, and the units are promised to those who came before.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    hold id, expiry in ms, then the token of a checkout, or 'order' for an order that is there, or nothing
-- answers {1, quantity, expiry}   live, at least until then; of a product that is loading whatever the stock is
--         {0, 0, 0}               no such hold (never taken, ended, lost, or expired and cleaned away)
--         {-2, quantity, expiry}  it has expired
--         {4, left, 0}            live, but of the stock only so many units are left for it; nothing changed
--         {2, 0, 0}               expired entries remain and could decide it: call again
--         {-1, 0, 0}              not loaded; a hold that is loading can be extended once it is there
-- cost    O(log holds), with an owner O(holds of the owner) too. Where the stock is less than what is held, at most 100 expired
--         entries are dropped; else nothing is dropped but this hold
local id, e = ARGV[1], whole(ARGV[2], 1, MOST)
if not named(id) then return refuse('extend: id') end
if not e then return refuse('extend: expiry is no whole number of ms') end
local one = ARGV[3]
if one and not token(one) then return refuse('extend: token') end
local s = shelf()
if not s.loaded and not (s.load and s.sound) then return { -1, 0, 0 } end
local value = redis.call('HGET', HOLDS, id)
if not value then return { (s.loaded or redis.call('HEXISTS', LOADING, ':' .. id) == 1) and 0 or -1, 0, 0 } end
local q, was, owner, marks, back = entry(value)
if not q then
  spoil(s)
  return { -1, 0, 0 }
end
local moment = clock()
if was <= moment then
  finish(s, { id }, s.reserved - q)
  return { -2, q, was }
end
if one and one ~= ORDER and s.loaded and s.n < s.reserved then
  local gone = due(moment)
  if not gone then
    spoil(s)
    return { -1, 0, 0 }
  end
  if #gone.ids > 0 then finish(s, gone.ids, s.reserved - gone.sum) end
  if gone.more then return { 2, 0, 0 } end
  local others = promised(marks and q or 0)
  if not others then
    spoil(s)
    return { -1, 0, 0 }
  end
  local left = s.n - others
  if left < q then return { 4, math.max(left, 0), 0 } end
end
local now = one and mark(marks, one) or marks
if e > was or now ~= marks then
  touch(s)
  put(id, q, math.max(e, was), owner, now, back or was)
  note(owner, id, was, q, math.max(e, was))
end
return { 1, q, math.max(e, was) }
