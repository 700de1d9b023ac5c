#!lua flags=allow-oom
-- start.lua: note that the work on messages begins; from here on the death of the
-- worker is charged to them.
--
-- KEYS[1]  workers      zset  who is registered, and until when  (read)
-- KEYS[2]  worker       hash  describes the instance             (written)
-- KEYS[3]  deliveries   hash  digest to deliveries charged       (read)
-- KEYS[4]  redelivered  set   digests that may be taken over     (written)
-- ARGV[1]  instance  string  who starts
-- ARGV[i]      note   string  of the work on a message, order:<digest>; for i = 2, 4, 6 and so on
-- ARGV[i + 1]  about  string  its order's id and correlation id, for people who look
--
-- Returns  array  -1 if the lease is gone and the work must not begin; otherwise the
--                 deliveries charged so far to each message, or nothing if there are none
--
-- Atomic: work never starts under a lease that a reaper has begun to act upon.
-- Bounded: by the number of messages.
-- Repeatable: a second run notes the same.

local workers, worker, deliveries, redelivered = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local instance = ARGV[1]

local deadline = redis.call('ZSCORE', workers, instance)
if not deadline or tonumber(deadline) == 0 then
  return { -1 }
end

local time = redis.call('TIME')
local now = string.format('%.0f ', time[1] * 1000 + math.floor(time[2] / 1000))
local notes = {}
for i = 2, #ARGV, 2 do
  local note, about = ARGV[i], ARGV[i + 1]
  notes[i - 1], notes[i] = note, now .. about
end
redis.call('HSET', worker, unpack(notes))

local charged = {}
if redis.call('EXISTS', deliveries, redelivered) > 0 then -- which is seldom
  for i = 1, #notes, 2 do
    local digest = string.sub(notes[i], #'order:' + 1)
    redis.call('SREM', redelivered, digest)
    charged[#charged + 1] = tonumber(redis.call('HGET', deliveries, digest) or 0)
  end
end
return charged
