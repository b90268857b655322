# shellcheck shell=bash
# Sourced by up: brings the pinned binaries into the cache by the first route that works.
#
#   1. the cache of an earlier run
#   2. the official release
#   3. a build from Go modules
#
# The versions have one source: the go.mod of each group (kubernetes/, etcd/, containerd/, runc/, cni/).

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/tokenward/cluster
# Each with what its archive or its build brings; a node's only where one is wanted.
CONTROL_PLANE_BINARIES=(etcd kube-apiserver kube-controller-manager kubectl)
NODE_BINARIES=(kube-scheduler kubelet containerd containerd-shim-runc-v2 ctr runc ptp host-local pause node-proxy)

case $(uname -sm) in
"Linux x86_64") ARCH=amd64 ;;
"Linux aarch64") ARCH=arm64 ;;
*) die "there is no kube-apiserver release for $(uname -sm): needs Linux on x86_64 or aarch64" ;;
esac

version_in() { # GROUP MODULE
    local version
    version=$(awk -v module="$2" '{ for (i = 1; i < NF; i++) if ($i == module && $(i + 1) ~ /^v[0-9]/) print $(i + 1) }' \
        "$HERE/$1/go.mod")
    [[ -n $version ]] || die "$HERE/$1/go.mod does not pin $2"
    printf '%s' "$version"
}

KUBERNETES_VERSION=$(version_in kubernetes k8s.io/kubernetes)
ETCD_VERSION=$(version_in etcd go.etcd.io/etcd/server/v3)
CONTAINERD_VERSION=$(version_in containerd github.com/containerd/containerd/v2)
CNI_VERSION=$(version_in cni github.com/containernetworking/plugins)
# This project's own.
NODE_VERSION=v0
RUNC_VERSION=$(version_in runc github.com/opencontainers/runc)

group_of() { # BINARY
    case $1 in
    etcd | runc) echo "$1" ;;
    containerd | containerd-shim-runc-v2 | ctr) echo containerd ;;
    ptp | host-local) echo cni ;;
    pause | node-proxy) echo node ;;
    *) echo kubernetes ;;
    esac
}

version_of() { # GROUP
    local variable=${1^^}_VERSION
    printf '%s' "${!variable}"
}

package_of() { # BINARY
    case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    runc) echo github.com/opencontainers/runc ;;
    containerd | containerd-shim-runc-v2 | ctr) echo "github.com/containerd/containerd/v2/cmd/$1" ;;
    ptp) echo github.com/containernetworking/plugins/plugins/main/ptp ;;
    host-local) echo github.com/containernetworking/plugins/plugins/ipam/host-local ;;
    pause | node-proxy) echo "./$1" ;;
    *) echo "k8s.io/kubernetes/cmd/$1" ;;
    esac
}

# A Go build knows no release version by itself: without these, clients see v0.0.0.
ldflags_of() { # GROUP
    local flags="-s -w" package=k8s.io/component-base/version major minor
    case $1 in
    kubernetes)
        IFS=. read -r major minor _ <<<"${KUBERNETES_VERSION#v}"
        flags+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=$major -X $package.gitMinor=$minor"
        ;;
    containerd) flags+=" -X github.com/containerd/containerd/v2/version.Version=$CONTAINERD_VERSION" ;;
    runc) flags+=" -X main.version=${RUNC_VERSION#v}" ;;
    esac
    printf '%s' "$flags"
}

# What else the compiler is told; runc has to be C in part, and refuses pods without libseccomp.
tags_of() { # GROUP
    case $1 in
    containerd) echo no_btrfs,no_devmapper,no_zfs,no_aufs ;;
    runc) echo seccomp,runc_nocriu,netgo,osusergo ;;
    esac
}

# Keyed by everything that decides what the binary is, so that a changed pin never meets an old file.
cache_dir() { # GROUP
    local key
    key=$({
        find "$HERE/$1" -type f | LC_ALL=C sort | xargs cat
        printf '%s %s' "$ARCH" "$(ldflags_of "$1")$(tags_of "$1")"
    } | sha256sum)
    printf '%s/%s-%s-%s' "$CACHE" "$1" "$(version_of "$1")" "${key:0:12}"
}

