#!lua flags=allow-oom
-- drop.lua: forget dead letters for good.
--
-- KEYS[1]  dead    stream  dead letters          (drained)
-- KEYS[2]  events  stream  what happened lately  (appended)
-- ARGV[1]  by  string  who wants it
-- ARGV[i]  id  string  of a letter; from i = 2 on
--
-- Returns  array  how many of the ids it came to, and how many letters it found and dropped
--
-- Atomic: each letter goes and is announced in one step.
-- Bounded: by the number of ids, and it comes to none after the first megabyte: Redis copies
--   each payload to show the letter.
-- Repeatable: a second run finds no letter.

local dead, events = KEYS[1], KEYS[2]
local by = ARGV[1]

local seen, dropped, bytes = 0, 0, 0

-- drop forgets one letter.
local function drop(id, fields)
  local letter = {}
  for i = 1, #fields, 2 do
    letter[fields[i]] = fields[i + 1]
  end
  redis.call('XDEL', dead, id)
  redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'dropped', 'by', by, 'order_id', letter.order_id or '',
    'correlation_id', letter.correlation_id or '', 'reason', letter.reason or '', 'id', id)
  dropped, bytes = dropped + 1, bytes + #(letter.payload or '')
end

for i = 2, #ARGV do
  if bytes > 1048576 then
    break
  end
  local id = ARGV[i]
  local found = redis.call('XRANGE', dead, id, id)[1]
  if found then
    drop(found[1], found[2])
  end
  seen = seen + 1
end
return { seen, dropped }
