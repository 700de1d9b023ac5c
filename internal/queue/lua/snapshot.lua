#!lua flags=allow-oom
-- snapshot.lua: show what a worker is working on, for people who look. Nobody acts upon it.
--
-- KEYS[1]  workers  zset  who is registered, and until when  (read)
-- KEYS[2]  worker   hash  describes the instance             (written)
-- ARGV[1]  instance  string  whose work it is
-- ARGV[2]  anew      int     1 if it is not known what is shown: none of it is left
-- ARGV[3]  ended     string  a JSON array of the fields order:<digest> of work that is over
-- ARGV[4]  began     string  a JSON array of work that has begun: an array each of the field,
--                            for how many ms it has been going on, and its order's ids
--
-- Returns  int  1, or 0 if the lease is gone
--
-- Atomic: nothing is left behind of who has left, or was reaped.
-- Bounded: by what the arrays hold; anew, also by what a worker may hold.
-- Repeatable: a second run shows the same.

local workers, worker = KEYS[1], KEYS[2]
local instance, anew, ended, began = ARGV[1], ARGV[2], cjson.decode(ARGV[3]), cjson.decode(ARGV[4])

local deadline = redis.call('ZSCORE', workers, instance)
if not deadline or tonumber(deadline) == 0 then
  return 0
end
if anew == '1' then
  for _, field in ipairs(redis.call('HKEYS', worker)) do
    if string.find(field, 'order:', 1, true) == 1 then
      redis.call('HDEL', worker, field)
    end
  end
end
for _, field in ipairs(ended) do
  redis.call('HDEL', worker, field)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, work in ipairs(began) do
  local field, age, ids = work[1], work[2], work[3]
  redis.call('HSET', worker, field, string.format('%.0f ', now - age) .. ids)
end
return 1
