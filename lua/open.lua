#!lua
-- open begins a load, or says that another has begun it. One loader has a product at a time: until the last page, or until it has
-- written none for two seconds; then whoever opens goes on where it has stopped. Of what ends from here on the ids are kept, so that
-- what the loader reads from Postgres after this is as good as what it would read at the end.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    token of the loader, another one for each time that it opens
-- answers {1, 0, ''}     loaded already
--         {0, 0, place}  the load is the caller's: from that place on, '' from the start
--         {2, ms, place} another's, who loses it in so many ms if no page comes; place '': no page has come yet
-- cost    O(1)
local LAPSE = 2000
local one = ARGV[1]
if not token(one) then return refuse('open: token') end
local s = shelf()
if s.loaded then return { 1, 0, '' } end
local now, place = clock(), ''
if s.load and s.sound then -- what has ended meanwhile is known, whoever loads
  local claim = redis.call('HMGET', LOADING, 'at', 'place')
  local left = (whole(claim[1], 1, MOST) or 0) + LAPSE - now
  place = claim[2] or ''
  if s.load ~= one and left > 0 and left <= LAPSE then return { 2, left, place } end
else
  redis.call('UNLINK', LOADING)
  if not s.sound then
    redis.call('UNLINK', RESERVED, HOLDS, EXPIRY)
    counted = 0
  end
  if not s.seq then
    local t = redis.call('TIME') -- never the same again, not even after a loss of memory
    s.seq = tonumber(t[1]) * 1000000 + tonumber(t[2])
    if not try('HLEN', STOCK) then redis.call('UNLINK', STOCK) end
  end
end
redis.call('HDEL', STOCK, 'n', 'm', 'walk')
if promised(0) then redis.call('HSET', STOCK, 'm', text(counted)) end -- known from here on, unless there are more holds than one call may count
redis.call('HSET', STOCK, 'seq', text(s.seq), 'load', one)
redis.call('HSET', LOADING, 'token', one, 'at', text(now), 'place', place)
redis.call('PEXPIRE', LOADING, IDLE)
if not s.sound or s.reserved == 0 then redis.call('PEXPIRE', STOCK, IDLE) end
return { 0, 0, place }
