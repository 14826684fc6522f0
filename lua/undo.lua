#!lua flags=allow-oom
-- undo takes back what a checkout that came to nothing has done to a hold: its mark goes, and with the last mark the time that
-- checkouts have given. What the checkout itself has taken ends. What others have marked stays as long as it is held.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    hold id, token of the checkout
-- answers {1} undone, {0} it has no such mark (loaded or not), {-1} the product's keys do not agree: it will be loaded anew
-- cost    O(log holds), with an owner O(holds of the owner) too
local id, one = ARGV[1], ARGV[2]
if not named(id) then return refuse('undo: id') end
if not token(one) then return refuse('undo: token') end
local s = shelf()
local value = s.sound and redis.call('HGET', HOLDS, id)
local q, e, owner, marks, back = entry(value or nil)
if not s.sound or (value and not q) then
  spoil(s)
  return { -1 }
end
local left, found = unmark(marks, one)
if not found then return { 0 } end
local now = clock()
if left then
  touch(s)
  put(id, q, e, owner, left, back)
elseif back > now then
  touch(s)
  put(id, q, math.min(e, back), owner)
  note(owner, id, now, q, math.min(e, back))
else
  finish(s, { id }, s.reserved - q)
  ended(s, { id })
  note(owner, id, now)
end
return { 1 }
