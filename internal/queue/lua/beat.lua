#!lua flags=allow-oom
-- beat.lua: renew a worker's lease, if it still has one.
--
-- KEYS[1]  workers  zset  who is registered, and until when  (written)
-- KEYS[2]  worker   hash  describes the instance             (written)
-- ARGV[1]  instance  string  whose heart beats
-- ARGV[2]  lease     int     ms without a beat until it is presumed dead
-- ARGV[3]  tally     string  what its process has done so far, for who looks
--
-- Returns  int  Redis's clock in ms, or -1 if the lease is gone: the instance is
--               not registered, or a reaper has condemned it
--
-- Atomic: a lease is never renewed that a reaper has begun to act upon. One that
--   is over but has struck no reaper is renewed: nobody took anything.
-- Repeatable: a second run renews again.

local workers, worker = KEYS[1], KEYS[2]
local instance, lease, tally = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local deadline = redis.call('ZSCORE', workers, instance)
if not deadline or tonumber(deadline) == 0 then
  return -1
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', workers, now + lease, instance)
redis.call('HSET', worker, 'beat_at', now, 'tally', tally)
return now
