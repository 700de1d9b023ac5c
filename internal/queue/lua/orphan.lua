#!lua flags=allow-oom
-- orphan.lua: register an instance that left traces but is not registered, so that
-- it has one lease to beat, or is reaped.
--
-- KEYS[1]  workers     zset  who is registered, and until when  (written)
-- KEYS[2]  worker      hash  describes the instance             (read)
-- KEYS[3]  processing  list  what the instance has in hand      (read)
-- ARGV[1]  instance  string  whose traces they are
-- ARGV[2]  owner     string  the instance that speaks for it, itself or another
-- ARGV[3]  lease     int     ms without a beat until it is presumed dead
--
-- Returns  int  1 registered, 0 it or its owner is registered, or the traces are gone
--
-- Atomic: an existing lease is never changed.
-- Repeatable: a second run changes nothing.

local workers, worker, processing = KEYS[1], KEYS[2], KEYS[3]
local instance, owner, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])

if redis.call('ZSCORE', workers, owner) or redis.call('EXISTS', worker, processing) == 0 then
  return 0
end

local time = redis.call('TIME')
return redis.call('ZADD', workers, 'NX', time[1] * 1000 + math.floor(time[2] / 1000) + lease, instance)
