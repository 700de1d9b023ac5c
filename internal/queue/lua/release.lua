#!lua flags=allow-oom
-- release.lua: give one message that was claimed but never started back to the
-- front of the queue, charged nothing.
--
-- KEYS[1]  processing  list  what the worker has in hand, newest left  (drained)
-- KEYS[2]  queue       list  waiting messages, oldest right            (appended)
-- ARGV[1]  payload  string  the message
--
-- Returns  int  1, or 0 if the worker does not hold the message any more
--
-- Atomic: the message enters the queue before it leaves the list.
-- Repeatable: a second run finds nothing to do.

local processing, queue = KEYS[1], KEYS[2]
local payload = ARGV[1]

if not redis.call('LPOS', processing, payload, 'RANK', -1) then
  return 0
end
redis.call('RPUSH', queue, payload)
redis.call('LREM', processing, -1, payload)
return 1
