#!lua
-- load puts a product on the shelf as Postgres has it: the stock, its version, and the live holds. It does so only if nothing
-- has changed since open gave the sequence, never over a newer version, and never over a product that is loaded. Holds that
-- are on the shelf stay as they are. If the product's keys do not agree they are all replaced.
-- Many holds go in several calls: all but the last with done 0, each with the sequence that the one before answered.
-- KEYS    the product's five (product.inc.lua)
-- ARGV    seq, done (0 or 1), available, version, then up to 500 times: hold id, quantity, expiry in ms or "expiry:owner[:mark]"
-- answers {1, seq} written, or was loaded already; {2, seq} changed meanwhile or older than what is known: open and read again
-- cost    O(entries x log holds)
local seq, done, n, v = whole(ARGV[1], 1, MOST), ARGV[2], whole(ARGV[3], 0, MOST), whole(ARGV[4], 0, MOST)
if not seq or not n or not v or (done ~= '0' and done ~= '1') then return refuse('load: seq, done, available, version') end
if #ARGV > 4 + 3 * MANY or (#ARGV - 4) % 3 ~= 0 then return refuse('load: entries are up to 500 times id, quantity, expiry') end
for i = 5, #ARGV, 3 do
  local e, owner = dated(ARGV[i + 2])
  if not (named(ARGV[i]) and whole(ARGV[i + 1], 1, MOST) and e) or (owner and not marked(ARGV[i])) then return refuse('load: entry') end
end
local s = shelf()
if s.seq ~= seq then return { 2, text(s.seq or 0) } end
if s.loaded then return { 1, text(seq) } end
if v < (s.v or 0) then return { 2, text(seq) } end
local now, reserved, changed = clock(), s.reserved, s.n ~= nil
if not s.sound then
  redis.call('UNLINK', RESERVED, HOLDS, EXPIRY)
  reserved, changed = 0, true
end
if s.n then redis.call('HDEL', STOCK, 'n') end
for i = 5, #ARGV, 3 do
  local id, q, e, owner, one = ARGV[i], tonumber(ARGV[i + 1]), dated(ARGV[i + 2])
  if e > now and redis.call('HEXISTS', HOLDS, id) == 0 then
    put(id, q, e, owner, one, 0)
    note(owner, id, now, q, e)
    reserved, changed = reserved + q, true
  end
end
if done == '1' then redis.call('HSET', STOCK, 'n', text(n), 'v', text(v)) end
redis.call('SET', RESERVED, text(reserved))
if changed or done == '1' then
  touch(s)
  seq = seq + 1
end
return { 1, text(seq) }
