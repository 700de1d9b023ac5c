#!lua flags=allow-oom
-- putback.lua: queue messages again that Redis has lost, in front, with the right to take
-- their orders over: nobody holds them.
--
-- KEYS[1]  queue        list    waiting messages, oldest right    (appended)
-- KEYS[2]  returned     hash    digest to how it came back        (written)
-- KEYS[3]  reconciled   string  how many were ever put back       (written)
-- KEYS[4]  events       stream  what happened lately              (appended)
-- ARGV[1]  messages  string  a JSON array of the payloads, oldest first
-- ARGV[2]  orders    string  the ids of their orders, with blanks between
-- ARGV[3]  by        string  who puts them back
--
-- Returns  int  how many were queued
--
-- Atomic: a message has the right before anybody can claim it.
-- Bounded: as many moves as there are messages.
-- Repeatable: no. Nobody runs it again for an answer that was lost; the next look finds
--   what it has queued.

local queue, returned, reconciled, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local messages, orders, by = cjson.decode(ARGV[1]), ARGV[2], ARGV[3]

for i = #messages, 1, -1 do
  redis.call('HSET', returned, redis.sha1hex(messages[i]), 'returned')
  redis.call('RPUSH', queue, messages[i])
end
redis.call('INCRBY', reconciled, #messages)
redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'event', 'reconciled', 'by', by, 'messages', #messages, 'orders', orders)
return #messages