cached() { # BINARY: prints its path in the cache, whether it is there or not
    printf '%s/%s' "$(cache_dir "$(group_of "$1")")" "$1"
}

# get URL FILE. A short limit for the connection, none for a slow but living download.
get() {
    curl --fail --silent --show-error --location --proto '=https' --connect-timeout 2 \
        --speed-limit 1000 --speed-time 20 --output "$2" "$1"
}

# Whether the site that serves URL answers, within three seconds. Asked once for each site.
declare -A SITE_ANSWERS=()
reachable() { # URL
    local site=${1#https://}
    site=${site%%/*}
    if [[ -z ${SITE_ANSWERS[$site]:-} ]]; then
        if curl --silent --location --proto '=https' --connect-timeout 2 --max-time 3 --output /dev/null "$1" 2>/dev/null; then
            SITE_ANSWERS[$site]=yes
        else
            SITE_ANSWERS[$site]=no
        fi
    fi
    [[ ${SITE_ANSWERS[$site]} == yes ]]
}

# The release's own checksum, fetched over https from beside the file, is what a download is held
# against: it finds a broken or cut download, and trusts the release site itself. The build route
# trusts less: go.sum is committed here.
matches() { # FILE SHA256
    [[ $2 =~ ^[0-9a-f]{64}$ ]] && printf '%s  %s\n' "$2" "$1" | sha256sum --check --status
}

# Puts FILE under its final name in one step: nobody ever sees half a binary there.
keep() { # FILE BINARY
    chmod 755 "$1"
    mv -f "$1" "$(cached "$2")"
}

# Each download_ function prints why it failed, if it did.
download_kubernetes() { # BINARY TEMP
    local url=https://dl.k8s.io/release/$KUBERNETES_VERSION/bin/linux/$ARCH/$1
    reachable "$url.sha256" || { echo "dl.k8s.io cannot be reached" && return 1; }
    if ! get "$url.sha256" "$2/$1.sha256" || ! get "$url" "$2/$1"; then
        echo "the download failed"
        return 1
    fi
    matches "$2/$1" "$(<"$2/$1.sha256")" || { echo "the download has the wrong checksum" && return 1; }
    keep "$2/$1" "$1"
}

# All three binaries are in one archive: the first that is asked for brings the others.
download_containerd() { # BINARY TEMP
    local version=${CONTAINERD_VERSION#v} name binary
    name=containerd-static-$version-linux-$ARCH.tar.gz
    local url=https://github.com/containerd/containerd/releases/download/$CONTAINERD_VERSION/$name
    reachable "$url.sha256sum" || { echo "github.com cannot be reached" && return 1; }
    if ! get "$url.sha256sum" "$2/$name.sha256sum" || ! get "$url" "$2/$name"; then
        echo "the download failed"
        return 1
    fi
    matches "$2/$name" "$(awk '{ print $1; exit }' "$2/$name.sha256sum")" ||
        { echo "the download has the wrong checksum" && return 1; }
    tar -xzf "$2/$name" -C "$2" bin/containerd bin/containerd-shim-runc-v2 bin/ctr ||
        { echo "the archive does not hold what it should" && return 1; }
    for binary in containerd containerd-shim-runc-v2 ctr; do keep "$2/bin/$binary" "$binary"; done
}

# The same.
download_cni() { # BINARY TEMP
    local name=cni-plugins-linux-$ARCH-$CNI_VERSION.tgz binary
    local url=https://github.com/containernetworking/plugins/releases/download/$CNI_VERSION/$name
    reachable "$url.sha256" || { echo "github.com cannot be reached" && return 1; }
    if ! get "$url.sha256" "$2/$name.sha256" || ! get "$url" "$2/$name"; then
        echo "the download failed"
        return 1
    fi
    matches "$2/$name" "$(awk '{ print $1; exit }' "$2/$name.sha256")" ||
        { echo "the download has the wrong checksum" && return 1; }
    tar -xzf "$2/$name" -C "$2" ./ptp ./host-local || { echo "the archive does not hold what it should" && return 1; }
    for binary in ptp host-local; do keep "$2/$binary" "$binary"; done
}

download_node() { # BINARY TEMP
    echo "there is none: it is this project's own"
    return 1
}

download_runc() { # BINARY TEMP
    local base=https://github.com/opencontainers/runc/releases/download/$RUNC_VERSION
    reachable "$base/runc.sha256sum" || { echo "github.com cannot be reached" && return 1; }
    if ! get "$base/runc.sha256sum" "$2/runc.sha256sum" || ! get "$base/runc.$ARCH" "$2/runc"; then
        echo "the download failed"
        return 1
    fi
    matches "$2/runc" "$(awk -v file="runc.$ARCH" '$2 == file { print $1 }' "$2/runc.sha256sum")" ||
        { echo "the download has the wrong checksum" && return 1; }
    keep "$2/runc" runc
}

download_etcd() { # BINARY TEMP
    local base=https://github.com/etcd-io/etcd/releases/download/$ETCD_VERSION
    local name=etcd-$ETCD_VERSION-linux-$ARCH sum
    reachable "$base/SHA256SUMS" || { echo "github.com cannot be reached" && return 1; }
    if ! get "$base/SHA256SUMS" "$2/SHA256SUMS" || ! get "$base/$name.tar.gz" "$2/$name.tar.gz"; then
        echo "the download failed"
        return 1
    fi
    sum=$(awk -v file="$name.tar.gz" '$2 == file { print $1 }' "$2/SHA256SUMS")
    matches "$2/$name.tar.gz" "$sum" || { echo "the download has the wrong checksum" && return 1; }
    tar -xzf "$2/$name.tar.gz" -C "$2" "$name/etcd" || { echo "the archive holds no etcd" && return 1; }
    keep "$2/$name/etcd" "$1"
}

# runc is linked with libseccomp. Where its development files are not installed, Debian's package of
# them is unpacked beside the build, under apt's own check of its signature and checksum.
libseccomp() { # TEMP: sets where pkg-config looks
    if pkg-config --exists libseccomp 2>/dev/null; then return 0; fi
    local root=$1/libseccomp
    mkdir "$root"
    if ! (cd "$root" && apt-get download -o APT::Sandbox::User=root libseccomp-dev && dpkg-deb -x ./*.deb .) >>"$1/build.log" 2>&1; then
        warn "runc needs libseccomp's development files: install libseccomp-dev (libseccomp-devel) and pkg-config"
        return 1
    fi
    # They point to a shared library that need not be there; the static one is.
    find "$root" -name 'libseccomp.so*' -delete
    PKG_CONFIG_LIBDIR=$(find "$root" -type d -name pkgconfig)
    PKG_CONFIG_SYSROOT_DIR=$root
    export PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
}

# One `go build` for all binaries of a group that are missing: they share most of their packages.
build() { # GROUP TEMP BINARY...
    # In a folder of its own: go refuses to write over what a failed download left.
    mkdir "$2/built"
    local group=$1 temp=$2 binary packages=() status=0 began=$SECONDS report=60 cgo=0
    shift 2
    if [[ $group == runc ]]; then
        cgo=1
        libseccomp "$temp" || return 1
    fi
    for binary in "$@"; do packages+=("$(package_of "$binary")"); done
    # Settings of the user's (a vendor directory, a workspace) are about other modules than this one.
    (cd "$HERE/$group" && CGO_ENABLED=$cgo GOWORK=off GOFLAGS=-mod=readonly GOOS=linux GOARCH=$ARCH \
        exec nice go build -v -trimpath -buildvcs=false -tags "$(tags_of "$group")" -ldflags "$(ldflags_of "$group")" -o "$temp/built/" "${packages[@]}") \
        >>"$temp/build.log" 2>&1 &
    BUILD_PID=$!
    # A quarter of an hour of silence looks like a hang.
    while kill -0 "$BUILD_PID" 2>/dev/null; do
        sleep 1
        if ((SECONDS - began >= report)); then
            say "still building, $report s, $(grep -vc '^go: ' "$temp/build.log") packages so far"
            report=$((report + 60))
        fi
    done
    wait "$BUILD_PID" || status=$?
    BUILD_PID=
    if ((status != 0)); then
        tail -n 20 "$temp/build.log" >&2
        return 1
    fi
    # Go names the file after the module, go.etcd.io/etcd/server/v3.
    if [[ $group == etcd ]]; then mv -f "$temp/built/server" "$temp/built/etcd"; fi
    for binary in "$@"; do keep "$temp/built/$binary" "$binary"; done
}

# Brings what GROUP lacks, by download or by build.
bring() { # GROUP BINARY...
    local group=$1 dir temp binary why missing=()
    shift
    dir=$(cache_dir "$group")
    mkdir -p "$dir"
    # What an interrupted run left behind; the lock is held, so nobody uses it.
    rm -rf "$dir"/.new.*
    temp=$(mktemp -d "$dir/.new.XXXXXX")
    TEMP_DIRS+=("$temp")
    for binary in "$@"; do
        if [[ -x $(cached "$binary") ]]; then
            continue # somebody else brought it while this run waited for the lock
        elif ! command -v curl >/dev/null; then
            why="no curl here"
        # Not in a subshell: reachable remembers what it has learnt.
        elif "download_$group" "$binary" "$temp" >"$temp/why"; then
            say "$binary $(version_of "$(group_of "$binary")"): official release, checksum verified"
            continue
        else
            why=$(<"$temp/why")
        fi
        say "$binary $(version_of "$(group_of "$binary")"): not from the official release ($why)"
        missing+=("$binary")
    done
    if ((${#missing[@]} > 0)); then
        command -v go >/dev/null || die "no way to get ${missing[*]}. Tried: the cache ($dir), the official release
  ($why), a build from Go modules (no Go here). Let this machine reach dl.k8s.io and github.com
  (and have curl), or install Go 1.26 or later, or put the binaries into the cache by hand."
        say "building ${missing[*]} from Go modules$([[ $group != kubernetes ]] || echo ': the first time takes 6 to 15 minutes on two cores')"
        local began=$SECONDS
        build "$group" "$temp" "${missing[@]}" || die "the build of ${missing[*]} failed"
        say "${missing[*]} $(version_of "$group"): built from Go modules in $((SECONDS - began)) s"
    fi
    rm -rf "$temp"
}

TEMP_DIRS=()
BUILD_PID=
clean_binaries() { # for the caller's exit trap
    [[ -z $BUILD_PID ]] || kill "$BUILD_PID" 2>/dev/null || true
    ((${#TEMP_DIRS[@]} == 0)) || rm -rf "${TEMP_DIRS[@]}"
}

fetch_binaries() { # BINARY...
    local binary group missing=()
    for binary in "$@"; do
        group=$(group_of "$binary")
        if [[ -x $(cached "$binary") ]]; then
            say "$binary $(version_of "$group"): cache"
        else
            missing+=("$binary")
        fi
    done
    ((${#missing[@]} > 0)) || return 0

    mkdir -p "$CACHE"
    exec 8>"$CACHE/lock"
    if ! flock -n 8; then
        say "another run is filling $CACHE, waiting for it"
        flock 8
    fi
    for group in etcd kubernetes containerd runc cni node; do
        local wanted=()
        for binary in "${missing[@]}"; do
            if [[ $(group_of "$binary") == "$group" ]]; then wanted+=("$binary"); fi
        done
        ((${#wanted[@]} == 0)) || bring "$group" "${wanted[@]}"
    done
    exec 8>&-
}
