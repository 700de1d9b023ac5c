#!/usr/bin/env bash
# inflight.sh: show what each worker has in hand, with nothing but redis-cli.
# It never writes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/queue.bash"

usage() {
  cat <<'USAGE'
Usage: scripts/inflight.sh [--help]

Show each worker instance with its lease, and each message that it has in hand, the
oldest first, with the deliveries charged to it and since when it is being worked
on. An instance that holds messages and is not registered is shown too.

Examples:
  REDIS_URL=redis://localhost:6379 scripts/inflight.sh
  REDIS_CLI='docker compose exec -T redis redis-cli' scripts/inflight.sh
USAGE
}

no_arguments "$@"

look <<'LUA'
local function lease(instance)
  local state, deadline = standing(instance)
  if state == 'alive' then
    return 'lease ' .. seconds(deadline - now) .. ' left'
  elseif state == 'lapsed' then
    return 'lease over for ' .. seconds(now - deadline)
  elseif state == 'condemned' then
    return 'lease over, condemned'
  end
  return state
end

local function work(instance, digest)
  local note = fact(instance, 'order:' .. digest)
  local since = note and tonumber(string.match(note, '^%d+'))
  if not since then
    return 'not started'
  end
  return 'started ' .. seconds(math.max(0, now - since)) .. ' ago'
end

local lines, total, bytes = {}, 0, 0
for _, list in ipairs(lists) do
  local instance = string.match(list, '^[^:]*')
  local held = redis.call('LLEN', prefix .. list)
  total = total + held
  lines[#lines + 1] = printable(list) .. '  ' .. lease(instance) .. '  ' .. held .. ' in hand'
  local payloads = bytes < much and redis.call('LRANGE', prefix .. list, 0, -1) or {}
  if #payloads < held then
    lines[#lines + 1] = '  too much to show at once'
  end
  for i = #payloads, 1, -1 do
    local digest = redis.sha1hex(payloads[i])
    bytes = bytes + #payloads[i]
    local charged = redis.call('HGET', tag .. ':deliveries', digest) or '0'
    lines[#lines + 1] = '  deliveries ' .. charged .. '  ' .. work(instance, digest) .. '  ' .. printable(payloads[i])
  end
end
lines[#lines + 1] = 'lists: ' .. #lists .. ', in hand: ' .. total
return lines
LUA
