#!lua flags=allow-oom
-- dead.lua: keep a message as a dead letter, because no further delivery can help.
--
-- KEYS[1]  processing   list    what the worker has in hand, newest left  (drained)
-- KEYS[2]  deliveries   hash    digest to deliveries charged              (written)
-- KEYS[3]  returned     hash    digest to how the message came back       (written)
-- KEYS[4]  dead         stream  dead letters                              (appended)
-- KEYS[5]  events       stream  what happened lately                      (appended)
-- ARGV[1]  payload         string  the message
-- ARGV[2]  digest          string  of the payload
-- ARGV[3]  instance        string  who gives it up
-- ARGV[4]  order_id        string  its order, "" where unknown
-- ARGV[5]  correlation_id  string  its order's
-- ARGV[6]  reason          string  why it is dead
-- ARGV[7]  error           string  what went wrong
--
-- Returns  array  2 dead, 0 the worker does not hold the message any more
--
-- Atomic: the dead letter is written before the message leaves the list, so that
--   a script that fails half way loses nothing.
-- Repeatable: a second run finds nothing to do.

local processing, deliveries, returned = KEYS[1], KEYS[2], KEYS[3]
local dead, events = KEYS[4], KEYS[5]
local payload, digest, instance = ARGV[1], ARGV[2], ARGV[3]
local order_id, correlation_id, reason, err = ARGV[4], ARGV[5], ARGV[6], ARGV[7]

if not redis.call('LPOS', processing, payload, 'RANK', -1) then
  return { 0 }
end

local charged = redis.call('HGET', deliveries, digest) or 0
redis.call('XADD', dead, '*', 'payload', payload, 'reason', reason, 'error', err, 'order_id', order_id,
  'correlation_id', correlation_id, 'deliveries', charged, 'instance', instance)
redis.call('HDEL', deliveries, digest)
redis.call('HDEL', returned, digest)
redis.call('LREM', processing, -1, payload)
redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'dead', 'instance', instance, 'order_id', order_id,
  'correlation_id', correlation_id, 'deliveries', charged, 'reason', reason, 'error', err)
return { 2 }
