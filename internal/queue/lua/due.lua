#!lua flags=allow-oom
-- due.lua: move the delayed messages whose time has come to the front of the queue.
--
-- KEYS[1]  delayed  zset  messages by the ms at which they are due  (drained)
-- KEYS[2]  queue    list  waiting messages, oldest right            (appended)
-- ARGV[1]  limit  int  most messages to move in one run
--
-- Returns  array  how many messages moved, and the ms until the next is due, or -1
--                 if none waits
--
-- Atomic: a message enters the queue before it leaves the set. The latest goes first,
--   over several runs too, so that the one due first ends up in front.
-- Bounded: at most limit moves.
-- Repeatable: a second run moves what has become due since.

local delayed, queue = KEYS[1], KEYS[2]
local limit = tonumber(ARGV[1])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGE', delayed, now, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, limit)
for _, payload in ipairs(due) do
  redis.call('RPUSH', queue, payload)
  redis.call('ZREM', delayed, payload)
end

local next_up = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if #next_up == 0 then
  return { #due, -1 }
end
return { #due, math.max(0, tonumber(next_up[2]) - now) }
