#!lua flags=allow-oom
-- start.lua: begin the work on messages about which something is kept. What came back is
-- marked no longer, and its new holder pays for the death of the one before, if he took the
-- order out of his hand.
--
-- KEYS[1]  workers      zset  who is registered, and until when          (read)
-- KEYS[2]  deliveries   hash  digest to deliveries charged               (written)
-- KEYS[3]  returned     hash  digest to how the message came back        (written)
-- ARGV[1]  instance  string  who starts
-- ARGV[i]      digest  string  of a payload; for i = 2, 4, 6 and so on
-- ARGV[i + 1]  heir    int     1 if its order was in a former holder's hand
--
-- Returns  array  -1 if the lease is gone and the work must not begin; otherwise for each
--                 message the deliveries charged so far, and whose death one was for now, or ""
--
-- Atomic: work never starts under a lease that a reaper has begun to act upon. The mark goes
--   with the charge.
-- Bounded: by the number of messages.
-- Repeatable: a second run finds no mark, and charges nothing.

local workers, deliveries, returned = KEYS[1], KEYS[2], KEYS[3]
local instance = ARGV[1]

local deadline = redis.call('ZSCORE', workers, instance)
if not deadline or tonumber(deadline) == 0 then
  return { -1 }
end

local begun = {}
for i = 2, #ARGV, 2 do
  local digest, heir = ARGV[i], tonumber(ARGV[i + 1])
  local how = redis.call('HGET', returned, digest)
  local death = heir == 1 and string.match(how or '', '^died (.+)$')
  if death then
    redis.call('HINCRBY', deliveries, digest, 1)
  end
  if how then
    redis.call('HDEL', returned, digest)
  end
  begun[#begun + 1] = tonumber(redis.call('HGET', deliveries, digest) or 0)
  begun[#begun + 1] = death or ''
end
return begun
