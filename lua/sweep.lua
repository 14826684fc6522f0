#!lua flags=allow-oom
-- sweep cleans expired entries away. Nothing depends on it but memory.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    none
-- answers {dropped, expiry in ms of the entry that ends next, or 0}; {-1, 0} if the product's keys do not agree
-- cost    O(log holds); at most 100 expired entries are dropped
local s = shelf()
if not s.sound then return { -1, 0 } end
local gone = due(clock())
if not gone then
  spoil(s)
  return { -1, 0 }
end
if #gone.ids > 0 then finish(s, gone.ids, s.reserved - gone.sum) end
local first = redis.call('ZRANGE', EXPIRY, 0, 0, 'WITHSCORES')
return { #gone.ids, first[2] and tonumber(first[2]) or 0 }
