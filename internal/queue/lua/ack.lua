#!lua flags=allow-oom
-- ack.lua: forget messages whose orders are fulfilled.
--
-- KEYS[1]  processing   list  what the worker has in hand, newest left  (drained)
-- KEYS[2]  worker       hash  describes the instance                    (written)
-- KEYS[3]  deliveries   hash  digest to deliveries charged              (written)
-- KEYS[4]  redelivered  set   digests that may be taken over            (written)
-- ARGV[i]      payload  string  a message; for i = 1, 4, 7 and so on
-- ARGV[i + 1]  digest   string  of the payload
-- ARGV[i + 2]  started  int     1 if the work on this copy had begun
--
-- Returns  array  for each message 1, or 0 if the worker does not hold it any more
--
-- Atomic: the messages and all that is kept about them go in one step.
-- Bounded: by the number of messages.
-- Repeatable: a second run finds nothing to do.

local processing, worker, deliveries, redelivered = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local answers, notes, gone = {}, {}, {}
for i = 1, #ARGV, 3 do
  local payload, digest, started = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  if started == 1 then
    notes[#notes + 1] = 'order:' .. digest
  end
  local held = redis.call('LREM', processing, -1, payload)
  if held == 1 then
    gone[#gone + 1] = digest
  end
  answers[#answers + 1] = held
end
if #notes > 0 then
  redis.call('HDEL', worker, unpack(notes))
end
if #gone > 0 then
  redis.call('HDEL', deliveries, unpack(gone))
  redis.call('SREM', redelivered, unpack(gone))
end
return answers
