#!lua flags=allow-oom
-- retry.lua: charge a delivery to a message that failed, and let it wait for its
-- next one; or keep it as a dead letter, if that was its last.
--
-- KEYS[1]  processing   list    what the worker has in hand, newest left  (drained)
-- KEYS[2]  deliveries   hash    digest to deliveries charged              (written)
-- KEYS[3]  returned     hash    digest to how the message came back       (written)
-- KEYS[4]  delayed      zset    messages by the ms at which they are due  (appended)
-- KEYS[5]  dead         stream  dead letters                              (appended)
-- KEYS[6]  events       stream  what happened lately                      (appended)
-- ARGV[1]  payload         string  the message
-- ARGV[2]  digest          string  of the payload
-- ARGV[3]  first           int     ms to wait before the first retry; it doubles each time
-- ARGV[4]  longest         int     ms to wait at most
-- ARGV[5]  least           int     ms to wait in any case
-- ARGV[6]  jitter          float   factor on the wait, about 1
-- ARGV[7]  max             int     deliveries that a message gets
-- ARGV[8]  instance        string  who gives it back
-- ARGV[9]  order_id        string  its order, "" where unknown
-- ARGV[10]  correlation_id  string  its order's
-- ARGV[11]  reason          string  why it is dead, if it is
-- ARGV[12]  error           string  what went wrong
--
-- Returns  array  1 delayed, 2 dead, 0 the worker does not hold the message any more;
--                 the deliveries charged; the ms that it waits
--
-- Atomic: the message is always in one place. What it becomes is written before
--   it leaves the list, so that a script that fails half way loses nothing.
-- Repeatable: a second run finds nothing to do.

local processing, deliveries, returned = KEYS[1], KEYS[2], KEYS[3]
local delayed, dead, events = KEYS[4], KEYS[5], KEYS[6]
local payload, digest = ARGV[1], ARGV[2]
local first, longest, least, jitter = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local max, instance, order_id, correlation_id = tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10]
local reason, err = ARGV[11], ARGV[12]

if not redis.call('LPOS', processing, payload, 'RANK', -1) then
  return { 0, 0, 0 }
end

local charged = redis.call('HINCRBY', deliveries, digest, 1)
local result, delay = 1, 0
if charged >= max then
  result = 2
  redis.call('XADD', dead, '*', 'payload', payload, 'reason', reason, 'error', err, 'order_id', order_id,
    'correlation_id', correlation_id, 'deliveries', charged, 'instance', instance)
  redis.call('HDEL', deliveries, digest)
  redis.call('HDEL', returned, digest)
else
  delay = math.floor(math.max(math.min(first * 2 ^ (charged - 1), longest) * jitter, least))
  local time = redis.call('TIME')
  redis.call('ZADD', delayed, time[1] * 1000 + math.floor(time[2] / 1000) + delay, payload)
  redis.call('HSET', returned, digest, 'returned')
end
redis.call('LREM', processing, -1, payload)
redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', result == 2 and 'dead' or 'retried', 'instance', instance,
  'order_id', order_id, 'correlation_id', correlation_id, 'deliveries', charged,
  'reason', result == 2 and reason or '', 'error', err)
return { result, charged, delay }
