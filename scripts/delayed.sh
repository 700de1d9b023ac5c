#!/usr/bin/env bash
# delayed.sh: show the messages that wait for their next delivery, with nothing but
# redis-cli. It never writes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/queue.bash"

usage() {
  cat <<'USAGE'
Usage: scripts/delayed.sh [--limit N] [--help]

Show the messages that wait for their next delivery, the one due first first: when it
is due, the deliveries charged to it, and the beginning of its payload.

Options:
  --limit N   how many to show, at most 1000 (default: 20)

Examples:
  REDIS_URL=redis://localhost:6379 scripts/delayed.sh --limit 100
  REDIS_CLI='docker compose exec -T redis redis-cli' scripts/delayed.sh
USAGE
}

limit=20
while (($# > 0)); do
  case "$1" in
    -h | --help) help ;;
    --limit)
      limit=$(count "$@")
      shift
      ;;
    *) wrong_usage "unknown argument $1" ;;
  esac
  shift
done
((limit <= 1000)) || wrong_usage '--limit takes 1000 at most'

ask "$limit" <<'LUA'
local delayed, limit = tag .. ':delayed', tonumber(ARGV[2])

local lines, bytes = {}, 0
while #lines < limit and bytes < much do
  local payload, score = unpack(redis.call('ZRANGE', delayed, #lines, #lines, 'WITHSCORES'))
  if not payload then
    break
  end
  local charged = redis.call('HGET', tag .. ':deliveries', redis.sha1hex(payload)) or '0'
  lines[#lines + 1] = 'due ' .. utc(score) .. ', ' .. due(tonumber(score)) .. '  deliveries ' .. charged .. '  ' .. printable(payload, 200)
  bytes = bytes + #payload
end
lines[#lines + 1] = 'delayed: ' .. redis.call('ZCARD', delayed) .. ', shown: ' .. #lines
return lines
LUA
