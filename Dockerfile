# tokenward's image: the program, the shared libraries that it is linked with, CA roots, a user.
#
#   docker build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .
#
# The same source on the same base gives the same image. The base is named by version here; the release
# workflow names it by digest, which it tells in the release.
# hack/image/build makes the same image without Docker, of a program that was built before.
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-bookworm

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# No path of the builder's in the program.
ENV CARGO_INCREMENTAL=0 RUSTFLAGS="--remap-path-prefix=/usr/local/cargo=/cargo"
# Kernels for arm64 have pages of 4 or of 64 KiB, and the allocator has to know the larger.
RUN if [ "$(uname -m)" = aarch64 ]; then export JEMALLOC_SYS_WITH_LG_PAGE=16; fi \
    && cargo build --release --locked --package tokenward --bin tokenward \
    && hack/image/rootfs /rootfs target/release/tokenward
ARG SOURCE_DATE_EPOCH=0
# As hack/image/oci does it.
RUN chmod -R u+rwX,go+rX,go-w /rootfs && find /rootfs -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/tokenward"]
