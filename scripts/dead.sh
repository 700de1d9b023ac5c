#!/usr/bin/env bash
# dead.sh: show dead letters, with nothing but redis-cli. It never writes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/queue.bash"

usage() {
  cat <<'USAGE'
Usage: scripts/dead.sh [list] [--limit N] [--help]
       scripts/dead.sh show ID

Show the newest dead letters, the newest last: when and why the message became one,
which order it is about, the deliveries charged to it, the worker, what went wrong, and
the beginning of its payload. With show: all of one, its payload as cat -v has it.

Options:
  --limit N   how many to show (default: 20)

Reasons: malformed, invalid, too_large, unknown_order, rejected, exhausted.

Examples:
  REDIS_URL=redis://localhost:6379 scripts/dead.sh --limit 100
  REDIS_CLI='docker compose exec -T redis redis-cli' scripts/dead.sh show 1769860800000-0
USAGE
}

# page FROM LIMIT: how many letters this page has, how many there are, and from where to
# go on if it ends before the oldest; then the letters. Redis copies the payloads to show
# their beginnings, so that few long ones fill a page.
page() {
  ask "$@" <<'LUA'
local dead, from, limit = tag .. ':dead', ARGV[2], tonumber(ARGV[3])

local function about(l)
  return table.concat({
    l.id, utc(l.at) .. ', ' .. due(l.at), known(l.reason, 64),
    'order ' .. known(l.order_id, 64), 'correlation id ' .. known(l.correlation_id, 128),
    'deliveries ' .. known(l.deliveries, 64), 'worker ' .. known(l.instance, 128),
  }, '  ') .. '\n  error: ' .. known(l.error, 500) .. '\n  payload: ' .. printable(l.payload, 200)
end

local lines, bytes = {}, 0
while #lines < math.min(limit, 500) and bytes < much do
  local l = letter(redis.call('XREVRANGE', dead, from, '-', 'COUNT', 1)[1])
  if not l then
    from = ''
    break
  end
  table.insert(lines, 1, about(l))
  from, bytes = '(' .. l.id, bytes + #l.payload
end
table.insert(lines, 1, #lines .. ' ' .. redis.call('XLEN', dead) .. ' ' .. from)
return lines
LUA
}

list() {
  local limit=$1 from=+ shown=0 letters='' answer seen total=0
  while [[ -n $from ]] && ((shown < limit)); do
    answer=$(page "$from" $((limit - shown))) || exit 1
    read -r seen total from <<<"$answer"
    ((seen == 0)) || letters=${answer#*$'\n'}$'\n'$letters
    ((shown += seen)) || true
  done
  printf '%sdead letters: %d, shown: %d\n' "$letters" "$total" "$shown"
}

show() {
  ask "$1" <<'LUA' | cat -v
local id = ARGV[2]

local entry = redis.call('XRANGE', tag .. ':dead', id, id)[1]
if not entry then
  return redis.error_reply('there is no dead letter ' .. id)
end
local l = letter(entry)
local lines = { 'id              ' .. id, 'buried          ' .. utc(l.at) .. ', ' .. due(l.at) }
for i = 1, #entry[2], 2 do
  local field, value = entry[2][i], entry[2][i + 1]
  if field ~= 'payload' then
    lines[#lines + 1] = string.format('%-15s', printable(field, 64)) .. ' ' .. known(value)
  end
end
lines[#lines + 1] = 'payload         ' .. #l.payload .. ' bytes:'
lines[#lines + 1] = l.payload
return lines
LUA
}

limit=20 id=''
while (($# > 0)); do
  case "$1" in
    -h | --help) help ;;
    --limit)
      limit=$(count "$@")
      shift
      ;;
    list) ;;
    show)
      id=$(letter_id "${2-}")
      shift
      ;;
    *) wrong_usage "unknown argument $1" ;;
  esac
  shift
done

if [[ -n $id ]]; then
  show "$id"
else
  list "$limit"
fi
