# shellcheck shell=bash
# Sourced by up: this cluster's own CA, what it signs, and the kubeconfigs made of that.
# Everything here is made once and kept; `down --purge` throws it away.

PKI=$STATE/pki
SERVICE_ADDRESS=10.96.0.1 # the first of --service-cluster-ip-range

new_key() { # FILE
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
}

# Signs pki/NAME.crt for SUBJECT (openssl's spelling, /O=…/CN=…). USAGE is serverAuth, clientAuth or
# both; a server's certificate is good for loopback, and for the address of the Service `kubernetes`.
issue() { # NAME SUBJECT USAGE
    local name=$1 subject=$2 usage=$3 names=
    [[ $usage != *serverAuth* ]] ||
        names="subjectAltName=IP:127.0.0.1,IP:$SERVICE_ADDRESS,DNS:localhost,DNS:kubernetes.default.svc"
    # One that an earlier version of this issued may lack a name.
    if [[ -s $PKI/$name.crt && -s $PKI/$name.names && $(<"$PKI/$name.names") == "$names" ]]; then return 0; fi
    new_key "$PKI/$name.key"
    openssl req -new -key "$PKI/$name.key" -subj "$subject" -out "$PKI/$name.csr"
    printf '%s\n' "keyUsage=critical,digitalSignature" "extendedKeyUsage=$usage" "$names" >"$PKI/$name.ext"
    openssl x509 -req -in "$PKI/$name.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -days 3650 -sha256 \
        -set_serial "0x$(openssl rand -hex 8)" -extfile "$PKI/$name.ext" -out "$PKI/$name.crt.new" 2>/dev/null
    mv "$PKI/$name.crt.new" "$PKI/$name.crt"
    rm -f "$PKI/$name.csr" "$PKI/$name.ext"
    # With a newline, so that it is never empty.
    printf '%s\n' "$names" >"$PKI/$name.names"
}

make_certificates() {
    mkdir -p "$PKI"
    if [[ ! -s $PKI/ca.crt ]]; then
        new_key "$PKI/ca.key"
        openssl req -x509 -new -key "$PKI/ca.key" -subj /CN=tokenward-test-ca -days 3650 -sha256 \
            -addext keyUsage=critical,keyCertSign,cRLSign -out "$PKI/ca.crt.new"
        mv "$PKI/ca.crt.new" "$PKI/ca.crt"
    fi
    # ServiceAccount tokens are signed with this pair; the API server and the controller manager share it.
    if [[ ! -s $PKI/service-account.pub ]]; then
        new_key "$PKI/service-account.key"
        openssl pkey -in "$PKI/service-account.key" -pubout -out "$PKI/service-account.pub"
    fi
    issue etcd /CN=etcd serverAuth,clientAuth
    issue apiserver-etcd /CN=kube-apiserver-etcd-client clientAuth
    issue apiserver /CN=kube-apiserver serverAuth
    issue controller-manager-serving /CN=kube-controller-manager serverAuth
    issue controller-manager /CN=system:kube-controller-manager clientAuth
    issue apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
    issue admin /O=system:masters/CN=tokenward-admin clientAuth
}

make_node_certificates() {
    issue scheduler-serving /CN=kube-scheduler serverAuth
    issue scheduler /CN=system:kube-scheduler clientAuth
    issue kubelet-serving /CN=kubelet serverAuth
    issue kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" clientAuth
}

# A kubeconfig with everything inside, so that it may be copied. Written anew at each start, since the
# port may have changed; replaced in one step, and only if it did change.
write_kubeconfig() { # FILE CERTIFICATE-NAME
    local file=$1 name=$2
    cat >"$file.new" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: tokenward
  cluster:
    server: https://127.0.0.1:$APISERVER_PORT
    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
users:
- name: $name
  user:
    client-certificate-data: $(base64 -w0 "$PKI/$name.crt")
    client-key-data: $(base64 -w0 "$PKI/$name.key")
contexts:
- name: tokenward
  context: {cluster: tokenward, user: $name}
current-context: tokenward
EOF
    if cmp -s "$file.new" "$file"; then rm "$file.new"; else mv -f "$file.new" "$file"; fi
}
