# make help lists what there is. Tools that the tests need are built or installed once, pinned,
# into a cache outside the checkout.

SHELL := /bin/bash
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tokenward
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(CACHE)/cargo-fuzz-$(CARGO_FUZZ_VERSION)/bin
SEEDS ?= 0..100
TOKENS ?= 50
HOURS ?= 48
LIVES ?= mixed
FUZZ_SECONDS ?= 300
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
CARGO_DENY := $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Watch four tokens being kept fresh: no cluster, ends by itself
	@hack/demo

.PHONY: unit
unit: ## The inner loop: unit tests only
	@cargo test --quiet --lib

.PHONY: test
test: ## Everything: format, lints, licences, unit tests, simulator, real API server, demo
	@hack/test

.PHONY: lint
lint: ## Format, clippy, workflows, licences and bans
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	"$$(hack/actionlint/actionlint)" .github/workflows/*.yaml
	@$(MAKE) --no-print-directory deny

.PHONY: deny
deny: $(CARGO_DENY) ## Licences, bans and sources of the dependencies
	$(CARGO_DENY) --log-level error check licenses bans sources

.PHONY: simulation
simulation: ## Simulated worlds: SEEDS=0..100 or one of them, TOKENS=50 HOURS=48 LIVES=mixed
	@# As `make test` builds it: by itself it would be built with other features, all of it.
	cargo test --quiet --locked --profile simulation -p simulation --no-run
	@$${CARGO_TARGET_DIR:-target}/simulation/simulation $(SEEDS) $(TOKENS) $(HOURS) $(LIVES)

.PHONY: advisories
advisories: $(CARGO_DENY) ## Known vulnerabilities (fetches the advisory database)
	$(CARGO_DENY) check advisories

$(CARGO_DENY):
	cargo install --quiet --locked cargo-deny --version $(CARGO_DENY_VERSION) --root $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)

# What is found on the way stays outside the checkout: a crash is under fuzz/artifacts, and what is
# worth keeping is copied into fuzz/corpus by hand.
.PHONY: fuzz
fuzz: $(CARGO_FUZZ)/cargo-fuzz ## Each parser against made-up input, FUZZ_SECONDS=300 each
	@set -e; for target in $(FUZZ_TARGETS); do \
	  found=$(CACHE)/fuzz/$$target; mkdir -p $$found; \
	  PATH=$(CARGO_FUZZ):$$PATH RUSTC_BOOTSTRAP=1 cargo fuzz run $$target $$found fuzz/corpus/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1; \
	done

$(CARGO_FUZZ)/cargo-fuzz:
	cargo install --quiet --locked cargo-fuzz --version $(CARGO_FUZZ_VERSION) --root $(CACHE)/cargo-fuzz-$(CARGO_FUZZ_VERSION)

# One after the other: times are of no use while something else runs.
.PHONY: bench-code
bench-code: ## What the code itself takes: times, instructions, allocations
	cargo bench --quiet --locked --bench in_process
	cargo bench --quiet --locked --bench allocations

# SIZES and TOKENS reach it where they are given to make.
.PHONY: bench
bench: ## How fast, how small, how far: under 20 minutes; SIZES="100 1000 10000", TOKENS=50000 adds one
	@hack/bench

.PHONY: performance
performance: ## docs/performance.md, its table and plots, of what make bench measured last
	cp target/bench/figures.jsonl docs/performance/figures.jsonl
	TOKENWARD_BLESS=1 cargo test --quiet --locked --test local the_performance_page_is_current

.PHONY: crds
crds: ## Write crds/ anew from the types
	cargo run --quiet --locked --bin tokenward -- crds > crds/tokenward.yaml
	cp crds/tokenward.yaml charts/tokenward/files/crds.yaml

.PHONY: deploy
deploy: ## Write deploy/ anew from the chart
	TOKENWARD_BLESS=1 cargo test --quiet --locked --test chart deploy_is_current

.PHONY: docs
docs: ## Write the generated pages of docs/ anew
	TOKENWARD_BLESS=1 cargo test --quiet --locked --test conformance --test local --test chart page_is_current

.PHONY: book
book: ## docs/ as a book to look at, in target/book
	@hack/book

.PHONY: cluster
cluster: ## A real control plane on loopback (NODE=1: with a node that runs pods, as root)
	@hack/cluster/up $(if $(NODE),--node)

.PHONY: cluster-down
cluster-down: ## End the control plane that `make cluster` started
	@hack/cluster/down

.PHONY: e2e
e2e: ## From helm install to a workload that uses tokens, through faults: a node, as root, 20 minutes
	@hack/e2e full

.PHONY: e2e-short
e2e-short: ## The part of it that make test runs: three minutes
	@hack/e2e short

.PHONY: image
image: ## The image as an OCI archive, without Docker: target/image/tokenward.tar
	cargo build --release --locked --bin tokenward
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) hack/image/build ghcr.io/tokenward/tokenward:dev target/image/tokenward.tar target/release/tokenward
