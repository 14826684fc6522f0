#!lua flags=allow-oom
-- settle brings what the books say to the shelf: the stock of a product at a version, and the end of the holds whose units the
-- books have taken or given up. Stock falls and hold ends in one step, so that the units are free for nobody in between.
-- The version gates the stock alone: an older one never overwrites a newer one. The named holds end whatever the version.
-- On a product that is loading the holds end too, whether they are there by then or not.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    version, available (0 and 0: the holds end, the stock stays), then up to 500 hold ids
-- answers {1, ended} loaded, {-1, ended} not loaded; ended is the number of holds that were there
-- cost    O(ids x log holds); at most 100 expired entries are dropped
local v, n = whole(ARGV[1], 0, MOST), whole(ARGV[2], 0, MOST)
if not v then return refuse('settle: version is no whole number') end
if not n then return refuse('settle: available is no whole number') end
if #ARGV - 2 > MANY then return refuse('settle: more than 500 ids') end
for i = 3, #ARGV do
  if not named(ARGV[i]) then return refuse('settle: id') end
end
local s = shelf()
local gone = s.sound and due(clock())
if not gone then
  spoil(s)
  s.load, gone = nil, { ids = {}, set = {}, sum = 0 }
end
local had, reserved, ids = 0, s.reserved and s.reserved - gone.sum, {}
for i = 3, #ARGV do
  local id = ARGV[i]
  ids[#ids + 1] = id
  local q = s.sound and not gone.set[id] and entry(redis.call('HGET', HOLDS, id))
  if q then
    reserved, had = reserved - q, had + 1
    gone.set[id], gone.ids[#gone.ids + 1] = true, id
  end
end
local newer = s.seq and v > (s.v or 0) -- without seq nobody has it loaded or is loading it
if #gone.ids > 0 then
  finish(s, gone.ids, reserved)
elseif newer then
  touch(s)
end
ended(s, ids)
if newer then
  redis.call('HSET', STOCK, 'v', text(v))
  if s.n then redis.call('HSET', STOCK, 'n', text(n)) end
end
return { s.loaded and 1 or -1, had }
