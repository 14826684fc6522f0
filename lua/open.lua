#!lua
-- open begins a load or a repair: it gives the product's change sequence, which load then asks to find unchanged. What is read
-- from Postgres after open is at least as new as all that the shelf was told before, and whatever the shelf is told later, or
-- the loss of its memory, changes the sequence.
-- KEYS    the product's five (product.inc.lua)
-- ARGV    none
-- answers {1, seq} loaded already, {0, seq} not loaded; seq is a string
-- cost    O(1)
local s = shelf()
if not s.seq then
  local t = redis.call('TIME') -- never the same again, not even after a loss of memory
  s.seq = tonumber(t[1]) * 1000000 + tonumber(t[2])
  if not try('HLEN', STOCK) then redis.call('UNLINK', STOCK) end
  redis.call('HSET', STOCK, 'seq', text(s.seq))
end
return { s.loaded and 1 or 0, text(s.seq) }
