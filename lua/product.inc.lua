-- The common part of every script that touches a product. lua.go puts it in front of those that declare these keys:
--   KEYS[1] stock:{p}     hash    n: units in the books, v: version of the stock row, seq: changes with every change of any of the four,
--                                 m: units that are marked, counted while the product is loaded and kept right from then on
--                                 load: token of the loader, while the product is loading
--                                 walk: how far the sums are being counted anew (recount.lua), and what they are so far
--   KEYS[2] reserved:{p}  string  sum of the quantities of all entries of holds:{p}
--   KEYS[3] holds:{p}     hash    hold id -> "quantity:expiry in ms", and ":owner" where limits for customers are on (owner.inc.lua);
--                                 ":owner:marks:back" while checkouts have it, or once an order does (the owner may be empty)
--   KEYS[4] expiry:{p}    zset    hold id by expiry in ms; the same ids as holds:{p}
--   KEYS[5] owners:{p}    hash    what customers have of the product, where limits for customers are on (owner.inc.lua)
--   KEYS[6] loading:{p}   hash    token: of the loader, the same as in stock:{p}; at: ms of its last page; place: how far it has come;
--                                 ":" and a hold id: it has ended since the load began
-- A product is loaded when n is there and the first four agree. Whatever else is found, a key lost or of the wrong type, counts as
-- not loaded, so that it is loaded anew and never guessed. An entry whose expiry is now or earlier counts for nobody.
-- A product is loading from open on until the last page of load. Its entries end, and are extended, as those of a loaded one, and
-- what ends leaves its id, for the loader may have read the rows before that. Nothing new is held. Without holds stock:{p} and
-- reserved:{p} go after a while, so that what was only looked at does not stay.
-- A mark is the token of one checkout; several are joined by dots. What is marked ends later than its cart says: back is when it
-- ends if all checkouts come to nothing, 0 if it was not held before them. Only undo takes a mark away, so that no checkout and
-- no change of the cart ever shortens what another checkout has.
-- The books may have fewer units than are held: an operator has taken some away. Then whoever checks out first is served: what is
-- marked is promised, and a checkout is refused if the stock is less than that and its own together.
local STOCK, RESERVED, HOLDS, EXPIRY, LOADING = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6]
local MOST = 9007199254740991 -- 2^53-1, the last whole number that a Lua number holds exactly
local DROP = 100              -- expired entries that one call drops
local MANY = 500              -- ids or entries that one call takes
local IDLE = 1800000          -- ms after which a product without holds is forgotten, and a load that nobody goes on with

-- whole gives the number in s if it is a decimal whole number within least..most, else nil.
local function whole(s, least, most)
  if type(s) ~= 'string' or #s > 16 or not string.find(s, '^%d+$') then return nil end
  local n = tonumber(s)
  if n < least or n > most then return nil end
  return n
end

-- text writes a whole number in full; Lua's own conversion keeps 14 digits.
local function text(n) return string.format('%.0f', n) end

local function refuse(what) return redis.error_reply('INVALID ' .. what) end

-- named says whether s can be a hold's id.
local function named(s) return type(s) == 'string' and #s >= 1 and #s <= 64 end

