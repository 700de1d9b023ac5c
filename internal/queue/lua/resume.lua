#!lua flags=allow-oom
-- resume.lua: let the workers claim again.
--
-- KEYS[1]  paused  string  there while claiming is paused  (removed)
-- KEYS[2]  events  stream  what happened lately            (appended)
-- ARGV[1]  by  string  who wants it
--
-- Returns  int  1, or 0 if it was not paused
--
-- Atomic: of two who resume, one is announced.
-- Repeatable: a second run changes nothing.

local paused, events = KEYS[1], KEYS[2]
local by = ARGV[1]

if redis.call('DEL', paused) == 0 then
  return 0
end
redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'resumed', 'by', by)
return 1
