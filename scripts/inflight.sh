#!/usr/bin/env bash
# inflight.sh: show what each worker has in hand, with nothing but redis-cli.
# It never writes.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: scripts/inflight.sh [--help]

Show each worker instance with its lease, and each message that it has in hand, the
oldest first, with the deliveries charged to it and since when it is being worked
on. An instance that holds messages and is not registered is shown too.

Environment:
  REDIS_URL   where Redis is (default: where redis-cli looks)
  QUEUE_NAME  the queue (default: fulfillment_queue)
  REDIS_CLI   the command to call (default: redis-cli)

Examples:
  REDIS_URL=redis://localhost:6379 scripts/inflight.sh
  REDIS_CLI='docker compose exec -T redis redis-cli' scripts/inflight.sh
USAGE
}

case "${1-}" in
  '') ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    echo "inflight.sh: it takes no arguments; see inflight.sh --help" >&2
    exit 2
    ;;
esac

queue="${QUEUE_NAME:-fulfillment_queue}"
case "$queue" in
  *'{'*) tag="$queue" ;; # it has a hash tag of its own
  *) tag="{$queue}" ;;
esac

read -r -a redis_cli <<<"${REDIS_CLI:-redis-cli}"
redis_cli+=(--raw -e)
if [[ -n "${REDIS_URL-}" ]]; then
  redis_cli+=(--no-auth-warning -u "$REDIS_URL")
fi

# One script makes one picture of one instant. Its lines hold no byte of a payload
# that a terminal would obey.
look=$(
  cat <<'LUA'
local workers, tag = KEYS[1], ARGV[1]
local prefix = tag .. ':processing:'

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function printable(text)
  return (string.gsub(text, '[%c\127-\255]', function(c) return string.format('\\x%02x', string.byte(c)) end))
end

local function seconds(ms)
  return string.format('%.1f s', ms / 1000)
end

local lists, known = {}, {}
local function add(key)
  if not known[key] then
    known[key] = true
    lists[#lists + 1] = key
  end
end
for _, instance in ipairs(redis.call('ZRANGE', workers, 0, -1)) do
  add(prefix .. instance)
end
local pattern = string.gsub(prefix, '[%*%?%[%]\\]', '\\%0') .. '*'
local cursor = '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', 1000, 'TYPE', 'list')
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    add(key)
  end
until cursor == '0'
table.sort(lists)

local function lease(instance)
  local deadline = tonumber(redis.call('ZSCORE', workers, instance) or nil)
  if not deadline then
    return 'unregistered'
  elseif deadline == 0 then
    return 'lease over, condemned'
  elseif deadline <= now then
    return 'lease over for ' .. seconds(now - deadline)
  end
  return 'lease ' .. seconds(deadline - now) .. ' left'
end

local function work(instance, digest)
  local note = redis.call('HGET', tag .. ':worker:' .. instance, 'order:' .. digest)
  local since = note and tonumber(string.match(note, '^%d+'))
  if not since then
    return 'not started'
  end
  return 'started ' .. seconds(math.max(0, now - since)) .. ' ago'
end

local lines, total = {}, 0
for _, key in ipairs(lists) do
  local name = string.sub(key, #prefix + 1)
  local instance = string.match(name, '^[^:]*')
  local payloads = redis.call('LRANGE', key, 0, -1)
  total = total + #payloads
  lines[#lines + 1] = printable(name) .. '  ' .. lease(instance) .. '  ' .. #payloads .. ' in hand'
  for i = #payloads, 1, -1 do
    local digest = redis.sha1hex(payloads[i])
    local charged = redis.call('HGET', tag .. ':deliveries', digest) or '0'
    lines[#lines + 1] = '  deliveries ' .. charged .. '  ' .. work(instance, digest) .. '  ' .. printable(payloads[i])
  end
end
lines[#lines + 1] = 'lists: ' .. #lists .. ', in hand: ' .. total
return lines
LUA
)

exec "${redis_cli[@]}" EVAL_RO "$look" 1 "$tag:workers" "$tag"
