#!lua flags=allow-oom
-- leave.lua: hand all that a worker holds back to the front of the queue, first in
-- first out within each of its lists and charged nothing, and end its lease.
--
-- KEYS[1]  workers      zset    who is registered, and until when            (written)
-- KEYS[2]  worker       hash    describes the instance                       (removed)
-- KEYS[3]  queue        list    waiting messages, oldest right               (appended)
-- KEYS[4]  returned     hash    digest to how the message came back          (written)
-- KEYS[5]  events       stream  what happened lately                         (appended)
-- KEYS[i]  processing   list    what the worker has in hand, newest left; from i = 6 on  (drained)
-- ARGV[1]  instance  string  who leaves
-- ARGV[2]  limit     int     most messages to move in one run
--
-- Returns  int  how many messages moved; fewer than limit means that it is done
--
-- Atomic: each message travels in one LMOVE, newest first, so that the oldest ends
--   up in front. The registration goes only with empty lists.
-- Bounded: at most limit moves.
-- Repeatable: a second run moves nothing.

local workers, worker, queue, returned, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local instance, limit = ARGV[1], tonumber(ARGV[2])

local moved = 0
for i = 6, #KEYS do
  local processing = KEYS[i]
  while moved < limit do
    local payload = redis.call('LMOVE', processing, queue, 'LEFT', 'RIGHT')
    if not payload then
      break
    end
    redis.call('HSET', returned, redis.sha1hex(payload), 'returned')
    moved = moved + 1
  end
end
if moved == limit then
  return moved
end
redis.call('DEL', worker)
if redis.call('ZREM', workers, instance) == 1 then
  redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'left', 'instance', instance, 'handed_back', moved)
end
return moved
