#!lua flags=allow-oom,no-writes
-- next.lua: read the messages that are claimed next, with no more of each than is asked for.
--
-- KEYS[1]  queue  list  waiting messages, oldest right  (read)
-- ARGV[1]  limit  int  most messages to read
-- ARGV[2]  head   int  most bytes of a message to tell
--
-- Returns  array  Redis's clock in ms, how many messages wait, the heads of the first ones,
--                 and how long each is
--
-- Atomic: it is one look.
-- Bounded: at most limit messages, and none after the first megabyte.
-- Repeatable: it changes nothing.

local queue, limit, head = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])

local heads, lengths, bytes = {}, {}, 0
while #heads < limit and bytes < 1048576 do
  local message = redis.call('LINDEX', queue, -1 - #heads)
  if not message then
    break
  end
  heads[#heads + 1] = string.sub(message, 1, head)
  lengths[#lengths + 1] = #message
  bytes = bytes + #message
end
local time = redis.call('TIME')
return { time[1] * 1000 + math.floor(time[2] / 1000), redis.call('LLEN', queue), heads, lengths }
