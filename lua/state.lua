#!lua flags=no-writes
-- state shows all that is stored of a product, for whoever compares it with the books. The entries come in pages; pages with
-- the same seq belong to one moment.
-- KEYS    the product's six (product.inc.lua)
-- ARGV    cursor, '0' for the first page
-- answers {condition, seq, stock, version, reserved, marked, now in ms, next cursor, {hold id, "quantity:expiry", …}, {expiry, …}}
--         condition 1 loaded, 0 not loaded, -1 the keys do not agree (load it); numbers as strings, '' where there is none;
--         expired entries are among them; the expiries are those by which they end; next cursor '0' after the last page
-- cost    O(500) for a page; a small hash comes as a whole
if not string.find(ARGV[1] or '', '^%d+$') then return refuse('state: cursor') end
local s = shelf()
local function shown(n) return n and text(n) or '' end
local page = try('HSCAN', HOLDS, ARGV[1], 'COUNT', MANY) or { '0', {} }
local condition = s.loaded and 1 or (s.sound and not s.n and 0 or -1)
local ids, dates = {}, {}
for i = 1, #page[2], 2 do ids[#ids + 1] = page[2][i] end
for i, date in ipairs(#ids > 0 and try('ZMSCORE', EXPIRY, unpack(ids)) or {}) do dates[i] = date or '' end
return { condition, shown(s.seq), shown(s.n), shown(s.v), shown(s.reserved), shown(counted), text(clock()), page[1], page[2], dates }
