#!lua flags=allow-oom
-- peek.lua: read messages of a list, the oldest first, but none that is too long to be one.
--
-- KEYS[1]  list  list  messages, oldest right  (read)
-- ARGV[1]  skip     int  how many of the oldest to leave out
-- ARGV[2]  limit    int  most messages to look at
-- ARGV[3]  longest  int  bytes that a message may have
--
-- Returns  array  how many were looked at, how many remain behind them, and those that
--                 are not too long
--
-- Atomic: it is one look.
-- Bounded: at most limit messages, and none after the first megabyte.
-- Repeatable: it changes nothing.

local list, skip, limit, longest = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local messages, seen, bytes = {}, 0, 0
while seen < limit and bytes < 1048576 do
  local payload = redis.call('LINDEX', list, -1 - skip - seen)
  if not payload then
    break
  end
  if #payload <= longest then
    messages[#messages + 1] = payload
  end
  seen, bytes = seen + 1, bytes + #payload
end
return { seen, math.max(0, redis.call('LLEN', list) - skip - seen), messages }
