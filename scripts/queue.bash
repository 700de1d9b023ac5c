# queue.bash: where the queue is, how Redis is asked about it, and the words of Lua in
# which the questions are put. The scripts beside it source it and define usage, which
# prints what they are for.

name=${0##*/}

fail() {
  echo "$name: $*" >&2
  exit 1
}

wrong_usage() {
  echo "$name: $*; see $name --help" >&2
  exit 2
}

help() {
  usage
  cat <<'HELP'

Environment:
  REDIS_URL   where Redis is (default: where redis-cli looks)
  QUEUE_NAME  the queue (default: fulfillment_queue)
  REDIS_CLI   the command to call (default: redis-cli), such as
              'docker compose exec -T redis redis-cli'
HELP
  exit 0
}

# no_arguments "$@": of a script that takes none but --help.
no_arguments() {
  case "${1-}" in
    '') ;;
    -h | --help) help ;;
    *) wrong_usage 'it takes no arguments' ;;
  esac
}

# count OPTION [VALUE]: the value, a whole number from 1 on.
count() {
  [[ ${2-} =~ ^[1-9][0-9]{0,8}$ ]] || wrong_usage "$1 takes a whole number from 1 on"
  printf '%s' "$2"
}

# letter_id ID: the id of a dead letter, if it may be one.
letter_id() {
  [[ $1 =~ ^[0-9]{1,20}-[0-9]{1,20}$ ]] || wrong_usage 'a dead letter has an id such as 1769860800000-0'
  printf '%s' "$1"
}

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

# call EVAL_RO|EVAL LUA [ARGUMENT...]: what the Lua answers, which finds its arguments in
# ARGV from the second on. Why it failed is for redis-cli to say.
call() {
  local command=$1 lua=$2
  shift 2
  "${redis_cli[@]}" "$command" "$lua" 1 "$queue" "$tag" "$@" || exit 1
}

# ask [ARGUMENT...]: what a question answers of one instant. Redis holds it to writing
# nothing. Its Lua is on standard input, so that redis-cli finds nothing there of what was
# typed for us: docker compose exec would read it.
ask() { call EVAL_RO "$(words && cat)" "$@"; }

# look: what a question answers that is about the workers. To find those that are not
# registered, SCAN goes through all keys of the database; where there are many others it
# does so in several runs, so that nobody has to wait for it.
look() {
  local lua more=$'more\t' # no other answer holds a tab
  lua=$(workers && cat)
  local answer=${more}0
  while [[ $answer == "$more"* ]]; do
    answer=$(ask "${answer#"$more"}" <<<"$lua") || exit 1
  done
  printf '%s\n' "$answer"
}

# change [ARGUMENT...]: what a change answers, which is made in one step, in a full Redis
# too.
change() { call EVAL $'#!lua flags=allow-oom\n'"$(words && cat)" "$@"; }

words() {
  cat <<'LUA'
local queue, tag = KEYS[1], ARGV[1]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Redis does nothing else meanwhile: of payloads with more bytes than that together, no
-- more are read.
local much = 16777216

-- printable is a text without a byte that a terminal would obey; of a long one it is the
-- beginning.
local function printable(text, most)
  most = most or 65536
  local rest = ''
  if #text > most then
    text, rest = string.sub(text, 1, most), '... (' .. #text .. ' bytes)'
  end
  if not string.find(text, '^[ -~]*$') then -- which is quicker, and seldom
    text = string.gsub(text, '[%c\127-\255]', function(c) return string.format('\\x%02x', string.byte(c)) end)
  end
  return text .. rest
end

-- known is the same of a field that may be empty.
local function known(text, most)
  return text == '' and '-' or printable(text, most)
end

local function seconds(ms)
  return string.format('%.1f s', ms / 1000)
end

-- span is a duration as precise as people need it.
local function span(ms)
  ms = math.max(0, ms)
  local minutes = math.floor(ms / 60000)
  if minutes < 1 then
    return seconds(ms)
  elseif minutes < 60 then
    return string.format('%d m %d s', minutes, math.floor(ms / 1000) % 60)
  elseif minutes < 1440 then
    return string.format('%d h %d m', math.floor(minutes / 60), minutes % 60)
  end
  return string.format('%d d %d h', math.floor(minutes / 1440), math.floor(minutes / 60) % 24)
end

-- due is how far a time is away.
local function due(ms)
  return ms > now and 'in ' .. span(ms - now) or span(now - ms) .. ' ago'
end

-- utc is a time of the calendar. Its years begin in March, so that a leap day is the last.
local function utc(ms)
  local s = math.floor(ms / 1000)
  local days = math.floor(s / 86400) + 719468 -- since March of the year 0
  local era = math.floor(days / 146097)       -- of 400 years
  local day = days % 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  day = day - 365 * year - math.floor(year / 4) + math.floor(year / 100)
  local month = math.floor((5 * day + 2) / 153)
  day = day - math.floor((153 * month + 2) / 5) + 1
  year = era * 400 + year
  if month >= 10 then
    year = year + 1
  end
  return string.format('%04d-%02d-%02dT%02d:%02d:%02dZ', year, (month + 2) % 12 + 1, day,
    math.floor(s / 3600) % 24, math.floor(s / 60) % 60, s % 60)
end

-- letter is what a dead letter says, by field, and since when it is one; nil if there is none.
local function letter(entry)
  if not entry then
    return nil
  end
  local fields = {}
  for _, field in ipairs({ 'payload', 'reason', 'error', 'order_id', 'correlation_id', 'deliveries', 'instance' }) do
    fields[field] = ''
  end
  for i = 1, #entry[2], 2 do
    fields[entry[2][i]] = entry[2][i + 1]
  end
  fields.id, fields.at = entry[1], tonumber(string.match(entry[1], '^%d+'))
  return fields
end

LUA
}

