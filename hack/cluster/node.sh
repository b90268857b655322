# shellcheck shell=bash
# Sourced by up and down: the node, that is containerd, kubelet and the pods that they run.
#
# Both live in a mount and a network namespace of their own. What they mount, their interfaces and
# addresses are seen by nobody else and are gone with the last of their processes, and so is what they
# write under /run, /var and /proc/sys. node-proxy connects them with the control plane.

# The name at which the API server reaches kubelet, through node-proxy.
NODE_NAME=localhost
NODE_ADDRESS=10.245.0.1
# As kind has it.
POD_NETWORK=10.244.0.0/16
CONTAINERD_SOCKET=$STATE/run/containerd.sock
PAUSE_IMAGE=tokenward.test/pause:1
# Below it are the cgroups of all pods.
CGROUP=tokenward-$(printf '%s' "$STATE" | cksum | cut -d' ' -f1)

# Says why no node can run here, and ends. A container often has root without what it is for.
check_node() {
    ((EUID == 0)) || die "a node needs root: it mounts and makes cgroups. Without --node it does not"
    need unshare nsenter mount cksum ip
    # kubelet's and containerd's sockets lie below, and a socket's path has at most 107 characters.
    ((${#STATE} <= 70)) || die "the path $STATE is too long for a node's sockets: set TOKENWARD_CLUSTER_DIR to one of at most 70 characters"
    local temp hierarchy
    mkdir -p "$STATE"
    temp=$(mktemp -d -p "$STATE")
    TEMP_DIRS+=("$temp")
    mkdir "$temp"/{lower,upper,work,merged}
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --propagation private --net sh -c \
        'cd "$1" && mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged' sh "$temp" 2>/dev/null ||
        die "a node needs mount and network namespaces, and overlay mounts below $STATE: this container or file system has none"
    for hierarchy in $(cgroup_hierarchies); do
        { mkdir -p "$hierarchy/$CGROUP.probe" && rmdir "$hierarchy/$CGROUP.probe"; } 2>/dev/null ||
            die "a node needs cgroups of its own, and none can be made in $hierarchy"
    done
}

# Sets LAUNCHER, what starts a part in the place where it belongs.
launcher_of() { # PART
    LAUNCHER=()
    case $1 in
    containerd) LAUNCHER=(unshare --mount --propagation private --net "$HERE/namespace" "$STATE" "$NODE_ADDRESS" "$SERVICE_ADDRESS") ;;
    kubelet) LAUNCHER=(nsenter --mount --net --target "$(pid_of containerd)") ;;
    esac
}

network_of() { printf '/proc/%s/ns/net' "$(pid_of "$1")"; }

# --- configuration ---
containerd_config() {
    cat <<EOF
version = 3
root = "$STATE/containerd"
state = "$STATE/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]

[grpc]
address = "$CONTAINERD_SOCKET"

[ttrpc]
address = "$CONTAINERD_SOCKET.ttrpc"

[plugins."io.containerd.grpc.v1.cri"]
stream_server_address = "127.0.0.1"
stream_server_port = "0"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "$PAUSE_IMAGE"

[plugins."io.containerd.cri.v1.runtime"]
# Otherwise it needs CAP_SYS_RESOURCE.
restrict_oom_score_adj = true
cdi_spec_dirs = []

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["$STATE/bin"]
conf_dir = "$STATE/run/cni"
use_internal_loopback = true

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "$STATE/bin/runc"
SystemdCgroup = false
EOF
}

# cgroups of version 1 are served too. Nothing is evicted: the disk is not the node's own.
kubelet_config() {
    cat <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: $KUBELET_PORT
readOnlyPort: 0
tlsCertFile: $PKI/kubelet-serving.crt
tlsPrivateKeyFile: $PKI/kubelet-serving.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $PKI/ca.crt}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
# Nobody answers there; without it, each pod gets a warning.
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
oomScoreAdj: 0
podLogsDir: $STATE/pods
volumePluginDir: $STATE/run/flexvolume
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
EOF
}

# --- starting ---
prepare_kube_scheduler() { :; }
prepare_node_proxy() { :; }

