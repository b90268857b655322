# shellcheck shell=bash
# Sourced by up and down: where things lie, what a part is, how one is started and ended.

# What this cluster consists of, in the order of starting; down goes the other way.
# A node's parts are there only where one is asked for.
CONTROL_PLANE=(etcd kube-apiserver kube-controller-manager)
NODE=(kube-scheduler containerd node-proxy kubelet)
# shellcheck disable=SC2034 # read by up and down
PARTS=("${CONTROL_PLANE[@]}" "${NODE[@]}")

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
CHECKOUT=$(cd "$HERE/../.." && pwd -P)
# One canonical spelling: is_ours compares it with what stands in /proc.
STATE=$(realpath -m "${TOKENWARD_CLUSTER_DIR:-$CHECKOUT/target/cluster}")

say() { printf 'cluster: %s\n' "$*"; }
warn() { printf 'cluster: %s\n' "$*" >&2; }
die() {
    warn "$@"
    exit 1
}

need() {
    local tool missing=()
    for tool in "$@"; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    ((${#missing[@]} == 0)) || die "needs ${missing[*]}: please install"
}

log_of() { printf '%s/logs/%s.log' "$STATE" "$1"; }

# Is process PID the part NAME of this very cluster? A number in a pid file says little: the process
# may have ended, and its number may have been given to somebody else's.
is_ours() { # NAME PID
    local argv0=
    # In a group, since the file itself may be gone by now.
    { IFS= read -r -d '' argv0 <"/proc/$2/cmdline"; } 2>/dev/null || return 1
    [[ $argv0 == "$STATE/bin/$1" ]]
}

# Prints the pid of the running part NAME, or fails. A stale pid file is removed. Without one, all
# processes are looked through: `cargo clean` takes target/ away, this state with it, from under a
# running cluster.
pid_of() { # NAME
    local file=$STATE/run/$1.pid pid
    if [[ -s $file ]]; then
        pid=$(<"$file")
        if [[ $pid =~ ^[0-9]+$ ]] && is_ours "$1" "$pid"; then
            printf '%s' "$pid"
            return 0
        fi
        rm -f "$file"
    fi
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        if is_ours "$1" "$pid"; then
            printf '%s' "$pid"
            return 0
        fi
    done
    return 1
}

# Starts bin/NAME with ARGS as a daemon that outlives this script and the terminal.
start_daemon() { # NAME ARGS...
    local name=$1 log
    shift
    log=$(log_of "$name")
    if [[ -e $log ]]; then mv -f "$log" "$log.old"; fi
    (
        # Any other open descriptor (the lock, make's job server, a copy of the caller's stdout)
        # would be held for as long as the daemon lives, and `make cluster | cat` would not end.
        for fd in /proc/"$BASHPID"/fd/*; do
            fd=${fd##*/}
            if ((fd > 2 && fd != 255)); then eval "exec $fd>&-"; fi
        done
        cd "$STATE"
        launcher_of "$name"
        # What a node writes is also for containers of other users; the state around it is closed.
        if ((${#LAUNCHER[@]} > 0)); then umask 022; fi
        # Not a process group leader here, so setsid does not fork and the pid stays $!.
        exec setsid "${LAUNCHER[@]}" "$STATE/bin/$name" "$@" </dev/null >"$log" 2>&1
    ) &
    local pid=$! tries
    printf '%s\n' "$pid" >"$STATE/run/$name.pid"
    # For a moment it is still bash, then setsid: is_ours would not know it.
    for ((tries = 0; tries < 100; tries++)); do
        if is_ours "$name" "$pid" || ! kill -0 "$pid" 2>/dev/null; then break; fi
        sleep 0.02
    done
}

wait_gone() { # NAME PID SECONDS
    local tries
    for ((tries = 0; tries < $3 * 20; tries++)); do
        is_ours "$1" "$2" || return 0
        sleep 0.05
    done
    return 1
}

# Ends the part NAME if it runs: TERM, and KILL when that did not do it.
stop_daemon() { # NAME
    local name=$1 pid
    pid=$(pid_of "$name") || return 0
    kill -TERM "$pid" 2>/dev/null || true
    if ! wait_gone "$name" "$pid" 10; then
        warn "$name ($pid) did not end within 10 s of SIGTERM, killing it"
        kill -KILL "$pid" 2>/dev/null || true
        wait_gone "$name" "$pid" 5 || die "$name ($pid) cannot be ended"
    fi
    rm -f "$STATE/run/$name.pid"
}

# Two runs on the same state would start everything twice: the second waits for the first.
lock_state() {
    exec 9>"$STATE/lock"
    flock -n 9 && return 0
    say "another up or down works on $STATE, waiting for it"
    flock 9
}
