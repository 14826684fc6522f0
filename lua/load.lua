#!lua
-- load writes a page of the live holds that Postgres has of a product, and with the last page the stock: then it is loaded. What is
-- on the shelf, or has ended since open, the page does not touch; only what an order needs, longer time and its mark, is given
-- to a hold that came as its cart's. The stock never goes over a newer version. A loader that has lost the product writes nothing.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    token of the loader; the place from which another would go on after this page, up to 64 characters; available and
--         version, or '' and '' but for the last page; then up to 100 times: hold id, quantity, expiry in ms or
--         "expiry:owner[:mark]"
-- answers {0} written; {1} loaded, by this call or before; {2} the load is not the caller's: open again; {3} written, but a newer
--         version of the stock is known: read it again, and send the last page without holds
-- cost    O(entries x log holds)
local PAGE = 100
local one, place, n, v = ARGV[1], ARGV[2], whole(ARGV[3], 0, MOST), whole(ARGV[4], 0, MOST)
if not token(one) or type(place) ~= 'string' or #place > 64 then return refuse('load: token, place') end
if (ARGV[3] ~= '' and not n) or (ARGV[4] ~= '' and not v) or (n == nil) ~= (v == nil) then return refuse('load: available, version') end
if #ARGV > 4 + 3 * PAGE or (#ARGV - 4) % 3 ~= 0 then return refuse('load: entries are up to 100 times id, quantity, expiry') end
local ids, marks = {}, {}
for i = 5, #ARGV, 3 do
  local e, owner = dated(ARGV[i + 2])
  if not (named(ARGV[i]) and whole(ARGV[i + 1], 1, MOST) and e) or (owner and not marked(ARGV[i])) then return refuse('load: entry') end
  ids[#ids + 1], marks[#marks + 1] = ARGV[i], ':' .. ARGV[i]
end
local s = shelf()
if s.loaded then return { 1 } end
if s.load ~= one or not s.sound then return { 2 } end

-- merged is what becomes of the entry that is there, if any, by what the rows say; nil: it stays as it is.
local function merged(old, q, e, owner, sign)
  if not old then return written(q, e, owner, sign, 0) end
  local had, was, whose, marks, back = entry(old)
  if not (had and sign) then return nil end
  local has = mark(marks, sign)
  if e <= was and has == marks then return nil end
  return written(had, math.max(e, was), whose or owner, has, back or was)
end

local now, reserved, values, dates, owners, seen = clock(), s.reserved, {}, {}, {}, {}
local less, more = 0, 0
local there = #ids > 0 and redis.call('HMGET', HOLDS, unpack(ids)) or {}
local over = #ids > 0 and redis.call('HMGET', LOADING, unpack(marks)) or {}
for i, id in ipairs(ids) do
  local q, e, owner, sign = tonumber(ARGV[3 + 3 * i]), dated(ARGV[4 + 3 * i])
  local value = e > now and not over[i] and not seen[id] and merged(there[i], q, e, owner, sign)
  if value then
    local held, expiry, whose = entry(value)
    values[#values + 1], values[#values + 2] = id, value
    dates[#dates + 1], dates[#dates + 2] = text(expiry), id
    owners[#owners + 1] = { whose, id, held, expiry }
    less, more = less + units(there[i]), more + units(value)
    if not there[i] then reserved = reserved + q end
    seen[id] = true
  end
end
if #values > 0 then
  recount(less, more)
  redis.call('HSET', HOLDS, unpack(values))
  redis.call('ZADD', EXPIRY, unpack(dates))
  for _, o in ipairs(owners) do note(o[1], o[2], now, o[3], o[4]) end
  touch(s)
end
count(s, reserved)
redis.call('HSET', LOADING, 'at', text(now), 'place', place)
redis.call('PEXPIRE', LOADING, IDLE)
if not n then return { 0 } end
if v < (s.v or 0) then return { 3 } end
redis.call('HSET', STOCK, 'n', text(n), 'v', text(v))
redis.call('HDEL', STOCK, 'load')
redis.call('UNLINK', LOADING)
touch(s)
return { 1 }
