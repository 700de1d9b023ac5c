#!lua flags=allow-oom,no-writes
-- letters.lua: read dead letters, a page of them, with no more of their payloads than is
-- asked for.
--
-- KEYS[1]  dead  stream  dead letters  (read)
-- ARGV[1]  range   string  XRANGE for the oldest first, XREVRANGE for the newest
-- ARGV[2]  first   string  where the page begins, as that takes it
-- ARGV[3]  last    string  where all ends, as that takes it
-- ARGV[4]  limit   int     most letters to look at
-- ARGV[5]  reason  string  of those that are wanted, "" for any
-- ARGV[6]  head    int     most bytes of a payload to read
--
-- Returns  array  where the next page begins, "" if there is none; and for each letter its
--                 id, its payload's length, and its fields, each followed by its value
--
-- Atomic: it is one look.
-- Bounded: at most limit letters, and none after the first megabyte: Redis copies each
--   payload to show it.
-- Repeatable: it changes nothing.

local dead, range, first, last = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local limit, reason, head = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])

local letters, seen, bytes = {}, 0, 0
while seen < limit and bytes < 1048576 do
  local letter = redis.call(range, dead, first, last, 'COUNT', 1)[1]
  if not letter then
    return { '', letters }
  end
  local id, fields, length, why = letter[1], letter[2], 0, ''
  for i = 1, #fields, 2 do
    local value = fields[i + 1]
    bytes = bytes + #value
    if fields[i] == 'payload' then
      length, fields[i + 1] = #value, string.sub(value, 1, head)
    elseif fields[i] == 'reason' then
      why = value
    end
  end
  if reason == '' or reason == why then
    letters[#letters + 1] = { id, length, fields }
  end
  first, seen = '(' .. id, seen + 1
end
return { first, letters }
