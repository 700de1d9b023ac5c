#!lua flags=allow-oom
-- ack.lua: forget a message whose order is fulfilled.
--
-- KEYS[1]  processing   list  what the worker has in hand, newest left  (drained)
-- KEYS[2]  worker       hash  describes the instance                    (written)
-- KEYS[3]  deliveries   hash  digest to deliveries charged              (written)
-- KEYS[4]  redelivered  set   digests that may be taken over            (written)
-- ARGV[1]  payload  string  the message
-- ARGV[2]  digest   string  of the payload
-- ARGV[3]  started  int     1 if the work on this copy had begun
--
-- Returns  array  1, or 0 if the worker does not hold the message any more
--
-- Atomic: the message and all that is kept about it go in one step.
-- Repeatable: a second run finds nothing to do.

local processing, worker, deliveries, redelivered = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local payload, digest, started = ARGV[1], ARGV[2], tonumber(ARGV[3])

if started == 1 then
  redis.call('HDEL', worker, 'order:' .. digest)
end
if redis.call('LREM', processing, -1, payload) == 0 then
  return { 0 }
end
redis.call('HDEL', deliveries, digest)
redis.call('SREM', redelivered, digest)
return { 1 }