workers() {
  cat <<'LUA'
local workers, prefix = tag .. ':workers', tag .. ':processing:'

local seen = {} -- the keys that instances have, without the tag; in ARGV[2] those of former runs
local cursor = string.match(ARGV[2], '^%d+')
for name in string.gmatch(ARGV[2], '\n(%a+:[^\n]*)') do
  seen[name] = true
end
local pattern = string.gsub(tag, '[%*%?%[%]\\]', '\\%0') .. ':*'
for _ = 1, 20 do
  local page = redis.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local name = string.sub(key, #tag + 2)
    if string.find(name, '^worker:') or string.find(name, '^processing:') and redis.call('TYPE', key).ok == 'list' then
      seen[name] = true
    end
  end
  if cursor == '0' then
    break
  end
end
if cursor ~= '0' then
  local more = { 'more\t' .. cursor }
  for name in pairs(seen) do
    more[#more + 1] = name
  end
  return more
end

-- lists are all that may hold messages, and instances all workers of which anything is left.
local lists, instances, in_hand = {}, {}, {}
local function add(name)
  local instance = string.match(name, '^%a+:([^:]*)')
  if not in_hand[instance] then
    in_hand[instance] = 0
    instances[#instances + 1] = instance
  end
  local list = string.match(name, '^processing:(.*)$')
  if list then
    lists[#lists + 1] = list
    in_hand[instance] = in_hand[instance] + redis.call('LLEN', prefix .. list)
  end
end
for _, instance in ipairs(redis.call('ZRANGE', workers, 0, -1)) do
  add('processing:' .. instance)
  seen['processing:' .. instance] = nil
end
for name in pairs(seen) do
  if redis.call('EXISTS', tag .. ':' .. name) == 1 then
    add(name)
  end
end
table.sort(lists)
table.sort(instances)

-- standing is what the registration of an instance is worth, and the end of its lease.
local function standing(instance)
  local deadline = tonumber(redis.call('ZSCORE', workers, instance) or nil)
  if not deadline then
    return 'unregistered'
  elseif deadline == 0 then
    return 'condemned'
  elseif deadline <= now then
    return 'lapsed', deadline
  end
  return 'alive', deadline
end

-- fact is what the description of an instance says, or false.
local function fact(instance, field)
  return redis.call('HGET', tag .. ':worker:' .. instance, field)
end

-- census is how many instances are in which state. It leaves out the states in which none
-- should be, and none is.
local function census()
  local counts = { alive = 0 }
  for _, instance in ipairs(instances) do
    local state = standing(instance)
    counts[state] = (counts[state] or 0) + 1
  end
  local parts = {}
  for _, state in ipairs({ 'alive', 'lapsed', 'condemned', 'unregistered' }) do
    parts[#parts + 1] = counts[state] and counts[state] .. ' ' .. state
  end
  return table.concat(parts, ', ')
end

LUA
}
