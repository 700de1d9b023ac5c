#!/usr/bin/env bash
# status.sh: show the queue in figures, with nothing but redis-cli.
# It never writes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/queue.bash"

usage() {
  cat <<'USAGE'
Usage: scripts/status.sh [--help]

Show how many messages wait, are in hand, wait for their next delivery or are dead
letters, how many were put back that Redis had lost, which workers there are, and
whether claiming is paused.

Examples:
  REDIS_URL=redis://localhost:6379 scripts/status.sh
  REDIS_CLI='docker compose exec -T redis redis-cli' scripts/status.sh
USAGE
}

no_arguments "$@"

look <<'LUA'
-- queued is when a message was queued, in ms, if it says so as Python's isoformat() does.
local function queued(payload)
  local text = string.match(payload, '"timestamp"%s*:%s*"([^"]*)"') or ''
  local y, m, d, hour, min, sec, zone = string.match(text, '^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d%.?%d*)(.*)$')
  if not y then
    return nil
  end
  local sign, zh, zm = string.match(zone, '^([+-])(%d%d):?(%d%d)$')
  local ahead = sign and tonumber(sign .. '1') * (zh * 60 + zm) or 0 -- minutes; else it is UTC
  if m + 0 < 3 then -- the year begins in March, so that a leap day is its last
    y, m = y - 1, m + 12
  end
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
    + math.floor((153 * m - 457) / 5) + d - 719469
  return ((days * 24 + hour) * 60 + min - ahead) * 60000 + sec * 1000
end

local length = redis.call('LLEN', queue)
local waiting = tostring(length)
local oldest = length > 0 and queued(redis.call('LINDEX', queue, -1))
if oldest then
  waiting = waiting .. ', the oldest for ' .. span(now - oldest)
end

local delayed = tostring(redis.call('ZCARD', tag .. ':delayed'))
local first = redis.call('ZRANGE', tag .. ':delayed', 0, 0, 'WITHSCORES')[2]
if first then
  delayed = delayed .. ', the first due ' .. due(tonumber(first))
end

local hands = 0
for _, held in pairs(in_hand) do
  hands = hands + held
end

local pause = 'no'
local who = redis.call('GET', tag .. ':paused')
if who then
  pause = 'by ' .. printable(string.gsub(who, ' (%S+)$', ' since %1'), 200)
end

return {
  'queue       ' .. printable(queue),
  'waiting     ' .. waiting,
  'in hand     ' .. hands,
  'delayed     ' .. delayed,
  'dead        ' .. redis.call('XLEN', tag .. ':dead'),
  'reconciled  ' .. (redis.call('GET', tag .. ':reconciled') or '0'),
  'workers     ' .. census(),
  'paused      ' .. pause,
}
LUA
