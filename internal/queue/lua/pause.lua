#!lua flags=allow-oom
-- pause.lua: let nobody claim any more, until somebody resumes.
--
-- KEYS[1]  paused  string  there while claiming is paused, with who and when  (written)
-- KEYS[2]  events  stream  what happened lately                               (appended)
-- ARGV[1]  by  string  who wants it
-- ARGV[2]  at  string  when, by Redis's clock
--
-- Returns  int  1, or 0 if it was paused already
--
-- Atomic: of two who pause, one is remembered, and announced.
-- Repeatable: a second run changes nothing.

local paused, events = KEYS[1], KEYS[2]
local by, at = ARGV[1], ARGV[2]

if not redis.call('SET', paused, by .. ' ' .. at, 'NX') then
  return 0
end
redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'paused', 'by', by)
return 1
