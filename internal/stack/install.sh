#!/usr/bin/env bash
# Installs the Debian packages of those servers whose programs are not on this machine, and with --tests of a C compiler and a pooler, where
# that may be done: as root, with apt-get. It starts none of their services and leaves those that run alone. With nothing missing, or where it may not install,
# it does nothing: the program itself says then what is missing. A server that HOLDFAST_..._URL names is not missing.
set -euo pipefail

# Only tests change these.
root=${INSTALL_ROOT:-}
policy=$root/usr/sbin/policy-rc.d
clusters=$root/etc/postgresql-common/createcluster.d

# has answers whether a program is on this machine, at Debian's path or another.
has() { compgen -G "$root$1" >/dev/null || { [ -z "$root" ] && command -v "$2" >/dev/null; }; }

packages=()
[ -n "${HOLDFAST_POSTGRES_URL:-}" ] || has '/usr/lib/postgresql/*/bin/initdb' initdb || packages+=(postgresql)
[ -n "${HOLDFAST_REDIS_URL:-}" ] || has /usr/bin/redis-server redis-server || packages+=(redis-server)
[ -n "${HOLDFAST_RABBITMQ_URL:-}" ] || has /usr/lib/rabbitmq/bin/rabbitmq-server rabbitmq-server || packages+=(rabbitmq-server)
[ "${1:-}" != --tests ] || has /usr/bin/gcc "${CC:-gcc}" || packages+=(gcc libc6-dev)
[ "${1:-}" != --tests ] || has /usr/sbin/pgbouncer pgbouncer || packages+=(pgbouncer)
[ ${#packages[@]} -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0

# Debian's packages ask the policy whether they may start their services. Most machines have none, which means yes. One with our
# mark is what a killed run left behind; any other belongs to the machine and stays.
mark='# Made by holdfast while it installs packages, and removed afterwards.'
ours=()
trap 'rm -f "${ours[@]}"' EXIT
if [ ! -e "$policy" ] || grep -qF "$mark" "$policy"; then
	ours+=("$policy")
	printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
	chmod 755 "$policy"
fi
# Nor does PostgreSQL's package make a database cluster of its own, which nobody would start.
if [[ " ${packages[*]} " == *" postgresql "* ]]; then
	mkdir -p "$clusters"
	ours+=("$clusters/holdfast.conf")
	printf "%s\ncreate_main_cluster = false\n" "$mark" >"$clusters/holdfast.conf"
fi

# A session of its own: Ctrl-C reaches this script, which asks apt-get to end between two packages.
apt() {
	DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 setsid apt-get -o DPkg::Lock::Timeout=120 -qq "$@" </dev/null >"$log" 2>&1 &
	wait $!
}
# Without fsync after each file: after a power cut in the middle dpkg knows that the package is to be unpacked again.
get() { apt -o DPkg::Options::=--force-unsafe-io install -y --no-install-recommends "${packages[@]}"; }
log=$(mktemp)
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 130' INT TERM
echo "installing ${packages[*]}; their own services are not started"
# With the lists that are there, if they are not too old, which spares reading them.
if ! get && ! { apt update && get; }; then
	tail -n 20 "$log" >&2
	echo "could not install ${packages[*]}: apt-get failed" >&2
	exit 1
fi
rm -f "$log"
echo "installed ${packages[*]}"
