#!lua flags=allow-oom
-- claim.lua: move the oldest waiting messages into a worker's hands, without
-- waiting for any.
--
-- KEYS[1]  queue        list  waiting messages, oldest right           (drained)
-- KEYS[2]  deliveries   hash  digest to deliveries charged             (read)
-- KEYS[3]  returned     hash  digest to how the message came back      (read)
-- KEYS[i]  processing   list  what the worker has in hand, newest left; from i = 4 on  (appended)
-- ARGV[1]  limit    int  most messages to take
-- ARGV[2]  share    int  most of them to put into one list
-- ARGV[3]  longest  int  bytes that a message may have
--
-- Returns  array  the payloads, oldest first, as they fill one list after the other; 1 if
--                 one that is too long was moved besides: it is not among them, and the
--                 last for now, for strays.lua to deal with; and for which of the payloads,
--                 the first being 1, something is kept that start.lua must look at
--
-- Atomic: nobody sees a message in none of the lists, or in two; a user who may not do
--   the second half is refused before the first.
-- Bounded: at most limit moves; it never reads more messages at once than it has found
--   to be short enough before, and no more than 16.
-- Repeatable: no. A second run takes more; after a lost reply the worker must
--   audit its own lists.

local queue, deliveries, returned = KEYS[1], KEYS[2], KEYS[3]
local limit, share, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call('LTRIM', queue, 0, -1) -- changes nothing, and is refused or not
local kept = redis.call('EXISTS', deliveries, returned) > 0 -- which is seldom

local taken, too_long, over = {}, 0, false
for i = 4, #KEYS do
  local processing, full = KEYS[i], math.min(limit, #taken + share)
  while #taken < full and not over do
    local some = math.min(full - #taken, math.max(#taken, 1), 16)
    local oldest = redis.call('LRANGE', queue, -some, -1)
    local moved = {}
    for n = #oldest, 1, -1 do
      moved[#moved + 1] = oldest[n]
      if #oldest[n] > longest then
        break
      end
      taken[#taken + 1] = oldest[n]
    end
    if #moved > 0 then
      redis.call('LPUSH', processing, unpack(moved))
      redis.call('LTRIM', queue, 0, -#moved - 1)
    end
    if #moved > 0 and #moved[#moved] > longest then
      too_long = 1
    end
    over = too_long == 1 or #moved < some
  end
end

local known = {}
if kept then
  for n, payload in ipairs(taken) do
    local digest = redis.sha1hex(payload)
    if redis.call('HEXISTS', returned, digest) + redis.call('HEXISTS', deliveries, digest) > 0 then
      known[#known + 1] = n
    end
  end
end
return { taken, too_long, known }
