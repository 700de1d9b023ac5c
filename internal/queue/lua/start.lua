#!lua flags=allow-oom
-- start.lua: note that the work on a message begins; from here on the death of
-- the worker is charged to it.
--
-- KEYS[1]  workers      zset  who is registered, and until when  (read)
-- KEYS[2]  worker       hash  describes the instance             (written)
-- KEYS[3]  deliveries   hash  digest to deliveries charged       (read)
-- KEYS[4]  redelivered  set   digests that may be taken over     (written)
-- ARGV[1]  instance        string  who starts
-- ARGV[2]  digest          string  of the payload
-- ARGV[3]  order_id        int     for people who look
-- ARGV[4]  correlation_id  string  for people who look
--
-- Returns  int  deliveries charged so far, or -1 if the lease is gone and the
--               work must not begin
--
-- Atomic: work never starts under a lease that a reaper has begun to act upon.
-- Repeatable: a second run notes the same.

local workers, worker, deliveries, redelivered = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local instance, digest, order_id, correlation_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local deadline = redis.call('ZSCORE', workers, instance)
if not deadline or tonumber(deadline) == 0 then
  return -1
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', worker, 'order:' .. digest, string.format('%.0f', now) .. ' ' .. order_id .. ' ' .. correlation_id)
redis.call('SREM', redelivered, digest)
return tonumber(redis.call('HGET', deliveries, digest) or 0)
