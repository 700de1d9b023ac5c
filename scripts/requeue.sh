#!/usr/bin/env bash
# requeue.sh: put a dead letter back to the front of the queue, with nothing but redis-cli.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/queue.bash"

usage() {
  cat <<'USAGE'
Usage: scripts/requeue.sh [--yes] ID

Put the message of one dead letter back to the front of the queue, byte for byte, and
take the letter away, in one step. It has all its deliveries again, and its order may
be taken over at once. An event says who did it. It asks first, on a terminal.

Options:
  --yes   do not ask

Examples:
  REDIS_URL=redis://localhost:6379 scripts/requeue.sh 1769860800000-0
  REDIS_CLI='docker compose exec -T redis redis-cli' scripts/requeue.sh --yes 1769860800000-0
USAGE
}

# letter ask ID: what the letter is about. With change ID BY it is requeued, too.
letter() {
  "$@" <<'LUA'
local dead, id, by = tag .. ':dead', ARGV[2], ARGV[3]

local l = letter(redis.call('XRANGE', dead, id, id)[1])
if not l then
  return redis.error_reply('there is no dead letter ' .. id)
end
if l.payload == '' then
  return redis.error_reply('there is no message in the dead letter ' .. id)
end
if by then
  redis.call('HDEL', tag .. ':deliveries', redis.sha1hex(l.payload))
  redis.call('HSET', tag .. ':returned', redis.sha1hex(l.payload), 'returned')
  redis.call('RPUSH', queue, l.payload)
  redis.call('XDEL', dead, id)
  redis.call('XADD', tag .. ':events', 'MAXLEN', '~', 1000, '*', 'event', 'requeued', 'by', by,
    'order_id', l.order_id, 'correlation_id', l.correlation_id, 'reason', l.reason, 'id', id)
end
return table.concat({ (by and 'requeued ' or '') .. id, known(l.reason, 64) .. ' ' .. due(l.at),
  'order ' .. known(l.order_id, 64), 'correlation id ' .. known(l.correlation_id, 128), #l.payload .. ' bytes' }, '  ')
LUA
}

id='' yes=''
while (($# > 0)); do
  case "$1" in
    -h | --help) help ;;
    --yes) yes=1 ;;
    *)
      [[ -z $id ]] || wrong_usage 'it takes one dead letter'
      id=$(letter_id "$1")
      ;;
  esac
  shift
done
[[ -n $id ]] || wrong_usage 'which dead letter?'

if [[ -z $yes ]]; then
  [[ -t 0 ]] || wrong_usage 'there is no terminal to ask on, and no --yes'
  letter ask "$id"
  read -r -p "Put it back to the front of $queue? [y/N] " answer || answer=''
  [[ $answer == [yY]* ]] || fail 'not requeued'
fi
letter change "$id" "${USER:-$UID}@$HOSTNAME"
