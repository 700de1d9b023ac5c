#!/usr/bin/env bash
# End to end with the image that ships: builds it, starts compose.yaml under a name
# of its own, kills one worker and freezes another in the middle of their orders,
# stops them all, and counts what became of every order. Needs Docker with compose
# v2; takes about a minute. Removes what it made.
set -euo pipefail
cd "$(dirname "$0")/.."

unset COMPOSE_FILE COMPOSE_PROFILES QUEUE_NAME REDIS_URL
export COMPOSE_PROJECT_NAME=fulfillment-test-$$ VERSION=test-$$ COMPOSE_PROGRESS=quiet
export PROCESSING_MIN=1s PROCESSING_MAX=2s LEASE_TTL=5s SHUTDOWN_TIMEOUT=8s
image=fulfillment-worker:$VERSION
image_limit=15000000 # bytes, compressed
queue='{fulfillment_queue}' # as the other keys spell it
export REDIS_CLI='docker compose exec -T redis redis-cli' # for the scripts beside this one

say() { printf '%4ds  %s\n' "$SECONDS" "$*"; }
fail() {
  say "FAIL: $*" >&2
  exit 1
}

# await SECONDS WHAT COMMAND...: waits until the command succeeds.
await() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || fail "not in time: $what"
    sleep 0.2
  done
}

