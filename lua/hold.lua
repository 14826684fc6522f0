#!lua
-- hold sets the hold of one id on one product to a quantity, absolutely: the same call twice is the same as once. The id's own
-- hold never stands in its way. Limits are decided here, where no two calls can pass them together; they refuse what takes
-- more, or holds for longer, than before, and nothing else, and so does the stock: a hold that it covers no more is kept, or made
-- smaller. But a checkout is refused what is promised to those who came before (product.inc.lua). What checkouts have marked ends
-- no sooner by it: the time is then the one to go back to, and longer is what is longer than that.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    hold id, quantity 1..2^53-1, expiry in ms, or of a checkout "expiry:token:back" with the time to go back to if it comes to
--         nothing, 0 for none; then, or none of these:
--         owner, or ''; millionths of the stock that may be held once this hold is; most units of one owner, 0: any; most
--         millionths of the stock for one owner; longest time in ms that an owner may go on holding, 0: any; the pause in ms
--         after which that time begins anew; the moment in ms of the owner's last purchase, or 0; up to 500 ids of holds of
--         the owner whose orders are over
-- answers {1, most, quantity, expiry}  held; most is what this hold could be set to, the rest is what it was before (or 0, 0)
--         {0, most}    not enough; nothing changed
--         {2}          expired entries remain and could decide it: call again
--         {-1}         not loaded
--         {-2}         the expiry has passed already
--         {3, most, limit, allowed, until, id, …}  over a limit; nothing changed. limit: 1 what may be held in all, 2 units of
--                      one owner, 3 share of one owner, 4 time, 5 a hundred holds of one owner; allowed: units (4: ms; 5: holds);
--                      until: when holding may begin anew, or 0; ids: holds of the owner that count, but are held here no more
-- cost    O(log holds); at most 100 expired entries are dropped. With an owner O(holds of the owner), at most 100; the first
--         time after owners:{p} was lost it is made anew from the entries, if these are 500 at most
local id, q, e = ARGV[1], whole(ARGV[2], 1, MOST), whole(ARGV[3], 1, MOST)
local one, back
if not e then
  e, one, back = string.match(ARGV[3] or '', '^(%d+):([%w_-]+):(%d+)$')
  e, back = whole(e, 1, MOST), whole(back, 0, MOST)
end
if not named(id) then return refuse('hold: id') end
if not q then return refuse('hold: quantity is no whole number from 1 to 2^53-1') end
if not e or (one and not (back and token(one))) then return refuse('hold: expiry is no whole number of ms') end
local ALL = 1000000
local owner, share, units, part, age, pause, bought = nil, ALL, 0, ALL, 0, 0, 0
if #ARGV > 3 then
  share, units, part = whole(ARGV[5], 0, ALL), whole(ARGV[6], 0, MOST), whole(ARGV[7], 0, ALL)
  age, pause, bought = whole(ARGV[8], 0, MOST), whole(ARGV[9], 0, MOST), whole(ARGV[10], 0, MOST)
  if not (share and units and part and age and pause and bought) then return refuse('hold: limits') end
  if ARGV[4] ~= '' then owner = ARGV[4] end
  if owner and not (owned(owner) and marked(id)) then return refuse('hold: owner') end
  if #ARGV > 10 + MANY then return refuse('hold: more than 500 ids') end
end
local s = shelf()
if not s.loaded then return { -1 } end
local now = clock()
if e <= now then return { -2 } end
local gone = due(now)
local value = redis.call('HGET', HOLDS, id)
local own, was, whose, marks, floor = entry(value)
if not gone or (value and not own) then
  spoil(s)
  return { -1 }
end
owner = owner or whose
if own and gone.set[id] then own, was, marks, floor = nil, nil, nil, nil end
local had, reserved = own or 0, s.reserved - gone.sum
local most = s.n - reserved + had
local function parts(of) return math.max(1, math.floor(s.n * of / ALL)) end

-- no ends the call without a hold.
local function no(answer)
  if #gone.ids > 0 then finish(s, gone.ids, reserved) end
  if gone.more then return { 2 } end
  return answer
end
if q > most and q > had then return no({ 0, math.max(most, 0) }) end
if one and s.n < reserved then
  if gone.more then return no() end
  local lapsed = 0
  for _, each in ipairs(#gone.ids > 0 and redis.call('HMGET', HOLDS, unpack(gone.ids)) or {}) do lapsed = lapsed + units(each) end
  local others = promised(marks and had or 0)
  if not others then
    spoil(s)
    return { -1 }
  end
  local left = s.n - others + lapsed
  if left < q then return no({ 0, math.max(left, 0) }) end
end
if share < ALL and q > had and reserved - had + q > parts(share) then
  return no({ 3, math.max(parts(share) - reserved + had, had), 1, parts(share), 0 })
end

local r
if owner then
  if s.reserved > 0 and (try('HLEN', OWNERS) or 0) == 0 and redis.call('HLEN', HOLDS) <= MANY then -- lost
    local all = redis.call('HGETALL', HOLDS)
    for i = 1, #all, 2 do
      local units, expiry, of = entry(all[i + 1])
      if of and marked(all[i]) then note(of, all[i], now, units, expiry) end
    end
  end
  r = record(owner)
  for i = 11, #ARGV do lay(r, ARGV[i]) end
  if r.since and bought > r.since then r.since = bought end
  local rest = lapse(r, now, id)
  if r.n == 0 and now - r.last >= pause then r.since = now end
  r.since = r.since or now
  local allowed, limit = part < ALL and parts(part) or MOST, 3
  if units > 0 and units <= allowed then allowed, limit = units, 2 end
  local over
  if q > had and rest + q > allowed then
    over = { 3, math.max(allowed - rest, had), limit, allowed, 0 }
  elseif q > had and r.n >= 100 and not r.holds[id] then
    over = { 3, had, 5, 100, 0 }
  elseif age > 0 and e > (floor or was or 0) and e > r.since + age + math.floor(age / 60) then -- clocks differ a little
    local last = r.last
    for _, hold in pairs(r.holds) do last = math.max(last, hold[2]) end
    over = { 3, had, 4, age, last + pause }
  end
  if over then
    for other in pairs(r.holds) do
      if other ~= id and redis.call('HEXISTS', HOLDS, other) == 0 then over[#over + 1] = other end
    end
    local answer = no(over)
    if #ARGV > 10 or bought > 0 then keep(owner, r, now) end
    return answer
  end
end

local has = one and mark(marks, one) or marks
if one then back = floor or back elseif marks then back = e end
if has and was then e = math.max(e, was) end
if own ~= q or was ~= e or whose ~= owner or has ~= marks or (has and back ~= floor) or #gone.ids > 0 then
  finish(s, gone.ids, reserved - had + q)
  put(id, q, e, owner, has, back)
  if r then
    lay(r, id, q, e)
    keep(owner, r, now)
  end
end
if r and not r.found then -- whoever comes new looks whether two others are of no more use
  for _, other in ipairs(redis.call('HRANDFIELD', OWNERS, 2)) do
    local o = record(other)
    lapse(o, now)
    if other ~= owner and o.n == 0 and now - o.last >= pause then redis.call('HDEL', OWNERS, other) end
  end
end
return { 1, math.max(most, q), had, was or 0 }
