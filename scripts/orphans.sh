#!/usr/bin/env bash
# orphans.sh: show the messages that no living worker holds, with nothing but redis-cli.
# It never writes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/queue.bash"

usage() {
  cat <<'USAGE'
Usage: scripts/orphans.sh [--help]

Show the lists that hold messages of an instance that is not registered, or whose
lease has been over for longer than another lease, so that somebody should have given
them back. Any living worker does: within a lease and a second where the instance is
registered, and else within half a minute. If a list stays here, no worker lives or
none can write; start one.

A lease is as long as the instance's was; of a condemned one that cannot be told any
more, and the longest among the others counts, or 5 s.

Exit codes: 0 there is none, 1 failed, 2 wrong usage, 3 there is one.

Examples:
  REDIS_URL=redis://localhost:6379 scripts/orphans.sh
  REDIS_CLI='docker compose exec -T redis redis-cli' scripts/orphans.sh
USAGE
}

no_arguments "$@"

orphans() {
  look <<'LUA'
-- lease is how many ms an instance was given at its last beat, or nil.
local function lease(instance)
  local beat = tonumber(fact(instance, 'beat_at') or nil)
  local _, deadline = standing(instance)
  return beat and deadline and deadline > beat and deadline - beat or nil
end

local believed = 5000
for _, instance in ipairs(instances) do
  believed = math.max(believed, lease(instance) or 0)
end

-- fault says why nobody has an instance's messages in hand, or nil.
local function fault(instance)
  local state, deadline = standing(instance)
  local beat = tonumber(fact(instance, 'beat_at') or 0)
  if state == 'unregistered' then
    return state
  elseif state == 'condemned' and now - beat > 2 * believed then
    return 'condemned, and nobody gives them back'
  elseif state == 'lapsed' and now - deadline > (lease(instance) or believed) then
    return 'lease over for ' .. span(now - deadline)
  end
end

local lines, found, messages = {}, 0, 0
for _, list in ipairs(lists) do
  local held = redis.call('LLEN', prefix .. list)
  local why = held > 0 and fault(string.match(list, '^[^:]*'))
  if why then
    found, messages = found + 1, messages + held
    lines[#lines + 1] = printable(list) .. '  ' .. why .. '  ' .. held .. ' in hand'
  end
end
lines[#lines + 1] = 'orphan lists: ' .. found .. ', messages: ' .. messages
return lines
LUA
}

answer=$(orphans)
printf '%s\n' "$answer"
[[ $answer == 'orphan lists: 0,'* ]] || exit 3
