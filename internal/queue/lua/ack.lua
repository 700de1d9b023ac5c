#!lua flags=allow-oom
-- ack.lua: forget messages whose orders are fulfilled.
--
-- KEYS[1]  processing   list  what the worker has in hand, newest left  (drained)
-- KEYS[2]  deliveries   hash  digest to deliveries charged              (written)
-- KEYS[3]  returned     hash  digest to how the message came back       (written)
-- ARGV[i]  payload  string  a message
--
-- Returns  array  how many of them the worker held
--
-- Atomic: the messages and all that is kept about them go in one step.
-- Bounded: by the number of messages.
-- Repeatable: a second run finds nothing to do.

local processing, deliveries, returned = KEYS[1], KEYS[2], KEYS[3]

local asked, due = {}, {}
for i = 1, #ARGV do
  local payload = ARGV[i]
  asked[i] = payload
  due[payload] = (due[payload] or 0) + 1
end

-- Where all goes well these are the oldest, which go at one go.
local held = redis.call('LRANGE', processing, -#asked, -1)
local oldest = #held == #asked
for _, payload in ipairs(held) do
  due[payload] = (due[payload] or 0) - 1
  oldest = oldest and due[payload] >= 0
end
if oldest then
  redis.call('LTRIM', processing, 0, -#asked - 1)
else
  held = {}
  for _, payload in ipairs(asked) do
    if redis.call('LREM', processing, '-1', payload) == 1 then
      held[#held + 1] = payload
    end
  end
end

if redis.call('EXISTS', deliveries, returned) > 0 then -- which is seldom
  for _, payload in ipairs(held) do
    local digest = redis.sha1hex(payload)
    redis.call('HDEL', deliveries, digest)
    redis.call('HDEL', returned, digest)
  end
end
return { #held }
