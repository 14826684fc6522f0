#!lua
-- amend sets single holds of a product right while others change: each only if its entry is still the one that was shown. So a product
-- that never rests is set right all the same.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    stock and version as they were shown, and what the books say: it is set if theirs is newer, or what was shown is still there; then
--         up to 100 times: hold id; its entry as it was shown, or '' for none; the quantity that it ought to have, or '' to end it; expiry
--         in ms or "expiry:owner[:mark]" (one that has expired ends; without an owner it keeps the one it has)
-- answers {1, done, …}  done is 1, or 0 for a hold that has changed
--         {-1}          not loaded, or the keys do not agree
-- cost    O(holds named x log holds)
local n, v = whole(ARGV[3], 0, MOST), whole(ARGV[4], 0, MOST)
if not (n and v) then return refuse('amend: stock, version') end
if #ARGV > 404 or #ARGV % 4 ~= 0 then return refuse('amend: up to 100 times id, entry, quantity, expiry') end
for i = 5, #ARGV, 4 do
  local e, owner = dated(ARGV[i + 3])
  if not named(ARGV[i]) then return refuse('amend: id') end
  if ARGV[i + 2] ~= '' and not (whole(ARGV[i + 2], 1, MOST) and e) then return refuse('amend: quantity, expiry') end
  if owner and not marked(ARGV[i]) then return refuse('amend: owner') end
end
local s = shelf()
if not s.loaded then return { -1 } end
local now, reserved, gone, set, done, seen = clock(), s.reserved, {}, {}, { 1 }, {}
local owners = {}
for i = 5, #ARGV, 4 do
  local id, value = ARGV[i], redis.call('HGET', HOLDS, ARGV[i])
  local same = not seen[id] and (value or '') == ARGV[i + 1]
  done[#done + 1], seen[id] = same and 1 or 0, true
  if same then
    local had, _, whose = entry(value or nil)
    local q, e, owner, one = whole(ARGV[i + 2], 1, MOST), dated(ARGV[i + 3])
    if value then reserved, gone[#gone + 1], owners[id] = reserved - (had or 0), id, whose end -- one that cannot be read counted for nothing
    if q and e > now then
      set[#set + 1] = { id, q, e, owner or whose, one }
      reserved = reserved + q
    end
  end
end
if reserved < 0 then return refuse('amend: reserved is less than what is removed') end
local stock = v > s.v or (text(s.n) == ARGV[1] and text(s.v) == ARGV[2])
if #gone + #set == 0 and not stock then return done end
finish(s, gone, reserved)
for id, whose in pairs(owners) do note(whose, id, now) end
for _, one in ipairs(set) do
  put(one[1], one[2], one[3], one[4], one[5], 0)
  note(one[4], one[1], now, one[2], one[3])
end
if stock then redis.call('HSET', STOCK, 'n', text(n), 'v', text(v)) end
return done
