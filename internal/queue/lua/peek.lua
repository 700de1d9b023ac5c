#!lua flags=allow-oom
-- peek.lua: read the oldest messages of a list, but none that is too long to be one.
--
-- KEYS[1]  list  list  messages, oldest right  (read)
-- ARGV[1]  limit    int  most messages to look at
-- ARGV[2]  longest  int  bytes that a message may have
--
-- Returns  array  how long the list is, and the messages that are not too long, oldest first
--
-- Atomic: it is one look.
-- Bounded: at most limit messages.
-- Repeatable: it changes nothing.

local list, limit, longest = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])

local seen = redis.call('LRANGE', list, -limit, -1)
local messages = {}
for i = #seen, 1, -1 do
  if #seen[i] <= longest then
    messages[#messages + 1] = seen[i]
  end
end
return { redis.call('LLEN', list), messages }