clean_up() {
  local status=$?
  trap - EXIT
  if ((status != 0)); then
    docker compose ps --all >&2 || true
    docker compose logs --no-color --tail 40 >&2 || true
  fi
  docker compose --profile '*' down --volumes --remove-orphans --timeout 0 >/dev/null 2>&1 || true
  docker image rm --force "$image" >/dev/null 2>&1 || true
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

redis() { docker compose exec -T redis redis-cli "$@"; }
sql() { docker compose exec -T postgres psql -U orders -qtA -v ON_ERROR_STOP=1 -c "$1"; }
queuectl() { docker compose run --rm -T --no-deps queuectl "$@"; }
state() { docker inspect --format "{{.State.$2}}" "$1"; }
healthy() { [[ $(state "$1" Health.Status) == healthy ]]; }

# enqueue COUNT: adds orders as the Order API does, all at once.
total=0
enqueue() {
  LOAD_COUNT=$1 LOAD_RATE=0 docker compose run --rm -T --no-deps load >/dev/null
  total=$((total + $1))
  [[ $(sql 'SELECT count(*) FROM orders') == "$total" ]] || fail "the table does not hold $total orders"
}

# in_hand [CONTAINER]: how many messages the worker in it holds; without one, all workers.
in_hand() {
  local host=${1-}
  redis EVAL "local n = 0
    for _, key in ipairs(redis.call('KEYS', ARGV[1])) do n = n + redis.call('LLEN', key) end
    return n" 0 "$queue:processing:${host:0:12}*"
}
busy() { (($(in_hand "$1") > 0)); }
all_fulfilled() { [[ $(sql "SELECT count(*) FROM orders WHERE status = 'fulfilled'") == "$total" ]]; }

# buried ID: there is a dead letter for what is no message, and it is another one.
buried() {
  local letter
  letter=$(scripts/dead.sh --limit 1)
  [[ $letter == *' malformed '* && $letter != "$1 "* ]]
}

# events_of CONTAINER: the names of what happened to the worker in it.
events_of() {
  redis --raw XRANGE "$queue:events" - + |
    awk -v host="${1:0:12}" 'was == "event" { event = $0 }
      was == "instance" && index($0, host) == 1 { print event }
      { was = $0 }'
}
shows_three() { # a worker, by its index
  curl --silent --fail "http://$(docker compose port --index "$1" worker 8080)/metrics" |
    grep -x 'fulfillment_queue_workers{state="alive"} 3' >/dev/null
}
reaped() { events_of "$1" | grep -qx reaped; }

settle() {
  await 60 "all $total orders fulfilled" all_fulfilled
  local once wrong
  once=$(sql "SELECT count(*) = $total AND count(DISTINCT id) = $total FROM audit WHERE status = 'fulfilled'")
  [[ $once == t ]] || fail 'not every order was fulfilled exactly once'
  wrong=$(sql "SELECT count(*) FROM audit
    WHERE (was, status) NOT IN (('pending', 'processing'), ('processing', 'processing'), ('processing', 'fulfilled'))")
  [[ $wrong == 0 ]] || fail "$wrong steps from one status to another that must not be"
  queuectl verify >/dev/null || fail "queuectl verify: exit $?"
  say "all $total orders are fulfilled, each once; verify finds no fault"
}

docker compose --profile '*' config --quiet || fail 'compose.yaml is wrong'
say 'building the image'
docker compose build worker
size=$(docker save "$image" | gzip | wc -c)
((size <= image_limit)) || fail "the image has $size bytes compressed, more than $image_limit"
user=$(docker image inspect --format '{{.Config.User}}' "$image")
[[ $user == 65532:65532 ]] || fail "the image runs as '$user'"
say "the image has $size bytes compressed and runs as $user"

docker compose up --detach --wait --wait-timeout 120
mapfile -t workers < <(docker compose ps --quiet worker)
[[ ${#workers[@]} == 3 ]] || fail "${#workers[@]} workers run, not 3"
for worker in "${workers[@]}"; do
  healthy "$worker" || fail "worker $worker is $(state "$worker" Health.Status)"
  [[ $(docker top "$worker" -o pid,uid | awk 'NR == 2 { print $2 }') == 65532 ]] || fail "worker $worker runs as another user"
done
rights=$(sql "SELECT has_table_privilege('fulfillment_worker', 'orders', 'INSERT, DELETE, TRUNCATE')
  OR has_column_privilege('fulfillment_worker', 'orders', 'quantity', 'UPDATE')")
[[ $rights == f ]] || fail 'the role of the workers may do more than it needs'
seen=$(scripts/workers.sh) || fail "workers.sh: exit $?"
[[ $seen == *'workers: 3 alive' ]] || fail "workers.sh shows: $seen"
for n in 1 2 3; do await 10 "the metrics of worker $n show three" shows_three "$n"; done
say 'three workers are healthy, and each shows all three in its metrics'

# Every step of every order, kept where the workers' role cannot reach it.
sql "CREATE TABLE audit (id int, was text, status text);
  CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS
    'BEGIN INSERT INTO audit VALUES (NEW.id, OLD.status, NEW.status); RETURN NULL; END';
  CREATE TRIGGER audit AFTER UPDATE OF status ON orders FOR EACH ROW EXECUTE FUNCTION audit()"

enqueue 60
await 10 'the first worker takes orders' busy "${workers[0]}"
seen=$(scripts/inflight.sh) || fail "inflight.sh: exit $?"
[[ $seen == *"${workers[0]:0:12}-"* ]] || fail 'inflight.sh does not show the first worker'
docker kill --signal KILL "${workers[0]}" >/dev/null
left=$(in_hand "${workers[0]}")
((left > 0)) || fail 'the killed worker held nothing'
say "killed the first worker with $left orders in hand"
await 20 'the killed worker is reaped' reaped "${workers[0]}"
say 'another worker reaped it'
settle

enqueue 60
await 10 'the second worker takes orders' busy "${workers[1]}"
docker pause "${workers[1]}" >/dev/null
left=$(in_hand "${workers[1]}")
((left > 0)) || fail 'the frozen worker held nothing'
say "froze the second worker with $left orders in hand"
await 20 'the frozen worker is reaped' reaped "${workers[1]}"
docker unpause "${workers[1]}" >/dev/null
say 'another worker reaped it; it goes on'
await 30 'the second worker is healthy again' healthy "${workers[1]}"
settle

enqueue 120
await 10 'the second worker takes orders' busy "${workers[1]}"
await 10 'the third worker takes orders' busy "${workers[2]}"
started=$SECONDS
docker compose stop worker
for worker in "${workers[@]:1}"; do
  [[ $(state "$worker" ExitCode) == 0 ]] || fail "worker $worker exited with $(state "$worker" ExitCode)"
done
[[ $(in_hand) == 0 ]] || fail 'the stopped workers left orders in hand'
say "stopped the others in $((SECONDS - started)) s: exit code 0, nothing in hand, $(redis LLEN fulfillment_queue) orders wait"
all_fulfilled && fail 'nothing was left to do: the stop met idle workers'
docker compose up --detach --wait --wait-timeout 60 worker
say 'started all three again'
settle

redis LPUSH fulfillment_queue rubbish >/dev/null
await 10 'what is no message is a dead letter' buried none
letter=$(scripts/dead.sh --limit 1)
scripts/requeue.sh --yes "${letter%% *}" || fail "requeue.sh: exit $?"
await 10 'the requeued letter is one again' buried "${letter%% *}"
scripts/orphans.sh || fail "orphans.sh: exit $?"
say 'a dead letter was requeued, and nobody has left messages behind'

echo PASS