-- SHIFT is how many ms Postgres' clock is ahead of that of this Redis, where they differ: then the last argument says so, behind "shift:".
local SHIFT = 0
local shift = string.match(ARGV[#ARGV] or '', '^shift:(%-?%d+)$')
if shift then SHIFT, ARGV[#ARGV] = tonumber(shift), nil end

-- clock is the time in ms: one clock decides what has expired, whoever asks. Expiries are of Postgres' time.
local function clock()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000) + SHIFT
end

-- entry reads one entry: its quantity, its expiry and, where there are such, its owner, its marks with the time to go back to; or nil.
local function entry(value)
  if not value then return nil end
  local q, e, rest = string.match(value, '^(%d+):(%d+)(.*)$')
  q, e = whole(q, 1, MOST), whole(e, 1, MOST)
  if not (q and e) then return nil end
  if rest == '' then return q, e end
  local owner, marks, back = string.match(rest, '^:([%w_-]*):([%w_.-]+):(%d+)$')
  back = whole(back, 0, MOST)
  if not back then owner = string.match(rest, '^:([%w_-]+)$') end
  if not owner or (#owner ~= 16 and not (back and owner == '')) then return nil end
  return q, e, owner ~= '' and owner or nil, back and marks, back
end

-- token says whether s can be the mark of a checkout.
local function token(s) return type(s) == 'string' and #s >= 1 and #s <= 16 and string.find(s, '^[%w_-]+$') ~= nil end

-- marks are at most this many; then one is put there that nobody takes away, until the entry is compared with the rows. ORDER is
-- the mark of what the rows say is an order's.
local MARKS, FULL, ORDER = 6, '_', 'order'

-- mark adds a checkout's mark to others, or to none.
local function mark(marks, one)
  if not marks then return one end
  local n = 1
  for each in string.gmatch(marks, '[^.]+') do
    if each == one or each == FULL then return marks end
    n = n + 1
  end
  return marks .. '.' .. (n < MARKS and one or FULL)
end

-- unmark takes a mark away, and gives what is left, or nil for nothing, and whether it was there.
local function unmark(marks, one)
  local left, found = {}, false
  for each in string.gmatch(marks or '', '[^.]+') do
    if each == one then found = true else left[#left + 1] = each end
  end
  return #left > 0 and table.concat(left, '.') or nil, found
end

-- try calls a command that may meet a key of the wrong type, and then gives nil.
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then return nil end
  return reply
end

-- shelf reads what is stored of the product. It touches nothing, and reads all four keys, so that what follows in the same
-- script meets no key of the wrong type. sound: the keys of the holds agree; loaded: sound, and the stock is known; load: the token
-- of the loader, if loading:{p} is that loader's.
local counted -- m, or nil where it is not known
local walk    -- of recount: all entries up to e and id have been counted; nil: nobody is counting
local function shelf()
  local stock = try('HMGET', STOCK, 'n', 'v', 'seq', 'load', 'm', 'walk') or {}
  local held, entries, dated = try('GET', RESERVED), try('HLEN', HOLDS), try('ZCARD', EXPIRY)
  local s = { n = whole(stock[1], 0, MOST), v = whole(stock[2], 0, MOST), seq = whole(stock[3], 1, MOST), reserved = whole(held, 0, MOST) }
  s.sound = held ~= nil and entries ~= nil and entries == dated
  if held == false then
    s.reserved, s.sound = 0, s.sound and entries == 0 and not s.n
  else
    s.sound = s.sound and s.reserved ~= nil and (s.reserved > 0) == (entries > 0)
  end
  s.loaded = s.sound and s.n ~= nil and s.v ~= nil and s.seq ~= nil
  if stock[4] and s.seq and try('HGET', LOADING, 'token') == stock[4] then s.load = stock[4] end
  counted = s.sound and whole(stock[5], 0, MOST) or nil
  if counted and entries == 0 then counted = 0 end
  local e, units, marked, id = string.match(s.loaded and stock[6] or '', '^(%d+):(%d+):(%d+):(.*)$')
  if e then walk = { e = tonumber(e), units = tonumber(units), marked = tonumber(marked), id = id } end
  return s
end

-- recount changes m by what is taken away and what is added.
local function recount(less, more)
  if not counted or less == more then return end
  counted = counted - less + more
  redis.call('HSET', STOCK, 'm', text(counted))
end

-- units gives the quantity of an entry if it is marked, else 0.
local function units(value)
  local q, _, _, marks = entry(value)
  return marks and q or 0
end

-- account has who counts the sums anew know of an entry that goes (-1) or comes (1), if it lies where has been counted already.
local function account(id, value, sign)
  local q, e, _, marks = entry(walk and value or nil)
  if not q or e > walk.e or (e == walk.e and id > walk.id) then return end
  walk.units = walk.units + sign * q
  if marks then walk.marked = walk.marked + sign * q end
end

-- keepWalk writes what account has changed.
local function keepWalk()
  if walk then redis.call('HSET', STOCK, 'walk', text(walk.e) .. ':' .. text(walk.units) .. ':' .. text(walk.marked) .. ':' .. walk.id) end
end

-- promised gives the units that are marked, but for one's own; nil if that is not known, of a product with more holds than one call may count.
local function promised(own)
  if not counted then
    if redis.call('HLEN', HOLDS) > MANY then return nil end -- recount brings it
    counted = 0
    for _, value in ipairs(redis.call('HVALS', HOLDS)) do counted = counted + units(value) end
    redis.call('HSET', STOCK, 'm', text(counted))
  end
  return counted - own
end

-- due finds up to DROP expired entries: their ids (and the same as a set), the sum of their quantities, and whether more
-- remain. It gives nil if an entry cannot be read.
local function due(now)
  local ids = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', text(now), 'LIMIT', 0, DROP + 1)
  local more = #ids > DROP
  if more then ids[#ids] = nil end
  local sum, set = 0, {}
  if #ids > 0 then
    for i, value in ipairs(redis.call('HMGET', HOLDS, unpack(ids))) do
      local q = entry(value)
      if not q then return nil end
      sum, set[ids[i]] = sum + q, true
    end
  end
  return { ids = ids, sum = sum, set = set, more = more }
end

-- spoil says that an entry cannot be read: the product counts as not loaded from here on, and is loaded anew, from the start.
local function spoil(s)
  redis.call('UNLINK', RESERVED)
  if s.seq then
    redis.call('HDEL', STOCK, 'load')
    redis.call('HSET', STOCK, 'seq', text(s.seq + 1))
  end
end

-- touch marks a change, so that whoever read the product before it (to repair it) is refused.
local function touch(s)
  if s.seq then redis.call('HSET', STOCK, 'seq', text(s.seq + 1)) end
end

-- ended leaves the ids of holds that have ended to the loader, if there is one.
local function ended(s, ids)
  if not s.load or #ids == 0 then return end
  local marks = {}
  for _, id in ipairs(ids) do
    marks[#marks + 1], marks[#marks + 2] = ':' .. id, ''
  end
  redis.call('HSET', LOADING, unpack(marks))
end

-- count writes the sum. A product without holds is forgotten after a while.
local function count(s, reserved)
  if reserved == 0 then
    redis.call('SET', RESERVED, '0', 'PX', IDLE)
    redis.call('PEXPIRE', STOCK, IDLE)
    return
  end
  redis.call('SET', RESERVED, text(reserved))
  if (s.reserved or 0) == 0 then redis.call('PERSIST', STOCK) end
end

-- finish writes the end of some entries and the new sum. It is the first write of every script.
local function finish(s, gone, reserved)
  if #gone > 0 then
    if counted or walk then
      local less = 0
      for i, value in ipairs(redis.call('HMGET', HOLDS, unpack(gone))) do
        less = less + units(value)
        account(gone[i], value, -1)
      end
      recount(less, 0)
      keepWalk()
    end
    redis.call('HDEL', HOLDS, unpack(gone))
    redis.call('ZREM', EXPIRY, unpack(gone))
  end
  count(s, reserved)
  touch(s)
end

-- written is an entry as it is stored. The owner may be nil, and the marks, without which there is no time to go back to.
local function written(q, e, owner, marks, back)
  local rest = marks and ':' .. (owner or '') .. ':' .. marks .. ':' .. text(back) or owner and ':' .. owner or ''
  return text(q) .. ':' .. text(e) .. rest
end

-- put writes one entry.
local function put(id, q, e, owner, marks, back)
  local value = written(q, e, owner, marks, back)
  if counted or walk then
    local old = redis.call('HGET', HOLDS, id)
    recount(units(old), marks and q or 0)
    account(id, old, -1)
    account(id, value, 1)
    keepWalk()
  end
  redis.call('HSET', HOLDS, id, value)
  redis.call('ZADD', EXPIRY, text(e), id)
end
