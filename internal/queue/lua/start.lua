#!lua flags=allow-oom
-- start.lua: note that the work on messages begins; from here on the death of the
-- worker is charged to them.
--
-- KEYS[1]  workers      zset  who is registered, and until when  (read)
-- KEYS[2]  worker       hash  describes the instance             (written)
-- KEYS[3]  deliveries   hash  digest to deliveries charged       (read)
-- KEYS[4]  redelivered  set   digests that may be taken over     (written)
-- ARGV[1]  instance  string  who starts
-- ARGV[i]      digest          string  of a payload; for i = 2, 5, 8 and so on
-- ARGV[i + 1]  order_id        int     for people who look
-- ARGV[i + 2]  correlation_id  string  for people who look
--
-- Returns  array  for each message the deliveries charged so far, or -1 if the lease is
--                 gone and the work must not begin
--
-- Atomic: work never starts under a lease that a reaper has begun to act upon.
-- Bounded: by the number of messages.
-- Repeatable: a second run notes the same.

local workers, worker, deliveries, redelivered = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local instance = ARGV[1]

local deadline = redis.call('ZSCORE', workers, instance)
local gone = not deadline or tonumber(deadline) == 0

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local answers, digests, notes = {}, {}, {}
for i = 2, #ARGV, 3 do
  local digest, order_id, correlation_id = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  digests[#digests + 1] = digest
  notes[#notes + 1] = 'order:' .. digest
  notes[#notes + 1] = now .. ' ' .. order_id .. ' ' .. correlation_id
  answers[#answers + 1] = -1
end
if gone then
  return answers
end
redis.call('HSET', worker, unpack(notes))
redis.call('SREM', redelivered, unpack(digests))
for i, charged in ipairs(redis.call('HMGET', deliveries, unpack(digests))) do
  answers[i] = tonumber(charged or 0)
end
return answers
