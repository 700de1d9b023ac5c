#!lua flags=allow-oom
-- putoff.lua: let a message wait because its order is in somebody else's hand. It
-- is charged nothing and gets no right to take the order over.
--
-- KEYS[1]  processing  list  what the worker has in hand, newest left  (drained)
-- KEYS[2]  delayed     zset  messages by the ms at which they are due  (appended)
-- ARGV[1]  payload  string  the message
-- ARGV[2]  delay    int     ms to wait
--
-- Returns  array  1, or 0 if the worker does not hold the message any more
--
-- Atomic: the message enters the set before it leaves the list.
-- Repeatable: a second run finds nothing to do.

local processing, delayed = KEYS[1], KEYS[2]
local payload, delay = ARGV[1], tonumber(ARGV[2])

if not redis.call('LPOS', processing, payload, 'RANK', -1) then
  return { 0 }
end

local time = redis.call('TIME')
redis.call('ZADD', delayed, time[1] * 1000 + math.floor(time[2] / 1000) + delay, payload)
redis.call('LREM', processing, -1, payload)
return { 1 }
