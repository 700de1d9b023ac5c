#!lua flags=allow-oom
-- letters.lua: tell which orders dead letters are about, a page of them.
--
-- KEYS[1]  dead  stream  dead letters  (read)
-- ARGV[1]  first  string  where the page begins, as XRANGE takes it
-- ARGV[2]  limit  int     most letters to look at
--
-- Returns  array  where the next page begins, "" if there is none, and the orders' ids as
--                 far as they are known
--
-- Atomic: it is one look.
-- Bounded: at most limit letters, and none after the first megabyte: Redis copies each
--   payload to show it.
-- Repeatable: it changes nothing.

local dead, first, limit = KEYS[1], ARGV[1], tonumber(ARGV[2])

local orders, seen, bytes = {}, 0, 0
while seen < limit and bytes < 1048576 do
  local letter = redis.call('XRANGE', dead, first, '+', 'COUNT', 1)[1]
  if not letter then
    return { '', orders }
  end
  local fields = letter[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'order_id' and fields[i + 1] ~= '' then
      orders[#orders + 1] = fields[i + 1]
    end
    bytes = bytes + #fields[i + 1]
  end
  first, seen = '(' .. letter[1], seen + 1
end
return { first, orders }
