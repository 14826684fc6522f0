#!lua flags=allow-oom
-- memory shows what a server was told of its memory, and tells it something else as a compare-and-set: only if it knows what
-- the caller has read, and is still the process that the caller has looked at. Only the server itself can say which one it is.
-- KEYS    KEYS[1] memory:{n}  string  what it was told, as package reconcile writes it
-- ARGV    what it must know ('': nothing), the run id that it must have, and what to tell it ('': only look)
-- answers {1 told or 0 not, what it knows now or '', its run id}
-- cost    O(1)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if not run then return redis.error_reply('INVALID memory: the server does not say its run id') end
local knows = redis.pcall('GET', KEYS[1])
if type(knows) ~= 'string' then
  if knows then redis.call('UNLINK', KEYS[1]) end -- of the wrong type: it knows nothing
  knows = ''
end
if ARGV[3] ~= '' and knows == ARGV[1] and run == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[3])
  return { 1, ARGV[3], run }
end
return { 0, knows, run }
