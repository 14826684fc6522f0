#!/usr/bin/env bash
# Installs the Debian packages of those servers whose programs are not on this machine, where that may be done: as root, with
# apt-get. It starts none of their services and leaves those that run alone. With nothing missing, or where it may not install,
# it does nothing: the program itself says then what is missing. A server that HOLDFAST_..._URL names is not missing.
set -euo pipefail

# Only tests change these.
root=${INSTALL_ROOT:-}
policy=$root/usr/sbin/policy-rc.d

# has answers whether a program is on this machine, at Debian's path or another.
has() { compgen -G "$root$1" >/dev/null || { [ -z "$root" ] && command -v "$2" >/dev/null; }; }

packages=()
[ -n "${HOLDFAST_POSTGRES_URL:-}" ] || has '/usr/lib/postgresql/*/bin/initdb' initdb || packages+=(postgresql)
[ -n "${HOLDFAST_REDIS_URL:-}" ] || has /usr/bin/redis-server redis-server || packages+=(redis-server)
[ -n "${HOLDFAST_RABBITMQ_URL:-}" ] || has /usr/lib/rabbitmq/bin/rabbitmq-server rabbitmq-server || packages+=(rabbitmq-server)
[ ${#packages[@]} -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0

# Debian's packages ask the policy whether they may start their services. Most machines have none, which means yes. One with our
# mark is what a killed run left behind; any other belongs to the machine and stays.
mark='# Made by holdfast while it installs packages, and removed afterwards.'
if [ ! -e "$policy" ] || grep -qF "$mark" "$policy"; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
	chmod 755 "$policy"
fi

# A session of its own: Ctrl-C reaches this script, which asks apt-get to end between two packages.
apt() {
	DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 setsid apt-get -o DPkg::Lock::Timeout=120 -qq "$@" </dev/null >"$log" 2>&1 &
	if ! wait $!; then
		tail -n 20 "$log" >&2
		echo "could not install ${packages[*]}: apt-get $1 failed" >&2
		exit 1
	fi
}
log=$(mktemp)
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 130' INT TERM
echo "installing ${packages[*]}; their own services are not started"
apt update
apt install -y --no-install-recommends "${packages[@]}"
rm -f "$log"
echo "installed ${packages[*]}"
