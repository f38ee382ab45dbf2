# `make` alone says what there is. `make demo` and `make test` install what they need themselves.

.DEFAULT_GOAL := help
SHELL := /usr/bin/env bash
CARGO ?= cargo
# Where `cargo install` puts its programs, so that a later run finds them.
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help
help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup-build ## a gateway, an agent and a sample database on this machine; Ctrl-C stops all
	$(CARGO) build --release --package hoop-cli
	target/release/hoop dev --demo

.PHONY: test
test: setup lint build unit e2e ## everything that must hold: format, lints, licences, unit, property, doc and end-to-end tests

.PHONY: setup
setup: setup-build ## installs what the tests need: servers, client programs, cargo-deny
	tests/e2e/setup.sh
	$(CARGO) fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy
	command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked

.PHONY: setup-build
setup-build: ## installs what building and the demo need
	tests/e2e/setup.sh --build

.PHONY: fmt
fmt: ## formats the code
	$(CARGO) fmt --all

.PHONY: lint
lint: ## format, lints, licences, advisories
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	$(CARGO) deny --log-level error check bans licenses sources
	@# The advisories are fetched; a machine that cannot reach them says so, and goes on.
	$(CARGO) deny --log-level error check advisories || \
		{ $(CARGO) deny fetch db >/dev/null 2>&1 && exit 1; echo "ADVISORIES NOT CHECKED: their database cannot be fetched from here" >&2; }

# Every step selects the whole workspace, so that dependencies are built once, with one set of features.
BUILT = $(abspath $(or $(CARGO_TARGET_DIR),target))/debug

.PHONY: build
build: ## the binaries, as the tests run them
	$(CARGO) build --workspace --locked --bins

.PHONY: unit
unit: build ## unit, property and doc tests, and the examples
	HOOP_E2E_BINARIES=$(BUILT) $(CARGO) test --workspace --exclude hoop-e2e --locked --quiet
	@# The agent is built with each feature alone, as embedders do.
	for features in "" postgres ssh http secret-env secret-file vault aws postgres,vault postgres,aws; do \
		$(CARGO) clippy --quiet --locked --package hoop-agent --no-default-features --features "$$features" -- --deny warnings || exit 1; done

.PHONY: e2e
e2e: build ## end-to-end tests with real servers and clients
	HOOP_E2E_BINARIES=$(BUILT) $(CARGO) test --workspace --locked --test e2e

.PHONY: long
long: build ## end-to-end tests that take minutes, and are no part of the others
	tests/e2e/setup.sh
	HOOP_E2E_BINARIES=$(BUILT) $(CARGO) test --workspace --locked --test long -- --nocapture

.PHONY: fuzz
fuzz: ## fuzzes every decoder for FUZZ_SECONDS (60) each; needs a nightly toolchain and cargo-fuzz
	hoop-proto/fuzz/run.sh $${FUZZ_SECONDS:-60}

.PHONY: bench
bench: ## measures direct, pgbouncer and the gateway side by side
	tests/e2e/setup.sh --bench
	bench/run.sh

.PHONY: openapi
openapi: ## writes docs/openapi.json, the document of the API, from the code
	$(CARGO) run --quiet --locked --package hoop-gateway-bin --bin hoop-gateway -- openapi >docs/openapi.json.new
	mv docs/openapi.json.new docs/openapi.json

.PHONY: reference
reference: ## writes docs/configuration.md, the reference of the gateway's settings, from the code
	$(CARGO) run --quiet --locked --package hoop-gateway-bin --bin hoop-gateway -- config reference >docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

.PHONY: clean
clean: ## removes everything that was built
	$(CARGO) clean
