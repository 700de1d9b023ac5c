#!lua flags=allow-oom
-- requeue.lua: queue the messages of dead letters again, in front, charged nothing and with
-- the right to take their orders over: nobody holds them.
--
-- KEYS[1]  dead         stream  dead letters                    (drained)
-- KEYS[2]  queue        list    waiting messages, oldest right  (appended)
-- KEYS[3]  deliveries   hash    digest to deliveries charged    (written)
-- KEYS[4]  returned     hash    digest to how it came back      (written)
-- KEYS[5]  events       stream  what happened lately            (appended)
-- ARGV[1]  by  string  who wants it
-- ARGV[i]  id  string  of a letter; from i = 2 on, the youngest first
--
-- Returns  array  how many of the ids it came to, and how many letters it found and queued
--
-- Atomic: a message is queued before its letter goes, so that a script that fails half way
--   loses nothing. The youngest is queued first, so that the oldest ends up in front.
-- Bounded: by the number of ids, and it comes to none after the first megabyte: a payload
--   is copied to be moved.
-- Repeatable: a second run finds no letter.

local dead, queue, deliveries, returned, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local by = ARGV[1]

local seen, queued, bytes = 0, 0, 0

-- requeue queues the message of one letter.
local function requeue(id, fields)
  local letter = {}
  for i = 1, #fields, 2 do
    letter[fields[i]] = fields[i + 1]
  end
  if not letter.payload then -- no worker has written that
    return
  end
  local digest = redis.sha1hex(letter.payload)
  redis.call('HDEL', deliveries, digest)
  redis.call('HSET', returned, digest, 'returned')
  redis.call('RPUSH', queue, letter.payload)
  redis.call('XDEL', dead, id)
  redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'requeued', 'by', by, 'order_id', letter.order_id or '',
    'correlation_id', letter.correlation_id or '', 'reason', letter.reason or '', 'id', id)
  queued, bytes = queued + 1, bytes + #letter.payload
end

for i = 2, #ARGV do
  if bytes > 1048576 then
    break
  end
  local id = ARGV[i]
  local found = redis.call('XRANGE', dead, id, id)[1]
  if found then
    requeue(found[1], found[2])
  end
  seen = seen + 1
end
return { seen, queued }
