#!/usr/bin/env bash
# workers.sh: show the registry and its leases, with nothing but redis-cli.
# It never writes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/queue.bash"

usage() {
  cat <<'USAGE'
Usage: scripts/workers.sh [--help]

Show each worker instance: what its registration is worth, its lease and last beat,
how many messages it has in hand, where it runs and since when.

  alive         its lease runs
  lapsed        its lease is over; nobody has acted upon it yet
  condemned     a reaper is giving back what it held
  unregistered  nobody knows it, and it has left messages or its description

Examples:
  REDIS_URL=redis://localhost:6379 scripts/workers.sh
  REDIS_CLI='docker compose exec -T redis redis-cli' scripts/workers.sh
USAGE
}

no_arguments "$@"

look <<'LUA'
local function lease(state, deadline)
  if state == 'alive' then
    return span(deadline - now) .. ' left'
  elseif state == 'lapsed' then
    return 'over for ' .. span(now - deadline)
  end
  return '-'
end

local function text(instance, field)
  return known(fact(instance, field) or '', 64)
end

local function ago(instance, field)
  local ms = tonumber(fact(instance, field) or nil)
  return ms and due(ms) or '-'
end

local rows = { { 'INSTANCE', 'STATE', 'LEASE', 'LAST BEAT', 'IN HAND', 'HOST', 'PID', 'VERSION', 'STARTED' } }
for _, instance in ipairs(instances) do
  local state, deadline = standing(instance)
  local slots = fact(instance, 'concurrency')
  rows[#rows + 1] = {
    printable(instance, 128), state, lease(state, deadline), ago(instance, 'beat_at'),
    in_hand[instance] .. (slots and ' of ' .. printable(slots, 64) or ''),
    text(instance, 'host'), text(instance, 'pid'), text(instance, 'version'), ago(instance, 'started_at'),
  }
end

local widths = {}
for _, row in ipairs(rows) do
  for i, cell in ipairs(row) do
    widths[i] = math.max(widths[i] or 0, #cell)
  end
end
local lines = {}
for n, row in ipairs(rows) do
  for i = 1, #row - 1 do
    row[i] = row[i] .. string.rep(' ', widths[i] - #row[i])
  end
  lines[n] = table.concat(row, '  ')
end

lines[#lines + 1] = 'workers: ' .. census()
return lines
LUA
