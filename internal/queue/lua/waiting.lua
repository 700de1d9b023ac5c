#!lua flags=allow-oom,no-writes
-- waiting.lua: read a page of the queue from its back, the newest message first, but none
-- that is too long to be one.
--
-- KEYS[1]  queue  list  waiting messages, oldest right  (read)
-- ARGV[1]  skip     int  how many of the newest to leave out
-- ARGV[2]  limit    int  most messages to look at
-- ARGV[3]  longest  int  bytes that a message may have
--
-- Returns  array  how many messages wait, and those of the page, "" in the place of each
--                 that is too long
--
-- Atomic: it is one look.
-- Bounded: at most limit messages. They are read in few pieces, for Redis walks from the end
--   of the list to each; a piece is small after one of long messages, and none comes after
--   the first megabyte.
-- Repeatable: it changes nothing.

local queue, skip, limit, longest = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local messages, bytes, piece = {}, 0, 1
while #messages < limit and bytes < 1048576 do
  local from = skip + #messages
  local part = redis.call('LRANGE', queue, from, from + math.min(piece, limit - #messages) - 1)
  if #part == 0 then
    break
  end
  local before = bytes
  for _, payload in ipairs(part) do
    bytes = bytes + #payload
    messages[#messages + 1] = #payload <= longest and payload or ''
  end
  piece = bytes - before < 65536 and math.min(piece * 2, 128) or 1
end
return { redis.call('LLEN', queue), messages }
