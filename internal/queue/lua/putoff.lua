#!lua flags=allow-oom
-- putoff.lua: let a message wait because its order is in somebody else's hand. It
-- is charged nothing and gets no right to take the order over.
--
-- KEYS[1]  processing  list  what the worker has in hand, newest left  (drained)
-- KEYS[2]  worker      hash  describes the instance                    (written)
-- KEYS[3]  delayed     zset  messages by the ms at which they are due  (appended)
-- ARGV[1]  payload  string  the message
-- ARGV[2]  digest   string  of the payload
-- ARGV[3]  started  int     1 if the work on this copy had begun
-- ARGV[4]  delay    int     ms to wait
--
-- Returns  array  1, or 0 if the worker does not hold the message any more
--
-- Atomic: the message enters the set before it leaves the list.
-- Repeatable: a second run finds nothing to do.

local processing, worker, delayed = KEYS[1], KEYS[2], KEYS[3]
local payload, digest, started, delay = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

if started == 1 then
  redis.call('HDEL', worker, 'order:' .. digest)
end
if not redis.call('LPOS', processing, payload, 'RANK', -1) then
  return { 0 }
end

local time = redis.call('TIME')
redis.call('ZADD', delayed, time[1] * 1000 + math.floor(time[2] / 1000) + delay, payload)
redis.call('LREM', processing, -1, payload)
return { 1 }
