#!lua flags=allow-oom
-- strays.lua: read all that a worker holds. What is too long for it to read is kept as a
-- dead letter and never leaves Redis.
--
-- KEYS[1]  processing   list    what the worker has in hand, newest left  (drained)
-- KEYS[2]  deliveries   hash    digest to deliveries charged              (written)
-- KEYS[3]  returned     hash    digest to how the message came back       (written)
-- KEYS[4]  dead         stream  dead letters                              (appended)
-- KEYS[5]  events       stream  what happened lately                      (appended)
-- ARGV[1]  instance  string  whose list it is
-- ARGV[2]  longest   int     bytes that a message may have
--
-- Returns  array  the messages, newest first; and for each dead letter made its digest
--                 and its error
--
-- Atomic: nothing moves between the look and the answer. A dead letter is written before
--   the message leaves the list.
-- Bounded: by the length of one worker's list.
-- Repeatable: a second run reads the same.

local processing, deliveries, returned, dead, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local instance, longest = ARGV[1], tonumber(ARGV[2])

local held, buried = {}, {}
for _ = 1, redis.call('LLEN', processing) do
  local payload = redis.call('LINDEX', processing, #held)
  if #payload <= longest then
    held[#held + 1] = payload
  else
    local digest, err = redis.sha1hex(payload), #payload .. ' bytes, MAX_MESSAGE_BYTES is ' .. longest
    local charged = redis.call('HGET', deliveries, digest) or 0
    redis.call('XADD', dead, '*', 'payload', payload, 'reason', 'too_large', 'error', err, 'order_id', '',
      'correlation_id', '', 'deliveries', charged, 'instance', instance)
    redis.call('HDEL', deliveries, digest)
    redis.call('HDEL', returned, digest)
    redis.call('LREM', processing, 1, payload)
    redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'dead', 'instance', instance, 'order_id', '',
      'correlation_id', '', 'deliveries', charged, 'reason', 'too_large', 'error', err)
    buried[#buried + 1] = digest
    buried[#buried + 1] = err
  end
end
return { held, buried }
