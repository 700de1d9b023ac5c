#!lua flags=allow-oom
-- look.lua: read Redis's clock and when the first lease ends. It changes nothing, but
-- Redis refuses it wherever it refuses a change: as a replica, while it cannot write to
-- its disk, while writers are held back.
--
-- KEYS[1]  workers  zset  who is registered, and until when  (read)
--
-- Returns  array  Redis's clock in ms, and the end of the first lease, or -1 if
--                 nobody is registered
--
-- Atomic: both at one instant.
-- Repeatable: a second run looks again.

local workers = KEYS[1]

local time = redis.call('TIME')
local first = redis.call('ZRANGE', workers, 0, 0, 'WITHSCORES')
return { time[1] * 1000 + math.floor(time[2] / 1000), tonumber(first[2] or -1) }
