#!lua flags=allow-oom
-- orphan.lua: register an instance that left traces but is not registered, condemned, so
-- that it is reaped; if it lives, its next beat tells it so.
--
-- KEYS[1]  workers     zset  who is registered, and until when  (written)
-- KEYS[2]  worker      hash  describes the instance             (read)
-- KEYS[3]  processing  list  what the instance has in hand      (read)
-- ARGV[1]  instance  string  whose traces they are
-- ARGV[2]  owner     string  the instance that speaks for it, itself or another
--
-- Returns  int  1 registered, 0 it or its owner is registered, or the traces are gone
--
-- Atomic: an existing lease is never changed. None is given: whoever lost his registration
--   may have lost messages with it, and must not go on as if he held them.
-- Repeatable: a second run changes nothing.

local workers, worker, processing = KEYS[1], KEYS[2], KEYS[3]
local instance, owner = ARGV[1], ARGV[2]

if redis.call('ZSCORE', workers, owner) or redis.call('EXISTS', worker, processing) == 0 then
  return 0
end
return redis.call('ZADD', workers, 'NX', 0, instance)
