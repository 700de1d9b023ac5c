#!/usr/bin/env bash
# watch.sh: show the queue in figures and what is in hand, again and again, with nothing
# but redis-cli. It never writes.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/queue.bash"

usage() {
  cat <<'USAGE'
Usage: scripts/watch.sh [--interval SECONDS] [--count N] [--help]

Show what inflight.sh and status.sh show, again and again until Ctrl-C. What fails is
said, and tried again.

Options:
  --interval SECONDS   the pause in between, such as 0.5 (default: 2)
  --count N            how often to look (default: without end); exit 1 if the last look
                       failed

Examples:
  REDIS_URL=redis://localhost:6379 scripts/watch.sh --interval 0.5
  REDIS_CLI='docker compose exec -T redis redis-cli' scripts/watch.sh
USAGE
}

interval=2 times=''
while (($# > 0)); do
  case "$1" in
    -h | --help) help ;;
    --interval)
      interval=${2-}
      [[ $interval =~ ^[0-9]{1,5}(\.[0-9]{1,3})?$ ]] || wrong_usage '--interval takes seconds, such as 0.5'
      shift
      ;;
    --count)
      times=$(count "$@")
      shift
      ;;
    *) wrong_usage "unknown argument $1" ;;
  esac
  shift
done

picture() { "$here/inflight.sh" && echo && "$here/status.sh"; }

# turn shows one picture, when all of it is there.
turn() {
  local now failed=0
  now=$(picture 2>&1) || failed=1
  if [[ -t 1 ]]; then
    printf '\033[H\033[2J'
  fi
  printf '%s\n' "$now"
  return "$failed"
}

# A command in the foreground that ends well at that moment has Ctrl-C to itself; wait has
# not.
trap 'kill $! 2>/dev/null || true; exit 0' INT
for ((n = 1; ; n++)); do
  failed=0
  turn &
  wait $! || failed=1
  [[ $n != "$times" ]] || exit "$failed"
  sleep "$interval" &
  wait $!
done
