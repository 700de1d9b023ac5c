#!lua flags=allow-oom
-- join.lua: register a worker; it may claim once this has answered.
--
-- KEYS[1]  workers  zset    who is registered, and until when  (written)
-- KEYS[2]  worker   hash    describes the instance             (written)
-- KEYS[3]  events   stream  what happened lately               (appended)
-- ARGV[1]  instance     string  who joins
-- ARGV[2]  lease        int     ms without a beat until it is presumed dead
-- ARGV[3]  host         string  where it runs
-- ARGV[4]  pid          int     its process there
-- ARGV[5]  version      string  its build
-- ARGV[6]  concurrency  int     orders worked on at once
--
-- Returns  int  Redis's clock in ms
--
-- Atomic: registered, described and announced in one step.
-- Repeatable: a second run renews the lease and announces nothing.

local workers, worker, events = KEYS[1], KEYS[2], KEYS[3]
local instance, lease = ARGV[1], tonumber(ARGV[2])
local host, pid, version, concurrency = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('HSET', worker, 'host', host, 'pid', pid, 'version', version,
  'concurrency', concurrency, 'started_at', now, 'beat_at', now,
  'legend', 'order:<digest> is being worked on: since when (ms), its id, its correlation id')
if redis.call('ZADD', workers, now + lease, instance) == 1 then
  redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'joined', 'instance', instance)
end
return now
