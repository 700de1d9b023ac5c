#!lua flags=allow-oom
-- reap.lua: give what a dead worker held back to the front of the queue, first in
-- first out within each of its lists. Whether he had begun is seen by who takes over.
--
-- KEYS[1]  workers      zset    who is registered, and until when         (written)
-- KEYS[2]  worker       hash    describes the instance                    (removed)
-- KEYS[3]  queue        list    waiting messages, oldest right            (appended)
-- KEYS[4]  deliveries   hash    digest to deliveries charged              (written)
-- KEYS[5]  returned     hash    digest to how the message came back       (written)
-- KEYS[6]  dead         stream  dead letters                              (appended)
-- KEYS[7]  events       stream  what happened lately                      (appended)
-- KEYS[i]  processing   list    what the worker has in hand, newest left; from i = 8 on  (drained)
-- ARGV[1]  instance  string  who is presumed dead
-- ARGV[2]  limit     int     most messages to move in one run
-- ARGV[3]  reaper    string  who reaps
-- ARGV[4]  longest   int     bytes that a message may have
--
-- Returns  array  messages given back, dead letters made of what is too long, 1 if there is
--                 more to do or 0 if not; -1 first if the instance lives or is not registered
--
-- Atomic: the look at the lease, the sentence and the moves are one step to every
--   other client. The first run condemns the instance (its deadline becomes 0), so
--   that no beat brings it back while later runs move the rest. The registration
--   goes only with empty lists. A message is marked before it moves and moves in
--   one command, so that a script that fails half way loses nothing.
-- Bounded: at most limit moves.
-- Repeatable: a second run moves nothing.

local workers, worker, queue = KEYS[1], KEYS[2], KEYS[3]
local deliveries, returned, dead, events = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local instance, limit, reaper, longest = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline = redis.call('ZSCORE', workers, instance)
if not deadline or tonumber(deadline) > now then
  return { -1, 0, 0 }
end
redis.call('ZADD', workers, 0, instance)

-- bury makes a dead letter of the newest message in a list.
local function bury(processing, payload, digest)
  local err = #payload .. ' bytes, more than ' .. longest
  local charged = redis.call('HGET', deliveries, digest) or 0
  redis.call('XADD', dead, '*', 'payload', payload, 'reason', 'too_large', 'error', err,
    'order_id', '', 'correlation_id', '', 'deliveries', charged, 'instance', instance)
  redis.call('HDEL', deliveries, digest)
  redis.call('HDEL', returned, digest)
  redis.call('LPOP', processing)
  redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'dead', 'instance', instance, 'order_id', '',
    'correlation_id', '', 'deliveries', charged, 'reason', 'too_large', 'error', err)
end

local moved, buried = 0, 0

-- give gives back the newest message in a list. A mark that is there already is of somebody
-- before him, and it is that one who may have begun. Of copies only the first one is marked,
-- for one death is paid for once, and whoever has that one may have begun.
local function give(processing, payload)
  local digest = redis.sha1hex(payload)
  if #payload > longest then -- reading it may be what killed the worker
    bury(processing, payload, digest)
    buried = buried + 1
    return
  end
  if redis.call('HSETNX', worker, 'given:' .. digest, '') == 1 then
    redis.call('HSETNX', returned, digest, 'died ' .. instance)
  end
  redis.call('LMOVE', processing, queue, 'LEFT', 'RIGHT')
  moved = moved + 1
end

for i = 8, #KEYS do
  local processing = KEYS[i]
  while moved + buried < limit do
    local payload = redis.call('LINDEX', processing, 0)
    if not payload then
      break
    end
    give(processing, payload)
  end
end
local more = 1
if moved + buried < limit then
  redis.call('DEL', worker)
  redis.call('ZREM', workers, instance)
  more = 0
end

redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'reaped', 'instance', instance, 'by', reaper,
  'messages', moved, 'dead', buried)
return { moved, buried, more }
