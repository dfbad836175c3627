# shellcheck shell=bash
# What the scripts beside this file share: processes, ports, waiting. Sourced, never run.
#
# A pid check by `kill -0` calls a zombie alive, and a killed server may stay one for as long as its parent likes.
# `alive` reads the state from /proc instead.

# shellcheck disable=SC2034 # for whoever sources this
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
NAME=deploy/dev/$(basename "$0")

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$NAME: $*"
  exit 1
}

# Is this process running? A zombie is not.
alive() {
  local state
  [[ $1 =~ ^[0-9]+$ ]] && [ -r "/proc/$1/stat" ] || return 1
  state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1) || return 1
  [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}

# Is this process running and does its command line hold this text? Pids are reused.
alive_as() {
  alive "$1" && tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$2"
}

# Waits up to $1 tenths of a second for a command to succeed.
wait_for() {
  local tenths=$1
  shift
  while ! "$@"; do
    ((tenths-- > 0)) || return 1
    sleep 0.1
  done
}

gone() { ! alive "$1"; }

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port nobody listens on, below the range the kernel hands to outgoing connections (32768 and up).
# Two callers may still draw the same one: the server's own bind decides, and `start` then draws again.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    listens "$port" || {
      echo "$port"
      return
    }
  done
  die "found no free port between 20000 and 32000"
}

# Ends a process: TERM, then after $2 seconds KILL.
end() {
  local pid=$1 seconds=$2
  alive "$pid" || return 0
  kill "$pid" 2>/dev/null || true
  wait_for $((seconds * 10)) gone "$pid" && return 0
  say "$NAME: process $pid did not end in $seconds s, killing it"
  kill -9 "$pid" 2>/dev/null || true
  wait_for 100 gone "$pid" || die "process $pid survives kill -9"
}

# With TWINBOX_DEV_OWNER=<pid> a server dies with that process, whatever ends it: `watch_owner SERVER SIGNAL`.
watch_owner() {
  local owner=${TWINBOX_DEV_OWNER:-} server=$1 signal=$2
  [ -n "$owner" ] || return 0
  alive "$owner" || die "TWINBOX_DEV_OWNER=$owner is no running process"
  (
    trap '' INT HUP
    while alive "$owner"; do
      alive "$server" || exit 0
      sleep 1
    done
    kill -"$signal" "$server" 2>/dev/null
  ) </dev/null >/dev/null 2>&1 &
}

# The absolute path of a server's directory; made if `$2` is "make".
server_dir() {
  [ -n "${1:-}" ] || die "which DIR?"
  [ "${2:-}" != make ] || mkdir -p "$1"
  [ -d "$1" ] || die "$1 does not exist; start it first: $NAME start $1"
  (cd "$1" && pwd)
}
