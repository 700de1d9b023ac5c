#!lua flags=allow-oom
-- orphan.lua: register an instance that left traces but is not registered, so that
-- it has one lease to beat, or is reaped.
--
-- KEYS[1]  workers  zset  who is registered, and until when  (written)
-- ARGV[1]  instance  string  whose traces they are
-- ARGV[2]  lease     int     ms without a beat until it is presumed dead
--
-- Returns  int  1 registered, 0 it is registered already
--
-- Atomic: an existing lease is never changed.
-- Repeatable: a second run changes nothing.

local workers = KEYS[1]
local instance, lease = ARGV[1], tonumber(ARGV[2])

local time = redis.call('TIME')
return redis.call('ZADD', workers, 'NX', time[1] * 1000 + math.floor(time[2] / 1000) + lease, instance)
