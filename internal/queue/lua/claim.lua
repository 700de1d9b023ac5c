#!lua flags=allow-oom
-- claim.lua: move the oldest waiting messages into a worker's hands, without
-- waiting for any.
--
-- KEYS[1]  queue       list  waiting messages, oldest right          (drained)
-- KEYS[2]  processing  list  what the worker has in hand, newest left (appended)
-- ARGV[1]  limit    int  most messages to take
-- ARGV[2]  longest  int  bytes that a message may have
--
-- Returns  array  the payloads, oldest first; one that is too long is moved, is not
--                 among them, and is the last for now: the worker's audit deals with it
--
-- Atomic: each message travels in one LMOVE and is always in one of the lists.
-- Bounded: at most limit moves.
-- Repeatable: no. A second run takes more; after a lost reply the worker must
--   audit its own list.

local queue, processing = KEYS[1], KEYS[2]
local limit, longest = tonumber(ARGV[1]), tonumber(ARGV[2])

local taken = {}
while #taken < limit do
  local payload = redis.call('LMOVE', queue, processing, 'RIGHT', 'LEFT')
  if not payload or #payload > longest then
    break
  end
  taken[#taken + 1] = payload
end
return taken
