#!lua
-- repair sets a product right as a compare-and-set: it writes only if nothing has changed since state showed that sequence.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    seq; stock and version, or '' and '' to leave them; the sums of all entries shown and of those that are marked, or '' and ''
--         to trust what is stored; the number of ids to remove, these ids; then entries to set: hold id, quantity, expiry in ms or
--         "expiry:owner[:mark]" (one that has expired is left out; without an owner it keeps the one it has). At most 500 ids and 500 entries.
-- answers {1, seq} written, {2, seq} changed meanwhile, {-1, '0'} not loaded, or the keys do not agree: load it instead
-- cost    O((ids + entries) x log holds)
local seq, drops = whole(ARGV[1], 1, MOST), whole(ARGV[6], 0, MANY)
local n, v, sum, promises = whole(ARGV[2], 0, MOST), whole(ARGV[3], 0, MOST), whole(ARGV[4], 0, MOST), whole(ARGV[5], 0, MOST)
if not seq or not drops then return refuse('repair: seq, number of ids') end
if (ARGV[2] ~= '' and not n) or (ARGV[3] ~= '' and not v) or (n == nil) ~= (v == nil) then return refuse('repair: stock, version') end
if (ARGV[4] ~= '' and not sum) or (ARGV[5] ~= '' and not promises) then return refuse('repair: sums') end
local first = 7 + drops
if #ARGV < first - 1 or #ARGV > first - 1 + 3 * MANY or (#ARGV - first + 1) % 3 ~= 0 then return refuse('repair: ids and entries') end
for i = first, #ARGV, 3 do
  local e, owner = dated(ARGV[i + 2])
  if not (named(ARGV[i]) and whole(ARGV[i + 1], 1, MOST) and e) or (owner and not marked(ARGV[i])) then return refuse('repair: entry') end
end
local s = shelf()
if not s.loaded then return { -1, '0' } end
if s.seq ~= seq then return { 2, text(s.seq) } end
local now, reserved = clock(), sum or s.reserved
local gone, seen, whose = {}, {}, {}
for i = 7, #ARGV do -- what is to be removed, and what is to be replaced
  local id = ARGV[i]
  if (i < first or (i - first) % 3 == 0) and not seen[id] then
    seen[id] = true
    local value = redis.call('HGET', HOLDS, id)
    local q, _, owner = entry(value)
    if value or redis.call('ZSCORE', EXPIRY, id) then
      reserved, gone[#gone + 1], whose[id] = reserved - (q or 0), id, owner -- one that cannot be read counted for nothing
    end
  end
end
local entries = {}
for i = first, #ARGV, 3 do
  local id, q, e, owner, one = ARGV[i], tonumber(ARGV[i + 1]), dated(ARGV[i + 2])
  if e > now and seen[id] ~= 'put' then
    seen[id], entries[#entries + 1] = 'put', { id, q, e, owner or whose[id], one }
    reserved = reserved + q
  end
end
if reserved < 0 then return refuse('repair: reserved is less than what is removed') end
counted = promises or counted
finish(s, gone, reserved)
for _, id in ipairs(gone) do note(whose[id], id, now) end
for _, one in ipairs(entries) do
  put(one[1], one[2], one[3], one[4], one[5], 0)
  note(one[4], one[1], now, one[2], one[3])
end
if n then redis.call('HSET', STOCK, 'n', text(n), 'v', text(v)) end
if counted then redis.call('HSET', STOCK, 'm', text(counted)) end
return { 1, text(seq + 1) }
