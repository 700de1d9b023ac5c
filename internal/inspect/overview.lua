#!lua flags=allow-oom,no-writes
-- overview.lua: the whole queue at one instant, at a cost that does not grow with it.
--
-- KEYS[1]  queue       list    waiting messages, oldest right               (read)
-- KEYS[2]  workers     zset    who is registered, and until when            (read)
-- KEYS[3]  delayed     zset    messages by the ms at which they are due     (read)
-- KEYS[4]  dead        stream  dead letters                                 (read)
-- KEYS[5]  events      stream  what happened lately                         (read)
-- KEYS[6]  paused      string  who pauses the workers, since when           (read)
-- KEYS[7]  reconciled  string  how many messages were put back              (read)
-- KEYS[i]  more        string  hashes of workers, then their lists; from i = 8 on  (read)
-- ARGV[1]  hashes   int     how many of those are hashes
-- ARGV[2]  notes    int     how many notes of orders to read of a worker, about
-- ARGV[3]  after    string  events up to that one are known, "" if none is
-- ARGV[4]  limit    int     most events to read
-- ARGV[5]  longest  int     bytes that a message may have
--
-- Returns  array  Redis's clock in ms, the registry, how many messages wait, the oldest of
--                 them, how many are delayed, when the first is due, how many are dead, who
--                 pauses, how many were reconciled, events with the latest first, the
--                 hashes as far as read, and the lengths of the lists
--
-- Atomic: it is one look.
-- Bounded: by the number of keys, of notes for each, and of events.
-- Repeatable: it changes nothing.

local queue, workers, delayed, dead, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local paused, reconciled = KEYS[6], KEYS[7]
local hashes, notes, after, limit, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])

local descriptions, lengths = {}, {}
for i = 8, #KEYS do
  local more = KEYS[i]
  if i >= 8 + hashes then
    lengths[#lengths + 1] = redis.call('LLEN', more)
  elseif redis.call('HLEN', more) <= notes then
    descriptions[#descriptions + 1] = redis.call('HGETALL', more)
  else -- facts are few, and any of the notes will do
    local some = redis.call('HSCAN', more, 0, 'COUNT', notes)[2]
    for _, fact in ipairs({ 'host', 'pid', 'version', 'concurrency', 'started_at', 'beat_at', 'tally' }) do
      some[#some + 1] = fact
      some[#some + 1] = redis.call('HGET', more, fact) or ''
    end
    descriptions[#descriptions + 1] = some
  end
end

local oldest = redis.call('LINDEX', queue, -1) or ''
if #oldest > longest then
  oldest = ''
end
local time = redis.call('TIME')
return {
  time[1] * 1000 + math.floor(time[2] / 1000),
  redis.call('ZRANGE', workers, 0, -1, 'WITHSCORES'),
  redis.call('LLEN', queue),
  oldest,
  redis.call('ZCARD', delayed),
  redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2] or '',
  redis.call('XLEN', dead),
  redis.call('GET', paused) or '',
  redis.call('GET', reconciled) or '',
  redis.call('XREVRANGE', events, '+', after == '' and '-' or '(' .. after, 'COUNT', limit),
  descriptions,
  lengths,
}
