#!/usr/bin/env bash
# Installs what the tests, the demo and the benchmark need on Debian or Ubuntu: the
# servers that they start for themselves, redis-server and PostgreSQL, and a C compiler for
# the race detector. With --tests also what only the tests need: PgBouncer, Prometheus and
# Chromium. Does nothing where they are there already. Starts no system service.
set -euo pipefail

PATH=$PATH:/usr/sbin # PgBouncer is there
have() { command -v "$1" >/dev/null; }

have_initdb() { have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

fail() {
  echo "install-servers: $*" >&2
  exit 1
}

packages=()
have redis-server || packages+=(redis-server)
have_initdb || packages+=(postgresql)
have gcc || packages+=(gcc libc6-dev)
if [ "${1:-}" = --tests ]; then
  have pgbouncer || packages+=(pgbouncer)
  have prometheus || packages+=(prometheus)
  have chromium || have google-chrome || packages+=(chromium)
fi
if [ "${#packages[@]}" -eq 0 ]; then
  echo "all that is needed is installed"
  exit 0
fi

have apt-get || fail "no apt-get here; install these yourself: ${packages[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  have sudo || fail "needs root for: apt-get install ${packages[*]}"
  as_root=(sudo)
fi

# The packages ask this file whether they may start their service: 101 is no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi

apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"; }

apt update
apt install --yes --no-install-recommends "${packages[@]}"
