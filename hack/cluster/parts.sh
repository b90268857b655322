# shellcheck shell=bash
# Sourced by up: how each part is started, on which ports, and how it is known to be well.

# --- ports ---
# Chosen at a part's first start and kept, unless somebody else has taken one in the meantime.
PORTS=(ETCD_PORT ETCD_PEER_PORT APISERVER_PORT CONTROLLER_MANAGER_PORT SCHEDULER_PORT KUBELET_PORT)
for variable in "${PORTS[@]}"; do printf -v "$variable" ''; done

load_ports() {
    # shellcheck source=/dev/null
    if [[ -s $STATE/ports ]]; then . "$STATE/ports"; fi
}

save_ports() {
    local variable
    for variable in "${PORTS[@]}"; do
        printf '%s=%s\n' "$variable" "${!variable}"
    done >"$STATE/ports.new"
    mv -f "$STATE/ports.new" "$STATE/ports"
}

listens() { # PORT: does anything on this machine listen there?
    { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true; } |
        awk -v port="$(printf ':%04X' "$1")" \
            '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }'
}

# Sets each VARIABLE to a free port, its present one if that is free. The range lies below the
# one from which outgoing connections take theirs, and a random choice keeps two clusters that
# start at the same time apart.
choose_ports() { # VARIABLE...
    local variable port
    for variable in "$@"; do
        port=${!variable}
        while [[ -z $port ]] || listens "$port" || port_is_chosen "$variable" "$port"; do
            port=$((20000 + RANDOM % 10000))
        done
        printf -v "$variable" '%s' "$port"
    done
    save_ports
}

port_is_chosen() { # VARIABLE PORT: for another variable
    local other
    for other in "${PORTS[@]}"; do
        if [[ $other != "$1" && ${!other} == "$2" ]]; then return 0; fi
    done
    return 1
}

ports_of() { # PART: the names of the variables
    case $1 in
    etcd) echo ETCD_PORT ETCD_PEER_PORT ;;
    kube-apiserver) echo APISERVER_PORT ;;
    kube-controller-manager) echo CONTROLLER_MANAGER_PORT ;;
    kube-scheduler) echo SCHEDULER_PORT ;;
    node-proxy) echo KUBELET_PORT ;;
    esac
}

