#!lua flags=allow-oom
-- claim.lua: move the oldest waiting messages into a worker's hands, without
-- waiting for any.
--
-- KEYS[1]  queue       list  waiting messages, oldest right           (drained)
-- KEYS[i]  processing  list  what the worker has in hand, newest left; from i = 2 on  (appended)
-- ARGV[1]  limit    int  most messages to take
-- ARGV[2]  share    int  most of them to put into one list
-- ARGV[3]  longest  int  bytes that a message may have
--
-- Returns  array  the payloads, oldest first, as they fill one list after the other; one
--                 that is too long is moved, is not among them, and is the last for now:
--                 the worker's audit deals with it
--
-- Atomic: each message travels in one LMOVE and is always in one of the lists.
-- Bounded: at most limit moves.
-- Repeatable: no. A second run takes more; after a lost reply the worker must
--   audit its own lists.

local queue = KEYS[1]
local limit, share, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local taken = {}
for i = 2, #KEYS do
  local processing = KEYS[i]
  for _ = 1, math.min(share, limit - #taken) do
    local payload = redis.call('LMOVE', queue, processing, 'RIGHT', 'LEFT')
    if not payload or #payload > longest then
      return taken
    end
    taken[#taken + 1] = payload
  end
end
return taken
