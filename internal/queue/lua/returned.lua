#!lua flags=allow-oom
-- returned.lua: tell whether a message that a worker holds came back from somebody, and
-- nobody has started it since.
--
-- KEYS[1]  workers      zset  who is registered, and until when    (read)
-- KEYS[2]  returned     hash  digest to how the message came back  (read)
-- ARGV[1]  instance  string  who asks
-- ARGV[2]  digest    string  of the payload
--
-- Returns  int  1 or 0, or -1 if the lease is gone, and the message with it
--
-- Atomic: whoever was presumed dead never sees what his own message left behind.
-- Repeatable: it changes nothing.

local workers, returned = KEYS[1], KEYS[2]
local instance, digest = ARGV[1], ARGV[2]

local deadline = redis.call('ZSCORE', workers, instance)
if not deadline or tonumber(deadline) == 0 then
  return -1
end
return redis.call('HEXISTS', returned, digest)