prepare_containerd() {
    local binary
    for binary in containerd-shim-runc-v2 ctr runc ptp host-local; do
        ln -sfn "$(cached "$binary")" "$STATE/bin/$binary"
    done
    rm -rf "$STATE/run/cni"
    mkdir "$STATE/run/cni"
    cat >"$STATE/run/cni/pods.conflist" <<EOF
{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": {"type": "host-local",
  "dataDir": "$STATE/run/addresses", "ranges": [[{"subnet": "$POD_NETWORK"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
EOF
    containerd_config >"$STATE/run/containerd.toml"
    make_cgroups
}

prepare_kubelet() {
    kubelet_config >"$STATE/run/kubelet.yaml"
    # One of an earlier run would be Ready before this one is.
    "$STATE/bin/kubectl" --kubeconfig "$STATE/kubeconfig" delete node "$NODE_NAME" --ignore-not-found >/dev/null
}

node_is_ready() {
    [[ $("$STATE/bin/kubectl" --kubeconfig "$STATE/kubeconfig" --request-timeout=5s get node "$NODE_NAME" \
        -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

# The container that holds a pod's namespaces, made here: no registry is asked.
load_pause_image() {
    local images temp
    images=$(ctr_node images ls -q)
    if [[ $'\n'$images$'\n' == *$'\n'"$PAUSE_IMAGE"$'\n'* ]]; then return 0; fi
    temp=$(mktemp -d)
    TEMP_DIRS+=("$temp")
    install -D -m 755 "$(cached pause)" "$temp/rootfs/pause"
    "$CHECKOUT/hack/image/oci" "$temp/rootfs" "$PAUSE_IMAGE" "$temp/pause.tar" /pause >/dev/null
    ctr_node images import "$temp/pause.tar" >/dev/null
}

ctr_node() { "$STATE/bin/ctr" --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@" 2>>"$(log_of ctr)"; }

# --- cgroups ---
# Version 1 has a hierarchy for each controller, version 2 one for all.
cgroup_hierarchies() {
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        echo /sys/fs/cgroup
    else
        find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
    fi
}

make_cgroups() {
    local hierarchy controller
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        # kubelet wants every one that there is in its own, and gets what is passed on.
        for controller in $(</sys/fs/cgroup/cgroup.controllers); do
            echo "+$controller" 2>/dev/null >/sys/fs/cgroup/cgroup.subtree_control || true
        done
    fi
    for hierarchy in $(cgroup_hierarchies); do mkdir -p "$hierarchy/$CGROUP"; done
}

# Prints the processes in this node's cgroups.
pod_processes() {
    local hierarchy
    for hierarchy in $(cgroup_hierarchies); do
        if [[ -d $hierarchy/$CGROUP ]]; then
            find "$hierarchy/$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null || true
        fi
    done | sort -un
}

# Prints the shims of this node: they belong to containerd, and outlive it.
shims() {
    local file arguments
    for file in /proc/[0-9]*/cmdline; do
        arguments=
        { mapfile -d '' -t arguments <"$file"; } 2>/dev/null || continue
        if [[ ${arguments[0]:-} == */containerd-shim-runc-v2 && " ${arguments[*]} " == *" $CONTAINERD_SOCKET "* ]]; then
            file=${file%/cmdline}
            printf '%s\n' "${file#/proc/}"
        fi
    done
}

# Ends what kubelet and containerd leave behind, and takes the cgroups away. The mounts go with the
# namespace, the images stay.
stop_node() {
    stop_daemon kubelet
    stop_daemon node-proxy
    stop_daemon containerd
    local pids tries hierarchy
    for ((tries = 0; tries < 100; tries++)); do
        # Shims first: they would otherwise tell nobody of each death.
        mapfile -t pids < <(shims && pod_processes)
        if ((${#pids[@]} == 0)); then break; fi
        kill -KILL "${pids[@]}" 2>/dev/null || true
        sleep 0.1
    done
    ((${#pids[@]} == 0)) || die "these processes of the node's pods cannot be ended: ${pids[*]}"
    for hierarchy in $(cgroup_hierarchies); do
        if [[ -d $hierarchy/$CGROUP ]]; then find "$hierarchy/$CGROUP" -depth -type d -exec rmdir {} \; ; fi
    done
    # Mount points, if nobody else uses them.
    rmdir /run/containerd /run/netns /var/lib/cni /var/log/containers 2>/dev/null || true
    rm -rf "$STATE/run/containerd" "$STATE/run/addresses"
}
