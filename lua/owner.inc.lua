-- The common part of the scripts that know whose a hold is. lua.go puts it behind product.inc.lua.
-- An owner is a customer under a name of 16 characters. owners:{p} has one field for each, with words between spaces:
--   since     ms, when the customer began to hold of the product; a pause shorter than the cool-down does not count
--   last      ms, the latest end of a hold that is known
--   then by threes: hold id, quantity, expiry in ms
-- A hold that settle has ended stays in its owner's record until its expiry, for the order that took the units is under way;
-- who knows that it is over says so to hold. What is released goes at once.
local OWNERS = KEYS[5]
local KEEP = 604800000 -- owners:{p} goes a week after its last use

-- owned says whether s can be an owner, and marked whether s can be the id of a hold that has one.
local function owned(s) return type(s) == 'string' and #s == 16 and string.find(s, '^[%w_-]+$') ~= nil end
local function marked(s) return named(s) and not string.find(s, '%s') end

-- record reads what an owner has, or gives an empty record. What cannot be read counts for nothing.
local function record(owner)
  local r = { last = 0, holds = {}, n = 0 }
  local value = try('HGET', OWNERS, owner)
  if not value then return r end
  r.found = true
  local words = {}
  for word in string.gmatch(value, '%S+') do words[#words + 1] = word end
  r.since, r.last = whole(words[1], 0, MOST), whole(words[2], 0, MOST) or 0
  for i = 3, #words - 2, 3 do
    local q, e = whole(words[i + 1], 1, MOST), whole(words[i + 2], 1, MOST)
    if q and e and not r.holds[words[i]] then r.holds[words[i]], r.n = { q, e }, r.n + 1 end
  end
  return r
end

-- lay takes a hold out of a record, or puts it in.
local function lay(r, id, q, e)
  if r.holds[id] then r.n = r.n - 1 end
  r.holds[id] = q and { q, e } or nil
  if q then r.n = r.n + 1 end
end

-- lapse takes out what has expired, and gives the sum of the rest but for one id.
local function lapse(r, now, but)
  local sum, gone = 0, {}
  for id, hold in pairs(r.holds) do
    if hold[2] <= now then
      gone[#gone + 1] = id
      r.last = math.max(r.last, hold[2])
    elseif id ~= but then
      sum = sum + hold[1]
    end
  end
  for _, id in ipairs(gone) do lay(r, id) end
  return sum
end

-- keep writes a record.
local function keep(owner, r, now)
  local words, ids = { text(r.since or now), text(r.last) }, {}
  for id in pairs(r.holds) do ids[#ids + 1] = id end
  table.sort(ids)
  for _, id in ipairs(ids) do
    words[#words + 1] = id .. ' ' .. text(r.holds[id][1]) .. ' ' .. text(r.holds[id][2])
  end
  if not try('HSET', OWNERS, owner, table.concat(words, ' ')) then -- of the wrong type
    redis.call('UNLINK', OWNERS)
    redis.call('HSET', OWNERS, owner, table.concat(words, ' '))
  end
  redis.call('PEXPIRE', OWNERS, KEEP)
end

-- note enters a hold into its owner's record, or takes it out (no quantity). Without an owner there is nothing to do.
local function note(owner, id, now, q, e)
  if not owner then return end
  local r = record(owner)
  if q then lay(r, id, q, e) else lay(r, id) end
  if not q then r.last = math.max(r.last, now) end
  keep(owner, r, now)
end

-- dated reads an expiry that may have an owner behind it, and a mark: "expiry", "expiry:owner", "expiry:owner:mark", the owner of
-- the last perhaps empty. nil: it is none of these.
local function dated(s)
  local e, rest = string.match(type(s) == 'string' and s or '', '^(%d+)(.*)$')
  e = whole(e, 1, MOST)
  if not e or rest == '' then return e end
  local owner, one = string.match(rest, '^:([%w_-]*):([%w_-]+)$')
  if not one then owner = string.match(rest, '^:([%w_-]+)$') end
  if not owner or (not owned(owner) and not (one and owner == '')) or (one and not token(one)) then return nil end
  return e, owner ~= '' and owner or nil, one
end
