#!lua flags=allow-oom
-- letters.lua: tell which orders dead letters are about, a page of them.
--
-- KEYS[1]  dead  stream  dead letters  (read)
-- ARGV[1]  first  string  where the page begins, as XRANGE takes it
-- ARGV[2]  limit  int     most letters to look at
--
-- Returns  array  the id of the page's last letter, "" if there is none, and the orders'
--                 ids as far as they are known
--
-- Atomic: it is one look.
-- Bounded: at most limit letters.
-- Repeatable: it changes nothing.

local dead, first, limit = KEYS[1], ARGV[1], ARGV[2]

local page = redis.call('XRANGE', dead, first, '+', 'COUNT', limit)
local orders = {}
local last = ''
for _, letter in ipairs(page) do
  last = letter[1]
  local fields = letter[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'order_id' and fields[i + 1] ~= '' then
      orders[#orders + 1] = fields[i + 1]
    end
  end
end
return { last, orders }
