#!lua flags=allow-oom
-- release ends the hold of one id on one product. Ended twice is ended once. It is never refused for lack of memory.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    hold id
-- answers {1} ended, {0} there was none (loaded or not), {-1} the product's keys do not agree: it will be loaded anew
-- cost    O(log holds), with an owner O(holds of the owner) too; at most 100 expired entries are dropped
local id = ARGV[1]
if not named(id) then return refuse('release: id') end
local s = shelf()
local gone = s.sound and due(clock())
local value = gone and redis.call('HGET', HOLDS, id)
local own, _, owner = entry(value or nil)
if not gone or (value and not own) then
  spoil(s)
  return { -1 }
end
local reserved, had = s.reserved - gone.sum, value and 1 or 0
local live = own and not gone.set[id]
if live then
  reserved = reserved - own
  gone.ids[#gone.ids + 1] = id
end
if #gone.ids > 0 then
  finish(s, gone.ids, reserved)
  if live then note(owner, id, clock()) end
end
ended(s, { id })
return { had }