# --- command lines ---
# Sets ARGS. Everything listens on loopback only, and asks for a client certificate (etcd) or for
# credentials: other users of the machine reach loopback too.
arguments_of() { # PART
    case $1 in
    etcd)
        ARGS=(
            --name=tokenward
            --data-dir="$STATE/etcd"
            --listen-client-urls="https://127.0.0.1:$ETCD_PORT"
            --advertise-client-urls="https://127.0.0.1:$ETCD_PORT"
            --listen-peer-urls="https://127.0.0.1:$ETCD_PEER_PORT"
            --initial-advertise-peer-urls="https://127.0.0.1:$ETCD_PEER_PORT"
            --initial-cluster="tokenward=https://127.0.0.1:$ETCD_PEER_PORT"
            --cert-file="$PKI/etcd.crt" --key-file="$PKI/etcd.key"
            --trusted-ca-file="$PKI/ca.crt" --client-cert-auth
            --peer-cert-file="$PKI/etcd.crt" --peer-key-file="$PKI/etcd.key"
            --peer-trusted-ca-file="$PKI/ca.crt" --peer-client-cert-auth
            # Faster, and safe for what this is: only a crash of the machine can lose data.
            --unsafe-no-fsync
        )
        ;;
    kube-apiserver)
        ARGS=(
            --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$APISERVER_PORT"
            --etcd-servers="https://127.0.0.1:$ETCD_PORT" --etcd-cafile="$PKI/ca.crt"
            --etcd-certfile="$PKI/apiserver-etcd.crt" --etcd-keyfile="$PKI/apiserver-etcd.key"
            --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key"
            --client-ca-file="$PKI/ca.crt"
            # The operator is tested with the rights that deploy/rbac.yaml gives it.
            --authorization-mode=Node,RBAC
            --enable-admission-plugins=NodeRestriction
            --service-account-issuer=https://kubernetes.default.svc
            --service-account-key-file="$PKI/service-account.pub"
            --service-account-signing-key-file="$PKI/service-account.key"
            --service-cluster-ip-range=10.96.0.0/16
            # An endpoint on loopback is refused, and nothing here reads it.
            --endpoint-reconciler-type=none
            # Of a node: its logs, exec and port-forward. It is named localhost and listens there.
            --kubelet-preferred-address-types=Hostname
            --kubelet-certificate-authority="$PKI/ca.crt"
            --kubelet-client-certificate="$PKI/apiserver-kubelet.crt"
            --kubelet-client-key="$PKI/apiserver-kubelet.key"
            --profiling=false
        )
        if [[ -n ${TOKENWARD_CLUSTER_AUDIT:-} ]]; then
            ARGS+=(
                --audit-policy-file="$HERE/audit.yaml" --audit-log-path="$STATE/logs/audit.log"
                --audit-log-maxsize=10000 # MB; one file, so that it can be followed
            )
        fi
        ;;
    kube-controller-manager)
        ARGS=(
            --bind-address=127.0.0.1 --secure-port="$CONTROLLER_MANAGER_PORT"
            # In the kubeconfig too; here, a changed port restarts the controller manager.
            --master="https://127.0.0.1:$APISERVER_PORT"
            --kubeconfig="$STATE/run/controller-manager.kubeconfig"
            --tls-cert-file="$PKI/controller-manager-serving.crt"
            --tls-private-key-file="$PKI/controller-manager-serving.key"
            --root-ca-file="$PKI/ca.crt"
            --service-account-private-key-file="$PKI/service-account.key"
            --use-service-account-credentials
            --leader-elect=false
            # By default it makes a folder under /usr/libexec.
            --flex-volume-plugin-dir="$STATE/run/flexvolume"
            # The default of 20 requests a second makes the first start 4 s longer.
            --kube-api-qps=200 --kube-api-burst=400
            --profiling=false
        )
        ;;
    kube-scheduler)
        ARGS=(
            --bind-address=127.0.0.1 --secure-port="$SCHEDULER_PORT"
            --master="https://127.0.0.1:$APISERVER_PORT"
            --kubeconfig="$STATE/run/scheduler.kubeconfig"
            --tls-cert-file="$PKI/scheduler-serving.crt"
            --tls-private-key-file="$PKI/scheduler-serving.key"
            --leader-elect=false
            --profiling=false
        )
        ;;
    node-proxy)
        ARGS=(
            "$(network_of containerd)"
            # Pods and kubelet to the API server, the API server to kubelet.
            "out,$SERVICE_ADDRESS:443,127.0.0.1:$APISERVER_PORT"
            "out,127.0.0.1:$APISERVER_PORT,127.0.0.1:$APISERVER_PORT"
            "in,127.0.0.1:$KUBELET_PORT,127.0.0.1:$KUBELET_PORT"
        )
        ;;
    containerd) ARGS=(--config "$STATE/run/containerd.toml") ;;
    kubelet)
        ARGS=(
            --config="$STATE/run/kubelet.yaml"
            --kubeconfig="$STATE/run/kubelet.kubeconfig"
            --hostname-override="$NODE_NAME"
            --node-ip="$NODE_ADDRESS"
            --root-dir="$STATE/kubelet"
            --cert-dir="$STATE/kubelet/pki"
        )
        ;;
    *) die "no such part: $1" ;;
    esac
}

# What a running part must have been started with: the same binary, the same flags.
signature_of() { # PART
    local dir
    dir=$(cache_dir "$(group_of "$1")")
    arguments_of "$1"
    printf '%s\n' "${dir##*/}" "${ARGS[@]}"
    case $1 in
    containerd) containerd_config ;;
    kubelet) kubelet_config ;;
    esac
}

runs_as_wanted() { # PART
    pid_of "$1" >/dev/null && [[ -s $STATE/run/$1.started && $(<"$STATE/run/$1.started") == "$(signature_of "$1")" ]]
}

# --- health ---
raw() { # PORT PATH: all three take the admin's certificate, and kubectl is at hand anyway
    "$STATE/bin/kubectl" --kubeconfig "$STATE/kubeconfig" --server "https://127.0.0.1:$1" \
        --request-timeout=5s get --raw "$2"
}

is_well() { # PART
    case $1 in
    etcd) raw "$ETCD_PORT" /health ;;
    kube-apiserver) raw "$APISERVER_PORT" /readyz ;;
    # The ServiceAccount is the controller manager's first work that others wait for: pods and
    # RBAC subjects in `default` need it.
    kube-controller-manager)
        raw "$CONTROLLER_MANAGER_PORT" /healthz &&
            raw "$APISERVER_PORT" /api/v1/namespaces/default/serviceaccounts/default
        ;;
    kube-scheduler) raw "$SCHEDULER_PORT" /healthz ;;
    containerd) "$STATE/bin/ctr" --address "$CONTAINERD_SOCKET" --timeout 2s version ;;
    node-proxy) listens "$KUBELET_PORT" ;;
    kubelet) node_is_ready ;;
    esac
}
